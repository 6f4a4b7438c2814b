//! No generation begins further back than the newest checkpoint that its coordinator could know when it began: what is
//! stored is not computed again. Unless that checkpoint turns out to be damaged.

use ledger::Command;
use simulation::{Observer, Seen};

#[derive(Default)]
pub struct FurtherBack {
    term: u64,
    /// Updates applied in the newest checkpoint when the term began.
    durable: u64,
}

impl Observer for FurtherBack {
    fn see(&mut self, _: u64, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Term { term, durable } => (self.term, self.durable) = (*term, *durable),
            Seen::Damaged { durable, .. } => self.durable = *durable,
            Seen::Command { term, command: Command::Open { generation, .. } }
                if *term == self.term && generation.step < self.durable =>
            {
                return Err(format!(
                    "generation {} begins at step {}, and step {} is stored",
                    generation.number, generation.step, self.durable
                ));
            }
            _ => {}
        }
        Ok(())
    }
}
