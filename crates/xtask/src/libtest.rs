//! Reads what test binaries print while it goes by: counts, and which tests say that they cannot run here.
//! Knows the output of Rust's test harness with `--show-output`, and nothing of cargo.

use std::fmt;

/// Sums over all test binaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tests that ran and succeeded.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that said `skipped:` because this machine lacks what they need, and ignored ones.
    pub skipped: u64,
}

impl Counts {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Follows the output line by line.
#[derive(Default)]
pub struct Reader {
    counts: Counts,
    /// Inside the section that repeats what successful tests printed.
    in_successes: bool,
    /// Inside the section that says why tests failed.
    in_failures: bool,
    /// The test whose output is being repeated, until it has been counted as skipped.
    test: Option<String>,
    /// Tests of this binary that said `skipped:`; its result line is going to count them as passed.
    skipped_here: u64,
}

impl Reader {
    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes one line; returns what a person should see of it.
    /// The output of successful tests is left out, except where it says why a test did nothing;
    /// so are binaries without tests, of which there are many, and the empty lines between them.
    pub fn line(&mut self, line: &str) -> Option<String> {
        if let Some(rest) = line.strip_prefix("test result: ") {
            (self.in_successes, self.in_failures) = (false, false);
            let before = self.counts;
            let skipped = std::mem::take(&mut self.skipped_here);
            self.counts.passed += number_before(rest, " passed").saturating_sub(skipped);
            self.counts.failed += number_before(rest, " failed");
            self.counts.skipped += number_before(rest, " ignored") + skipped;
            return (self.counts != before).then(|| line.to_owned());
        }
        match line {
            "successes:" => (self.in_successes, self.in_failures) = (true, false),
            "failures:" => (self.in_successes, self.in_failures) = (false, true),
            _ => {}
        }
        let is_empty = line.is_empty() || line == "running 0 tests";
        if self.in_successes {
            self.of_success(line)
        } else {
            (self.in_failures || !is_empty).then(|| line.to_owned())
        }
    }

    fn of_success(&mut self, line: &str) -> Option<String> {
        let header = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"));
        if let Some(test) = header {
            self.test = Some(test.to_owned());
            return None;
        }
        if !line.starts_with("skipped:") {
            return None;
        }
        let test = self.test.take()?;
        self.skipped_here += 1;
        Some(format!("{test}: {line}"))
    }
}

/// The number that stands before a word in `3 passed; 0 failed; …`; 0 if there is none.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().filter(|before| before.len() < text.len());
    before.and_then(|before| before.rsplit([' ', ';']).next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 4 tests
test a ... ok
test b ... FAILED
test c ... ok
test d ... ignored

successes:

---- a stdout ----
some chatter
---- c stdout ----
skipped: no GPU
skipped: really none

successes:
    a
    c

failures:

---- b stdout ----
skipped: is not what a failed test is

failures:
    b

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s
";

    #[test]
    fn counts_and_skips_are_read() {
        let mut reader = Reader::default();
        let shown: Vec<String> = OUTPUT.lines().filter_map(|line| reader.line(line)).collect();
        assert_eq!(reader.counts(), Counts { passed: 1, failed: 1, skipped: 2 });
        assert_eq!(reader.counts().to_string(), "1 passed, 1 failed, 2 skipped");
        let shown = shown.join("\n");
        assert!(shown.contains("c: skipped: no GPU"), "{shown}");
        assert!(shown.contains("---- b stdout ----"), "{shown}");
        assert!(!shown.contains("chatter"), "{shown}");
    }

    #[test]
    fn binaries_without_tests_are_not_worth_a_line() {
        let mut reader = Reader::default();
        let empty = "\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out\n";
        assert!(empty.lines().all(|line| reader.line(line).is_none()));
    }

    #[test]
    fn several_binaries_are_summed() {
        let mut reader = Reader::default();
        for line in OUTPUT.lines().chain(OUTPUT.lines()) {
            reader.line(line);
        }
        assert_eq!(reader.counts(), Counts { passed: 2, failed: 2, skipped: 4 });
    }

    #[test]
    fn a_line_without_numbers_counts_nothing() {
        assert_eq!(number_before("ok. none at all", " passed"), 0);
        assert_eq!(number_before("ok. 12 passed; 0 failed", " passed"), 12);
    }
}
