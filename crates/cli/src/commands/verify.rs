//! `cloze verify`: whether a run's record and checkpoints are whole and tell the same story.

use clap::Args;
use ledger::{Audited, Body, Finding, Segment};
use plan::{Batches, RunPlan};
use serde_json::json;
use store::{CheckpointManifest, CheckpointState, Claim, RunStore, StoreError};

use crate::commands::checkpoints::open;
use crate::failure::Failure;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze verify runs/tiny")]
pub struct Arguments {
    /// The run's place: a path or URL.
    run: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let place = &arguments.run;
    let run = open(place).await?;
    let plan = RunPlan::parse("plan.toml", &run.plan().await?, &[])?;
    let (checkpoints, damaged) = checkpoints(&run, &plan).await?;
    let body = |segment: store::Segment| {
        let store::Segment { term, chain, summary, text, .. } = segment;
        Body { term: term.0, chain, summary, text }
    };
    let segments = run.segments().await?.into_iter().map(|(number, segment)| Segment {
        number,
        body: segment.map(body).map_err(|error| error.to_string()),
    });
    let mut audited = ledger::audit(Batches::new(&plan), &checkpoints, &segments.collect::<Vec<_>>());
    audited.findings.extend(damaged);
    audited.findings.extend(another_plan(&run, &plan).await?);
    match arguments.json {
        true => println!("{}", as_json(&audited, &checkpoints)),
        false => show(&audited, &checkpoints, plan.train.steps),
    }
    match audited.findings.len() {
        0 => Ok(()),
        count => Err(Failure::failed(format!("{count} findings in {place}"))),
    }
}

/// The plan must be the one that the run was started with, as far as it decides the weights.
async fn another_plan(run: &RunStore, plan: &RunPlan) -> Result<Option<Finding>, Failure> {
    let (said, found) = (run.identity().await?.recipe_hash, plan.recipe_hash());
    let what = format!("its recipe hash is {found}, run.json says {said}: one of the two was changed");
    Ok((said != found).then(|| Finding { place: "plan.toml".to_owned(), what }))
}

/// The checkpoints that can be seen, with the heads of the ledger that they name; and those whose bytes are not what was
/// written.
async fn checkpoints(run: &RunStore, plan: &RunPlan) -> Result<(Vec<(u64, String)>, Vec<Finding>), Failure> {
    let (checkpoints, identity) = (run.checkpoints(), run.identity().await?);
    let (mut seen, mut damaged) = (Vec::new(), Vec::new());
    for entry in checkpoints.list().await? {
        let place = format!("checkpoint of step {}", entry.step);
        match &entry.state {
            CheckpointState::Whole(manifest) => {
                seen.push((entry.step, manifest.ledger_head.clone()));
                let others = of_another_run(manifest, &identity, plan);
                damaged.extend(others.into_iter().map(|what| Finding { place: place.clone(), what }));
                match checkpoints.verify(manifest).await {
                    Ok(()) => {}
                    // A service that fails says nothing of what is stored there.
                    Err(error @ StoreError::Io { .. }) => return Err(error.into()),
                    Err(error) => damaged.push(Finding { place, what: error.to_string() }),
                }
            }
            CheckpointState::Damaged(reason) => damaged.push(Finding { place, what: reason.clone() }),
            CheckpointState::Unfinished | CheckpointState::SetAside => {}
        }
    }
    Ok((seen, damaged))
}

/// What a checkpoint says of its run that is not so.
fn of_another_run(manifest: &CheckpointManifest, identity: &Claim, plan: &RunPlan) -> Vec<String> {
    let text = |number: u64| number.to_string();
    let position = plan.step_micro_batches(manifest.step).first;
    // Another plan has its own finding. The first versions wrote no seed.
    let (seed, position) = match plan.recipe_hash() == identity.recipe_hash {
        true if manifest.seed == 0 => (0, position),
        true => (plan.run.seed, position),
        false => (manifest.seed, manifest.micro_batches),
    };
    [
        ("recipe hash", manifest.recipe_hash.clone(), identity.recipe_hash.clone()),
        ("dataset hash", manifest.dataset_hash.clone(), identity.dataset_hash.clone()),
        ("tokenizer hash", manifest.tokenizer_hash.clone(), identity.tokenizer_hash.clone()),
        ("seed", text(manifest.seed), text(seed)),
        ("position in the data", text(manifest.micro_batches), text(position)),
    ]
    .into_iter()
    .filter(|(_, found, of_run)| found != of_run)
    .map(|(name, found, of_run)| format!("its {name} is {found}, the run's {of_run}"))
    .collect()
}

