//! Byte views of tensors. Knows only the public interface.

use aten::{Error, bytes, copy_from_bytes};
use tch::{Device, Kind, Tensor};

#[test]
fn bytes_are_the_elements_in_order() {
    let values = [1.5f32, -2.0, 0.0, f32::NAN];
    let expected: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    assert_eq!(bytes(&Tensor::from_slice(&values).reshape([2, 2])).unwrap(), expected);
    assert_eq!(bytes(&Tensor::from_slice(&[3i64])).unwrap(), 3i64.to_ne_bytes());
    assert_eq!(bytes(&Tensor::from_slice(&[true, false])).unwrap(), [1, 0]);
    assert_eq!(bytes(&Tensor::from_slice(&[1f32]).to_kind(Kind::BFloat16)).unwrap(), 0x3F80u16.to_ne_bytes());
    assert!(bytes(&Tensor::zeros([0], (Kind::Float, Device::Cpu))).unwrap().is_empty());
}

/// A slice of a larger tensor starts where the slice starts.
#[test]
fn a_view_shows_its_own_part() {
    let tensor = Tensor::from_slice(&[1u8, 2, 3, 4, 5, 6]).reshape([3, 2]);
    assert_eq!(bytes(&tensor.narrow(0, 1, 2)).unwrap(), [3, 4, 5, 6]);
    assert!(matches!(bytes(&tensor.select(1, 0)), Err(Error::Torch(_))));
    assert!(matches!(bytes(&Tensor::new()), Err(Error::Torch(_))));
}

#[test]
fn copies_land_where_they_should_and_nowhere_else() {
    let tensor = Tensor::from_slice(&[1i64, 2, 3]);
    copy_from_bytes(&tensor, 8, &7i64.to_ne_bytes()).unwrap();
    assert_eq!(Vec::<i64>::try_from(&tensor).unwrap(), [1, 7, 3]);
    copy_from_bytes(&tensor, 24, &[]).unwrap();
    for (offset, len) in [(17, 8), (25, 0), (usize::MAX, 2)] {
        assert!(matches!(copy_from_bytes(&tensor, offset, &vec![0; len]), Err(Error::Torch(_))), "{offset}");
    }
    assert_eq!(Vec::<i64>::try_from(&tensor).unwrap(), [1, 7, 3]);
}

#[test]
fn a_tensor_survives_the_way_through_bytes() {
    let tensor = Tensor::randn([33, 7], (Kind::Float, Device::Cpu));
    let copy = Tensor::zeros([33, 7], (Kind::Float, Device::Cpu));
    copy_from_bytes(&copy, 0, bytes(&tensor).unwrap()).unwrap();
    assert_eq!(tensor, copy);
}
