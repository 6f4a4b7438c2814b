//! The switches of the runtime; they are global, so they have a process of their own. Knows only the public interface.

use std::thread;

use aten::{Error, runtime};

/// One test, because tests run at the same time.
#[test]
fn switches_and_facts() {
    assert!(matches!(runtime::set_threads(0), Err(Error::Torch(_))));
    runtime::set_threads(2).unwrap();
    assert_eq!((tch::get_num_threads(), tch::get_num_interop_threads()), (2, 1));
    // Again, with another number: a plan may change between runs of one process.
    runtime::set_threads(1).unwrap();
    assert_eq!(tch::get_num_threads(), 1);
    // The numbers in the plan hold whichever thread computes.
    assert_eq!(thread::spawn(tch::get_num_threads).join().unwrap(), 1);

    runtime::set_deterministic(true).unwrap();
    runtime::set_deterministic(false).unwrap();

    assert!(runtime::version().starts_with("2.11."), "{}", runtime::version());
    assert!(!runtime::cpu_capability().is_empty());
}