fn show(audited: &Audited, checkpoints: &[(u64, String)], steps: u64) {
    for stretch in &audited.stretches {
        let members: Vec<String> = stretch.members.iter().map(ToString::to_string).collect();
        println!(
            "steps {:>8} to {:<8} term {:<3} generation {:<4} {} members: {}{}",
            stretch.first,
            stretch.end,
            stretch.term,
            stretch.generation,
            members.len(),
            members.join(" "),
            match stretch.weights.is_empty() {
                true => String::new(),
                false => format!("; micro-batches as {:?}", stretch.weights),
            }
        );
    }
    println!(
        "{} of {steps} steps, each once and in order; {} were undone and computed again, {} had no update, {} were doubted\n{} records \
         in {} segments, {} checkpoints",
        audited.steps,
        audited.undone,
        audited.skipped,
        audited.doubted,
        audited.records,
        audited.segments,
        checkpoints.len()
    );
    for Finding { place, what } in &audited.findings {
        println!("{place}: {what}");
    }
    if audited.findings.is_empty() {
        let proven = checkpoints.iter().map(|(step, _)| *step).max().unwrap_or(0);
        println!(
            "nothing before step {proven}, the newest checkpoint, is missing or was changed, and nothing contradicts it"
        );
    }
}

fn as_json(audited: &Audited, checkpoints: &[(u64, String)]) -> serde_json::Value {
    let stretches = audited.stretches.iter().map(|stretch| {
        json!({ "first": stretch.first, "end": stretch.end, "term": stretch.term, "generation": stretch.generation,
            "members": stretch.members, "weights": stretch.weights, "reason": stretch.reason })
    });
    let findings =
        audited.findings.iter().map(|finding| json!({ "place": finding.place, "what": finding.what }));
    json!({
        "steps": audited.steps, "undone": audited.undone, "skipped": audited.skipped,
        "doubted": audited.doubted, "records": audited.records,
        "segments": audited.segments, "checkpoints": checkpoints.iter().map(|(step, _)| step).collect::<Vec<_>>(),
        "stretches": stretches.collect::<Vec<_>>(), "findings": findings.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use store::Term;

    use super::*;

    #[test]
    fn a_checkpoint_that_says_something_else_of_its_run_is_found_and_it_is_said_what() {
        let text = include_str!("../../../../configs/roberta/demo.toml");
        let plan = RunPlan::parse("demo.toml", text, &[]).unwrap();
        let identity = Claim {
            name: "run".into(),
            recipe_hash: plan.recipe_hash(),
            dataset_hash: "data".into(),
            tokenizer_hash: "words".into(),
            version: "1".into(),
        };
        let right = CheckpointManifest {
            version: CheckpointManifest::FORMAT,
            step: 10,
            micro_batches: plan.step_micro_batches(10).first,
            term: Term(1),
            recipe_hash: identity.recipe_hash.clone(),
            seed: plan.run.seed,
            dataset_hash: "data".into(),
            tokenizer_hash: "words".into(),
            ledger_head: String::new(),
            segments: 0,
            state_digest: String::new(),
            loss: None,
            parts: Vec::new(),
            created_by: "1".into(),
        };
        let said = |manifest: &CheckpointManifest| of_another_run(manifest, &identity, &plan);
        assert_eq!(said(&right), [""; 0]);
        for (wrong, named) in [
            (CheckpointManifest { recipe_hash: "other".into(), ..right.clone() }, "recipe hash"),
            (CheckpointManifest { dataset_hash: "other".into(), ..right.clone() }, "dataset hash"),
            (CheckpointManifest { tokenizer_hash: "other".into(), ..right.clone() }, "tokenizer hash"),
            (CheckpointManifest { seed: right.seed + 1, ..right.clone() }, "seed"),
            (CheckpointManifest { micro_batches: 1, ..right.clone() }, "position in the data"),
        ] {
            let findings = said(&wrong);
            assert!(findings.len() == 1 && findings[0].contains(named), "{named}: {findings:?}");
        }
    }
}
