//! One folder per model family: configuration, objective, network, loss.
