//! What a step promises: the same bits however it is spread, nothing from a step that overflowed, state that travels.

#![allow(clippy::unwrap_used)] // A test fails by panicking; helpers of tests are not known as such to the lint.

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};

use ::families::HostBatch;
use collective::{Aborter, Collective, Local};
use common::{Setup, families};
use plan::Precision;
use tch::Tensor;
use trainer::{Error, Evaluation, Trainer, measure};

/// Two members that swap tensors through channels.
struct Pair {
    rank: usize,
    to: Sender<Tensor>,
    from: Receiver<Tensor>,
}

fn pair() -> [Pair; 2] {
    let ((to_b, from_a), (to_a, from_b)) = (channel(), channel());
    [Pair { rank: 0, to: to_b, from: from_b }, Pair { rank: 1, to: to_a, from: from_a }]
}

impl Collective for Pair {
    fn rank(&self) -> usize {
        self.rank
    }
    fn world(&self) -> usize {
        2
    }
    fn all_reduce_sum(&self, tensor: &Tensor) -> Result<(), collective::Error> {
        self.to.send(tensor.copy()).map_err(|error| collective::Error::PeerLost(error.to_string()))?;
        let other = self.from.recv().map_err(|error| collective::Error::PeerLost(error.to_string()))?;
        let _sum = tensor.shallow_clone().f_add_(&other)?;
        Ok(())
    }
    fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), collective::Error> {
        if self.rank == root {
            self.to.send(tensor.copy()).map_err(|error| collective::Error::PeerLost(error.to_string()))
        } else {
            let other = self.from.recv().map_err(|error| collective::Error::PeerLost(error.to_string()))?;
            tensor.shallow_clone().f_copy_(&other.view(tensor.size().as_slice()))?;
            Ok(())
        }
    }
    fn aborter(&self) -> Aborter {
        Aborter::new()
    }
}

/// One whole step of a single worker, its micro-batches in this order.
fn step(setup: &Setup, trainer: &mut Trainer, order: &[u64]) -> trainer::Reduced {
    trainer.begin().unwrap();
    let first = trainer.step() * setup.plan.micro_batches();
    for &index in order {
        trainer.micro_batch(index, &setup.batch(first + index)).unwrap();
    }
    let reduced = trainer.reduce(&Local::new()).unwrap();
    trainer.apply().unwrap();
    reduced
}

/// Steps of one of two members, which computes the micro-batches given for each step.
fn member(setup: &Setup, group: Pair, deals: &[&[u64]]) -> (Vec<trainer::Reduced>, u128) {
    let mut trainer = setup.trainer();
    let mut reports = Vec::new();
    for mine in deals {
        trainer.begin().unwrap();
        for &index in *mine {
            let global = trainer.step() * setup.plan.micro_batches() + index;
            trainer.micro_batch(index, &setup.batch(global)).unwrap();
        }
        reports.push(trainer.reduce(&group).unwrap());
        trainer.apply().unwrap();
    }
    (reports, trainer.state_digest().unwrap())
}

#[test]
fn order_and_split_do_not_change_a_bit() {
    for setup in families(&["train.clip_norm=0.5"]) {
        let mut alone = setup.trainer();
        let orders: [&[u64]; 3] = [&[0, 1, 2, 3], &[3, 1, 0, 2], &[2, 3, 1, 0]];
        let expected: Vec<_> = orders.iter().map(|order| step(&setup, &mut alone, order)).collect();
        let [a, b] = pair();
        // Unequal shares, and a member without any.
        let (first, second): ([&[u64]; 3], [&[u64]; 3]) =
            ([&[2], &[], &[1, 0]], [&[3, 0, 1], &[0, 1, 2, 3], &[2, 3]]);
        let (one, two) = std::thread::scope(|scope| {
            let other = scope.spawn(|| member(&setup, b, &second));
            (member(&setup, a, &first), other.join().unwrap())
        });
        assert_eq!(one, two);
        assert_eq!(one.0, expected);
        assert_eq!(one.1, alone.state_digest().unwrap());
    }
}

