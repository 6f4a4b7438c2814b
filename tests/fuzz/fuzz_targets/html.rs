//! Fuzzes web pages: any bytes have a text or none, soon and without a panic that gets out.
#![no_main]

use fuzz::corpus::html::{Limits, decode, main_text};
use fuzz::{controls, stretched};
use libfuzzer_sys::fuzz_target;

const CHARSETS: [Option<&str>; 6] =
    [None, Some("utf-8"), Some("windows-1251"), Some("shift_jis"), Some("utf-16"), Some("iso-2022-jp")];

// The extractor's panics are caught and reported; libFuzzer's own hook would end the process before that.
fuzz_target!(init: std::panic::set_hook(Box::new(|panic| eprintln!("{panic}"))), |input: &[u8]| {
    let ([mode, charset, from, to], rest) = controls(input);
    let (once, _) = decode(rest, CHARSETS[usize::from(charset) % CHARSETS.len()]);
    let page = if mode & 1 == 1 { stretched(&once, [from, to], 1 << 16) } else { once };
    let found = main_text(&page, &Limits::default());
    if let Ok(article) = found {
        let text = article.text;
        assert!(text.len() <= 2 * page.len(), "{} bytes of {}", text.len(), page.len());
        assert!(text.split('\n').all(|line| !line.is_empty() && line.trim() == line), "{text:?}");
        let small = Limits { bytes: page.len(), nodes: 20, depth: 5 };
        let _refused = main_text(&page, &small);
    }
});
