//! Whole runs with real processes, as a user starts them.

mod bits;
mod elastic;
mod export;
mod families;
mod mistakes;
mod services;
mod storage;
