//! How often an engine that died is replaced: the rule of both supervisors, `cloze worker`'s and `cloze train`'s. Knows no
//! processes.

use std::time::{Duration, Instant};

/// How often in a row an engine that died is replaced.
pub const REPLACEMENTS: u32 = 20;
/// An engine that has lived for so long is no part of such a row.
pub const LIVED: Duration = Duration::from_secs(60);

/// Engines that died soon after each other.
pub struct Row {
    deaths: u32,
    begun: Instant,
}

impl Row {
    /// The first engine begins.
    pub fn begin() -> Self {
        Row { deaths: 0, begun: Instant::now() }
    }

    /// An engine died. How long to wait before the next one begins, since a machine that kills whatever is started should
    /// not be kept busy with starting it; none if there were too many.
    pub fn died(&mut self) -> Option<Duration> {
        self.deaths = if self.begun.elapsed() > LIVED { 1 } else { self.deaths + 1 };
        let pause = Duration::from_millis(100) * (self.deaths - 1);
        self.begun = Instant::now() + pause;
        (self.deaths <= REPLACEMENTS).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_ends_with_too_many_deaths_and_begins_again_with_a_long_life() {
        let mut row = Row::begin();
        assert_eq!(row.died(), Some(Duration::ZERO));
        for deaths in 2..=REPLACEMENTS {
            assert_eq!(row.died(), Some(Duration::from_millis(100) * (deaths - 1)));
        }
        assert_eq!(row.died(), None);
        row.begun = Instant::now().checked_sub(LIVED * 2).expect("a clock that is old enough");
        assert_eq!(row.died(), Some(Duration::ZERO));
    }
}
