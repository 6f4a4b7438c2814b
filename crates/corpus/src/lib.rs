//! Bytes to documents, sentences, token ids and Arrow batches; packing documents into samples.
