//! A list of named stages with their times, and the table at the end.
//! Knows nothing about what the stages do.

use crate::shell::Failure;
use std::time::{Duration, Instant};

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed,
}

/// The stages that ran so far.
#[derive(Default)]
pub struct Stages {
    done: Vec<(&'static str, Duration, Ending)>,
}

impl Stages {
    /// Runs one stage, announces it, and says whether it succeeded.
    pub fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<(), Failure>) -> bool {
        println!("== {name}");
        let start = Instant::now();
        let result = stage();
        let took = start.elapsed();
        let ending = match &result {
            Ok(()) => Ending::Ok,
            Err(error) => {
                println!("== {name} FAILED: {error}");
                Ending::Failed
            }
        };
        self.done.push((name, took, ending));
        ending == Ending::Ok
    }

    /// Whether no stage failed.
    pub fn ok(&self) -> bool {
        self.done.iter().all(|(_, _, ending)| *ending == Ending::Ok)
    }

    /// The summary: a line per stage, and the total.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut total = Duration::ZERO;
        for (name, took, ending) in &self.done {
            total += *took;
            let word = if *ending == Ending::Ok { "ok" } else { "FAILED" };
            text += &format!("{name:<28} {:>8.1} s  {word}\n", took.as_secs_f64());
        }
        let word = if self.ok() { "ok" } else { "FAILED" };
        text + &format!("{:<28} {:>8.1} s  {word}", "total", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stage_fails_the_whole() {
        let mut stages = Stages::default();
        assert!(stages.run("first", || Ok(())));
        assert!(stages.ok());
        assert!(!stages.run("second", || Err(Failure::Failed("because".into()))));
        assert!(!stages.ok());
        let table = stages.table();
        assert_eq!(table.lines().count(), 3);
        assert!(table.lines().nth(1).unwrap().ends_with("FAILED"), "{table}");
    }
}
