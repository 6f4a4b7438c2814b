//! `faulty-s3`: the server as a process. Says where it listens, and ends when its input does: whoever started it may
//! be killed at any moment and leaves no server behind.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use faulty_s3::{Delay, Dialect, Rates, Server};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// An S3 server on a folder, whose folders are the buckets.
#[derive(Debug, Parser)]
#[command(after_help = "Example: faulty-s3 --folder /tmp/s3 --bucket runs --share 0.05 --seed 7")]
struct Arguments {
    /// Where objects are kept.
    #[arg(long)]
    folder: PathBuf,
    /// A bucket that is to be there.
    #[arg(long)]
    bucket: Vec<String>,
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The share of requests that something happens to.
    #[arg(long, default_value_t = 0.0)]
    share: f64,
    /// The share of checkpoints' parts that are stored in half and said to be stored.
    #[arg(long, default_value_t = 0.0)]
    lies: f64,
    /// Milliseconds from one storm of 503 to the next; 0 for none.
    #[arg(long, default_value_t = 0)]
    storm_every_ms: u64,
    /// Milliseconds that a storm lasts.
    #[arg(long, default_value_t = 2_000)]
    storm_ms: u64,
    /// Milliseconds that every request takes.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Only requests for objects whose names contain this take so long.
    #[arg(long, value_name = "TEXT", default_value = "")]
    delay_key: String,
    /// Drop the headers of conditional requests.
    #[arg(long, conflicts_with = "google")]
    without_conditions: bool,
    /// Speak the dialect of Google's XML interface.
    #[arg(long)]
    google: bool,
    /// Encrypt, and write the certificate of the authority to be believed to this file.
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let arguments = Arguments::parse();
    for bucket in &arguments.bucket {
        std::fs::create_dir_all(arguments.folder.join(bucket))?;
    }
    let rates = Rates {
        seed: arguments.seed,
        share: arguments.share,
        lies: arguments.lies,
        storm_every: Duration::from_millis(arguments.storm_every_ms),
        storm: Duration::from_millis(arguments.storm_ms),
    };
    let delay = Delay { time: Duration::from_millis(arguments.delay_ms), key: arguments.delay_key };
    let dialect = match (arguments.without_conditions, arguments.google) {
        (true, _) => Dialect::Unconditional,
        (_, true) => Dialect::Google,
        _ => Dialect::S3,
    };
    let server = Server::new(&arguments.folder, rates, dialect)?.with_delay(delay);
    let mut tls = None;
    if let Some(file) = &arguments.tls {
        let (acceptor, authority) = faulty_s3::tls::for_this_machine()?;
        std::fs::write(file, authority)?;
        tls = Some(acceptor);
    }
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("{scheme}://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let mut input = tokio::io::stdin();
    let ended = async move { while input.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        () = ended => {}
        never = server.serve(listener, tls) => match never {},
    }
    Ok(())
}
