//! Helpers of the end-to-end tests: a workplace with a small corpus, and `cloze` as a process. Everything is done
//! through the program as a user has it; nothing here reaches inside.

mod s3;
mod system;

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plan::Key;
use serde_json::Value;

pub use s3::S3;
pub use system::{copy, files_below, free_port, kill, python, sha256, signal};

/// A folder with a corpus, its dataset and some runs. Gone with the test.
pub struct Workplace {
    folder: tempfile::TempDir,
    /// What its commands find in their environment.
    environment: Vec<(&'static str, String)>,
}

/// The end of a finished command.
#[derive(Debug)]
pub struct Done {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Done {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

impl Done {
    /// The command worked.
    pub fn expect_success(self) -> Self {
        assert_eq!(self.code, 0, "failed: {}\n{}", self.out, self.err);
        self
    }

    /// The command failed with this exit code, and said all of this.
    pub fn expect_failure(self, code: i32, said: &[&str]) {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        for part in said {
            assert!(self.err.contains(part), "{part:?} is not in: {}", self.err);
        }
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }
}

/// The programs under test, beside the tests' own binary.
///
/// # Panics
/// If they were not built.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("target/<profile>/deps/<test>").to_owned();
    let program = folder.join(name);
    assert!(program.exists(), "{} is not built; run `cargo xtask test`", program.display());
    program
}

/// Small enough for a test, large enough for several lanes and blocks.
pub const RECIPE: &str = r#"
[run]
name = "run"
seed = 7
[data]
dataset = "dataset"
lanes = 8
window = 2
[model]
family = "roberta"
layers = 2
hidden = 32
heads = 2
feed_forward = 64
max_positions = 64
[objective]
max_len = 64
[train]
steps = 60
batch = 28
micro_batch = 4
[optimizer]
kind = "fairseq-adam"
peak_learning_rate = 2e-3
betas = [0.9, 0.98]
epsilon = 1e-6
weight_decay = 0.01
[schedule]
warmup_steps = 10
[checkpoint]
every = 20
"#;

const CORPUS: &str = r#"
[dataset]
out = "dataset"
seed = 3
chunk_bytes = 640
block_bytes = 5120
shard_bytes = 40960
[tokenizer]
kind = "byte-level-bpe"
vocab_size = 400
[[source]]
name = "tales"
format = "text"
paths = ["corpus"]
"#;

impl Workplace {
    /// A workplace with a corpus, without a dataset.
    ///
    /// # Panics
    /// If the disk does not let us.
    pub fn with_corpus() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = Workplace { folder, environment: Vec::new() };
        place.write("corpus.toml", CORPUS);
        place.write("run.toml", RECIPE);
        for book in 0..12 {
            place.write(&format!("corpus/book-{book:02}.txt"), &tale(book));
        }
        place
    }

    /// A workplace with a dataset.
    pub fn prepared() -> Self {
        let place = Self::with_corpus();
        place.cloze(&["prepare", "corpus.toml"]).expect_success();
        place
    }

    /// Starts an S3 server on the folder `s3` with the bucket `runs`; every command finds it from now on.
    ///
    /// # Panics
    /// If it does not start.
    pub fn with_s3(&mut self, faults: &[&str]) -> S3 {
        let server = S3::start(&self.path("s3"), faults);
        self.environment = vec![
            ("AWS_ACCESS_KEY_ID", "cloze".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "masked-language-model".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", server.url.clone()),
            // Silence is noticed soon.
            ("AWS_TIMEOUT", "2s".to_owned()),
        ];
        server
    }

    /// Every command finds this in its environment from now on.
    pub fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// A file or folder in the workplace.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Panics
    /// If the disk does not let us.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// `cloze` in the workplace, ready to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("cloze"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // The tests' own libtorch must not be found by accident: finding it is a part of the program.
        command.env_remove("LD_LIBRARY_PATH").env_remove("LIBTORCH");
        command
    }

    /// Runs `cloze` to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn cloze(&self, arguments: &[&str]) -> Done {
        self.command(arguments).output().expect("cloze can be started").into()
    }

