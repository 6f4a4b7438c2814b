//! A rendezvous store in memory, for ranks that are threads of one process. Knows no network.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::RendezvousStore;

/// Keys and values behind a lock.
#[derive(Debug, Default)]
pub struct MemoryStore {
    entries: Mutex<BTreeMap<String, Vec<u8>>>,
    changed: Condvar,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RendezvousStore for MemoryStore {
    fn set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.lock().insert(key.into(), value.into());
        self.changed.notify_all();
        Ok(())
    }

    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, String> {
        let (entries, _) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |entries| !entries.contains_key(key))
            .unwrap_or_else(PoisonError::into_inner);
        entries.get(key).cloned().ok_or_else(|| format!("nobody set it within {timeout:?}"))
    }

    fn add(&self, key: &str, amount: i64) -> Result<i64, String> {
        let mut entries = self.lock();
        let before = match entries.get(key) {
            None => 0,
            Some(text) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse::<i64>().ok())
                .ok_or("the value is no number")?,
        };
        let sum = before.checked_add(amount).ok_or("the counter overflows")?;
        entries.insert(key.into(), sum.to_string().into_bytes());
        self.changed.notify_all();
        Ok(sum)
    }

    fn contains(&self, keys: &[&str]) -> Result<bool, String> {
        let entries = self.lock();
        Ok(keys.iter().all(|key| entries.contains_key(*key)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn get_waits_for_the_value_and_gives_up_in_time() {
        let store = Arc::new(MemoryStore::new());
        assert!(store.get("a", Duration::from_millis(10)).unwrap_err().contains("10ms"));
        let other = store.clone();
        let waiting = thread::spawn(move || other.get("a", Duration::from_secs(10)));
        store.set("a", b"1").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), b"1");
    }

    #[test]
    fn add_counts_and_refuses_what_is_no_number() {
        let store = MemoryStore::new();
        assert_eq!(store.add("n", 2), Ok(2));
        assert_eq!(store.add("n", -5), Ok(-3));
        assert_eq!(store.get("n", Duration::ZERO).unwrap(), b"-3");
        assert_eq!(store.contains(&["n"]), Ok(true));
        assert_eq!(store.contains(&["n", "m"]), Ok(false));
        store.set("n", b"x").unwrap();
        assert!(store.add("n", 1).is_err());
    }
}
