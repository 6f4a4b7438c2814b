//! Fixed-point accumulation against its definition, element by element. Knows only the public interface.

use aten::Error;
use aten::fixed::{SCALE_BITS, accumulate, begin, decode, encode, restore};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor};

fn ints(tensor: &Tensor) -> Vec<i64> {
    Vec::try_from(tensor).expect("one dimension of i64")
}

/// Gradients as they occur, and those that find rounding mistakes: ties, tiny ones, the limits, and what is no number.
fn gradient() -> impl Strategy<Value = f32> {
    let tie = |odd: i32| (f64::from(odd) + 0.5) * 2f64.powi(-(SCALE_BITS as i32));
    prop_oneof![
        4 => -1.0f32..1.0,
        2 => -2048.0f32..2048.0,
        2 => (-64i32..64).prop_map(move |n| tie(n) as f32),
        2 => any::<f32>(),
        1 => prop::sample::select(vec![
            0.0, -0.0, 2048.0, -2048.0, 2047.9999, -2047.9999, f32::MIN_POSITIVE, 1e-45,
            f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX,
        ]),
    ]
}

proptest! {
    #[test]
    fn accumulates_what_encode_says(
        grads in prop::collection::vec(gradient(), 0..70),
        before in any::<i64>(),
        offset in 0usize..5,
    ) {
        let start = vec![before; grads.len() + 7];
        let acc = Tensor::from_slice(&start);
        let overflowed = accumulate(&acc, offset as i64, &Tensor::from_slice(&grads)).unwrap();

        let mut expected = start;
        for (sum, &grad) in expected[offset..].iter_mut().zip(&grads) {
            *sum = sum.wrapping_add(encode(f64::from(grad)).unwrap_or(0));
        }
        prop_assert_eq!(ints(&acc), expected);
        prop_assert_eq!(overflowed, grads.iter().any(|&grad| encode(f64::from(grad)).is_none()));
    }

    #[test]
    fn the_first_is_added_to_nothing(
        grads in prop::collection::vec(gradient(), 0..70), bfloat16 in any::<bool>(),
    ) {
        let kind = if bfloat16 { Kind::BFloat16 } else { Kind::Float };
        let grads = Tensor::from_slice(&grads).to_kind(kind);
        let [added, begun] = [0, i64::MIN].map(|before| Tensor::full([70], before, (Kind::Int64, Device::Cpu)));
        let n = grads.numel() as i64;
        prop_assert_eq!(accumulate(&added, 0, &grads).unwrap(), begin(&begun, 0, &grads).unwrap());
        prop_assert_eq!(ints(&added.narrow(0, 0, n)), ints(&begun.narrow(0, 0, n)));
        prop_assert!(ints(&begun.narrow(0, n, 70 - n)).iter().all(|&rest| rest == i64::MIN));
    }

    #[test]
    fn bfloat16_counts_as_what_it_stands_for(grads in prop::collection::vec(gradient(), 0..70)) {
        let grads = Tensor::from_slice(&grads).to_kind(Kind::BFloat16);
        let sum = |grads: &Tensor| {
            let acc = Tensor::zeros([70], (Kind::Int64, Device::Cpu));
            let overflowed = accumulate(&acc, 0, grads).unwrap();
            (ints(&acc), overflowed)
        };
        prop_assert_eq!(sum(&grads), sum(&grads.to_kind(Kind::Float)));
    }

    #[test]
    fn restores_by_the_documented_rounding(
        fixed in prop::collection::vec(any::<i64>(), 1..70),
        factor in prop_oneof![Just(1.0), Just(1.0 / 3.0), -10.0f64..10.0],
    ) {
        let out = Tensor::zeros([fixed.len() as i64], (Kind::Float, Device::Cpu));
        restore(&Tensor::from_slice(&fixed), &out, factor).unwrap();
        let scale = factor * 2f64.powi(-(SCALE_BITS as i32));
        let expected: Vec<f32> = fixed.iter().map(|&fixed| (fixed as f64 * scale) as f32).collect();
        prop_assert_eq!(Vec::<f32>::try_from(&out).unwrap(), expected);
    }

    #[test]
    fn encode_is_the_nearest_and_decode_its_inverse(value in -2048.0f64..2048.0) {
        let fixed = encode(value).unwrap();
        let unit = 2f64.powi(-(SCALE_BITS as i32));
        prop_assert!((decode(fixed) - value).abs() <= unit / 2.0 || value.abs() >= 1.0);
        if fixed.abs() < 1 << 53 {
            prop_assert_eq!(encode(decode(fixed)), Some(fixed));
        }
    }
}

