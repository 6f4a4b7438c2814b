//! The coordinator's key-value store, seen from a blocked thread. Keys are prefixed with the generation, so that
//! nothing of an earlier one can be found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tonic::transport::Channel;
use wire::v1;
use wire::v1::coordinator_client::CoordinatorClient;

use crate::Rendezvous;
use crate::interrupt::Interrupt;

/// A wait is made of slices, so that the end of the generation is noticed within one.
const SLICE: Duration = Duration::from_millis(500);

pub(crate) struct RemoteRendezvous {
    pub(crate) client: CoordinatorClient<Channel>,
    pub(crate) runtime: Handle,
    pub(crate) session: u64,
    pub(crate) generation: u64,
    pub(crate) interrupt: Arc<Interrupt>,
}

impl RemoteRendezvous {
    fn key(&self, key: &str) -> String {
        format!("{:012}/{key}", self.generation)
    }
}

fn words(status: tonic::Status) -> String {
    format!("the coordinator's rendezvous failed: {}", status.message())
}

impl Rendezvous for RemoteRendezvous {
    fn set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        let request = v1::RendezvousSetRequest { key: self.key(key), value: value.to_vec() };
        self.runtime.block_on(self.client.clone().rendezvous_set(request)).map_err(words)?;
        Ok(())
    }

    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, String> {
        let deadline = Instant::now() + timeout;
        loop {
            if self.interrupt.is_over(self.session, self.generation) {
                return Err(format!("generation {} is over", self.generation));
            }
            let slice = SLICE.min(deadline.saturating_duration_since(Instant::now()));
            let request =
                v1::RendezvousGetRequest { key: self.key(key), timeout_ms: slice.as_millis() as u64 };
            match self.runtime.block_on(self.client.clone().rendezvous_get(request)) {
                Ok(found) => return Ok(found.into_inner().value),
                Err(status) if status.code() != tonic::Code::DeadlineExceeded => return Err(words(status)),
                Err(_) if Instant::now() >= deadline => return Err(format!("nobody set {key} in time")),
                Err(_) => {}
            }
        }
    }

    fn add(&self, key: &str, amount: i64) -> Result<i64, String> {
        let request = v1::RendezvousAddRequest { key: self.key(key), amount };
        let added = self.runtime.block_on(self.client.clone().rendezvous_add(request)).map_err(words)?;
        Ok(added.into_inner().value)
    }

    fn check(&self, keys: &[&str]) -> Result<bool, String> {
        let request = v1::RendezvousCheckRequest { keys: keys.iter().map(|key| self.key(key)).collect() };
        let found = self.runtime.block_on(self.client.clone().rendezvous_check(request)).map_err(words)?;
        Ok(found.into_inner().all_there)
    }
}
