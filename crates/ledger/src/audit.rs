//! Reads a run's record again from its first line, and says whether it is unbroken and tells of every step once. Knows
//! lines and the plan's micro-batches; neither where they are kept nor who wrote them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Chain, Record, Stored, WorkerId};

/// Something that is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The segment, or the checkpoint, as a person would name it.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

/// Steps in a row that the same members computed, and that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The coordinator's term.
    pub term: u64,
    /// The generation within it.
    pub generation: u64,
    /// The first step, counted from 0.
    pub first: u64,
    /// The step behind the last one.
    pub end: u64,
    /// The members by rank.
    pub members: Vec<WorkerId>,
    /// How micro-batches were dealt to them: see [`plan::Deal`]. Empty if all got the same.
    pub weights: Vec<u32>,
    /// Why the generation was opened.
    pub reason: String,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// Segments read.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// Steps that count: each with the micro-batches that the plan gives it, and each once.
    pub steps: u64,
    /// Steps that were computed again because members contradicted each other.
    pub doubted: u64,
    /// Committed steps that were undone, because the weights that they led to were lost, and computed again.
    pub undone: u64,
    /// Steps that were committed without an update: their gradient could not be used, or they were left out.
    pub skipped: u64,
    /// Who computed what.
    pub stretches: Vec<Stretch>,
    /// What is wrong; empty for a good record.
    pub findings: Vec<Finding>,
}

/// A segment of the record, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number, counted from 0.
    pub number: u64,
    /// What is in it, or why that cannot be read.
    pub body: Result<Body, String>,
}

/// What a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The term in which it was written.
    pub term: u64,
    /// The head of the chain over all records before it, as its writer knew them.
    pub chain: String,
    /// What all records before it come to, if the segment says so: see [`Stored`].
    pub summary: Option<Value>,
    /// The records, a line each.
    pub text: String,
}

/// Reads a run's whole record: its segments in order, and its visible checkpoints with the heads of the chain that they
/// name. Steps take the micro-batches of `batches`.
pub fn audit(batches: plan::Batches, checkpoints: &[(u64, String)], segments: &[Segment]) -> Audited {
    let restored = |line: &str| match Record::from_line(line) {
        Ok(Record::Resumed { checkpoint, .. }) => Some(checkpoint),
        _ => None,
    };
    let lines =
        segments.iter().filter_map(|segment| segment.body.as_ref().ok()).flat_map(|body| body.text.lines());
    let named = checkpoints.iter().map(|(_, head)| head.clone());
    let mut audit = Audit {
        batches,
        next_segment: 0,
        term: 0,
        chain: Chain::new(),
        stored: Some(Stored::default()),
        named: named.chain(lines.filter_map(restored)).collect(),
        heads: BTreeMap::new(),
        told: Told::default(),
        left_out: Vec::new(),
        committed: 0,
        out: Audited::default(),
    };
    for Segment { number, body } in segments {
        match body {
            Ok(body) => audit.segment(*number, body),
            Err(reason) => audit.unreadable(*number, reason),
        }
    }
    audit.finish(checkpoints)
}

/// An audit under way.
struct Audit {
    batches: plan::Batches,
    next_segment: u64,
    term: u64,
    chain: Chain,
    /// What the records come to; unknown behind what cannot be relied on.
    stored: Option<Stored>,
    /// Heads of the chain that checkpoints name, those included that are deleted by now.
    named: BTreeSet<String>,
    /// What had been told up to such a head: a generation may begin there.
    heads: BTreeMap<String, Told>,
    told: Told,
    left_out: Vec<std::ops::Range<u64>>,
    /// Commits, those that were undone included.
    committed: u64,
    out: Audited,
}

/// The story so far, without what was undone.
#[derive(Clone, Debug, Default)]
struct Told {
    steps: u64,
    stretches: Vec<Stretch>,
    skipped: Vec<u64>,
}

impl Audit {
    fn segment(&mut self, number: u64, body: &Body) {
        let Body { term, chain, summary, text } = body;
        let term = *term;
        self.expect(number);
        let place = format!("segment {number}");
        if *chain != self.chain.head() && self.out.segments > 0 {
            let what = "it does not follow on the records before it: something there, or its first line, was changed";
            self.find(&place, what);
            self.stored = None;
        }
        if let Some(head) = Chain::at(chain) {
            self.chain = head;
        }
        self.summed_up(&place, summary.as_ref());
        if term < self.term {
            self.find(&place, &format!("it is of term {term}, but follows on term {}", self.term));
        }
        self.term = self.term.max(term);
        self.out.segments += 1;
        for (index, line) in text.lines().enumerate() {
            // The segment's own first line is line 1.
            let place = format!("segment {number}, line {}", index + 2);
            match Record::from_line(line) {
                Ok(record) => {
                    if let Some(stored) = &mut self.stored {
                        stored.append_line(term, &record, line);
                    }
                    self.record(&place, term, &record);
                }
                Err(error) => {
                    self.stored = None;
                    self.find(&place, &format!("it is no record: {error}"));
                }
            }
            self.chain.append_line(line);
            self.out.records += 1;
            let head = self.chain.head();
            if self.named.contains(&head) {
                self.heads.insert(head, self.told.clone());
            }
        }
    }

