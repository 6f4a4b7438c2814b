//! The loop of a member, on a thread of its own: open a generation, step after step until it ends, wait for the next.
//! Blocks in the engine; the session interrupts it. Knows nothing of gRPC but its messages.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use store::{PartName, RunStore, StoreError, Tensor};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use wire::v1::coordinator_client::CoordinatorClient;
use wire::v1::coordinator_message::Kind;
use wire::v1::worker_message;
use wire::{Told, v1};

use crate::feed::Feed;
use crate::interrupt::Interrupt;
use crate::patience::{MayPass, Patience};
use crate::progress::Progress;
use crate::rendezvous::RemoteRendezvous;
use crate::start::InitFrom;
use crate::step::{Place, Share};
use crate::weights::weights;
use crate::{EngineError, Materials, Membership, StepEngine, WorkerError};

/// What reaches the member's thread.
pub(crate) enum Order {
    /// A session has begun (again), with this number and the coordinator's term: say what you hold.
    Welcome(CoordinatorClient<Channel>, u64, u64),
    /// A message of the coordinator.
    Message(Kind),
    /// The session is lost.
    Disconnected,
}

/// Why a generation, or the whole membership, is over for this member.
enum Over {
    /// Wait for the next generation.
    Generation,
    /// Go, without error.
    Dismissed,
}

/// What the coordinator said to a step.
enum Decided {
    /// It is applied; the next one, by another deal if there is one.
    Next(Option<plan::Deal>),
    Over(Over),
}

pub(crate) struct Member {
    pub(crate) engine: Box<dyn StepEngine>,
    pub(crate) materials: Arc<Materials>,
    pub(crate) run: RunStore,
    /// Where the run's first weights are, if they are not drawn.
    pub(crate) init_from: Option<InitFrom>,
    pub(crate) runtime: Handle,
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) orders: Receiver<Order>,
    /// Unbounded, but the protocol bounds it: a member waits for an answer after each message about a step.
    pub(crate) outbox: UnboundedSender<worker_message::Kind>,
    pub(crate) address: String,
    pub(crate) client: Option<CoordinatorClient<Channel>>,
    /// The session that the orders at hand belong to.
    pub(crate) session: u64,
    /// The present coordinator's term.
    pub(crate) term: u64,
    /// The last generation that the weights at hand were held or computed in.
    pub(crate) since: v1::Opening,
    /// The last generation of this session that was taken up.
    pub(crate) entered: u64,
    pub(crate) progress: Arc<Progress>,
    /// How long checkpoints have kept it from computing since the last step.
    pub(crate) held_up: Duration,
    /// What stores the last part that was asked for.
    pub(crate) storing: Option<JoinHandle<()>>,
    /// What was decided and may not be durable: a coordinator that comes back wants to know.
    pub(crate) told: Told,
}

impl Member {
    /// Serves until it is dismissed.
    pub(crate) fn serve(mut self) -> Result<(), WorkerError> {
        loop {
            match self.next_order()? {
                Order::Welcome(client, session, term) => self.welcome(client, session, term),
                Order::Disconnected => self.engine.leave(),
                Order::Message(Kind::Open(mut open)) => {
                    self.told.learn(open.tail.take())?;
                    self.entered = open.generation;
                    let over = self.generation(&open);
                    self.engine.leave();
                    match over {
                        Ok(Over::Generation) => {}
                        Ok(Over::Dismissed) => return Ok(()),
                        Err(WorkerError::Engine(EngineError::PeerLost(reason))) => {
                            self.give_up(open.generation, reason, false);
                        }
                        // Whoever ended for it would take the weights along.
                        Err(error) if error.may_pass() => {
                            self.give_up(open.generation, error.to_string(), true)
                        }
                        Err(WorkerError::Unrestored(error)) => {
                            let (generation, reason) = (open.generation, error.to_string());
                            tracing::warn!(generation, reason, "the checkpoint cannot be restored");
                            self.say_what_it_holds();
                            let failed = v1::RestoreFailed { generation, reason };
                            self.say(worker_message::Kind::RestoreFailed(failed));
                        }
                        Err(error) => return Err(error),
                    }
                }
                Order::Message(Kind::Checkpoint(checkpoint)) => self.checkpoint(&checkpoint)?,
                Order::Message(Kind::Dismiss(_)) => return Ok(()),
                Order::Message(Kind::Refuse(refuse)) => return Err(WorkerError::Refused(refuse.reason)),
                // The end of a generation that we have left already.
                Order::Message(Kind::Abort(_) | Kind::Commit(_) | Kind::Welcome(_)) => {}
            }
        }
    }