    /// Starts `cloze train run.toml` with JSON updates.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn train(&self, name: &str, workers: u32, more: &[&str]) -> Training {
        let (workers, name) = (workers.to_string(), format!("run.name={name}"));
        let mut arguments = vec!["train", "run.toml", "--json", "--workers", &workers, "--set", &name];
        arguments.extend(more);
        Training::start(self.command(&arguments))
    }

    /// Starts `cloze coordinator run.toml` with JSON updates.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn coordinator(&self, name: &str, port: u16, more: &[&str]) -> Training {
        let (listen, name) = (format!("127.0.0.1:{port}"), format!("run.name={name}"));
        let mut arguments = vec!["coordinator", "run.toml", "--json", "--listen", &listen, "--set", &name];
        arguments.extend(more);
        Training::start(self.command(&arguments))
    }

    /// Starts `cloze worker`, which waits for its coordinator for a minute.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn worker(&self, port: u16) -> Child {
        self.worker_at("127.0.0.1", port)
    }

    /// A worker process that tells the others this address.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn worker_at(&self, address: &str, port: u16) -> Child {
        let url = format!("http://127.0.0.1:{port}");
        let arguments = ["worker", "--coordinator", &url, "--address", address, "--patience-s", "60"];
        self.command(&arguments).stderr(Stdio::null()).spawn().expect("cloze can be started")
    }

    /// Trains to the end and exports; the hash of the weights.
    pub fn weights_of(&self, name: &str, workers: u32, more: &[&str]) -> String {
        self.train(name, workers, more).finish().expect_success();
        self.export(name)
    }

    /// What `cloze verify` says of a run whose record is whole.
    ///
    /// # Panics
    /// If it is not.
    pub fn verified(&self, name: &str) -> Value {
        let done = self.cloze(&["verify", &run_place(name), "--json"]).expect_success();
        serde_json::from_str(&done.out).expect("JSON")
    }

    /// Exports a run whose record is whole; the SHA-256 of its weights.
    ///
    /// # Panics
    /// If there is nothing exported.
    pub fn export(&self, name: &str) -> String {
        let _ = self.verified(name);
        let to = format!("hf-{}", name.rsplit('/').next().unwrap_or(name));
        self.cloze(&["export", &run_place(name), "--to", &to]).expect_success();
        sha256(&self.path(&to).join("model.safetensors"))
    }
}

/// A run's place, by its name or as it is.
fn run_place(name: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("runs/{name}") }
}

/// A training in progress.
pub struct Training {
    child: Child,
    updates: BufReader<std::process::ChildStdout>,
    errors: Option<std::thread::JoinHandle<String>>,
    over: Arc<AtomicBool>,
    /// All updates so far.
    pub seen: Vec<Value>,
}

