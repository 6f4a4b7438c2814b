//! Deliberate bugs of the ledger, of the kinds that people make: something forgotten, off by one, the other way round.
//! Knows the ledger's text; a line that changes there is to be changed here.

/// A bug: a piece of text that occurs once in a file of the ledger, and what it becomes.
pub struct Bug {
    /// What is wrong with the ledger then.
    pub name: &'static str,
    /// The file below `crates/ledger/src`.
    pub file: &'static str,
    /// The right text.
    pub find: &'static str,
    /// The wrong one.
    pub replace: &'static str,
}

const fn bug(name: &'static str, file: &'static str, find: &'static str, replace: &'static str) -> Bug {
    Bug { name, file, find, replace }
}

/// All of them.
pub const BUGS: &[Bug] = &[
    bug(
        "a step is committed without the vote of one member",
        "state/generations.rs",
        "is_none_or(|open| self.ready.len() < open.members.len())",
        "is_none_or(|open| self.ready.len() + 1 < open.members.len())",
    ),
    bug(
        "votes outlive their generation",
        "state/generations.rs",
        "        self.clear_votes();\n        self.reason = why.to_owned();",
        "        self.reason = why.to_owned();",
    ),
    bug(
        "votes for another step count",
        "state.rs",
        "if self.is_current(worker, generation) && step == self.step {",
        "if self.is_current(worker, generation) {",
    ),
    bug(
        "votes of another generation count",
        "state/generations.rs",
        "open && self.workers.get(&worker).is_some_and(|worker| worker.generation == generation)",
        "generation > 0 || open && self.workers.contains_key(&worker)",
    ),
    bug(
        "generations are not counted",
        "state/generations.rs",
        "let number = self.record.generations + 1;",
        "let number = self.record.generations.max(1);",
    ),
    bug(
        "a dead member's generation goes on",
        "state/members.rs",
        "            self.close_generation(&why, out);\n        } else {",
        "            self.reason = why;\n        } else {",
    ),
    bug(
        "the silent are not buried",
        "state/members.rs",
        ".filter(|&(_, silence)| silence > limit)",
        ".filter(|&(_, silence)| silence > limit * 1_000_000)",
    ),
    bug(
        "a failed generation is never given up",
        "state/generations.rs",
        "if self.failed.len() < open.members.len() && now < since + FAILURE_GRACE_MS {",
        "if now < since + FAILURE_GRACE_MS || self.failed.len() <= open.members.len() {",
    ),
    bug(
        "everybody is taken to hold the weights",
        "state/generations.rs",
        "            (true, _) => StateSource::Keep,\n            (false, 0) => StateSource::Restore,",
        "            (true, _) | (false, 0) => StateSource::Keep,",
    ),
    bug(
        "a checkpoint is committed before its last part is stored",
        "state/checkpoints.rs",
        "if attempt.parts.len() < attempt.members.len() {",
        "if attempt.parts.len() + 1 < attempt.members.len() {",
    ),
    bug(
        "parts of an attempt that was given up count",
        "state/checkpoints.rs",
        "attempt.members.len() != of as usize || attempt.members.get(index as usize) != Some(&worker)",
        "index as usize >= attempt.members.len()",
    ),
    bug(
        "a checkpoint that failed is taken for stored",
        "state.rs",
        "Event::CheckpointFailed { step, reason } => self.refuse_attempt(now, step, &reason, out),",
        "Event::CheckpointFailed { step, .. } => self.checkpoint_stored(step, out),",
    ),
    bug(
        "the last checkpoint is not waited for",
        "state/checkpoints.rs",
        "        if self.durable >= self.step {\n            if",
        "        if self.durable + 1 >= self.step {\n            if",
    ),
    bug(
        "a coordinator that comes back does not ask how far the run had come",
        "state/members.rs",
        "held.chain([cut_off]).fold(self.durable, u64::max);",
        "held.chain([cut_off]).fold(self.durable, |step, _| step);",
    ),
    bug(
        "a run goes back before anybody knows what is stored",
        "state/generations.rs",
        " || !self.knows_the_newest(held) {",
        " {",
    ),
    bug(
        "weights that are at hand are taken for the newest",
        "state/members.rs",
        "&& self.step == steps && self.step == furthest)",
        "&& self.step == steps)",
    ),
    bug(
        "what a coordinator could not store is not recorded by the next one",
        "state/generations.rs",
        "        self.record_what_was_brought(out);\n",
        "",
    ),
    bug(
        "members are told of records too late",
        "state.rs",
        "        self.told = self.tail.end();\n        Tail { term: self.term, first: from, records }",
        "        self.told = self.tail.end();\n        Tail { term: self.term, first: from + 1, records: records.into_iter().skip(1).collect() }",
    ),
    bug(
        "records are forgotten before they are durable",
        "state.rs",
        "Event::Recorded { records } => self.tail.forget_before(records),",
        "Event::Recorded { records } => self.tail.forget_before(records + 2),",
    ),
    bug(
        "an older record beats a newer one",
        "state/members.rs",
        "if (tail.term, tail.end()) > newest && open {",
        "if newest.0 < u64::MAX && open {",
    ),
    bug(
        "nobody says that the run goes on from a checkpoint",
        "state/checkpoints.rs",
        "        self.record(Record::Resumed { step, checkpoint }, out);",
        "        drop((step, checkpoint, out));",
    ),
    bug(
        "weights of a way that the run has left are used",
        "state/members.rs",
        "since <= until && applied > above",
        "since < until && applied > above",
    ),
    bug(
        "the way of weights is compared without the term",
        "state/stored.rs",
        "Record::LeftOut { first, .. } => Some((last, *first)),",
        "Record::LeftOut { first, .. } => Some((Opening { term: 0, ..last }, *first)),",
    ),
    bug(
        "a new coordinator does not know which steps are left out",
        "state/stored.rs",
        "self.left_out.push((*first, *end));",
        "let _ = (first, end);",
    ),
    bug(
        "steps that are computed again count as new losses",
        "state/guards.rs",
        "if step < self.next || !loss.is_finite() {",
        "if !loss.is_finite() {",
    ),
    bug(
        "a step whose loss jumps is committed",
        "state/guards.rs",
        "(deviations > spike.deviations).then_some(deviations)",
        "(deviations > 1e9 * spike.deviations).then_some(deviations)",
    ),
    bug(
        "who hangs is not ended",
        "state/members.rs",
        "(still > limit).then_some((worker, still, limit))",
        "(still > 1_000_000 * limit).then_some((worker, still, limit))",
    ),
    bug(
        "weights are not compared",
        "state/guards.rs",
        "let others = holders.values().filter(|workers| workers[0] != rarest[0]);",
        "let others = holders.values().filter(|workers| workers[0] != rarest[0] && workers.len() > 1_000);",
    ),
    bug(
        "results are not compared",
        "state/guards.rs",
        "if known != digest {",
        "if known.len() > digest.len() + 1_000 {",
    ),
    bug(
        "nobody waits for those who hold the weights",
        "state/members.rs",
        "if self.opened > 0 || self.term == 1 || !may_come {",
        "if self.opened < 1_000_000 || self.term == 1 || !may_come {",
    ),
    bug(
        "nobody looks for another checkpoint than the one that cannot be restored",
        "state/checkpoints.rs",
        "if self.phase != Phase::Done && std::mem::take(&mut self.looked) {",
        "if self.phase == Phase::Done && std::mem::take(&mut self.looked) {",
    ),
    bug(
        "more members than lanes",
        "state/generations.rs",
        "        members.truncate(self.settings.max_workers);\n",
        "",
    ),
    bug(
        "whoever cannot be reached is tried again at once",
        "state/trial.rs",
        "known.not_before = now + pause;",
        "known.not_before = now;",
    ),
    bug(
        "those who are left out for a while are not waited for",
        "state/generations.rs",
        "if members.is_empty() && (held || others.is_empty()) {",
        "if members.is_empty() && others.is_empty() {",
    ),
    bug(
        "records pile up while storage refuses",
        "state/generations.rs",
        "if self.storage_is_behind(out) {",
        "if self.storage_is_behind(out) && self.step > 1_000_000 {",
    ),
];
