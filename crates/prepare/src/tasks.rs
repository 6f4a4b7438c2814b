//! How the reading of a corpus is cut into tasks: long files into pieces, short ones together. What a dataset becomes
//! does not depend on it.

use std::io;

use serde::{Deserialize, Serialize};

use crate::input::Input;
use crate::open::Packing;
use crate::read::{Piece, splits};
use crate::{Config, PrepareError};

/// About how many bytes a task has of files that are not packed.
pub(crate) const TASK_BYTES: u64 = 64 << 20;
/// Text becomes about so much smaller when it is packed.
const PACKED: u64 = 4;
/// Small files of one task: their names are held in memory, and a task that was interrupted starts over.
const MOST_PIECES: usize = 4096;

/// Everything that the machines which share a preparation must agree on: written by the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskList {
    /// What is prepared.
    pub recipe: String,
    /// The pieces of every task.
    pub tasks: Vec<Vec<Piece>>,
}

impl TaskList {
    /// Cuts the inputs into tasks of about `task_bytes`.
    pub fn new(
        config: &Config,
        inputs: &[Input],
        recipe: &str,
        task_bytes: u64,
    ) -> Result<Self, PrepareError> {
        let mut tasks = Vec::new();
        let (mut open, mut open_bytes) = (Vec::new(), 0);
        for (index, input) in inputs.iter().enumerate() {
            for (piece, bytes) in pieces(config, index, input, task_bytes)? {
                open.push(piece);
                open_bytes += bytes;
                if open_bytes >= task_bytes || open.len() >= MOST_PIECES {
                    tasks.push(std::mem::take(&mut open));
                    open_bytes = 0;
                }
            }
        }
        if !open.is_empty() {
            tasks.push(open);
        }
        Ok(TaskList { recipe: recipe.to_owned(), tasks })
    }
}

/// The pieces of an input, each with its size as it counts for a task.
fn pieces(
    config: &Config,
    index: usize,
    input: &Input,
    task_bytes: u64,
) -> Result<Vec<(Piece, u64)>, PrepareError> {
    let whole = Piece { input: index, start: 0, end: u64::MAX };
    if input.size * PACKED <= task_bytes {
        return Ok(vec![(whole, input.size)]);
    }
    let sniff = || -> io::Result<Packing> { Packing::sniff(&input.origin.open(input.size)?) };
    let packing = match sniff() {
        Ok(packing) => packing,
        Err(error) => match crate::origin::storage_failed(&error) {
            Some(failed) => return Err(PrepareError::Storage(failed.0.clone())),
            // Whoever reads it will find that, too, and tell it.
            None => return Ok(vec![(whole, 0)]),
        },
    };
    let factor = if packing == Packing::Plain { 1 } else { PACKED };
    let counts = input.size.saturating_mul(factor);
    let count = match splits(config.sources[input.source].format, packing) {
        true => counts.div_ceil(task_bytes).max(1),
        false => 1,
    };
    let at = |number: u64| (u128::from(input.size) * u128::from(number) / u128::from(count)) as u64;
    let piece = |number: u64| {
        let end = if number + 1 == count { u64::MAX } else { at(number + 1) };
        (Piece { input: index, start: at(number), end }, counts / count)
    };
    Ok((0..count).map(piece).collect())
}

/// One of several machines that share a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: usize,
    of: usize,
}

impl Share {
    /// Share `index` (from 1) of `of`.
    ///
    /// # Errors
    /// Says what is wrong if there is no such share.
    pub fn new(index: usize, of: usize) -> Result<Self, String> {
        match (1..=of).contains(&index) {
            true => Ok(Share { index: index - 1, of }),
            false => Err(format!("there is no share {index} of {of}; shares are counted from 1 to {of}")),
        }
    }

    /// Whether a task belongs to it.
    pub(crate) fn has(self, task: usize) -> bool {
        task % self.of == self.index
    }
}

impl std::str::FromStr for Share {
    type Err = String;

    /// `2/8`, the second of eight.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a share; write 2/8 for the second of eight");
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        Share::new(index.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.index + 1, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_belongs_to_one_share() {
        let shares: Vec<Share> = (1..=3).map(|index| Share::new(index, 3).unwrap()).collect();
        for task in 0..20 {
            assert_eq!(shares.iter().filter(|share| share.has(task)).count(), 1);
        }
        assert_eq!("2/8".parse::<Share>().unwrap().to_string(), "2/8");
        assert!("0/8".parse::<Share>().unwrap_err().contains("from 1 to 8"));
        assert!("9/8".parse::<Share>().is_err() && "x".parse::<Share>().unwrap_err().contains("2/8"));
    }
}
