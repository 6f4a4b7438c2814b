//! The gRPC protocol and the only conversions between it and domain types.
