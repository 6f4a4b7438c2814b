//! Weights, optimizer, one training step.
