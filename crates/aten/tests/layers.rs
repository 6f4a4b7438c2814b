//! The layers against libtorch's operators, values and gradients. Knows only the public interface.

use aten::layers::{Drops, attention_weights, dropout, gelu_tanh, linear};
use tch::{Device, Kind, TchError, Tensor};

const KINDS: [Kind; 2] = [Kind::Float, Kind::BFloat16];

fn random(shape: &[i64], kind: Kind) -> Tensor {
    Tensor::randn(shape, (kind, Device::Cpu)).set_requires_grad(true)
}

/// The greatest difference, relative to the greatest value.
fn difference(ours: &Tensor, theirs: &Tensor) -> f64 {
    let [ours, theirs] = [ours, theirs].map(|tensor| tensor.to_kind(Kind::Double));
    let scale = theirs.abs().max().double_value(&[]).max(1e-30);
    (ours - theirs).abs().max().double_value(&[]) / scale
}

/// What a rounded result may be off by: half a unit in the last place of bfloat16 is 2^-9, and intermediate results are
/// rounded too; floats are summed in another order.
fn tolerance(kind: Kind) -> f64 {
    if kind == Kind::Float { 2e-6 } else { 1.5e-2 }
}

/// Compares values and gradients of two functions of the same inputs; theirs computes in double precision.
fn compare(
    what: &str,
    inputs: &[&Tensor],
    ours: impl Fn(&[Tensor]) -> Result<Tensor, TchError>,
    theirs: impl Fn(&[Tensor]) -> Result<Tensor, TchError>,
) {
    let kind = inputs[0].kind();
    let wide: Vec<Tensor> =
        inputs.iter().map(|input| input.detach().to_kind(Kind::Double).set_requires_grad(true)).collect();
    let own: Vec<Tensor> = inputs.iter().map(|input| input.shallow_clone()).collect();
    let (ours, theirs) = (ours(&own).expect("ours computes"), theirs(&wide).expect("theirs computes"));
    assert_eq!((ours.kind(), ours.size()), (kind, theirs.size()), "{what}");
    let off = difference(&ours, &theirs);
    assert!(off < tolerance(kind), "{what}, {kind:?}: off by {off:e}");
    let towards = Tensor::randn(theirs.size(), (Kind::Double, Device::Cpu)).to_kind(kind);
    let ours = Tensor::run_backward(&[(ours * &towards).sum(kind)], &own, false, false);
    let towards = towards.to_kind(Kind::Double);
    let theirs = Tensor::run_backward(&[(theirs * towards).sum(Kind::Double)], &wide, false, false);
    for (index, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let off = difference(ours, theirs);
        assert!(off < 2.0 * tolerance(kind), "{what}, {kind:?}: gradient {index} off by {off:e}");
    }
}

#[test]
fn linear_is_libtorchs() {
    tch::manual_seed(1);
    for kind in KINDS {
        for (rows, inner, outer) in [(1, 1, 1), (7, 33, 5), (129, 64, 96), (16, 3, 1_001)] {
            let (x, w, b) =
                (random(&[rows, inner], kind), random(&[outer, inner], kind), random(&[outer], kind));
            compare(
                "with bias",
                &[&x, &w, &b],
                |of| linear(&of[0], &of[1], Some(&of[2])),
                |of| of[0].f_linear(&of[1], Some(&of[2])),
            );
            compare(
                "without bias",
                &[&x, &w],
                |of| linear(&of[0], &of[1], None),
                |of| of[0].f_linear(&of[1], None::<&Tensor>),
            );
        }
    }
    // No rows at all, more dimensions, and what is no matrix of the right width.
    let (x, w) = (random(&[0, 3], Kind::Float), random(&[5, 3], Kind::Float));
    assert_eq!(linear(&x, &w, None).unwrap().size(), [0, 5]);
    assert_eq!(linear(&random(&[2, 4, 3], Kind::Float), &w, None).unwrap().size(), [2, 4, 5]);
    assert!(linear(&random(&[2, 4], Kind::Float), &w, None).is_err());
}

/// What is frozen gets no gradient, and what is not still does.
#[test]
fn a_frozen_weight_stands_in_nobodys_way() {
    let (x, w, b) = (random(&[4, 3], Kind::Float), random(&[5, 3], Kind::Float), random(&[5], Kind::Float));
    for frozen in 0..3 {
        let inputs: Vec<Tensor> = [&x, &w, &b]
            .into_iter()
            .enumerate()
            .map(|(index, tensor)| tensor.detach().set_requires_grad(index != frozen))
            .collect();
        let out = linear(&inputs[0], &inputs[1], Some(&inputs[2])).unwrap().square().sum(Kind::Float);
        out.backward();
        for (index, input) in inputs.iter().enumerate() {
            assert_eq!(input.grad().defined(), index != frozen);
        }
    }
}

