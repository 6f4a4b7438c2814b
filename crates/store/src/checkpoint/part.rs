//! The bytes of a checkpoint's part: a safetensors file of 32-bit floats. Knows nothing of where it is kept,
//! or which tensors belong in which part.

use std::ops::Range;

use bytes::Bytes;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo as TensorHead};
use xxhash_rust::xxh3::Xxh3Default;

use crate::StoreError;

/// The header's length is padded to this, so that the tensors behind it are aligned.
const ALIGNMENT: usize = 8;
/// What is asked of a source at a time: small enough to be in the processor's cache when it is hashed.
const PIECE: usize = 1 << 20;

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

/// A tensor that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name in checkpoints.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its size in bytes.
    pub bytes: usize,
}

/// Tensors of 32-bit floats that are to be stored. Their bytes are asked for in pieces, more than once, from any thread,
/// so that they need not be in memory as one file.
pub trait TensorSource: Send + Sync + 'static {
    /// Which there are.
    fn tensors(&self) -> Vec<TensorInfo>;

    /// A range of the bytes of one of them, little-endian. May block for as long as copying them takes.
    ///
    /// # Errors
    /// In words, if they are no longer to be had.
    fn read(&self, tensor: usize, range: Range<usize>) -> Result<Bytes, String>;

    /// Shows a range of the bytes of one of them to `see`, which keeps nothing: no copy is needed for that.
    ///
    /// # Errors
    /// As [`TensorSource::read`].
    fn show(&self, tensor: usize, range: Range<usize>, see: &mut dyn FnMut(&[u8])) -> Result<(), String> {
        self.read(tensor, range).map(|bytes| see(&bytes))
    }
}

impl TensorSource for Box<dyn TensorSource> {
    fn tensors(&self) -> Vec<TensorInfo> {
        self.as_ref().tensors()
    }

    fn read(&self, tensor: usize, range: Range<usize>) -> Result<Bytes, String> {
        self.as_ref().read(tensor, range)
    }

    fn show(&self, tensor: usize, range: Range<usize>, see: &mut dyn FnMut(&[u8])) -> Result<(), String> {
        self.as_ref().show(tensor, range, see)
    }
}

impl TensorSource for Vec<Tensor> {
    fn tensors(&self) -> Vec<TensorInfo> {
        let info = |tensor: &Tensor| TensorInfo {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            bytes: tensor.bytes.len(),
        };
        self.iter().map(info).collect()
    }

    fn read(&self, tensor: usize, range: Range<usize>) -> Result<Bytes, String> {
        Ok(self[tensor].bytes.slice(range))
    }
}

/// A part that is ready to be written.
pub(super) struct Encoded {
    /// What the file consists of, in order.
    pub pieces: Vec<Piece>,
    /// Bytes in the file.
    pub size: u64,
    /// Of the whole file.
    pub checksum: String,
    /// The tensors, in the order of the file.
    tensors: Vec<TensorInfo>,
}

/// Consecutive bytes of a file.
pub(super) enum Piece {
    /// These.
    Head(Bytes),
    /// A range of those of a tensor of the source.
    Of(usize, Range<usize>),
}

impl Encoded {
    /// The names of the tensors, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.tensors.iter().map(|tensor| tensor.name.clone()).collect()
    }
}

impl Piece {
    /// Its bytes.
    pub fn read(&self, source: &dyn TensorSource) -> Result<Bytes, StoreError> {
        match self {
            Piece::Head(head) => Ok(head.clone()),
            Piece::Of(tensor, range) => source.read(*tensor, range.clone()).map_err(StoreError::Invalid),
        }
    }

    fn hash(&self, source: &dyn TensorSource, hash: &mut Xxh3Default) -> Result<(), StoreError> {
        let mut see = |bytes: &[u8]| hash.update(bytes);
        match self {
            Piece::Head(head) => see(head),
            Piece::Of(tensor, range) => {
                source.show(*tensor, range.clone(), &mut see).map_err(StoreError::Invalid)?;
            }
        }
        Ok(())
    }
}

/// What `safetensors::serialize` would give, without having the tensors in memory. Their order does not matter. Ends early
/// if it is no longer `wanted`.
pub(super) fn encode(source: &dyn TensorSource, wanted: impl Fn() -> bool) -> Result<Encoded, StoreError> {
    let mut tensors: Vec<(usize, TensorInfo)> = source.tensors().into_iter().enumerate().collect();
    tensors.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    if let Some(pair) = tensors.windows(2).find(|pair| pair[0].1.name == pair[1].1.name) {
        return Err(StoreError::Invalid(format!("two tensors of one part are named {}", pair[0].1.name)));
    }
    let (mut infos, mut pieces, mut end) = (Vec::with_capacity(tensors.len()), Vec::new(), 0);
    for (index, TensorInfo { name, shape, bytes }) in &tensors {
        let (index, bytes) = (*index, *bytes);
        let expected = shape.iter().try_fold(4usize, |size, &dim| size.checked_mul(dim));
        if expected != Some(bytes) || name == "__metadata__" {
            return Err(StoreError::Invalid(format!(
                "tensor {name} with shape {shape:?} and {bytes} bytes cannot be stored as 32-bit floats"
            )));
        }
        let data_offsets = (end, end + bytes);
        infos.push((name.clone(), TensorHead { dtype: Dtype::F32, shape: shape.clone(), data_offsets }));
        pieces.extend((0..bytes).step_by(PIECE).map(|at| Piece::Of(index, at..bytes.min(at + PIECE))));
        end += bytes;
    }
    let head = head(infos);
    let size = (head.len() + end) as u64;
    pieces.insert(0, Piece::Head(head));
    let mut hash = Xxh3Default::new();
    for piece in &pieces {
        if !wanted() {
            return Err(StoreError::Invalid("the upload was given up".into()));
        }
        piece.hash(source, &mut hash)?;
    }
    let tensors = tensors.into_iter().map(|(_, info)| info).collect();
    Ok(Encoded { pieces, size, checksum: hex(hash.digest128()), tensors })
}

/// The beginning of a file: how long the header is, and the header.
fn head(tensors: Vec<(String, TensorHead)>) -> Bytes {
    let metadata = Metadata::new(None, tensors).expect("sizes and offsets were computed from the bytes");
    let mut header = serde_json::to_vec(&metadata).expect("names and numbers always become JSON");
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    let mut head = (header.len() as u64).to_le_bytes().to_vec();
    head.append(&mut header);
    head.into()
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
            let reversed: Vec<Tensor> = tensors.iter().rev().cloned().collect();
            let encoded = encode(&reversed, || true).unwrap();
            let pieces = encoded.pieces.iter().map(|piece| piece.read(&reversed).unwrap());
            let file = Bytes::from(pieces.collect::<Vec<_>>().concat());
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
            assert!(matches!(encode(&bad, || true), Err(StoreError::Invalid(text)) if text.contains('w')));
        }
    }

    #[test]
    fn other_types_of_tensors_are_refused() {
        let view = TensorView::new(Dtype::F16, vec![2], &[0; 4]).unwrap();
        let file = Bytes::from(safetensors::serialize([("w", view)], None).unwrap());
        assert!(decode("part", &file).unwrap_err().to_string().contains("F16"));
    }
}