#[test]
fn encode_knows_its_range_and_rounds_ties_to_even() {
    let unit = 2f64.powi(-52);
    assert_eq!(encode(1.0), Some(1 << 52));
    assert_eq!(encode(2048.0), None);
    assert_eq!(encode(-2048.0), None);
    assert_eq!(encode(2048.0f64.next_down()), Some(i64::MAX - 1023));
    assert_eq!(encode(f64::NAN), None);
    assert_eq!(encode(f64::NEG_INFINITY), None);
    assert_eq!([0.5, 1.5, 2.5, -0.5, -1.5].map(|n| encode(n * unit)), [0, 2, 2, 0, -2].map(Some));
}

/// Large enough for several threads and an uneven end: every order and every thread count, the same bits.
#[test]
fn the_sum_depends_on_neither_order_nor_threads() {
    tch::manual_seed(7);
    let n = 200_003;
    let grads: Vec<Tensor> = (0..4).map(|_| Tensor::randn([n], (Kind::Float, Device::Cpu))).collect();
    let sum = |order: &[usize], threads| {
        tch::set_num_threads(threads);
        let acc = Tensor::zeros([n], (Kind::Int64, Device::Cpu));
        for &i in order {
            assert!(!accumulate(&acc, 0, &grads[i]).unwrap());
        }
        let out = Tensor::zeros([n], (Kind::Float, Device::Cpu));
        let norm = restore(&acc, &out, 0.25).unwrap();
        assert_eq!(norm, aten::adam::norm(&out).unwrap());
        (ints(&acc), aten::bytes(&out).unwrap().to_vec())
    };
    let first = sum(&[0, 1, 2, 3], 1);
    assert_eq!(first, sum(&[3, 1, 0, 2], 2));
    assert_eq!(first, sum(&[2, 3, 1, 0], 3));
    let exact: i128 = grads.iter().map(|grad| i128::from(encode(grad.double_value(&[11])).unwrap())).sum();
    assert_eq!(i128::from(first.0[11]), exact);
}

/// One bad element anywhere is seen, whichever thread meets it.
#[test]
fn a_single_bad_element_is_reported() {
    let n = 100_000;
    for bad in [0, 17, 50_000, n - 1] {
        let grad = Tensor::ones([n], (Kind::Float, Device::Cpu));
        let _ = grad.narrow(0, bad, 1).fill_(f64::NAN);
        let acc = Tensor::zeros([n], (Kind::Int64, Device::Cpu));
        assert!(accumulate(&acc, 0, &grad).unwrap());
        assert_eq!(acc.int64_value(&[bad]), 0);
        assert_eq!(acc.sum(Kind::Int64).int64_value(&[]), (n - 1).wrapping_mul(1 << 52));
    }
}

#[test]
fn strided_gradients_are_taken_in_row_major_order() {
    let grad = Tensor::from_slice(&[1f32, 2., 3., 4., 5., 6.]).reshape([2, 3]).transpose(0, 1);
    let acc = Tensor::zeros([8], (Kind::Int64, Device::Cpu));
    accumulate(&acc, 1, &grad).unwrap();
    let values: Vec<f64> = ints(&acc).into_iter().map(decode).collect();
    assert_eq!(values, [0., 1., 4., 2., 5., 3., 6., 0.]);
}

#[test]
fn wrong_arguments_are_refused() {
    let floats = |n| Tensor::zeros([n], (Kind::Float, Device::Cpu));
    let acc = Tensor::zeros([4], (Kind::Int64, Device::Cpu));
    let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Torch(_))), "{result:?}");
    refused(accumulate(&acc, 1, &floats(4)).map(drop));
    refused(accumulate(&acc, -1, &floats(1)).map(drop));
    refused(accumulate(&acc, i64::MAX, &floats(1)).map(drop));
    refused(accumulate(&floats(4), 0, &floats(4)).map(drop));
    refused(accumulate(&acc, 0, &floats(4).to_kind(Kind::Double)).map(drop));
    refused(accumulate(&acc, 0, &Tensor::new()).map(drop));
    refused(restore(&acc, &floats(3), 1.0).map(drop));
    refused(restore(&acc, &floats(8).reshape([4, 2]).select(1, 0), 1.0).map(drop));
    assert_eq!(accumulate(&acc, 4, &floats(0)), Ok(false));
}
