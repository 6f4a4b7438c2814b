//! The bytes of a checkpoint's part: a safetensors file of 32-bit floats. Knows nothing of where it is kept,
//! or which tensors belong in which part.

use bytes::Bytes;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use xxhash_rust::xxh3::Xxh3Default;

use crate::StoreError;

/// The header's length is padded to this, so that the tensors behind it are aligned.
const ALIGNMENT: usize = 8;

/// A tensor of 32-bit floats, little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, unique in the checkpoint.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values: four bytes each.
    pub bytes: Bytes,
}

/// A part that is ready to be written.
pub(super) struct Encoded {
    /// The file, in pieces: the tensors' own bytes are among them, uncopied.
    pub chunks: Vec<Bytes>,
    /// Bytes in the file.
    pub size: u64,
    /// Of the whole file.
    pub checksum: String,
    /// The names of the tensors, in the order of the file.
    pub tensors: Vec<String>,
}

/// What `safetensors::serialize` would give, without copying the tensors. Their order does not matter.
pub(super) fn encode(mut tensors: Vec<Tensor>) -> Result<Encoded, StoreError> {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(pair) = tensors.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(StoreError::Invalid(format!("two tensors of one part are named {}", pair[0].name)));
    }
    let mut infos = Vec::with_capacity(tensors.len());
    let mut end = 0;
    for Tensor { name, shape, bytes } in &tensors {
        let expected = shape.iter().try_fold(4usize, |size, &dim| size.checked_mul(dim));
        if expected != Some(bytes.len()) || name == "__metadata__" {
            let found = bytes.len();
            return Err(StoreError::Invalid(format!(
                "tensor {name} with shape {shape:?} and {found} bytes cannot be stored as 32-bit floats"
            )));
        }
        let data_offsets = (end, end + bytes.len());
        infos.push((name.clone(), TensorInfo { dtype: Dtype::F32, shape: shape.clone(), data_offsets }));
        end += bytes.len();
    }
    let names = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let metadata = Metadata::new(None, infos).expect("sizes and offsets were computed from the bytes");
    let mut header = serde_json::to_vec(&metadata).expect("names and numbers always become JSON");
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');

    let mut head = (header.len() as u64).to_le_bytes().to_vec();
    head.append(&mut header);
    let chunks: Vec<Bytes> =
        std::iter::once(Bytes::from(head)).chain(tensors.into_iter().map(|tensor| tensor.bytes)).collect();
    let mut hash = Xxh3Default::new();
    chunks.iter().for_each(|chunk| hash.update(chunk));
    let size = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    Ok(Encoded { chunks, size, checksum: hex(hash.digest128()), tensors: names })
}

/// The tensors of a file whose checksum was right. They share its memory.
pub(crate) fn decode(place: &str, file: &Bytes) -> Result<Vec<Tensor>, StoreError> {
    let damaged = |reason: String| StoreError::Damaged { place: place.to_owned(), reason };
    let found =
        SafeTensors::deserialize(file).map_err(|error| damaged(format!("not safetensors: {error}")))?;
    let mut tensors = Vec::with_capacity(found.len());
    for (name, view) in found.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(damaged(format!("{name} is {:?} instead of 32-bit floats", view.dtype())));
        }
        let bytes = file.slice_ref(view.data());
        tensors.push(Tensor { name: name.to_owned(), shape: view.shape().to_vec(), bytes });
    }
    // The crate goes through a hash map: another order in every process.
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

pub(super) fn hex(checksum: u128) -> String {
    format!("{checksum:032x}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

    use super::*;

    fn tensors() -> impl Strategy<Value = Vec<Tensor>> {
        let tensor = (prop::collection::vec(0usize..5, 0..4), any::<u8>());
        prop::collection::btree_map("[a-z._é]{1,12}", tensor, 0..8).prop_map(|map| {
            let made = map.into_iter().map(|(name, (shape, fill))| {
                let bytes = vec![fill; 4 * shape.iter().product::<usize>()].into();
                Tensor { name, shape, bytes }
            });
            made.collect()
        })
    }

    proptest! {
        #[test]
        fn a_part_is_what_safetensors_would_write_and_reads_back(tensors in tensors()) {
            let reversed = tensors.iter().rev().cloned().collect();
            let encoded = encode(reversed).unwrap();
            let file = Bytes::from(encoded.chunks.concat());
            let views = tensors.iter().map(|tensor| {
                (&tensor.name, TensorView::new(Dtype::F32, tensor.shape.clone(), &tensor.bytes).unwrap())
            });
            prop_assert_eq!(&file[..], &safetensors::serialize(views, None).unwrap()[..]);
            prop_assert_eq!(encoded.size, file.len() as u64);
            prop_assert_eq!(decode("part", &file).unwrap(), tensors);
        }
    }

    #[test]
    fn tensors_that_cannot_be_stored_are_named() {
        let tensor = |name: &str, shape: &[usize], size: usize| Tensor {
            name: name.into(),
            shape: shape.into(),
            bytes: vec![0; size].into(),
        };
        for bad in [
            vec![tensor("w", &[2], 7)],
            vec![tensor("w", &[usize::MAX, 8], 8)],
            vec![tensor("w", &[1], 4), tensor("w", &[1], 4)],
        ] {
            assert!(matches!(encode(bad), Err(StoreError::Invalid(text)) if text.contains('w')));
        }
    }

    #[test]
    fn other_types_of_tensors_are_refused() {
        let view = TensorView::new(Dtype::F16, vec![2], &[0; 4]).unwrap();
        let file = Bytes::from(safetensors::serialize([("w", view)], None).unwrap());
        assert!(decode("part", &file).unwrap_err().to_string().contains("F16"));
    }
}
