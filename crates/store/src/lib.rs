//! Datasets, checkpoints and the state of runs on object storage: local paths, `file://`, and every URL that
//! `object_store` knows. Everything that is written becomes visible as a whole or not at all.
//!
//! This room knows neither gRPC nor libtorch, and decides nothing: when to write, and what to do about a damaged
//! part, is for its callers to say.

mod cache;
mod checkpoint;
#[cfg(test)]
mod contract;
mod dataset;
mod error;
mod export;
mod location;
mod retry;
mod run;
mod service;

pub use cache::BlockCache;
pub use checkpoint::{
    CheckpointEntry, CheckpointManifest, CheckpointState, Checkpoints, Newest, PartMeta, PartName, Retention,
    Skipped, Tensor, TensorInfo, TensorSource,
};
pub use corpus::Tokenizer;
pub use dataset::{
    Block as BlockEntry, Dataset, DatasetWriter, DocsEncoder, Draft, EncodedFile, File as FileEntry,
    MANIFEST, Manifest, PackedBlock, ShardFile, Source as SourceEntry, Span, TokensEncoder, Totals,
    count_samples, packing_name,
};
pub use error::StoreError;
pub use export::{get_safetensors, get_tokenizer, put_safetensors};
pub use location::{Location, Upload};
pub use retry::retry;
pub use run::{Claim, Packing, RunStore, Segment, Term};