#[test]
fn gelu_is_the_formula() {
    tch::manual_seed(2);
    for kind in KINDS {
        let x = Tensor::cat(
            &[random(&[10_001], kind) * 3.0, Tensor::linspace(-100, 100, 501, (kind, Device::Cpu))],
            0,
        );
        let x = x.detach().set_requires_grad(true);
        compare("gelu", &[&x], |of| gelu_tanh(&of[0]), |of| of[0].f_gelu("tanh"));
    }
    let edges = Tensor::from_slice(&[f32::NEG_INFINITY, -1e30, -0.0, 0.0, 1e30, f32::INFINITY, f32::NAN]);
    let edges = Vec::<f32>::try_from(gelu_tanh(&edges).unwrap()).unwrap();
    assert_eq!(edges[1..6], [-0.0, -0.0, 0.0, 1e30, f32::INFINITY]);
    assert!(edges[6].is_nan());
}

#[test]
fn attention_weights_are_softmax_and_dropout() {
    tch::manual_seed(3);
    let drops = Drops { seed: 11, threshold: 1 << 14 };
    for kind in KINDS {
        for (b, n, l) in [(1, 1, 1), (2, 3, 17), (3, 2, 64), (2, 2, 130)] {
            let scores = (random(&[b, n, l, l], kind) * 4.0).detach().set_requires_grad(true);
            let mask = Tensor::zeros([b, l], (Kind::Float, Device::Cpu));
            let _padded =
                mask.narrow(0, b - 1, 1).narrow(1, l / 2 + 1, l - l / 2 - 1).fill_(f64::NEG_INFINITY);
            let wide = mask.to_kind(Kind::Double).view([b, 1, 1, l]);
            let softmax = |scores: &Tensor| (scores * 0.25 + &wide).f_softmax(-1, Kind::Double);
            compare(
                "softmax",
                &[&scores],
                |of| attention_weights(&of[0], Some(&mask), 0.25, Drops::NONE),
                |of| softmax(&of[0]),
            );
            // What is dropped in the scores of one is dropped in those of all others: the first one shows it.
            let flat = Tensor::zeros([b, n, l, l], (Kind::Float, Device::Cpu));
            let kept = attention_weights(&flat, None, 1.0, drops).unwrap() * l as f64;
            compare(
                "with dropout",
                &[&scores],
                |of| attention_weights(&of[0], Some(&mask), 0.25, drops),
                |of| Ok(softmax(&of[0])? * &kept.to_kind(Kind::Double)),
            );
        }
    }
    // What is no number shows, wherever it stands in its row.
    for place in [0, 15, 16, 69] {
        let scores = Tensor::zeros([1, 1, 1, 70], (Kind::Float, Device::Cpu));
        let _nan = scores.view([70]).get(place).fill_(f64::NAN);
        let weights = attention_weights(&scores, None, 1.0, Drops::NONE).unwrap();
        assert!(Vec::<f32>::try_from(weights.view([70])).unwrap().iter().all(|weight| weight.is_nan()));
    }
    let three = random(&[2, 3, 3], Kind::Float);
    assert!(attention_weights(&three, None, 1.0, Drops::NONE).is_err());
    let (four, mask) = (random(&[2, 1, 3, 3], Kind::Float), random(&[1, 3], Kind::Float));
    assert!(attention_weights(&four, Some(&mask), 1.0, Drops::NONE).is_err());
}

#[test]
fn dropout_keeps_rate_and_mean_and_its_gradient_the_mask() {
    let (n, drops) = (1_000_003, Drops { seed: 5, threshold: 6_554 });
    for kind in KINDS {
        let ones = Tensor::ones([n], (kind, Device::Cpu)).set_requires_grad(true);
        let residual = Tensor::full([n], 2.0, (kind, Device::Cpu)).set_requires_grad(true);
        let out = dropout(&ones, None, drops).unwrap();
        let dropped = out.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        let mean = out.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
        assert!((dropped - 0.1).abs() < 0.002 && (mean - 1.0).abs() < 0.003, "{dropped} {mean}");
        // Neighbours that share a draw are independent.
        let fours = out.narrow(0, 0, n - 3).view([-1, 4]).eq(0.0);
        let both =
            fours.select(1, 0).logical_and(&fours.select(1, 1)).to_kind(Kind::Double).mean(Kind::Double);
        assert!((both.double_value(&[]) - 0.01).abs() < 0.001);

        let sum = dropout(&ones, Some(&residual), drops).unwrap();
        assert!(difference(&sum, &(&residual + &out)) < tolerance(kind));
        let gradients = Tensor::run_backward(&[sum.sum(kind)], &[&ones, &residual], false, false);
        assert_eq!([&gradients[0], &gradients[1]], [&out.detach(), &ones.detach()]);
    }
    let (x, other) = (random(&[3], Kind::Float), random(&[4], Kind::Float));
    assert!(dropout(&x, Some(&other), drops).is_err());
}

/// The same bits for any number of threads.
#[test]
fn bits_depend_on_no_thread() {
    tch::manual_seed(4);
    let drops = Drops { seed: 9, threshold: 20_000 };
    for kind in KINDS {
        let x = random(&[4, 3, 70, 70], kind);
        let run = |threads| {
            tch::set_num_threads(threads);
            let weights = attention_weights(&x, None, 0.125, drops).unwrap();
            let out = gelu_tanh(&dropout(&weights, Some(&x), drops).unwrap()).unwrap();
            let gradient = Tensor::run_backward(&[out.square().sum(kind)], &[&x], false, false);
            [out.detach(), gradient[0].shallow_clone()].map(|tensor| aten::bytes(&tensor).unwrap().to_vec())
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}
