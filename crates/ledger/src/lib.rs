//! The coordinator's brain: members, generations, votes, checkpoints. Events in, commands out.
