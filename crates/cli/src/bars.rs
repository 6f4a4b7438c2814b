//! The progress of a preparation: a bar per stage on a terminal, lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use prepare::Progress;

/// Between two lines of progress when there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows the stages of a preparation on standard error.
pub struct Bars {
    terminal: bool,
    stage: Mutex<Option<Stage>>,
    /// Bytes that are done, in the stage that is under way.
    done: AtomicU64,
}

struct Stage {
    bar: ProgressBar,
    name: String,
    total: u64,
    since: Instant,
    last_line: Instant,
}

impl Bars {
    /// Nothing is shown before the first stage.
    pub fn new() -> Self {
        Bars { terminal: std::io::stderr().is_terminal(), stage: Mutex::new(None), done: AtomicU64::new(0) }
    }

    /// Ends the stage that is under way.
    pub fn finish(&self) {
        let Ok(mut stage) = self.stage.lock() else { return };
        if let Some(stage) = stage.take() {
            stage.bar.finish_and_clear();
            let seconds = stage.since.elapsed().as_secs_f64();
            let done = self.done.swap(0, Ordering::Relaxed);
            let rate = done as f64 / seconds.max(1e-9);
            let amount = match done {
                0 => String::new(),
                done => format!(", {} ({}/s)", HumanBytes(done), HumanBytes(rate as u64)),
            };
            eprintln!("{}: {seconds:.1} s{amount}", stage.name);
        }
    }
}

impl Stage {
    /// What is done, how fast, and how long it will take.
    fn line(&self, done: u64) -> String {
        let seconds = self.since.elapsed().as_secs_f64();
        let rate = done as f64 / seconds.max(1e-9);
        let left = Duration::from_secs_f64(self.total.saturating_sub(done) as f64 / rate.max(1.0));
        format!(
            "{}: {} of {}, {}/s, {} left",
            self.name,
            HumanBytes(done),
            HumanBytes(self.total),
            HumanBytes(rate as u64),
            HumanDuration(left)
        )
    }
}

impl Progress for Bars {
    fn stage(&self, name: &str, total_bytes: u64) {
        self.finish();
        let target = match self.terminal {
            true => ProgressDrawTarget::stderr_with_hz(5),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target((total_bytes > 0).then_some(total_bytes), target);
        let template = "{msg:16} {bar:30.cyan/blue} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(500));
        let (name, now) = (name.to_owned(), Instant::now());
        if let Ok(mut stage) = self.stage.lock() {
            *stage = Some(Stage { bar, name, total: total_bytes, since: now, last_line: now });
        }
    }

    fn advance(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Whoever finds it busy leaves the drawing to the next.
        let Ok(mut stage) = self.stage.try_lock() else { return };
        let Some(stage) = stage.as_mut() else { return };
        if self.terminal {
            stage.bar.set_position(done);
        } else if stage.last_line.elapsed() >= LINE_EVERY {
            stage.last_line = Instant::now();
            eprintln!("{}", stage.line(done));
        }
    }

    fn message(&self, text: &str) {
        match self.stage.lock().ok().as_deref() {
            Some(Some(stage)) if self.terminal => stage.bar.println(text),
            _ => eprintln!("{text}"),
        }
    }
}

/// `2G`, `512M`: binary units, as memory is sold.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write 8G, 512M or a number of bytes");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1u64 << 40,
        _ => return Err(wrong()),
    };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    match number > 0.0 && number.is_finite() {
        true => Ok((number * factor as f64) as u64),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_bytes("2G"), Ok(2 << 30));
        assert_eq!(parse_bytes("0.5M"), Ok(1 << 19));
        assert_eq!(parse_bytes("100"), Ok(100));
        for wrong in ["", "G", "2X", "-1G", "0"] {
            assert!(parse_bytes(wrong).unwrap_err().contains("8G"), "{wrong}");
        }
    }
}