    /// A summary must be what the records before it come to.
    fn summed_up(&mut self, place: &str, summary: Option<&Value>) {
        let Some(said) = summary.and_then(Stored::of_summary) else { return };
        if self.stored.as_ref().is_some_and(|found| *found != said) {
            self.find(place, "its summary is not what the records before it come to");
        }
        self.stored = Some(said);
    }

    fn unreadable(&mut self, number: u64, reason: &str) {
        self.expect(number);
        self.stored = None;
        self.find(&format!("segment {number}"), reason);
    }

    fn finish(mut self, checkpoints: &[(u64, String)]) -> Audited {
        for (step, head) in checkpoints {
            if self.heads.get(head).map(|told| told.steps) != Some(*step) {
                let what = "no record leads to the head of the ledger that it names: the record was changed, or is of \
                            another run";
                self.find(&format!("checkpoint of step {step}"), what);
            }
        }
        let Told { steps, stretches, skipped } = self.told;
        let undone = self.committed.saturating_sub(steps);
        Audited { steps, stretches, skipped: skipped.len() as u64, undone, ..self.out }
    }

    fn expect(&mut self, number: u64) {
        for missing in self.next_segment..number {
            self.stored = None;
            self.find(&format!("segment {missing}"), "it is missing");
        }
        self.next_segment = number + 1;
    }

    fn record(&mut self, place: &str, term: u64, record: &Record) {
        match record {
            Record::Opened { term: opened, generation, step, members, weights, reason, .. } => {
                // A coordinator stores what the one before could not.
                if *opened > term {
                    self.find(place, &format!("a generation of term {opened} in a segment of term {term}"));
                }
                self.go_to(place, *step);
                self.told.stretches.push(Stretch {
                    term: *opened,
                    generation: *generation,
                    first: *step,
                    end: *step,
                    members: members.clone(),
                    weights: weights.clone(),
                    reason: reason.clone(),
                });
            }
            Record::Committed {
                generation, step, phase, first_micro_batch, micro_batches, skipped, ..
            } => {
                let (next, expected) = (self.told.steps, self.batches.of(*step));
                if *step != next {
                    self.find(place, &format!("step {step} is committed where step {next} comes next"));
                }
                if (*phase, *first_micro_batch, *micro_batches)
                    != (expected.phase, expected.first, expected.count)
                {
                    let what = format!(
                        "step {step} used micro-batches {first_micro_batch} to {}; the plan gives it {} to {}",
                        first_micro_batch + micro_batches,
                        expected.first,
                        expected.first + expected.count
                    );
                    self.find(place, &what);
                }
                match self.told.stretches.last_mut().filter(|stretch| stretch.generation == *generation) {
                    Some(stretch) => stretch.end = step + 1,
                    None => self.find(
                        place,
                        &format!("step {step} is of generation {generation}, which is not open"),
                    ),
                }
                if self.left_out.iter().any(|range| range.contains(step)) && !skipped {
                    self.find(place, &format!("step {step} is to be left out, and is not"));
                }
                if *skipped {
                    self.told.skipped.push(*step);
                }
                self.committed += 1;
                self.told.steps = step + 1;
            }
            Record::Resumed { step, checkpoint } => {
                // The story goes on from where the checkpoint was decided.
                match self.heads.get(checkpoint) {
                    Some(told) if told.steps == *step => self.told = told.clone(),
                    _ if checkpoint.is_empty() => {}
                    _ => self.find(place, "it goes on from a checkpoint that no record before it leads to"),
                }
                self.go_to(place, *step);
            }
            Record::Dealt { generation, step, weights } => self.dealt(place, *generation, *step, weights),
            Record::LeftOut { first, end, .. } => self.left_out.push(*first..*end),
            Record::Doubted { .. } => self.out.doubted += 1,
            Record::Checkpointed { .. } | Record::Paused { .. } | Record::Unpaused {} => {}
        }
    }

