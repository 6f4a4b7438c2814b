//! Prepared datasets: a manifest, the texts of all rows and their tokens, in Parquet. A row group is a block: the
//! unit of reading, checksum and shuffle. Knows neither where rows come from nor what is trained on them.

mod manifest;
mod read;
mod samples;
mod shard;
#[cfg(test)]
mod tests;
mod write;

pub use manifest::{Block, File, Manifest, Source, Span, Totals};
pub use read::Dataset;
pub use samples::{PackedBlock, count_samples, packing_name};
pub use shard::ShardFile;
pub use write::{DatasetWriter, DocsEncoder, Draft, EncodedFile, TokensEncoder};

/// The object that makes a dataset: written last, on condition that there is none.
pub const MANIFEST: &str = "manifest.json";

/// How hashes are written: XXH3-128, 32 hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}