    /// A generation is over for this member, who lives on.
    fn give_up(&mut self, generation: u64, reason: String, own: bool) {
        tracing::warn!(generation, reason, "this generation is over for us");
        // What it holds may have changed: a broadcast can be interrupted.
        self.say_what_it_holds();
        self.say(worker_message::Kind::Failed(v1::Failed { generation, reason, own }));
    }

    /// One generation, from its first step to its end.
    fn generation(&mut self, open: &v1::Open) -> Result<Over, WorkerError> {
        let membership = Membership {
            generation: open.generation,
            rank: open.rank as usize,
            world: open.world as usize,
            address: self.address.clone(),
        };
        self.progress.now(v1::Doing::Connecting);
        self.join(&membership)?;
        self.progress.now(v1::Doing::Collective);
        self.provide_state(open)?;
        let mut place = Place::of(open);
        let mut feed = Feed::start(self.materials.clone(), &place, open.step);
        loop {
            let step = self.engine.applied().unwrap_or(0);
            let (report, share) = match self.step(open, &place, &mut feed, step)? {
                Ok(done) => done,
                Err(over) => return Ok(over),
            };
            let generation = open.generation;
            let (report, share) = (Some(report), Some(share));
            self.say(worker_message::Kind::Ready(v1::Ready { generation, step, report, share }));
            self.progress.now(v1::Doing::Unspecified);
            match self.decision(open.generation, step)? {
                Decided::Next(None) => {}
                Decided::Next(Some(deal)) => {
                    place.deal = deal;
                    feed = Feed::start(self.materials.clone(), &place, step + 1);
                }
                Decided::Over(over) => return Ok(over),
            }
        }
    }

    /// Computes this member's share of a step, and adds up all members'. Or says that it is over.
    fn step(
        &mut self,
        open: &v1::Open,
        place: &Place,
        feed: &mut Feed,
        step: u64,
    ) -> Result<Result<(v1::StepReport, v1::Share), Over>, WorkerError> {
        if place.leaves_out(step) {
            return Ok(Ok((self.engine.leave_out(), v1::Share::default())));
        }
        self.progress.now(v1::Doing::Computing);
        let held_out = match self.evaluation(open, step)? {
            Ok(measures) => measures,
            Err(over) => return Ok(Err(over)),
        };
        let compared = self.materials.is_compared(step);
        let state_digest = if compared { Some(self.engine.state_digest()?) } else { None };
        self.engine.begin()?;
        let (materials, progress) = (self.materials.clone(), self.progress.clone());
        let mut share = Share::begin(&materials, &progress, place, step);
        while share.go_on(self.engine.as_mut(), feed)? {
            if let Some(over) = self.interruption(open.generation)? {
                return Ok(Err(over));
            }
        }
        self.progress.now(v1::Doing::Collective);
        let mut report = self.engine.reduce()?;
        let waited = self.progress.now(v1::Doing::Computing);
        report.measures.extend(held_out);
        let mut share = share.end(state_digest);
        share.reduce_ms = waited.as_secs_f64() * 1e3;
        share.checkpoint_ms = std::mem::take(&mut self.held_up).as_secs_f64() * 1e3;
        Ok(Ok((report, share)))
    }