impl Training {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("cloze can be started");
        let updates = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut stderr = child.stderr.take().expect("it is piped");
        // Read at once: a process whose errors nobody reads stops when the pipe is full.
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let over = Arc::new(AtomicBool::new(false));
        end_what_hangs(child.id(), over.clone());
        Training { child, updates, errors: Some(errors), over, seen: Vec::new() }
    }

    /// Sends SIGKILL, and waits until it has come.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn kill(&mut self) {
        kill(self.child.id());
        self.child.wait().expect("its end");
        self.over.store(true, Ordering::Relaxed);
    }

    /// Reads updates until one fits; `None` if the training ends before.
    ///
    /// # Panics
    /// If an update is not JSON.
    pub fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.updates.read_line(&mut line).expect("a line") == 0 {
                return None;
            }
            let update: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.seen.push(update.clone());
            if fits(&update) {
                return Some(update);
            }
        }
    }

    /// Waits until a step is committed.
    ///
    /// # Panics
    /// If the training ends before.
    pub fn wait_for_step(&mut self, step: u64) {
        let there = self.wait_for(|update| update["step"].as_u64() >= Some(step) && update["kind"] == "step");
        assert!(there.is_some(), "the training ended before step {step}: {:?}", self.seen.last());
    }

    /// The last committed step that was read of.
    pub fn last_step(&self) -> u64 {
        let mut steps = self.seen.iter().rev().filter(|update| update["kind"] == "step");
        steps.find_map(|update| update["step"].as_u64()).unwrap_or(0)
    }

    /// The coordinator's URL, from the first lines.
    ///
    /// # Panics
    /// If the training does not say it.
    pub fn url(&mut self) -> String {
        let of = |update: &Value| Some(update["text"].as_str()?.strip_prefix("coordinator at ")?.to_owned());
        if let Some(url) = self.seen.iter().find_map(of) {
            return url;
        }
        self.wait_for(|update| of(update).is_some()).as_ref().and_then(of).expect("the coordinator's address")
    }

    /// The process id of `cloze train` itself.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The process ids of the members, in no particular order.
    ///
    /// # Panics
    /// If the coordinator does not answer.
    pub fn member_processes(&mut self, place: &Workplace) -> Vec<u32> {
        let url = self.url();
        let status = place.cloze(&["status", &url, "--json"]).expect_success();
        let status: Value = serde_json::from_str(&status.out).expect("JSON");
        let workers = status["workers"].as_array().expect("workers").iter();
        let members = workers.filter(|worker| worker["member"] == true);
        let process = |worker: &Value| worker["name"].as_str()?.rsplit(':').next()?.parse().ok();
        members.filter_map(process).collect()
    }

    /// Reads all that is left, and waits for the end.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn finish(&mut self) -> Done {
        self.wait_for(|_| false);
        let errors = self.errors.take().map(|thread| thread.join().expect("a reader"));
        let err = errors.unwrap_or_default();
        let status = self.child.wait().expect("its end");
        self.over.store(true, Ordering::Relaxed);
        let out = self.seen.iter().map(|update| format!("{update}\n")).collect();
        Done { code: status.code().unwrap_or(-1), out, err }
    }

    /// The losses by step; a step that was committed more than once must always have had the same.
    ///
    /// # Panics
    /// If it had not.
    pub fn losses(&self) -> std::collections::BTreeMap<u64, f64> {
        let mut losses = std::collections::BTreeMap::new();
        for update in self.seen.iter().filter(|update| update["kind"] == "step") {
            let (step, loss) =
                (update["step"].as_u64().expect("a step"), update["loss"].as_f64().expect("a loss"));
            let before = losses.insert(step, loss);
            assert!(before.is_none_or(|before| before == loss), "step {step} had two losses");
        }
        losses
    }
}

/// A run of these tests takes seconds; one that takes minutes hangs, and must fail instead of holding everything up.
fn end_what_hangs(process: u32, over: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(300));
        if !over.load(Ordering::Relaxed) {
            kill(process);
        }
    });
}

/// Sentences that follow rules, so that there is something to learn.
fn tale(book: u64) -> String {
    const WHO: [(&str, &str); 6] = [
        ("the baker", "bread"),
        ("the smith", "horseshoes"),
        ("the weaver", "blankets"),
        ("the potter", "jars"),
        ("the fisher", "nets"),
        ("the gardener", "roses"),
    ];
    const WHEN: [&str; 5] = ["In spring", "At noon", "Before dawn", "On Sunday", "After the rain"];
    const WHERE: [&str; 5] =
        ["by the river", "in the square", "near the mill", "at the gate", "under the elms"];
    let mut stream = Key::root(book).named("tale").stream();
    let mut pick = |count: usize| stream.below(count as u64) as usize;
    let mut text = String::new();
    for paragraph in 0..60 {
        for _ in 0..4 {
            let (who, what) = WHO[pick(WHO.len())];
            let (when, place) = (WHEN[pick(WHEN.len())], WHERE[pick(WHERE.len())]);
            text.push_str(&format!("{when}, {who} made {what} {place}. "));
        }
        text.push_str(&format!("So ended day {paragraph} of book {book}.\n\n"));
    }
    text
}
