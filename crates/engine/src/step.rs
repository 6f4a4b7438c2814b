//! The worker's engine on top of the trainer: adapts names and errors, and holds the process group of the generation.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use collective::{Aborter, Collective, Gloo, Local, RendezvousStore};
use families::{HostBatch, Recipe};
use trainer::{Evaluation, Measure, Reduced, Snapshot, Trainer};
use worker::{
    Computed, EngineError, EngineSetup, Membership, Purpose, Rendezvous, StepEngine, StepReport, TensorInfo,
    TensorSource,
};

/// A collective that makes no progress for this long has lost a peer. Longer than any two members are ever apart, which
/// for a large model on CPUs can be most of an hour: deaths are noticed at once, by the closed connection or by the
/// coordinator's abort; this is for what nobody notices.
const STUCK_AFTER: Duration = Duration::from_secs(6 * 3600);

/// A trainer in a cluster.
pub struct TorchEngine {
    trainer: Trainer,
    group: Option<Box<dyn Collective>>,
    /// Whether the trainer's state means anything.
    holds_state: bool,
    loading: bool,
    /// The recipe that held-out samples are masked by, and what was seen of them.
    recipe: Arc<dyn Recipe>,
    evaluation: Evaluation,
    /// The seed of evaluations, and how many sequences they look at.
    draws: (u64, u64),
}

/// The worker's rendezvous, as the process group wants it.
struct Store(Arc<dyn Rendezvous>);

impl RendezvousStore for Store {
    fn set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.0.set(key, value)
    }
    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, String> {
        self.0.get(key, timeout)
    }
    fn add(&self, key: &str, amount: i64) -> Result<i64, String> {
        self.0.add(key, amount)
    }
    fn contains(&self, keys: &[&str]) -> Result<bool, String> {
        self.0.check(keys)
    }
}

/// A member's part of a checkpoint.
struct Part {
    tensors: Vec<TensorInfo>,
    snapshot: Arc<Snapshot>,
}

impl TensorSource for Part {
    fn tensors(&self) -> Vec<TensorInfo> {
        self.tensors.clone()
    }

    fn read(&self, tensor: usize, range: Range<usize>) -> Result<Bytes, String> {
        self.snapshot.read(tensor, range).map_err(|error| error.to_string())
    }

    fn show(&self, tensor: usize, range: Range<usize>, see: &mut dyn FnMut(&[u8])) -> Result<(), String> {
        self.snapshot.show(tensor, range, see).map_err(|error| error.to_string())
    }
}

/// What the worker must do about a failure of the trainer.
fn sorted(error: trainer::Error) -> EngineError {
    match error {
        trainer::Error::Library(error) => lost(error),
        // The bytes of a peer's state went wrong on the way: another generation sends them again.
        error @ trainer::Error::DifferentState { .. } => EngineError::PeerLost(error.to_string()),
        other => EngineError::Fatal(other.to_string()),
    }
}

fn lost(error: collective::Error) -> EngineError {
    match error {
        collective::Error::PeerLost(reason) => EngineError::PeerLost(reason),
        collective::Error::Aborted => EngineError::PeerLost("the generation was ended".into()),
        other => EngineError::Fatal(other.to_string()),
    }
}

impl TorchEngine {
    /// An engine without state.
    ///
    /// # Errors
    /// [`EngineError::Fatal`] if libtorch refuses.
    pub fn new(setup: &EngineSetup) -> Result<Self, EngineError> {
        let trainer = Trainer::new(&setup.plan, &setup.recipes, tch::Device::Cpu).map_err(sorted)?;
        let last = setup.recipes.last().cloned();
        let recipe = last.ok_or_else(|| EngineError::Fatal("a plan without phases".into()))?;
        let held_out = setup.plan.evaluation.as_ref();
        let draws = held_out.map_or((0, 1), |held_out| (held_out.seed, held_out.sequences));
        Ok(TorchEngine {
            trainer,
            group: None,
            holds_state: false,
            loading: false,
            evaluation: Evaluation::new(recipe.as_ref(), draws.0, draws.1),
            recipe,
            draws,
        })
    }
}

impl StepEngine for TorchEngine {
    fn applied(&self) -> Option<u64> {
        self.holds_state.then(|| self.trainer.step())
    }

    fn join(
        &mut self,
        membership: &Membership,
        rendezvous: Arc<dyn Rendezvous>,
        arm: &dyn Fn(Box<dyn Fn() + Send + Sync>),
    ) -> Result<(), EngineError> {
        self.leave();
        if membership.world == 1 {
            self.group = Some(Box::new(Local::default()));
            return Ok(());
        }
        let aborter = Aborter::new();
        let breaker = aborter.clone();
        arm(Box::new(move || breaker.abort()));
        let store = Arc::new(Store(rendezvous));
        let Membership { rank, world, address, .. } = membership;
        let group = Gloo::connect_with(store, *rank, *world, address, STUCK_AFTER, &aborter).map_err(lost)?;
        self.group = Some(Box::new(group));
        Ok(())
    }

    fn leave(&mut self) {
        self.group = None;
        // A load that broke off begins anew.
        self.loading = false;
        // What was seen in a generation that ended is seen again in the next.
        self.evaluation = Evaluation::new(self.recipe.as_ref(), self.draws.0, self.draws.1);
    }

