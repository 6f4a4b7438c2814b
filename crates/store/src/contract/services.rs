//! Real storage services on this machine, started once for all tests. What is not installed is reported as skipped.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path as FsPath, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use faulty_s3::{ACCESS_KEY, Dialect, Rates, SECRET_KEY, Server};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ClientOptions, ObjectStore};

use crate::Location;

const BUCKET: &str = "runs";
/// How long a service may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a client of a service.
type Client = Box<dyn Fn() -> Arc<dyn ObjectStore> + Send + Sync>;

/// A service that runs, or why it does not.
pub struct Service {
    pub name: &'static str,
    client: Result<Client, String>,
}

impl Service {
    /// A place of its own for a test, and a client: its connections end with the test's runtime.
    pub fn place(&self) -> Result<Location, &str> {
        static TESTS: AtomicU64 = AtomicU64::new(0);
        let test = TESTS.fetch_add(1, Ordering::Relaxed);
        let client = self.client.as_ref().map_err(String::as_str)?;
        Ok(Location::of(client(), &format!("test-{test}/run with a space")))
    }
}

/// Those that keep conditions.
pub fn all() -> &'static [Service] {
    static ALL: OnceLock<Vec<Service>> = OnceLock::new();
    ALL.get_or_init(|| {
        vec![
            Service { name: "s3s-fs", client: Ok(s3(s3s(Dialect::S3), ACCESS_KEY, SECRET_KEY)) },
            Service { name: "s3s-fs in Google's dialect", client: Ok(google(&s3s(Dialect::Google))) },
            Service { name: "moto", client: moto() },
            Service { name: "Azurite", client: azurite() },
        ]
    })
}

/// An S3 server that takes every conditional write, as older ones do.
pub fn without_conditions() -> Location {
    Location::of(s3(s3s(Dialect::Unconditional), ACCESS_KEY, SECRET_KEY)(), "run")
}

fn s3(endpoint: String, key: &str, secret: &str) -> Client {
    let builder =
        AmazonS3Builder::new().with_endpoint(endpoint).with_allow_http(true).with_bucket_name(BUCKET);
    let builder = builder.with_access_key_id(key).with_secret_access_key(secret).with_region("us-east-1");
    Box::new(move || Arc::new(builder.clone().build().unwrap()))
}

fn google(endpoint: &str) -> Client {
    let builder = GoogleCloudStorageBuilder::new().with_base_url(endpoint).with_bucket_name(BUCKET);
    let builder = builder.with_service_account_key(faulty_s3::GOOGLE_KEY);
    let builder = builder.with_client_options(ClientOptions::new().with_allow_http(true));
    Box::new(move || Arc::new(builder.clone().build().unwrap()))
}

/// Where it listens.
fn s3s(dialect: Dialect) -> String {
    static FOLDERS: Mutex<Vec<tempfile::TempDir>> = Mutex::new(Vec::new());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let server = Server::new(folder.path(), Rates::NONE, dialect).unwrap();
    FOLDERS.lock().unwrap().push(folder);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = async { tokio::net::TcpListener::from_std(listener).unwrap() };
        runtime.block_on(async { server.serve(listener.await, None).await })
    });
    format!("http://{address}")
}

/// Its process ends with its input, that is with this one, however that ends.
fn moto() -> Result<Client, String> {
    const SCRIPT: &str = "
import os, sys, logging
import boto3
from moto.server import ThreadedMotoServer
logging.getLogger('werkzeug').setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
url = 'http://%s:%d' % server.get_host_and_port()
keys = dict(aws_access_key_id='cloze', aws_secret_access_key='secret', region_name='us-east-1')
boto3.client('s3', endpoint_url=url, **keys).create_bucket(Bucket='runs')
print(url, flush=True)
sys.stdin.read()
os._exit(0)
";
    let python = venv().join("bin/python");
    let url = started(Command::new(python).args(["-c", SCRIPT]), "http://").map_err(|reason| {
        format!("moto does not start ({reason}); `cargo xtask setup --reference` installs it")
    })?;
    Ok(s3(url, "cloze", "secret"))
}

fn azurite() -> Result<Client, String> {
    // The account and key that every Azurite has; they are in its documentation.
    const ACCOUNT: &str = "devstoreaccount1";
    const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    const SCRIPT: &str = "
const http = require('http'), crypto = require('crypto'), [account, key] = process.argv.splice(1, 2, 'azurite');
process.stdin.resume(); process.stdin.on('end', () => process.exit(0));
const log = console.log;
console.log = (line) => {
  const url = /(http:\\S+)/.exec(line);
  if (!/listens on/.test(line) || !url) return;
  const date = new Date().toUTCString(), path = `/${account}/runs?restype=container`;
  const signed = 'PUT' + '\\n'.repeat(12) + `x-ms-date:${date}\\nx-ms-version:2021-08-06\\n/${account}/${account}/runs\\nrestype:container`;
  const hash = crypto.createHmac('sha256', Buffer.from(key, 'base64')).update(signed).digest('base64');
  const headers = {'x-ms-date': date, 'x-ms-version': '2021-08-06', 'content-length': 0, authorization: `SharedKey ${account}:${hash}`};
  http.request(url[1] + path, {method: 'PUT', headers}, (answer) => {
    log(answer.statusCode == 201 ? url[1] : 'no container: ' + answer.statusCode); answer.resume();
  }).end();
};
require('azurite/dist/src/blob/main.js');
";
    let modules = venv().join("node/node_modules");
    let mut node = Command::new("node");
    node.env("NODE_PATH", modules).args(["-e", SCRIPT, "--", ACCOUNT, KEY]);
    node.args(["--inMemoryPersistence", "--blobPort", "0", "--skipApiVersionCheck", "--disableTelemetry"]);
    let url = started(&mut node, "http://").map_err(|reason| {
        format!(
            "Azurite does not start ({reason}); `cargo xtask setup --reference` installs it where Node.js is"
        )
    })?;
    let builder =
        MicrosoftAzureBuilder::new().with_account(ACCOUNT).with_access_key(KEY).with_allow_http(true);
    let builder = builder.with_endpoint(format!("{url}/{ACCOUNT}")).with_container_name(BUCKET);
    Ok(Box::new(move || Arc::new(builder.clone().build().unwrap())))
}

fn venv() -> PathBuf {
    FsPath::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv")
}

/// Starts a service and waits for the line that says where it is.
fn started(command: &mut Command, begins: &str) -> Result<String, String> {
    static RUNNING: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, said) = std::sync::mpsc::channel();
    let begins = begins.to_owned();
    // Reads on after that line: a service that nobody listens to stops when the pipe is full.
    std::thread::spawn(move || {
        let line = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with(&begins));
        let _ = sender.send(line);
        lines.for_each(drop);
    });
    let Ok(Some(line)) = said.recv_timeout(PATIENCE) else {
        let _ = child.kill();
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(errors
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("no word")
            .to_owned());
    };
    let mut errors = child.stderr.take().unwrap();
    std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    child.stdin.as_mut().unwrap().flush().unwrap();
    RUNNING.lock().unwrap().push(child);
    Ok(line)
}