#[test]
fn gradient_checkpointing_does_not_change_a_bit() {
    for setup in families(&["train.clip_norm=0.5"]) {
        let digest = |checkpointing| {
            let mut setup = Setup { plan: setup.plan.clone(), recipe: setup.recipe.clone() };
            setup.plan.train.gradient_checkpointing = checkpointing;
            let mut trainer = setup.trainer();
            let reduced = [(); 2].map(|()| step(&setup, &mut trainer, &[0, 1, 2, 3]).digest);
            (reduced, trainer.state_digest().unwrap())
        };
        assert_eq!(digest(true), digest(false), "{}", setup.plan.model.family);
    }
}

#[test]
fn dropout_belongs_to_seed_step_and_micro_batch() {
    for setup in families(&[]) {
        let digest = |seed_step: (u64, u64), index| {
            let mut setup = Setup { plan: setup.plan.clone(), recipe: setup.recipe.clone() };
            setup.plan.train.batch = setup.plan.train.micro_batch;
            let mut trainer = setup.trainer();
            setup.plan.run.seed = seed_step.0;
            trainer = {
                let tensors: Vec<_> = owned(&trainer);
                let mut other =
                    Trainer::new(&setup.plan, std::slice::from_ref(&setup.recipe), tch::Device::Cpu).unwrap();
                load(&mut other, &tensors, seed_step.1).unwrap();
                other
            };
            trainer.micro_batch(index, &setup.batch(0)).unwrap();
            trainer.reduce(&Local::new()).unwrap().digest
        };
        let reference = digest((1, 0), 0);
        assert_eq!(reference, digest((1, 0), 0));
        for other in [digest((2, 0), 0), digest((1, 1), 0), digest((1, 0), 1)] {
            assert_ne!(reference, other);
        }
    }
}

