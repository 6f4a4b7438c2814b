//! A worker's session with the coordinator: prefetch, masking, and the engine it drives.