    /// What held-out samples say of the weights before a step, if it is time to ask: the same on all members. Or that it
    /// is over.
    fn evaluation(
        &mut self,
        open: &v1::Open,
        step: u64,
    ) -> Result<Result<Vec<v1::Measure>, Over>, WorkerError> {
        if !self.materials.is_evaluated(step) {
            return Ok(Ok(Vec::new()));
        }
        let materials = self.materials.clone();
        for (index, read) in materials.held_out(open.rank, open.world) {
            let mut patience = Patience::begin(open.world == 1);
            let batch = loop {
                self.progress.now(v1::Doing::Unspecified);
                let batch = read();
                if let Some(over) = self.interruption(open.generation)? {
                    return Ok(Err(over));
                }
                match batch {
                    Err(error) if patience.bears(&error) => {}
                    batch => break batch?,
                }
            };
            self.progress.now(v1::Doing::Computing);
            self.engine.evaluate(index, &batch)?;
        }
        self.progress.now(v1::Doing::Collective);
        let named = |(name, value)| v1::Measure { name: format!("evaluation/{name}"), value };
        let evaluated = self.engine.evaluated()?;
        self.progress.now(v1::Doing::Computing);
        Ok(Ok(evaluated.into_iter().map(named).collect()))
    }

    fn join(&mut self, membership: &Membership) -> Result<(), WorkerError> {
        let client = self.client.clone().ok_or_else(|| EngineError::PeerLost("no session".into()))?;
        let generation = membership.generation;
        let rendezvous = RemoteRendezvous {
            client,
            runtime: self.runtime.clone(),
            session: self.session,
            generation,
            interrupt: self.interrupt.clone(),
        };
        let (interrupt, session) = (self.interrupt.clone(), self.session);
        Ok(self
            .engine
            .join(membership, Arc::new(rendezvous), &|breaker| interrupt.arm(session, generation, breaker))?)
    }

    /// Afterwards every member holds the weights of the generation's step.
    fn provide_state(&mut self, open: &v1::Open) -> Result<(), WorkerError> {
        if open.source() == v1::StateSource::Restore {
            self.progress.now(v1::Doing::Unspecified);
            let progress = self.progress.clone();
            Patience::begin(open.world == 1).until(|| progress.is_called(), || self.restore(open.step))?;
            self.progress.now(v1::Doing::Collective);
        }
        if open.broadcast {
            self.engine.broadcast()?;
        }
        if self.engine.applied() != Some(open.step) {
            let holds = self.engine.applied();
            let reason = format!(
                "generation {} begins at step {}, but this worker holds {holds:?}",
                open.generation, open.step
            );
            return Err(EngineError::PeerLost(reason).into());
        }
        self.since = v1::Opening { term: self.term, generation: open.generation };
        Ok(())
    }

    fn restore(&mut self, step: u64) -> Result<(), WorkerError> {
        if step == 0 {
            self.engine.initialise()?;
            if let Some(from) = &self.init_from {
                // Only one member gets here, so that what lies at a path that differs from machine to machine does no harm.
                let found = self.runtime.block_on(weights(&from.place, from.recipe.as_ref()))?;
                tracing::info!(
                    place = from.place,
                    tensors = found.tensors.len(),
                    fresh = found.missing.join(" "),
                    "going on from other weights"
                );
                self.engine.adopt(&found.tensors)?;
            }
            return Ok(());
        }
        self.load_checkpoint(step).map_err(|error| match error {
            WorkerError::Store(error @ (StoreError::Damaged { .. } | StoreError::NotFound { .. })) => {
                WorkerError::Unrestored(error)
            }
            error => error,
        })
    }

