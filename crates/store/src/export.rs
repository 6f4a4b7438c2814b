//! The files of Hugging Face directories: weights as safetensors of 32-bit floats, and tokenizers. Knows no model.

use std::collections::HashMap;

use bytes::Bytes;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::retry::retry;
use crate::{Location, StoreError, Tensor};

/// Writes a safetensors file. The same tensors give the same bytes, whatever their order.
///
/// # Errors
/// [`StoreError::Invalid`] if a tensor's bytes do not fit its shape, or [`StoreError::Io`].
pub async fn put_safetensors(to: &Location, name: &str, tensors: Vec<Tensor>) -> Result<(), StoreError> {
    let invalid = |error: safetensors::SafeTensorError| {
        StoreError::Invalid(format!("{} cannot be written: {error}", to.place(name)))
    };
    let mut views = Vec::with_capacity(tensors.len());
    for tensor in &tensors {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), &tensor.bytes).map_err(invalid)?;
        views.push((tensor.name.as_str(), view));
    }
    views.sort_by_key(|(name, _)| *name);
    // Transformers refuses files that do not say which framework's conventions they follow.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = [Bytes::from(safetensors::serialize(views, Some(metadata)).map_err(invalid)?)];
    retry(name, || to.put_chunks(name, &file)).await
}

/// Reads the 32-bit floats of a safetensors file; integers, such as tables of positions, are passed over.
///
/// # Errors
/// [`StoreError::NotFound`]; [`StoreError::Damaged`] if it is something else; [`StoreError::Invalid`] if it holds floats of
/// other sizes.
pub async fn get_safetensors(from: &Location, name: &str) -> Result<Vec<Tensor>, StoreError> {
    let (file, place): (Bytes, String) = (from.get(name).await?, from.place(name));
    let views = SafeTensors::deserialize(&file)
        .map_err(|error| StoreError::Damaged { place: place.clone(), reason: error.to_string() })?;
    let mut tensors = Vec::with_capacity(views.len());
    for (name, view) in views.iter() {
        match view.dtype() {
            Dtype::F32 => {
                let bytes = file.slice_ref(view.data());
                tensors.push(Tensor { name: name.to_owned(), shape: view.shape().to_vec(), bytes });
            }
            Dtype::F64 | Dtype::F16 | Dtype::BF16 => {
                return Err(StoreError::Invalid(format!(
                    "{place}: {name} holds {:?}; save the model with 32-bit floats (torch_dtype=torch.float32)",
                    view.dtype()
                )));
            }
            _ => {}
        }
    }
    // The crate goes through a hash map: another order in every process.
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// Reads a `tokenizer.json`.
///
/// # Errors
/// [`StoreError::NotFound`]; [`StoreError::Damaged`] if it is none, or lacks a special token.
pub async fn get_tokenizer(from: &Location, name: &str) -> Result<corpus::Tokenizer, StoreError> {
    corpus::Tokenizer::from_bytes(&from.get(name).await?)
        .map_err(|error| StoreError::Damaged { place: from.place(name), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_reads_back_and_its_bytes_do_not_depend_on_the_order() {
        let tensor = |name: &str, value: f32| Tensor {
            name: name.into(),
            shape: vec![1],
            bytes: value.to_le_bytes().to_vec().into(),
        };
        let at = Location::memory();
        put_safetensors(&at, "a", vec![tensor("x", 1.0), tensor("b", 2.0)]).await.unwrap();
        put_safetensors(&at, "b", vec![tensor("b", 2.0), tensor("x", 1.0)]).await.unwrap();
        assert_eq!(at.get("a").await.unwrap(), at.get("b").await.unwrap());
        assert_eq!(get_safetensors(&at, "a").await.unwrap(), [tensor("b", 2.0), tensor("x", 1.0)]);
    }
}
