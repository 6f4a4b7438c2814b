//! The rendezvous store: a Rust trait on one side, C callbacks for `c10d::Store` on the other. Knows no group and no
//! meaning of keys.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ffi::{self, Bytes};

/// Where the ranks of one generation find each other. Keys are the caller's to prefix: two generations that share keys
/// would find each other's dead addresses.
///
/// The calls block, and come from threads of the group. A failure ends the connecting; so failing a pending
/// [`get`](Self::get) is a way to call a generation off.
pub trait RendezvousStore: Send + Sync {
    /// Stores a value, replacing what was there.
    ///
    /// # Errors
    /// Says why the store cannot.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), String>;

    /// The value of a key. Blocks until it is there or `timeout` has passed.
    ///
    /// # Errors
    /// Says why the store cannot, or that the time is over.
    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, String>;

    /// Adds to a counter, 0 if it was not there, kept as decimal text; returns the sum.
    ///
    /// # Errors
    /// Says why the store cannot.
    fn add(&self, key: &str, amount: i64) -> Result<i64, String>;

    /// Whether all keys are there.
    ///
    /// # Errors
    /// Says why the store cannot.
    fn contains(&self, keys: &[&str]) -> Result<bool, String>;
}

struct Adapter {
    store: Arc<dyn RendezvousStore>,
    /// Gloo gives every key the full timeout; all of them together get no more than that.
    deadline: Instant,
}

/// Wraps a store for the shim, which calls `release` when it is done with it.
pub(super) fn into_callbacks(store: Arc<dyn RendezvousStore>, timeout: Duration) -> ffi::Store {
    let adapter = Box::new(Adapter { store, deadline: Instant::now() + timeout });
    ffi::Store { context: Box::into_raw(adapter).cast(), set, get, add, contains, release }
}

extern "C" fn set(context: *mut c_void, key: Bytes, value: Bytes, error: *mut c_void) -> i32 {
    answer(context, error, |adapter| adapter.store.set(text(&key)?, slice(&value))).map_or(1, |()| 0)
}

extern "C" fn get(context: *mut c_void, key: Bytes, timeout_ms: i64, out: *mut c_void) -> i32 {
    let value = answer(context, out, |adapter| {
        let left = adapter.deadline.saturating_duration_since(Instant::now());
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).min(left);
        adapter.store.get(text(&key)?, timeout)
    });
    value.map_or(1, |value| {
        assign(out, &value);
        0
    })
}

extern "C" fn add(context: *mut c_void, key: Bytes, amount: i64, sum: *mut i64, error: *mut c_void) -> i32 {
    answer(context, error, |adapter| adapter.store.add(text(&key)?, amount)).map_or(1, |value| {
        // SAFETY: the shim passes the address of a local variable.
        unsafe { *sum = value };
        0
    })
}

extern "C" fn contains(
    context: *mut c_void,
    keys: *const Bytes,
    n: usize,
    out: *mut i32,
    error: *mut c_void,
) -> i32 {
    let found = answer(context, error, |adapter| {
        // SAFETY: the shim lends n keys for the length of the call; the pointer is only read if there are any.
        let keys = if n == 0 { &[] } else { unsafe { std::slice::from_raw_parts(keys, n) } };
        let keys = keys.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        adapter.store.contains(&keys)
    });
    found.map_or(1, |found| {
        // SAFETY: the shim passes the address of a local variable.
        unsafe { *out = i32::from(found) };
        0
    })
}

extern "C" fn release(context: *mut c_void) {
    // SAFETY: made by Box::into_raw in into_callbacks; the shim calls this once, last.
    let adapter = unsafe { Box::from_raw(context.cast::<Adapter>()) };
    // A panic in the store's Drop has nowhere to go: C++ is waiting below.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(adapter)));
}

/// Calls the store; a failure or a panic ends as a message in the error buffer.
fn answer<T>(
    context: *mut c_void,
    error: *mut c_void,
    call: impl FnOnce(&Adapter) -> Result<T, String>,
) -> Option<T> {
    // SAFETY: made by Box::into_raw in into_callbacks and not released before the last call.
    let adapter = unsafe { &*context.cast::<Adapter>() };
    let result = catch_unwind(AssertUnwindSafe(|| call(adapter)))
        .unwrap_or_else(|panic| Err(format!("the store panicked: {}", panic_message(&*panic))));
    result.map_err(|message| assign(error, message.as_bytes())).ok()
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn assign(buffer: *mut c_void, content: &[u8]) {
    // SAFETY: the shim lends the buffer for the length of the callback, and copies the content.
    unsafe { ffi::cloze_buffer_assign(buffer, Bytes { data: content.as_ptr(), len: content.len() }) };
}

fn slice(bytes: &Bytes) -> &[u8] {
    if bytes.len == 0 {
        return &[];
    }
    // SAFETY: the shim lends that many bytes for the length of the callback, and the result borrows the argument.
    unsafe { std::slice::from_raw_parts(bytes.data, bytes.len) }
}

fn text(bytes: &Bytes) -> Result<&str, String> {
    std::str::from_utf8(slice(bytes)).map_err(|_| "the key is not UTF-8".into())
}
