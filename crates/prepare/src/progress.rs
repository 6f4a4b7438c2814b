//! What a preparation tells of its progress. Knows nothing of how it is shown.

/// Hears how far a preparation is. Called from many threads.
pub trait Progress: Sync {
    /// A stage begins; `total_bytes` is what it has to go through, 0 if that is not known.
    fn stage(&self, name: &str, total_bytes: u64);
    /// Some more bytes of the stage are done.
    fn advance(&self, bytes: u64);
    /// Something that the user should know.
    fn message(&self, text: &str);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str, _total_bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
    fn message(&self, _text: &str) {}
}
