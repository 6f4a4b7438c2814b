//! Configurations with mistakes, and those that the project ships.

use super::*;

const TEXT: &str = r#"
[dataset]
out = "data/test"
chunk_bytes = 256
[tokenizer]
kind = "byte-level-bpe"
vocab_size = 300
[[source]]
name = "a"
format = "text"
paths = ["a"]
"#;

#[test]
fn mistakes_name_file_line_key_and_remedy() {
    assert!(Config::parse("c.toml", TEXT).is_ok());
    let cases = [
        ("chunk_bytes", "chunk_byte", "c.toml:4: unknown key `chunk_byte`; did you mean `chunk_bytes`?"),
        (
            "chunk_bytes = 256",
            "chunk_bytes = 4",
            "c.toml:4: `dataset.chunk_bytes` is 4; it must lie between 64 and 65536",
        ),
        ("format =", "fromat =", "c.toml:10: unknown key `fromat`; did you mean `format`?"),
        (
            "kind = \"byte-level-bpe\"",
            "files = [\"t.json\"]",
            "c.toml:6: `tokenizer.files` and `kind` exclude each other; keep one",
        ),
        ("paths = [\"a\"]", "paths = []", "`source.paths` of `a` is empty; name files, folders or patterns"),
        (
            "paths = ",
            "weight = 0.0\npaths = ",
            "`source.weight` of `a` is 0; it must be greater than 0, and 50 at most: how often an epoch takes a document",
        ),
        ("[tokenizer]", "[quality]\nmin_word = 3\n[tokenizer]", "unknown key `min_word`"),
        ("[tokenizer]", "[duplicates]\nbands = 0\n[tokenizer]", "`duplicates.bands` is 0"),
    ];
    for (from, to, expected) in cases {
        let message = Config::parse("c.toml", &TEXT.replace(from, to)).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let twice = format!("{TEXT}{}", &TEXT[TEXT.find("[[source]]").unwrap()..]);
    let message = Config::parse("c.toml", &twice).unwrap_err().to_string();
    assert!(message.contains("every source needs a name of its own"), "{message}");
}

#[test]
fn the_configurations_that_come_with_the_project_are_valid() {
    let folder = std::path::Path::new("../../configs/corpus");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        Config::parse(&path.display().to_string(), &text).unwrap();
        seen += 1;
    }
    assert!(seen >= 1);
}