    fn load_checkpoint(&mut self, step: u64) -> Result<(), WorkerError> {
        tracing::info!(step, "restoring from a checkpoint");
        let checkpoints = self.run.checkpoints();
        let manifest = self.runtime.block_on(checkpoints.manifest(step))?;
        if self.engine.applied().is_some() {
            // Older weights may be the best there are, if these are damaged.
            self.runtime.block_on(checkpoints.verify(&manifest))?;
            self.progress.now(v1::Doing::Unspecified);
        }
        let (engine, progress) = (&mut self.engine, &self.progress);
        let load = |tensor: Tensor| -> Result<(), WorkerError> {
            progress.now(v1::Doing::Unspecified);
            Ok(engine.load(&tensor.name, &tensor.shape, &tensor.bytes)?)
        };
        self.runtime.block_on(checkpoints.load_into(&manifest, load))?;
        self.engine.finish_load(step)?;
        let digest = self.engine.state_digest()?;
        if digest != manifest.state_digest {
            let reason = format!(
                "the checkpoint of step {step} has the state hash {}, but loading it gave {digest}",
                manifest.state_digest
            );
            return Err(EngineError::Fatal(reason).into());
        }
        Ok(())
    }

    /// Looks for orders without waiting.
    fn interruption(&mut self, generation: u64) -> Result<Option<Over>, WorkerError> {
        self.progress.answer();
        while let Ok(order) = self.orders.try_recv() {
            if let Some(over) = self.interrupted_by(order, generation)? {
                return Ok(Some(over));
            }
        }
        Ok(None)
    }

    /// Waits for the decision on a step that is reduced; applies it if it is committed.
    fn decision(&mut self, generation: u64, step: u64) -> Result<Decided, WorkerError> {
        loop {
            match self.next_order()? {
                Order::Message(Kind::Commit(commit))
                    if commit.generation == generation && commit.step == step =>
                {
                    self.progress.now(v1::Doing::Computing);
                    self.settle();
                    self.progress.now(v1::Doing::Computing);
                    self.engine.apply()?;
                    self.told.learn(commit.tail)?;
                    self.told.forget_before(commit.recorded);
                    if commit.wait {
                        return Ok(Decided::Over(Over::Generation));
                    }
                    let dealt = !commit.weights.is_empty();
                    return Ok(Decided::Next(dealt.then(|| plan::Deal::new(commit.weights))));
                }
                order => {
                    if let Some(over) = self.interrupted_by(order, generation)? {
                        return Ok(Decided::Over(over));
                    }
                }
            }
        }
    }

    /// What an order means in the middle of a generation.
    fn interrupted_by(&mut self, order: Order, generation: u64) -> Result<Option<Over>, WorkerError> {
        match order {
            // The weights are those of the last committed step until the next commit: now is as good as then.
            Order::Message(Kind::Checkpoint(checkpoint)) => self.checkpoint(&checkpoint).map(|()| None),
            Order::Message(Kind::Abort(abort)) if abort.generation == generation => {
                // It may have received weights, which nobody else has by now.
                self.say_what_it_holds();
                Ok(Some(Over::Generation))
            }
            Order::Message(Kind::Dismiss(_)) => Ok(Some(Over::Dismissed)),
            Order::Message(Kind::Refuse(refuse)) => Err(WorkerError::Refused(refuse.reason)),
            Order::Disconnected => Ok(Some(Over::Generation)),
            Order::Message(_) => Ok(None),
            Order::Welcome(client, session, term) => {
                self.welcome(client, session, term);
                Ok(Some(Over::Generation))
            }
        }
    }

    /// What a checkpoint is not done with is copied before the weights change.
    fn settle(&mut self) {
        let begun = Instant::now();
        self.engine.settle();
        self.held_up += begun.elapsed();
    }

