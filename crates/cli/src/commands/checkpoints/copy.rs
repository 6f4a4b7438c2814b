//! `cloze checkpoints copy`: a run as it stood at a checkpoint, at another place: as a copy elsewhere, as the beginning of
//! another run, or as what is left of one whose storage was damaged.

use clap::Args;
use ledger::{Chain, Record};
use serde_json::json;
use store::{CheckpointManifest, CheckpointState, RunStore, Segment, StoreError};

use super::open;
use crate::failure::Failure;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze checkpoints copy runs/tiny s3://bucket/runs/tiny --step 2000")]
pub(super) struct Arguments {
    /// The run's place: a path or URL.
    run: String,
    /// Where the copy is to be: a path or URL without a run.
    to: String,
    /// Which checkpoint; default: the newest whole one that an undamaged record leads to.
    #[arg(long)]
    step: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let from = open(&arguments.run).await?;
    let (record, broken) = whole_record(&from).await?;
    if let Some(reason) = &broken {
        eprintln!("the record is whole up to there: {reason}");
    }
    let (manifest, record) = chosen(&from, &arguments, &record).await?;
    from.copy_to(&RunStore::open(&arguments.to)?, &manifest, &record).await?;
    let (step, to) = (manifest.step, &arguments.to);
    match arguments.json {
        true => println!("{}", json!({ "step": step, "to": to, "segments": record.len() })),
        false => println!("step {step} is at {to}; go on there with --resume and run.store = \"{to}\""),
    }
    Ok(())
}

/// The segments up to the first that cannot be relied on, and what is wrong with that one.
async fn whole_record(run: &RunStore) -> Result<(Vec<Segment>, Option<String>), Failure> {
    let (mut whole, mut chain) = (Vec::new(), Chain::new());
    for (number, segment) in run.segments().await? {
        let expected = whole.len() as u64;
        let segment = match segment {
            Ok(segment) if number == expected => segment,
            Ok(_) => return Ok((whole, Some(format!("segment {expected} is missing")))),
            // A service that fails is no damage: the copy would be of an older state.
            Err(error @ StoreError::Io { .. }) => return Err(error.into()),
            Err(error) => return Ok((whole, Some(error.to_string()))),
        };
        if !segment.chain.is_empty() && segment.chain != chain.head() {
            // The one before was changed, or this one's first line.
            whole.pop();
            return Ok((whole, Some(format!("segment {number} does not follow on those before it"))));
        }
        for line in segment.text.lines() {
            if let Err(reason) = Record::from_line(line) {
                return Ok((whole, Some(format!("segment {number} holds what is no record: {reason}"))));
            }
            chain.append_line(line);
        }
        whole.push(segment);
    }
    Ok((whole, None))
}

/// The record up to the line that a checkpoint names as the last before it.
fn up_to(record: &[Segment], head: &str) -> Option<Vec<Segment>> {
    let (mut kept, mut chain): (Vec<Segment>, _) = (Vec::new(), Chain::new());
    for segment in record {
        let mut text = String::new();
        for line in segment.text.lines() {
            text.push_str(line);
            text.push('\n');
            chain.append_line(line);
            if chain.head() == head {
                kept.push(Segment { text, summary: None, ..segment.clone() });
                return Some(kept);
            }
        }
        // A wrong summary may be why there is a copy.
        kept.push(Segment { summary: None, ..segment.clone() });
    }
    None
}

/// The checkpoint to copy, and the record up to it.
async fn chosen(
    run: &RunStore,
    arguments: &Arguments,
    record: &[Segment],
) -> Result<(CheckpointManifest, Vec<Segment>), Failure> {
    let checkpoints = run.checkpoints();
    let mut passed = Vec::new();
    for entry in checkpoints.list().await?.into_iter().rev() {
        if arguments.step.is_some_and(|step| step != entry.step) {
            continue;
        }
        let reason = match entry.state {
            CheckpointState::Unfinished => "it is unfinished".to_owned(),
            CheckpointState::SetAside => "it was found damaged, and set aside".to_owned(),
            CheckpointState::Damaged(reason) => reason,
            CheckpointState::Whole(manifest) => match up_to(record, &manifest.ledger_head) {
                None => "no undamaged record leads to it".to_owned(),
                Some(record) => match checkpoints.verify(&manifest).await {
                    Ok(()) => {
                        passed.iter().for_each(|passed| eprintln!("passed over: {passed}"));
                        return Ok((manifest, record));
                    }
                    Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                    Err(error) => error.to_string(),
                },
            },
        };
        passed.push(format!("step {}: {reason}", entry.step));
    }
    Err(Failure::bad_input(match (passed.is_empty(), arguments.step) {
        (true, Some(step)) => {
            format!("there is no checkpoint of step {step}; `cloze checkpoints ls` shows which there are")
        }
        (true, None) => "the run has no checkpoint yet".to_owned(),
        (false, _) => format!("no checkpoint can be copied: {}", passed.join("; ")),
    }))
}

#[cfg(test)]
mod tests {
    use store::Term;

    use super::*;

    #[test]
    fn the_record_is_cut_behind_the_line_that_a_checkpoint_names() {
        let segment = |number: u64, text: &str| Segment {
            number,
            term: Term(1),
            chain: String::new(),
            summary: None,
            text: text.to_owned(),
        };
        let record = [segment(0, "a\nb\n"), segment(1, ""), segment(2, "c\nd\n")];
        let head = |lines: &[&str]| {
            let mut chain = Chain::new();
            lines.iter().for_each(|line| chain.append_line(line));
            chain.head()
        };
        assert_eq!(up_to(&record, &head(&["a"])).unwrap(), [segment(0, "a\n")]);
        let whole = up_to(&record, &head(&["a", "b", "c"])).unwrap();
        assert_eq!(whole, [segment(0, "a\nb\n"), segment(1, ""), segment(2, "c\n")]);
        assert_eq!(up_to(&record, &head(&["b"])), None);
    }
}
