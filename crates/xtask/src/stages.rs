//! A list of named stages with their times and the room that they left on the disk, and the table at the end.
//! Knows nothing about what the stages do.

use crate::shell::{Failure, foreign, output};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// With less room than this in bytes, whatever failed may have failed for want of it.
const FULL: u64 = 1_000_000_000;

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed,
}

/// A stage that ran.
struct Done {
    name: &'static str,
    took: Duration,
    ending: Ending,
    /// Bytes that were free afterwards, where that can be told.
    free: Option<u64>,
}

/// The stages that ran so far.
pub struct Stages {
    /// The folder whose disk is looked at.
    folder: PathBuf,
    done: Vec<Done>,
}

impl Stages {
    /// Nothing has run; what will run writes below this folder.
    pub fn below(folder: &Path) -> Self {
        Stages { folder: folder.to_path_buf(), done: Vec::new() }
    }

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
        self.done.push(Done { name, took, ending, free: free(&self.folder) });
        ending == Ending::Ok
    }

    /// Whether no stage failed.
    pub fn ok(&self) -> bool {
        self.done.iter().all(|done| done.ending == Ending::Ok)
    }

    /// The summary: a line per stage, and the total.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let word = |ok| if ok { "ok" } else { "FAILED" };
        for Done { name, took, ending, free } in &self.done {
            let free = free.map_or("?".into(), |free| format!("{:.1}", free as f64 / 1e9));
            let (took, word) = (took.as_secs_f64(), word(*ending == Ending::Ok));
            text += &format!("{name:<28} {took:>8.1} s {free:>7} GB free  {word}\n");
        }
        let total: Duration = self.done.iter().map(|done| done.took).sum();
        text +=
            &format!("{:<28} {:>8.1} s                  {}", "total", total.as_secs_f64(), word(self.ok()));
        let full = |done: &Done| done.ending == Ending::Failed && done.free.is_some_and(|free| free < FULL);
        if self.done.iter().any(full) {
            text +=
                "\nthe disk was full when a stage failed; builds, tests and libtorch take about 15 GB in all";
        }
        text
    }
}

/// The bytes that are free on the disk of a folder.
fn free(folder: &Path) -> Option<u64> {
    let listed = output(foreign("df").arg("-Pk").arg(folder))?;
    listed.lines().nth(1)?.split_whitespace().nth(3)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stage_fails_the_whole() {
        let mut stages = Stages::below(&std::env::temp_dir());
        assert!(stages.run("first", || Ok(())));
        assert!(stages.ok());
        assert!(!stages.run("second", || Err(Failure::Failed("because".into()))));
        assert!(!stages.ok());
        let table = stages.table();
        assert_eq!(table.lines().count(), 3);
        assert!(table.lines().nth(1).unwrap().ends_with("FAILED"), "{table}");
    }

    #[test]
    fn a_stage_that_fails_on_a_full_disk_is_seen() {
        let failed = |free| Done { name: "build", took: Duration::ZERO, ending: Ending::Failed, free };
        let full =
            |done| Stages { folder: PathBuf::new(), done: vec![done] }.table().contains("disk was full");
        assert!(full(failed(Some(FULL - 1))));
        assert!(!full(failed(Some(FULL))));
        assert!(!full(failed(None)));
        assert!(!full(Done { ending: Ending::Ok, ..failed(Some(0)) }));
        assert!(free(&std::env::temp_dir()).is_none_or(|free| free > 0));
    }
}
