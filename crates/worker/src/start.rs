//! What a worker reads before it can take part: the plan, the recipes of its phases, where their samples lie, and the
//! weights that the run goes on from. Knows neither sessions nor engines.

use std::sync::Arc;
use std::time::Instant;

use families::Recipe;
use plan::{Evaluation, RunPlan};
use store::{Dataset, RunStore, packing_name};
use tokio::runtime::Handle;
use tokio::sync::watch;
use wire::v1;

use crate::held_out::HeldOut;
use crate::patience::{self, MayPass};
use crate::samples::Samples;
use crate::stage::Stage;
use crate::{EngineSetup, Materials, WorkerError};

/// How messages call the plan that came with the welcome.
const SOURCE: &str = "the coordinator's plan";

/// Everything that was read.
pub(crate) struct Started {
    pub setup: EngineSetup,
    pub materials: Materials,
    pub run: RunStore,
    pub init_from: Option<InitFrom>,
}

/// A Hugging Face directory with the run's first weights. It is read when the run begins, and never again.
pub(crate) struct InitFrom {
    pub place: String,
    pub recipe: Arc<dyn Recipe>,
}

/// Reads everything that the plan names; storage that is away is waited for.
pub(crate) async fn read(
    welcome: &v1::Welcome,
    coordinator: &str,
    runtime: Handle,
    leave: &watch::Receiver<bool>,
) -> Result<Started, WorkerError> {
    let begun = Instant::now();
    loop {
        match read_once(welcome, coordinator, runtime.clone()).await {
            Err(error) if error.may_pass() && begun.elapsed() < patience::LONGEST && !*leave.borrow() => {
                tracing::warn!(%error, "storage is away; this worker waits for it");
                tokio::time::sleep(patience::PAUSE).await;
            }
            done => return done,
        }
    }
}

async fn read_once(
    welcome: &v1::Welcome,
    coordinator: &str,
    runtime: Handle,
) -> Result<Started, WorkerError> {
    let plan = RunPlan::parse(SOURCE, &welcome.plan, &[])?;
    let dataset = Dataset::of_run(&plan.data).await?;
    let run = RunStore::open(&welcome.run_store)?;
    let family = families::find(&plan.model.family)?;
    let protocol = |reason: String| WorkerError::Protocol { url: coordinator.to_owned(), reason };
    let phases = plan.phases();
    if welcome.packings.len() != phases.len() {
        let reason = format!("it names {} packings for {} phases", welcome.packings.len(), phases.len());
        return Err(protocol(reason));
    }
    let (mut recipes, mut stages) = (Vec::new(), Vec::new());
    for (phase, packing) in phases.iter().zip(&welcome.packings) {
        let recipe = (family.parse)(&phase.plan, SOURCE, &dataset.vocabulary())?;
        if packing_name(&dataset, &recipe.pack_spec(), phase.plan.data.variants) != *packing {
            return Err(WorkerError::Unusable(format!(
                "the dataset that this worker finds at {} is not the one that the run counted its samples on; all machines \
                 must see the same",
                plan.data.dataset
            )));
        }
        let counted = run
            .packing(packing)
            .await?
            .ok_or_else(|| protocol("the packing that it names is not in the run's store".into()))?;
        let shape = phase.plan.order_shape();
        stages.push(Stage::new(dataset.clone(), recipe.clone(), counted.counts, phase.key(), shape));
        recipes.push(recipe);
    }
    let held_out = match (&plan.evaluation, recipes.last()) {
        (Some(Evaluation { dataset, sequences, seed, .. }), Some(last)) => {
            let micro_batch = phases.last().map_or(1, |phase| phase.plan.train.micro_batch);
            Some(HeldOut::open(dataset, last.clone(), *sequences, micro_batch, *seed).await?)
        }
        _ => None,
    };
    let first = recipes[0].clone();
    let init_from = plan.model.init_from.clone().map(|place| InitFrom { place, recipe: first });
    let setup = EngineSetup { plan: plan.clone(), recipes };
    let materials = Materials::new(plan, Samples::new(stages, runtime), held_out);
    Ok(Started { setup, materials, run, init_from })
}