    fn dealt(&mut self, place: &str, generation: u64, step: u64, weights: &[u32]) {
        let last = self.told.stretches.last().filter(|last| last.generation == generation).cloned();
        let Some(last) = last else {
            return self.find(place, &format!("it deals for generation {generation}, which is not open"));
        };
        let (weights, reason) = (weights.to_vec(), "dealt by what was measured".to_owned());
        self.told.stretches.push(Stretch { first: step, end: step, weights, reason, ..last });
    }

    /// The run goes on at `step`: what was committed from there on is undone.
    fn go_to(&mut self, place: &str, step: u64) {
        let told = &mut self.told;
        told.skipped.retain(|&skipped| skipped < step);
        told.stretches.iter_mut().for_each(|stretch| stretch.end = stretch.end.min(step));
        told.stretches.retain(|stretch| stretch.first < stretch.end);
        let steps = std::mem::replace(&mut told.steps, step);
        if step > steps {
            self.find(place, &format!("the run goes on at step {step}, but only {steps} steps are recorded"));
        }
    }

    fn find(&mut self, place: &str, what: &str) {
        self.out.findings.push(Finding { place: place.to_owned(), what: what.to_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(term: u64, generation: u64, step: u64) -> Record {
        Record::Opened {
            term,
            generation,
            step,
            members: vec![WorkerId(7), WorkerId(8)],
            weights: Vec::new(),
            platform: String::new(),
            reason: "test".into(),
        }
    }

    fn committed(generation: u64, step: u64) -> Record {
        Record::Committed {
            generation,
            step,
            phase: 0,
            first_micro_batch: 3 * step,
            micro_batches: 3,
            loss: 1.0,
            targets: 1,
            grad_norm: 1.0,
            digest: "d".into(),
            skipped: step == 1,
            poisoned: Vec::new(),
        }
    }

    /// A good run: two terms, three generations, one step that was undone, and the head after step 3.
    fn segments() -> (Vec<(u64, String, String)>, String) {
        let parts = [
            (1, vec![opened(1, 1, 0), committed(1, 0), committed(1, 1)]),
            (1, vec![committed(1, 2), Record::Checkpointed { step: 2 }, opened(1, 2, 2), committed(2, 2)]),
            (2, vec![]),
            (2, vec![opened(2, 1, 3), committed(1, 3)]),
        ];
        let (mut chain, mut at_three) = (Chain::new(), String::new());
        let segment = |(term, records): (u64, Vec<Record>)| {
            let (head, mut text) = (chain.head(), String::new());
            for record in records {
                text += &format!("{}\n", chain.append(&record));
                if record == committed(2, 2) {
                    at_three = chain.head();
                }
            }
            (term, head, text)
        };
        let segments = parts.into_iter().map(segment).collect();
        (segments, at_three)
    }

    fn stored(segments: &[(u64, String, String)]) -> Vec<Segment> {
        let body = |(term, chain, text): &(u64, String, String)| {
            Ok(Body { term: *term, chain: chain.clone(), summary: None, text: text.clone() })
        };
        (0..).zip(segments).map(|(number, segment)| Segment { number, body: body(segment) }).collect()
    }

    fn audited(segments: &[Segment], checkpoints: &[(u64, String)]) -> Audited {
        audit(plan::Batches::even(3), checkpoints, segments)
    }

    fn findings(segments: &[(u64, String, String)], checkpoints: &[(u64, String)]) -> Vec<String> {
        let audited = audited(&stored(segments), checkpoints);
        audited.findings.into_iter().map(|finding| format!("{}: {}", finding.place, finding.what)).collect()
    }

    #[test]
    fn a_good_record_is_told() {
        let (segments, head) = segments();
        let audited = audited(&stored(&segments), &[(3, head)]);
        assert_eq!(audited.findings, []);
        let numbers = (audited.segments, audited.records, audited.steps, audited.undone, audited.skipped);
        assert_eq!(numbers, (4, 9, 4, 1, 1));
        let stretches = audited.stretches.iter().map(|of| (of.term, of.generation, of.first, of.end));
        assert_eq!(stretches.collect::<Vec<_>>(), [(1, 1, 0, 2), (1, 2, 2, 3), (2, 1, 3, 4)]);
    }

    #[test]
    fn what_was_changed_is_found_and_placed() {
        let (good, head) = segments();
        let changed = |segment: usize, from: &str, to: &str| {
            let mut segments = good.clone();
            assert!(segments[segment].2.contains(from));
            segments[segment].2 = segments[segment].2.replacen(from, to, 1);
            findings(&segments, &[(3, head.clone())])
        };
        // A number that nothing else depends on: the segment behind it says so.
        assert_eq!(changed(0, "\"loss\":1.0", "\"loss\":0.5").len(), 1);
        assert!(changed(0, "\"loss\":1.0", "\"loss\":0.5")[0].starts_with("segment 1: it does not follow"));
        let step = changed(1, "\"step\":2,\"first", "\"step\":5,\"first");
        assert!(
            step[0].starts_with("segment 1, line 2: step 5 is committed where step 2 comes next"),
            "{step:?}"
        );
        let range = changed(0, "\"first_micro_batch\":0", "\"first_micro_batch\":1");
        assert!(range[0].contains("used micro-batches 1 to 4; the plan gives it 0 to 3"), "{range:?}");
        let cut = changed(1, "{\"kind\":\"checkpointed\"", "{\"kind\":");
        assert!(cut[0].starts_with("segment 1, line 3: it is no record"), "{cut:?}");
    }

    #[test]
    fn segments_that_are_missing_doubled_or_out_of_order_are_found() {
        let (good, head) = segments();
        let checkpoints = [(3, head)];
        let mut missing = stored(&good);
        missing.remove(1);
        let missing = audited(&missing, &checkpoints);
        assert_eq!(missing.findings[0], Finding { place: "segment 1".into(), what: "it is missing".into() });
        assert!(missing.findings.iter().any(|finding| finding.place == "checkpoint of step 3"));

        let mut doubled = good.clone();
        doubled.insert(1, good[0].clone());
        assert!(findings(&doubled, &[])[0].starts_with("segment 1: it does not follow"));
        let mut swapped = good.clone();
        swapped.swap(0, 3);
        assert!(findings(&swapped, &[]).iter().any(|found| found.contains("follows on term 2")));
    }

    #[test]
    fn a_summary_that_is_not_what_the_records_come_to_is_found() {
        let (segments, _) = segments();
        let mut stored = stored(&segments);
        let mut comes_to = Stored::default();
        let (term, _, text) = &segments[0];
        for line in text.lines() {
            comes_to.append_line(*term, &Record::from_line(line).unwrap(), line);
        }
        let sum_up = |stored: &mut Vec<Segment>, summary: &Stored| {
            stored[1].body.as_mut().unwrap().summary = Some(summary.summary());
        };
        sum_up(&mut stored, &comes_to);
        assert_eq!(audited(&stored, &[]).findings, []);
        comes_to.steps += 1;
        sum_up(&mut stored, &comes_to);
        let findings = audited(&stored, &[]).findings;
        assert_eq!((findings.len(), findings[0].place.as_str()), (1, "segment 1"), "{findings:?}");
    }

    /// A checkpoint was stored, but its coordinator did not hear of it and went back; the next one finds it.
    #[test]
    fn a_run_may_go_on_from_a_checkpoint_that_it_went_back_before() {
        let mut chain = Chain::new();
        let mut text = String::new();
        let mut add = |record: Record| {
            text += &format!("{}\n", chain.append(&record));
            chain.head()
        };
        add(opened(1, 1, 0));
        let heads: Vec<String> = (0..3).map(|step| add(committed(1, step))).collect();
        add(opened(1, 2, 0));
        add(committed(2, 0));
        let restored = heads[2].clone();
        add(Record::Resumed { step: 3, checkpoint: restored.clone() });
        add(opened(2, 1, 3));
        add(committed(1, 3));
        let segments = stored(&[(2, Chain::new().head(), text)]);
        let seen = audited(&segments, &[(3, restored)]);
        assert_eq!((seen.findings.len(), seen.steps, seen.undone), (0, 4, 1));
        // By now that checkpoint may be deleted.
        assert_eq!(audited(&segments, &[]), seen);
        let stretches = seen.stretches.iter().map(|of| (of.term, of.generation, of.first, of.end));
        assert_eq!(stretches.collect::<Vec<_>>(), [(1, 1, 0, 3), (2, 1, 3, 4)]);
    }

    #[test]
    fn a_jump_without_a_checkpoint_is_found() {
        let text = format!("{}\n{}\n", opened(1, 1, 0).line(), opened(1, 2, 3).line());
        let found = findings(&[(1, Chain::new().head(), text)], &[]);
        assert_eq!(found, ["segment 0, line 3: the run goes on at step 3, but only 0 steps are recorded"]);
    }

    #[test]
    fn a_checkpoint_of_another_record_is_found() {
        let (segments, head) = segments();
        assert!(findings(&segments, &[(2, head)])[0].starts_with("checkpoint of step 2: no record leads"));
        assert_eq!(findings(&segments, &[(3, "0".repeat(32))]).len(), 1);
    }
}
