//! What a person sees of a run: a bar on a terminal, lines elsewhere, JSON lines for scripts.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use coordinator::Update;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ledger::Waits;
use serde_json::json;

/// Between two lines of progress when there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Draws updates of a run.
pub struct Show {
    kind: Kind,
}

enum Kind {
    Bar(ProgressBar),
    Lines { steps: u64, last: Mutex<Option<Instant>>, started: Instant },
    Json,
}

impl Show {
    /// A view on a run of `steps` steps.
    pub fn new(steps: u64, json: bool) -> Self {
        let kind = if json {
            Kind::Json
        } else if console_is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr_with_hz(5));
            let template = "{bar:30.cyan/blue} step {pos}/{len}  {msg}  {elapsed} gone, {eta} left";
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.set_message("waiting for workers");
            bar.enable_steady_tick(Duration::from_millis(500));
            Kind::Bar(bar)
        } else {
            Kind::Lines { steps, last: Mutex::new(None), started: Instant::now() }
        };
        Show { kind }
    }

    /// Shows an update.
    pub fn update(&self, update: &Update) {
        if let Kind::Json = self.kind {
            return print_line(&update.json());
        }
        match update {
            Update::Step { step, report, learning_rate, tokens_per_second, members } => {
                let text = format!(
                    "loss {:.4}  {} tok/s  lr {learning_rate:.2e}  {members} worker{}{}",
                    report.loss,
                    thousands(*tokens_per_second),
                    if *members == 1 { "" } else { "s" },
                    waits(report.waits)
                );
                self.step(*step, text);
                let held_out: Vec<String> = report
                    .measures
                    .iter()
                    .filter_map(|(name, value)| Some((name.strip_prefix("evaluation/")?, value)))
                    .map(|(name, value)| format!("{name} {value:.4}"))
                    .collect();
                if !held_out.is_empty() {
                    self.line(&format!("held-out samples after {} steps: {}", step - 1, held_out.join("  ")));
                }
            }
            Update::Opened { generation, members, step, reason } => self.line(&format!(
                "generation {generation}: {members} worker{} from step {step} ({reason})",
                if *members == 1 { "" } else { "s" }
            )),
            Update::Checkpointed { step } => self.line(&format!("checkpoint of step {step} stored")),
            Update::Notice(text) => self.line(text),
        }
    }

    fn step(&self, step: u64, text: String) {
        match &self.kind {
            Kind::Bar(bar) => {
                bar.set_position(step);
                bar.set_message(text);
            }
            Kind::Lines { steps, last, started } => {
                let Ok(mut last) = last.lock() else { return };
                if last.is_some_and(|at| at.elapsed() < LINE_EVERY) && step < *steps {
                    return;
                }
                *last = Some(Instant::now());
                eprintln!("step {step}/{steps}  {text}  {} s gone", started.elapsed().as_secs());
            }
            Kind::Json => {}
        }
    }

    /// Shows a sentence.
    pub fn line(&self, text: &str) {
        match &self.kind {
            Kind::Bar(bar) => bar.println(text),
            Kind::Lines { .. } => eprintln!("{text}"),
            Kind::Json => print_line(&json!({"kind": "notice", "text": text})),
        }
    }

    /// Shows what `cloze-engine evaluate --json` found.
    pub fn evaluation(&self, found: &serde_json::Value) {
        let (step, measures) = (&found["step"], found["measures"].as_object());
        if let Kind::Json = &self.kind {
            return print_line(&json!({"kind": "evaluation", "step": step, "measures": measures}));
        }
        let measures = measures.into_iter().flatten();
        let shown = measures.filter_map(|(name, value)| Some(format!("{name} {:.4}", value.as_f64()?)));
        eprintln!("held-out samples after step {step}: {}", shown.collect::<Vec<_>>().join(", "));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish();
        }
    }
}

/// What held a step up, if it is worth a word.
fn waits(waits: Waits) -> String {
    const WORTH_MS: f64 = 10.0;
    let worth = |ms: f64, what: &str| match ms >= WORTH_MS {
        true => format!("  waited {ms:.0} ms for {what}"),
        false => String::new(),
    };
    worth(waits.data_ms, "data") + &worth(waits.checkpoint_ms, "the checkpoint")
}

/// A reader that has gone is no reason to end a run.
fn print_line(line: &serde_json::Value) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn console_is_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal()
}

/// 1234567 as "1,234,567".
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousands_are_grouped() {
        let of = |number| super::thousands(number);
        assert_eq!((of(0.0), of(999.4), of(1234567.0)), ("0".into(), "999".into(), "1,234,567".into()));
    }
}
