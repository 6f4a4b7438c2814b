//! One file per command.

pub mod checkpoints;
pub mod control;
pub mod coordinator;
pub mod evaluate;
pub mod export;
pub mod fill_mask;
pub mod inspect;
pub mod prepare;
pub mod simulate;
pub mod status;
pub mod tokenizer;
pub mod train;
pub mod verify;
pub mod worker;