    fn initialise(&mut self) -> Result<(), EngineError> {
        self.trainer.initialise().map_err(sorted)?;
        self.holds_state = true;
        Ok(())
    }

    fn broadcast(&mut self) -> Result<(), EngineError> {
        let group = self.group.take().ok_or_else(|| EngineError::Fatal("no generation is joined".into()))?;
        let before = if self.holds_state { Some(self.trainer.state_digest().map_err(sorted)?) } else { None };
        let done = self.trainer.broadcast(group.as_ref(), 0).map_err(sorted);
        self.group = Some(group);
        // A receiver that is interrupted holds half of one state and half of another; but a member that received what
        // it had already still has it.
        self.holds_state = match &done {
            Ok(()) => true,
            Err(_) => before.is_some() && self.trainer.state_digest().ok() == before,
        };
        done
    }

    fn adopt(&mut self, tensors: &[(String, Bytes)]) -> Result<(), EngineError> {
        let tensors = tensors.iter().map(|(name, bytes)| (name.as_str(), &bytes[..]));
        self.trainer.adopt(tensors).map_err(sorted)
    }

    fn evaluate(&mut self, index: u64, batch: &HostBatch) -> Result<(), EngineError> {
        self.trainer.evaluate(index, batch, &mut self.evaluation).map_err(sorted)
    }

    fn evaluated(&mut self) -> Result<Vec<(String, f64)>, EngineError> {
        let fresh = Evaluation::new(self.recipe.as_ref(), self.draws.0, self.draws.1);
        let mut evaluation = std::mem::replace(&mut self.evaluation, fresh);
        let sums = evaluation.sums().map_err(sorted)?;
        let group = self.group.take().ok_or_else(|| EngineError::Fatal("no generation is joined".into()))?;
        let summed = group.all_reduce_sum(&sums).map_err(lost);
        self.group = Some(group);
        summed?;
        evaluation.put(&sums).map_err(sorted)?;
        let loss = [("loss".to_owned(), evaluation.loss())];
        let measures = evaluation.measures().into_iter();
        Ok(loss.into_iter().chain(measures.map(|measure| (measure.name.to_owned(), measure.value))).collect())
    }

    fn begin(&mut self) -> Result<(), EngineError> {
        self.trainer.begin().map_err(sorted)
    }

    fn micro_batch(
        &mut self,
        purpose: Purpose,
        index: u64,
        batch: &HostBatch,
    ) -> Result<Computed, EngineError> {
        let purpose = match purpose {
            Purpose::Add => trainer::Purpose::Add,
            Purpose::AddAndHash => trainer::Purpose::AddAndHash,
            Purpose::Hash => trainer::Purpose::Hash,
        };
        let computed = self.trainer.micro_batch_for(purpose, index, batch).map_err(sorted)?;
        Ok(Computed {
            usable: computed.usable,
            digest: computed.digest.map(|digest| format!("{digest:032x}")),
        })
    }

    fn leave_out(&mut self) -> StepReport {
        StepReport { digest: "left out".into(), ..report(self.trainer.leave_out()) }
    }

    fn reduce(&mut self) -> Result<StepReport, EngineError> {
        let group = self.group.take().ok_or_else(|| EngineError::Fatal("no generation is joined".into()))?;
        let reduced = self.trainer.reduce(group.as_ref()).map_err(sorted);
        self.group = Some(group);
        reduced.map(report)
    }

    fn apply(&mut self) -> Result<(), EngineError> {
        self.trainer.apply().map(drop).map_err(sorted)
    }

    fn tensors(&self) -> Result<Vec<TensorInfo>, EngineError> {
        let tensors = self.trainer.tensors().map_err(sorted)?.into_iter();
        Ok(tensors.map(|t| TensorInfo { name: t.name, shape: t.shape, bytes: t.bytes.len() }).collect())
    }

    fn snapshot(&mut self, which: Range<usize>) -> Result<Box<dyn TensorSource>, EngineError> {
        let tensors = self.tensors()?.drain(which.clone()).collect();
        let snapshot = self.trainer.snapshot(which).map_err(sorted)?;
        Ok(Box::new(Part { tensors, snapshot }))
    }

    fn settle(&mut self) {
        self.trainer.settle();
    }

    fn state_digest(&self) -> Result<String, EngineError> {
        self.trainer.state_digest().map(|digest| format!("{digest:032x}")).map_err(sorted)
    }

    fn load(&mut self, name: &str, _shape: &[usize], bytes: &[u8]) -> Result<(), EngineError> {
        if !std::mem::replace(&mut self.loading, true) {
            self.holds_state = false;
            self.trainer.begin_load();
        }
        self.trainer.load(name, bytes).map_err(sorted)
    }

    fn finish_load(&mut self, step: u64) -> Result<(), EngineError> {
        self.loading = false;
        self.trainer.finish_load(step).map_err(sorted)?;
        self.holds_state = true;
        Ok(())
    }
}

fn measure(measure: Measure) -> worker::Measure {
    worker::Measure { name: measure.name.to_owned(), value: measure.value }
}

fn report(reduced: Reduced) -> StepReport {
    StepReport {
        loss: reduced.loss,
        targets: reduced.targets,
        tokens: reduced.tokens,
        grad_norm: reduced.grad_norm,
        digest: format!("{:032x}", reduced.digest),
        overflowed: reduced.overflowed,
        measures: reduced.measures.into_iter().map(measure).collect(),
    }
}
