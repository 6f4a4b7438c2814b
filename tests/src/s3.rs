//! An S3 server that fails on purpose, as a process. Knows nothing of what is kept there.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::program;

/// An S3 server that fails on purpose, as a process. It ends with the test.
pub struct S3 {
    child: Child,
    /// Where it listens.
    pub url: String,
}

impl S3 {
    pub(crate) fn start(folder: &Path, faults: &[&str]) -> Self {
        let mut command = Command::new(program("faulty-s3"));
        command.arg("--folder").arg(folder).args(["--bucket", "runs"]).args(faults);
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.expect("faulty-s3 can be started");
        let mut url = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut url).expect("its address");
        S3 { child, url: url.trim().to_owned() }
    }

    /// How many requests met which fault.
    ///
    /// # Panics
    /// If the server does not answer.
    pub fn faults(&self) -> std::collections::BTreeMap<String, u64> {
        let address = self.url.strip_prefix("http://").expect("an address");
        let mut stream = std::net::TcpStream::connect(address).expect("a server");
        stream
            .write_all(b"GET /_faults HTTP/1.1\r\nHost: s3\r\nConnection: close\r\n\r\n")
            .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
