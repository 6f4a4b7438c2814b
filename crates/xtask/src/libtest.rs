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
    /// The test whose output is being repeated, until it has been counted as skipped.
    test: Option<String>,
}

impl Reader {
    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes one line; returns what a person should see of it.
    /// The output of successful tests is left out, except where it says why a test did nothing.
    pub fn line(&mut self, line: &str) -> Option<String> {
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            self.counts.passed += number_before(rest, " passed");
            self.counts.failed += number_before(rest, " failed");
            self.counts.skipped += number_before(rest, " ignored");
            return Some(line.to_owned());
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ if !self.in_successes => return Some(line.to_owned()),
            _ => return self.of_success(line),
        }
        (!self.in_successes).then(|| line.to_owned())
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
        self.counts.skipped += 1;
        // The harness is going to count it as passed.
        self.counts.passed = self.counts.passed.wrapping_sub(1);
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
