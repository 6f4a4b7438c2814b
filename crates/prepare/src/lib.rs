//! Raw corpora to a Parquet dataset.