    /// A task stores this member's part of the state while training goes on.
    fn checkpoint(&mut self, order: &v1::Checkpoint) -> Result<(), WorkerError> {
        let v1::Checkpoint { step, index, of } = *order;
        if self.engine.applied() != Some(step) {
            let reason = format!("this worker holds step {:?}", self.engine.applied());
            self.say(worker_message::Kind::PartFailed(v1::PartFailed { step, reason }));
            return Ok(());
        }
        let begun = Instant::now();
        // A coordinator that asks for another part does not wait for the one before any more: it may not even know of it,
        // after the session was lost. Two at a time would be two copies of the state.
        if let Some(before) = self.storing.take() {
            before.abort();
            let _ended = self.runtime.block_on(before);
        }
        let state_digest = self.engine.state_digest()?;
        let sizes: Vec<usize> = self.engine.tensors()?.iter().map(|tensor| tensor.bytes).collect();
        let tensors = self.engine.snapshot(part_of(&sizes, index as usize, of as usize))?;
        self.held_up += begun.elapsed();
        let (checkpoints, outbox) = (self.run.checkpoints(), self.outbox.clone());
        let read_back = self.materials.plan().checkpoint.read_back;
        let storing = self.runtime.spawn(async move {
            let stored = checkpoints.write_part(step, PartName { index, of }, tensors, read_back).await;
            let message = match stored {
                Ok(part) => worker_message::Kind::PartStored(v1::PartStored {
                    step,
                    index,
                    of,
                    name: part.name,
                    size: part.size,
                    checksum: part.checksum,
                    tensors: part.tensors,
                    state_digest,
                }),
                Err(error) => {
                    worker_message::Kind::PartFailed(v1::PartFailed { step, reason: error.to_string() })
                }
            };
            let _ = outbox.send(message);
        });
        self.storing = Some(storing);
        Ok(())
    }

    fn welcome(&mut self, client: CoordinatorClient<Channel>, session: u64, term: u64) {
        (self.client, self.session, self.term, self.entered) = (Some(client), session, term, 0);
        self.say_what_it_holds();
    }

    fn say_what_it_holds(&self) {
        let (applied, tail) = (self.engine.applied(), Some(self.told.tail()));
        let since = applied.map(|_| self.since);
        // What goes out in the next session is no answer to a generation of that one.
        let entered = if self.session == self.interrupt.session() { self.entered } else { 0 };
        self.say(worker_message::Kind::Prepared(v1::Prepared { applied, tail, since, entered }));
    }

    fn next_order(&self) -> Result<Order, WorkerError> {
        self.progress.now(v1::Doing::Unspecified);
        self.progress.answer();
        self.orders.recv().map_err(|_| EngineError::Fatal("the session's task is gone".into()).into())
    }

    fn say(&self, message: worker_message::Kind) {
        let _ = self.outbox.send(message);
    }
}

/// The tensors of part `index` of `of`: consecutive ones, so that every part is about as large as the others.
fn part_of(sizes: &[usize], index: usize, of: usize) -> std::ops::Range<usize> {
    let total: usize = sizes.iter().sum();
    let ends = sizes.iter().scan(0, |end, size| {
        *end += size;
        Some(*end)
    });
    // A tensor belongs to the part in which its middle lies.
    let middles: Vec<usize> = ends.zip(sizes).map(|(end, size)| end - size / 2).collect();
    let first = |part: usize| middles.partition_point(|&middle| middle * of < part * total);
    let end = if index + 1 == of { sizes.len() } else { first(index + 1) };
    first(index).min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_every_tensor_once_and_are_about_equal() {
        let sizes = [400, 1, 1, 100, 100, 100, 100, 0, 30, 30];
        for of in 1..14 {
            let parts: Vec<_> = (0..of).map(|index| part_of(&sizes, index, of)).collect();
            let all: Vec<usize> = parts.iter().cloned().flatten().collect();
            assert_eq!(all, (0..sizes.len()).collect::<Vec<_>>(), "{of} parts");
        }
        assert_eq!((part_of(&sizes, 0, 2), part_of(&sizes, 1, 2)), (0..3, 3..10));
    }
}
