//! The key-value store through which the members of a generation exchange addresses. Knows nothing of what the values
//! mean; forgets what belongs to generations that are over.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;

/// Keys look like `<generation, 12 digits>/<name>`, so that their order is the order of generations.
#[derive(Debug, Default)]
pub(crate) struct Rendezvous {
    values: Mutex<BTreeMap<String, Vec<u8>>>,
    changed: Notify,
}

impl Rendezvous {
    fn values(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        // Nothing panics while the lock is held; if it ever does, the map is still a map.
        self.values.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn set(&self, key: String, value: Vec<u8>) {
        self.values().insert(key, value);
        self.changed.notify_waiters();
    }

    /// Adds to a counter and returns its new value. Counters are kept as decimal text, as c10d's stores do.
    pub(crate) fn add(&self, key: String, amount: i64) -> i64 {
        let mut values = self.values();
        let entry = values.entry(key).or_default();
        let old: i64 = std::str::from_utf8(entry).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let new = old.wrapping_add(amount);
        *entry = new.to_string().into_bytes();
        drop(values);
        self.changed.notify_waiters();
        new
    }

    pub(crate) fn check(&self, keys: &[String]) -> bool {
        let values = self.values();
        keys.iter().all(|key| values.contains_key(key))
    }

    /// Waits until the key is there; `None` if it is not within the time.
    pub(crate) async fn get(&self, key: &str, timeout: Duration) -> Option<Vec<u8>> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(value) = self.values().get(key) {
                return Some(value.clone());
            }
            tokio::time::timeout_at(deadline, changed).await.ok()?;
        }
    }

    /// Forgets all keys of generations below `generation`.
    pub(crate) fn forget_before(&self, generation: u64) {
        let mut values = self.values();
        *values = values.split_off(&format!("{generation:012}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_reader_waits_for_the_writer_and_not_longer_than_it_said() {
        let rendezvous = Arc::new(Rendezvous::default());
        let reader = {
            let rendezvous = rendezvous.clone();
            tokio::spawn(async move { rendezvous.get("000000000001/a", Duration::from_secs(10)).await })
        };
        tokio::task::yield_now().await;
        rendezvous.set("000000000001/a".into(), vec![7]);
        assert_eq!(reader.await.unwrap(), Some(vec![7]));
        assert_eq!(rendezvous.get("absent", Duration::from_millis(5)).await, None);
    }

    #[test]
    fn old_generations_are_forgotten() {
        let rendezvous = Rendezvous::default();
        assert_eq!(
            (rendezvous.add("000000000001/n".into(), 2), rendezvous.add("000000000001/n".into(), 3)),
            (2, 5)
        );
        rendezvous.set("000000000002/x".into(), vec![]);
        rendezvous.forget_before(2);
        assert!(!rendezvous.check(&["000000000001/n".into()]));
        assert!(rendezvous.check(&["000000000002/x".into()]));
    }
}
