//! The coordinator: gRPC, clock and storage around the ledger.
