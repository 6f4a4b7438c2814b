//! Terms only grow, and what is durable never becomes less, unless a checkpoint is damaged.

use simulation::{Observer, Seen};

#[derive(Default)]
pub struct Terms {
    term: u64,
    durable: u64,
}

impl Observer for Terms {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        if let Seen::Term { term, durable } = *seen {
            if term <= self.term {
                return Err(format!("term {term} follows on term {}", self.term));
            }
            if durable < self.durable {
                return Err(format!(
                    "step {} was durable, and in term {term} only step {durable} is",
                    self.durable
                ));
            }
            (self.term, self.durable) = (term, durable);
        }
        if let Seen::Damaged { durable, .. } = *seen {
            self.durable = durable;
        }
        if let Seen::Checkpoint { step, .. } = *seen {
            self.durable = self.durable.max(step);
        }
        Ok(())
    }
}
