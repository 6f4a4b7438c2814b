//! Preparations with real processes: the same bytes whatever happens, damaged inputs, and what other tools make of the
//! result.

mod bytes;
mod damage;
mod open;
mod remote;
