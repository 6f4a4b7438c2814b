//! How failures of a rendezvous store come back through C++. Knows only the public interface; what groups do is tested
//! where the trait is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aten::Error;
use aten::gloo::{ProcessGroup, RendezvousStore};

/// Fails in one of the ways a store can, and tells when it was dropped.
struct Broken {
    panics: bool,
    dropped: Arc<AtomicBool>,
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

impl RendezvousStore for Broken {
    fn set(&self, _: &str, _: &[u8]) -> Result<(), String> {
        assert!(!self.panics, "a bug in the store");
        Err("the coordinator went away".into())
    }

    fn get(&self, _: &str, _: Duration) -> Result<Vec<u8>, String> {
        Err("unreachable".into())
    }

    fn add(&self, _: &str, _: i64) -> Result<i64, String> {
        Err("unreachable".into())
    }

    fn contains(&self, _: &[&str]) -> Result<bool, String> {
        Err("unreachable".into())
    }
}

fn connect(panics: bool) -> String {
    let dropped = Arc::new(AtomicBool::new(false));
    let store = Arc::new(Broken { panics, dropped: dropped.clone() });
    let result = ProcessGroup::connect(store, 0, 2, "127.0.0.1", Duration::from_secs(5));
    assert!(dropped.load(Ordering::SeqCst), "the store leaked");
    match result {
        Err(Error::PeerLost(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_stores_own_words_arrive() {
    assert!(connect(false).contains("the coordinator went away"));
}

#[test]
fn a_panic_in_the_store_stays_in_rust() {
    assert!(connect(true).contains("a bug in the store"));
}

#[test]
fn the_store_is_released_when_the_address_is_bad() {
    let dropped = Arc::new(AtomicBool::new(false));
    let store = Arc::new(Broken { panics: true, dropped: dropped.clone() });
    let result = ProcessGroup::connect(store, 0, 2, "192.0.2.1", Duration::from_secs(5));
    assert!(matches!(result, Err(Error::Torch(_))), "{result:?}");
    assert!(dropped.load(Ordering::SeqCst), "the store leaked");
}
