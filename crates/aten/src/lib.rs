//! The libtorch operators that tch does not expose.
