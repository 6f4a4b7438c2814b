//! The fused Adam against its formulas in double precision, and against PyTorch's own. Knows only the public
//! interface.

use aten::Error;
use aten::adam::{AdamArgs, AdamVariant, norm, step};
use tch::{Device, Kind, Tensor};

const VARIANTS: [AdamVariant; 3] = [AdamVariant::Fairseq, AdamVariant::Torch, AdamVariant::NoBiasCorrection];

fn args(variant: AdamVariant, step: u64) -> AdamArgs {
    // A large eps, so that its place in the formula shows.
    AdamArgs {
        lr: 3e-3,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-3,
        weight_decay: 0.1,
        step,
        grad_scale: 1.0,
        variant,
    }
}

fn random(n: i64) -> Tensor {
    Tensor::randn([n], (Kind::Float, Device::Cpu)) * 0.1
}

fn zeros(n: i64) -> Tensor {
    Tensor::zeros([n], (Kind::Float, Device::Cpu))
}

fn doubles(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(&tensor.to_kind(Kind::Double)).expect("one dimension")
}

/// (param, m, v) after one step, straight from the papers.
fn reference(p: f64, g: f64, m: f64, v: f64, a: &AdamArgs) -> (f64, f64, f64) {
    let m = a.beta1 * m + (1.0 - a.beta1) * g;
    let v = a.beta2 * v + (1.0 - a.beta2) * g * g;
    let t = a.step as i32;
    let (correction1, correction2) = (1.0 - a.beta1.powi(t), 1.0 - a.beta2.powi(t));
    let p = match a.variant {
        AdamVariant::Fairseq => {
            let decayed = p - a.lr * a.weight_decay * p;
            decayed - a.lr * correction2.sqrt() / correction1 * m / (v.sqrt() + a.eps)
        }
        AdamVariant::Torch => {
            let decayed = p * (1.0 - a.lr * a.weight_decay);
            decayed - a.lr * (m / correction1) / ((v / correction2).sqrt() + a.eps)
        }
        AdamVariant::NoBiasCorrection => p - a.lr * (m / (v.sqrt() + a.eps) + a.weight_decay * p),
    };
    (p, m, v)
}

#[test]
fn follows_the_formulas_for_many_steps() {
    tch::manual_seed(1);
    let n = 1003;
    for variant in VARIANTS {
        let (param, m, v) = (random(n), zeros(n), zeros(n));
        let mut expected: Vec<_> = doubles(&param).into_iter().map(|p| (p, 0.0, 0.0)).collect();
        for t in 1..=20 {
            let grad = random(n);
            step(&param, &grad, &m, &v, None, &args(variant, t)).unwrap();
            for ((p, m, v), g) in expected.iter_mut().zip(doubles(&grad)) {
                (*p, *m, *v) = reference(*p, g, *m, *v, &args(variant, t));
            }
        }
        let actual = doubles(&param).into_iter().zip(doubles(&m)).zip(doubles(&v));
        for (((p, m), v), expected) in actual.zip(&expected) {
            assert!((p - expected.0).abs() < 1e-6, "{variant:?}: param {p} for {}", expected.0);
            assert!((m - expected.1).abs() < 1e-7, "{variant:?}: exp_avg {m} for {}", expected.1);
            assert!((v - expected.2).abs() < 1e-8, "{variant:?}: exp_avg_sq {v} for {}", expected.2);
        }
    }
}

/// Two variants differ by far more than the tolerance above, so a mix-up cannot pass.
#[test]
fn the_variants_differ() {
    let updated = VARIANTS.map(|variant| {
        let param = zeros(1) + 1.0;
        step(&param, &(zeros(1) + 1e-3), &zeros(1), &zeros(1), None, &args(variant, 1)).unwrap();
        param.double_value(&[0])
    });
    for (i, j) in [(0, 1), (0, 2), (1, 2)] {
        assert!((updated[i] - updated[j]).abs() > 1e-5, "{updated:?}");
    }
}

#[test]
fn torch_is_what_pytorch_does() {
    tch::manual_seed(2);
    let a = AdamArgs { eps: 1e-8, ..args(AdamVariant::Torch, 1) };
    let store = tch::nn::VarStore::new(Device::Cpu);
    let theirs = store.root().var_copy("p", &random(501));
    let adamw =
        tch::nn::AdamW { beta1: a.beta1, beta2: a.beta2, wd: a.weight_decay, eps: a.eps, amsgrad: false };
    let mut optimizer = tch::nn::OptimizerConfig::build(adamw, &store, a.lr).unwrap();
    let (ours, m, v) = (theirs.detach().copy(), zeros(501), zeros(501));
    for t in 1..=10 {
        let grad = random(501);
        optimizer.backward_step(&(&theirs * &grad).sum(Kind::Float));
        step(&ours, &grad, &m, &v, None, &AdamArgs { step: t, ..a }).unwrap();
        let difference = (&ours - theirs.detach()).abs().max().double_value(&[]);
        assert!(difference < 1e-6, "step {t}: {difference}");
    }
}

