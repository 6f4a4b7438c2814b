//! A member that is killed with SIGKILL, as a real process: the survivor must get an error at once. Knows only the
//! public interface, and meets its child through files.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use collective::{Error, Gloo, RendezvousStore};
use tch::{Device, Kind, Tensor};

const CHILD: &str = "COLLECTIVE_TEST_KILLED_CHILD";

/// One file per key.
struct Files(PathBuf);

impl RendezvousStore for Files {
    fn set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        let path = self.0.join(key.replace('/', "_"));
        let whole = path.with_extension("tmp");
        fs::write(&whole, value).and_then(|()| fs::rename(&whole, &path)).map_err(|error| error.to_string())
    }

    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, String> {
        let start = Instant::now();
        loop {
            match fs::read(self.0.join(key.replace('/', "_"))) {
                Ok(value) => return Ok(value),
                Err(error) if start.elapsed() >= timeout => return Err(error.to_string()),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn add(&self, _: &str, _: i64) -> Result<i64, String> {
        Err("not needed here".into())
    }

    fn contains(&self, keys: &[&str]) -> Result<bool, String> {
        Ok(keys.iter().all(|key| self.0.join(key.replace('/', "_")).exists()))
    }
}

fn member(store: &str, rank: usize) -> Gloo {
    let store = Arc::new(Files(store.into()));
    Gloo::connect(store, rank, 2, "127.0.0.1", Duration::from_secs(30)).expect("connects")
}

#[test]
fn a_killed_member_is_noticed_at_once() {
    let tensor = Tensor::ones([1_000_000], (Kind::Int64, Device::Cpu));
    if let Ok(store) = env::var(CHILD) {
        let group = member(&store, 1);
        group.all_reduce_sum(&tensor).expect("works before");
        println!("\nready");
        // Never takes part again: the parent is left waiting, until it kills us.
        thread::sleep(Duration::from_secs(60));
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().to_str().expect("UTF-8");
    let mut child = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "a_killed_member_is_noticed_at_once", "--nocapture"])
        .env(CHILD, store)
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let group = member(store, 0);
    group.all_reduce_sum(&tensor).expect("works before");
    assert!(tensor.eq(2).all().int64_value(&[]) != 0);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line == "ready")), "the child took part");

    let killer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        child.kill().expect("is killed");
        let killed = Instant::now();
        child.wait().expect("is gone");
        killed
    });
    let result = group.all_reduce_sum(&tensor);
    let noticed = Instant::now();
    let killed = killer.join().expect("kills");
    assert!(matches!(result, Err(Error::PeerLost(_))), "{result:?}");
    assert!(noticed - killed < Duration::from_secs(2), "{:?}", noticed - killed);
}
