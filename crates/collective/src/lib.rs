//! All-reduce and broadcast between the processes of a generation.