#[test]
fn scaling_in_the_step_is_scaling_before_it() {
    tch::manual_seed(4);
    let (p, g, factor) = (random(1_001), random(1_001), 0.3);
    for variant in VARIANTS {
        let [scaled, before] = [(1.0, &g * factor), (factor, g.copy())].map(|(grad_scale, grad)| {
            let (param, m, v) = (p.copy(), zeros(1_001), zeros(1_001));
            step(&param, &grad, &m, &v, None, &AdamArgs { grad_scale, ..args(variant, 1) }).unwrap();
            [param, m, v]
        });
        assert_eq!(scaled, before, "{variant:?}");
    }
}

#[test]
fn the_rounded_copy_is_libtorchs() {
    tch::manual_seed(6);
    let n = 1_003;
    for variant in VARIANTS {
        let (param, rounded) = (random(n), zeros(n).to_kind(Kind::BFloat16));
        let _large = param.get(7).fill_(3.4e38);
        step(&param, &random(n), &zeros(n), &zeros(n), Some(&rounded), &args(variant, 1)).unwrap();
        let bytes = |tensor: &Tensor| aten::bytes(tensor).unwrap().to_vec();
        assert!(bytes(&rounded) == bytes(&param.to_kind(Kind::BFloat16)), "{variant:?}");
        // What is no number may be any of those that are none.
        let _nan = param.get(7).fill_(f64::NAN);
        step(&param, &random(n), &zeros(n), &zeros(n), Some(&rounded), &args(variant, 1)).unwrap();
        assert!(rounded.get(7).double_value(&[]).is_nan());
    }
}

#[test]
fn norms_are_exact_to_the_last_digits() {
    tch::manual_seed(5);
    for n in [1, 15, 17, 100_003] {
        let values = random(n);
        let expected = doubles(&values).iter().map(|value| value * value).sum::<f64>().sqrt();
        let run = |threads| {
            tch::set_num_threads(threads);
            norm(&values).unwrap()
        };
        assert!((run(1) / expected - 1.0).abs() < 1e-12, "{n}");
        assert_eq!(run(1), run(3), "{n}");
    }
}

/// The same bits alone, at the end of a long tensor, and for any number of threads.
#[test]
fn an_element_does_not_see_its_neighbours() {
    tch::manual_seed(3);
    let n = 150_007;
    let inputs = [random(n), random(n), random(n), random(n).abs()];
    for variant in VARIANTS {
        let run = |start: i64, len: i64, threads: i32| {
            tch::set_num_threads(threads);
            let [p, g, m, v] = inputs.each_ref().map(|tensor| tensor.narrow(0, start, len).copy());
            step(&p, &g, &m, &v, None, &args(variant, 3)).unwrap();
            [p, m, v].map(|tensor| aten::bytes(&tensor).unwrap().to_vec())
        };
        let whole = run(0, n, 2);
        assert_eq!(whole, run(0, n, 1), "{variant:?}");
        assert_eq!(whole, run(0, n, 3), "{variant:?}");
        for (start, len) in [(0, 1), (5, 3), (70_001, 9), (n - 1, 1), (1, n - 1)] {
            let bytes = (start as usize * 4)..((start + len) as usize * 4);
            for (part, whole) in run(start, len, 1).iter().zip(&whole) {
                assert_eq!(part[..], whole[bytes.clone()], "{variant:?} at {start}, {len}");
            }
        }
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let good = args(AdamVariant::Torch, 1);
    let t = zeros(4);
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Torch(_))), "{result:?}");
    refused(step(&t, &zeros(3), &t, &t, None, &good));
    refused(step(&t, &zeros(4).to_kind(Kind::Double), &zeros(4), &zeros(4), None, &good));
    refused(step(&zeros(4).expand([4, 4], false), &zeros(16), &zeros(16), &zeros(16), None, &good));
    refused(step(&t, &zeros(4), &zeros(4), &zeros(4), Some(&zeros(4)), &good));
    refused(step(&t, &zeros(4), &zeros(4), &zeros(4), None, &AdamArgs { step: 0, ..good }));
    refused(step(&t, &zeros(4), &zeros(4), &zeros(4), None, &AdamArgs { beta2: 1.0, ..good }));
    assert_eq!(step(&zeros(0), &zeros(0), &zeros(0), &zeros(0), None, &good), Ok(()));
}