#[test]
fn a_number_that_does_not_fit_skips_the_step() {
    for setup in families(&[]) {
        let mut trainer = setup.trainer();
        step(&setup, &mut trainer, &[0, 1, 2, 3]);
        // One weight of the model is damaged: every loss becomes infinite or no number.
        let mut tensors = owned(&trainer);
        let victim = tensors.iter_mut().find(|(name, _)| name.ends_with("LayerNorm.weight")).unwrap();
        victim.1[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        load(&mut trainer, &tensors, 1).unwrap();

        for index in 0..4 {
            trainer.micro_batch(index, &setup.batch(4 + index)).unwrap();
        }
        let reduced = trainer.reduce(&Local::new()).unwrap();
        assert!(reduced.overflowed);
        let applied = trainer.apply().unwrap();
        assert!(applied.skipped);
        assert_eq!((applied.step, trainer.step()), (1, 2));
        assert_eq!(owned(&trainer), tensors, "a skipped step changed the state");
    }
}

#[test]
fn the_loss_falls() {
    for setup in
        families(&["optimizer.peak_learning_rate=1e-2", "optimizer.kind=adam-w", "train.clip_norm=1.0"])
    {
        let mut trainer = setup.trainer();
        let losses: Vec<f64> = (0..setup.plan.train.steps)
            .map(|_| measure(&step(&setup, &mut trainer, &[0, 1, 2, 3]).measures, "mlm").unwrap())
            .collect();
        // At first all 62 tokens are equally likely; the text is a count from 5 to 44.
        let (first, last) = (losses[0], losses[losses.len() - 10..].iter().sum::<f64>() / 10.0);
        let family = &setup.plan.model.family;
        assert!((first - 62f64.ln()).abs() < 0.4, "{family}: first loss {first}");
        assert!(last < 0.92 * first, "{family}: losses {losses:?}");
        let evaluate = |batches: std::ops::Range<u64>| {
            let mut evaluation = Evaluation::new(setup.recipe.as_ref(), 1, 9);
            for index in batches {
                trainer.evaluate(index, &setup.batch(index), &mut evaluation).unwrap();
            }
            evaluation
        };
        let evaluation = evaluate(0..3);
        assert!(measure(&evaluation.measures(), "mlm").unwrap() < first, "{family}");
        assert_eq!(evaluation.measures(), evaluate(0..3).measures());
        // Sums of two members make the whole.
        let (mut one, two) = (evaluate(0..1), evaluate(1..3));
        one.put(&(one.sums().unwrap() + two.sums().unwrap())).unwrap();
        assert_eq!(one.measures(), evaluation.measures());
        let predictions = trainer.model().predict(&[0, 10, 11, 61, 13, 14, 2]).unwrap();
        let best = predictions.best(3, 62);
        assert!((best.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(best.is_sorted_by(|a, b| a.1 >= b.1));
    }
}

/// A family whose loss has a single term, which every normaliser can divide.
fn single_term(settings: &[&str]) -> Setup {
    let found = families(&[]).iter().position(|setup| setup.recipe.terms().len() == 1);
    Setup::of(found.expect("there is one"), settings)
}

/// The gradient of one step over these micro-batches under a normaliser.
fn gradient(normaliser: &str, batches: &[HostBatch]) -> Vec<f64> {
    let normaliser = format!("objective.normaliser={normaliser}");
    let batch = format!("train.batch={}", batches.len() * 3);
    let setup = single_term(&[&normaliser, &batch, "model.dropout=0.0", "model.attention_dropout=0.0"]);
    let mut trainer = setup.trainer();
    trainer.begin().unwrap();
    for (index, batch) in batches.iter().enumerate() {
        trainer.micro_batch(index as u64, batch).unwrap();
    }
    trainer.reduce(&Local::new()).unwrap();
    let tensors = trainer.gradients().unwrap();
    let words = tensors.iter().flat_map(|tensor| tensor.bytes.as_chunks::<4>().0);
    words.map(|word| f64::from(f32::from_le_bytes(*word))).collect()
}

#[test]
fn normalisers_divide_as_they_say() {
    let setup = single_term(&[]);
    let (a, mut b) = (setup.batch(0), setup.batch(1));
    let half = b.target_ids.len() / 2;
    b.target_ids.truncate(half);
    b.target_positions.truncate(half);
    let (n, m) = (a.target_ids.len() as f64, b.target_ids.len() as f64);
    assert!(n > m && m > 0.0);
    let alone = [&a, &b].map(|batch| gradient("global", std::slice::from_ref(batch)));
    let both = [a, b];
    for (normaliser, weights) in [
        ("global", [n / (n + m), m / (n + m)]),
        ("group", [0.5, 0.5]),
        ("group-over-targets", [1.0 / (n + m), 1.0 / (n + m)]),
    ] {
        let found = gradient(normaliser, &both);
        let expected: Vec<f64> =
            alone[0].iter().zip(&alone[1]).map(|(x, y)| weights[0] * x + weights[1] * y).collect();
        let most = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let off = found.iter().zip(&expected).fold(0.0_f64, |off, (x, y)| off.max((x - y).abs()));
        assert!(off < 1e-4 * most, "{normaliser}: {off:e} of {most:e}");
    }
}

#[test]
fn many_held_out_sequences_do_not_wrap_around() {
    let setup = single_term(&[]);
    let trainer = setup.trainer();
    let mean = |batches: u64| {
        let mut evaluation = Evaluation::new(setup.recipe.as_ref(), 1, 3 * batches);
        for index in 0..batches {
            trainer.evaluate(index, &setup.batch(0), &mut evaluation).unwrap();
        }
        evaluation.loss()
    };
    // 4 nats in each of 900 sequences: more than fixed point holds, were they added up as they are.
    assert!((mean(300) - mean(1)).abs() < 1e-6, "{} and {}", mean(300), mean(1));
}

#[test]
fn half_as_many_bits_learn_about_the_same() {
    for setup in families(&["train.precision=bf16"]) {
        let mut exact = Setup { plan: setup.plan.clone(), recipe: setup.recipe.clone() };
        exact.plan.train.precision = Precision::Fp32;
        let [mut trainer, mut reference] = [setup.trainer(), exact.trainer()];
        for _ in 0..3 {
            let found = step(&setup, &mut trainer, &[0, 1, 2, 3]);
            let expected = step(&exact, &mut reference, &[0, 1, 2, 3]);
            let family = &setup.plan.model.family;
            assert_ne!(found.digest, expected.digest, "{family}");
            assert!(
                (found.loss / expected.loss - 1.0).abs() < 0.02,
                "{family}: {} and {}",
                found.loss,
                expected.loss
            );
            let ratio = found.grad_norm / expected.grad_norm;
            assert!((ratio - 1.0).abs() < 0.1, "{family}: gradient {ratio}");
        }
        // What the network computes with follows every update, and everything that is loaded.
        let seen = |trainer: &Trainer| {
            let mut evaluation = Evaluation::new(setup.recipe.as_ref(), 1, 3);
            trainer.evaluate(0, &setup.batch(0), &mut evaluation).unwrap();
            evaluation.loss()
        };
        let (before, after) = (seen(&setup.trainer()), seen(&trainer));
        assert_ne!(before, after, "{}", setup.plan.model.family);
        let mut loaded = setup.trainer();
        load(&mut loaded, &owned(&trainer), 3).unwrap();
        assert_eq!(seen(&loaded), after, "{}", setup.plan.model.family);
    }
}

fn owned(trainer: &Trainer) -> Vec<(String, Vec<u8>)> {
    trainer.tensors().unwrap().into_iter().map(|tensor| (tensor.name, tensor.bytes.to_vec())).collect()
}

fn load(trainer: &mut Trainer, tensors: &[(String, Vec<u8>)], step: u64) -> Result<(), Error> {
    trainer.begin_load();
    for (name, bytes) in tensors {
        trainer.load(name, bytes)?;
    }
    trainer.finish_load(step)
}

#[test]
fn the_state_survives_saving_and_sending() {
    for setup in families(&["optimizer.decay_exempts_bias_and_norm=true"]) {
        let mut trainer = setup.trainer();
        for _ in 0..2 {
            step(&setup, &mut trainer, &[0, 1, 2, 3]);
        }
        let digest = trainer.state_digest().unwrap();
        let mut loaded =
            Trainer::new(&setup.plan, std::slice::from_ref(&setup.recipe), tch::Device::Cpu).unwrap();
        load(&mut loaded, &owned(&trainer), 2).unwrap();
        assert_eq!(loaded.state_digest().unwrap(), digest);

        let [a, b] = pair();
        let mut received = std::thread::scope(|scope| {
            let root = &mut trainer;
            scope.spawn(move || root.broadcast(&a, 0).unwrap());
            let mut joined =
                Trainer::new(&setup.plan, std::slice::from_ref(&setup.recipe), tch::Device::Cpu).unwrap();
            joined.broadcast(&b, 0).unwrap();
            joined
        });
        assert_eq!((received.state_digest().unwrap(), received.step()), (digest, 2));

        // What was loaded and what was sent train on as the original does.
        let reports = [&mut trainer, &mut loaded, &mut received].map(|one| step(&setup, one, &[0, 1, 2, 3]));
        assert!(reports[0] == reports[1] && reports[1] == reports[2]);
        assert_ne!(trainer.state_digest().unwrap(), digest);
        assert_eq!(trainer.state_digest().unwrap(), received.state_digest().unwrap());
    }
}

type Change<'a> = Box<dyn FnOnce(&mut Trainer, &Setup) + 'a>;

#[test]
fn a_snapshot_keeps_the_state_whatever_changes_it() {
    let setup = Setup::of(0, &["train.precision=\"bf16\""]);
    let [a, b] = pair();
    let receive = move |trainer: &mut Trainer, setup: &Setup| {
        std::thread::scope(|scope| {
            scope.spawn(move || setup.trainer().broadcast(&a, 0).unwrap());
            trainer.broadcast(&b, 0).unwrap();
        });
    };
    let others = owned(&setup.trainer());
    let (weight, ones) = (others[0].0["model.".len()..].to_owned(), vec![1; others[0].1.len()]);
    let changes: [(&str, Change<'_>); 5] = [
        ("a step", Box::new(|trainer, setup| drop(step(setup, trainer, &[0, 1, 2, 3])))),
        ("other weights", Box::new(|trainer, _| trainer.adopt([(&*weight, &*ones)].into_iter()).unwrap())),
        ("loading", Box::new(|trainer, _| load(trainer, &others, 7).unwrap())),
        ("a broadcast", Box::new(receive)),
        ("the beginning", Box::new(|trainer, _| trainer.initialise().unwrap())),
    ];
    for (what, change) in changes {
        let mut trainer = setup.trainer();
        step(&setup, &mut trainer, &[0, 1, 2, 3]);
        let before = owned(&trainer);
        // The whole state in two parts, as two members would store it.
        let parts = [0..5, 5..before.len()].map(|which| (trainer.snapshot(which.clone()).unwrap(), which));
        let kept = || -> Vec<(String, Vec<u8>)> {
            let tensors = parts.iter().flat_map(|(part, which)| {
                which.clone().map(|index| part.read(index - which.start, 0..before[index].1.len()).unwrap())
            });
            before.iter().map(|(name, _)| name.clone()).zip(tensors.map(|bytes| bytes.to_vec())).collect()
        };
        assert!(kept() == before, "{what}: before it");
        change(&mut trainer, &setup);
        assert!(owned(&trainer) != before, "{what} changes something");
        assert!(kept() == before, "{what}: after it");
    }
}

#[test]
fn what_does_not_belong_is_refused() {
    for setup in families(&[]) {
        let mut trainer = setup.trainer();
        let tensors = owned(&trainer);
        let (name, bytes) = &tensors[0];
        let expected = bytes.len();
        let wrong = Error::WrongSize { name: name.clone(), expected, found: expected - 4 };
        assert_eq!(trainer.load(name, &bytes[4..]).unwrap_err(), wrong);
        assert!(matches!(trainer.load("model.nonsense", bytes), Err(Error::UnknownTensor { .. })));
        assert!(matches!(trainer.load("nonsense", bytes), Err(Error::UnknownTensor { .. })));
        let missing = Error::MissingTensors { count: 1, first: name.clone() };
        assert_eq!(load(&mut trainer, &tensors[1..], 7).unwrap_err(), missing);

        assert_eq!(trainer.apply().unwrap_err(), Error::NothingReduced);
        trainer.begin().unwrap();
        trainer.micro_batch(0, &setup.batch(0)).unwrap();
        let incomplete = Error::IncompleteStep { step: 0, expected: 4, found: 1 };
        assert_eq!(trainer.reduce(&Local::new()).unwrap_err(), incomplete);
        assert_eq!(trainer.apply().unwrap_err(), Error::NothingReduced);
    }
}

#[test]
fn a_micro_batch_without_targets_adds_nothing() {
    for setup in families(&["train.batch=6"]) {
        let mut trainer = setup.trainer();
        let mut empty = setup.batch(0);
        empty.target_positions.clear();
        empty.target_ids.clear();
        empty.spans = Default::default();
        trainer.begin().unwrap();
        trainer.micro_batch(0, &empty).unwrap();
        trainer.micro_batch(1, &empty).unwrap();
        let reduced = trainer.reduce(&Local::new()).unwrap();
        assert_eq!((measure(&reduced.measures, "mlm"), reduced.targets), (Some(0.0), 0));
        assert!(reduced.grad_norm.is_finite() && !reduced.overflowed);
        if setup.recipe.terms().len() == 1 {
            assert_eq!((reduced.loss, reduced.grad_norm), (0.0, 0.0));
        }
    }
}
