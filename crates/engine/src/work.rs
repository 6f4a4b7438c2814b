//! A worker process: signals, logs, and a session that drives a trainer.

use std::net::{ToSocketAddrs, UdpSocket};
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use worker::{Options, StepEngine, WorkerError};

use crate::step::TorchEngine;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The coordinator's URL.
    #[arg(long)]
    coordinator: String,
    /// Where to compute.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// The address under which other workers reach this machine.
    #[arg(long)]
    address: Option<String>,
    /// Seconds to wait for a coordinator that does not answer.
    #[arg(long, default_value_t = 600)]
    patience_s: u64,
}

/// Serves one run. On failure: the exit code (2: the input is wrong; 3: nobody wants this worker; 1: another one may do
/// better) and what to say.
pub fn run(arguments: Arguments) -> Result<(), (u8, String)> {
    start_log();
    if arguments.device != "cpu" {
        return Err((
            2,
            format!("device {} is not supported by this build; use --device cpu", arguments.device),
        ));
    }
    let address = match &arguments.address {
        Some(address) if !is_of_this_machine(address) => {
            return Err((
                2,
                format!(
                    "--address {address} is no address of this machine; others must reach it, and this worker listen on it"
                ),
            ));
        }
        Some(address) => address.clone(),
        None => local_address(&arguments.coordinator).ok_or_else(|| {
            (2, format!("no way to {}; name this machine's --address", arguments.coordinator))
        })?,
    };
    let options = Options {
        coordinator: arguments.coordinator,
        id: uuid::Uuid::new_v4().as_u64_pair().0,
        name: format!("{}:{}", host_name(), std::process::id()),
        address,
        platform: trainer::platform(),
        patience: Duration::from_secs(arguments.patience_s),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| (1, format!("cannot start: {error}")))?;
    let served = runtime.block_on(async {
        let (leave, leaving) = watch::channel(false);
        tokio::spawn(leave_on_signal(leave));
        worker::run(options, leaving, |setup| {
            TorchEngine::new(&setup).map(|engine| Box::new(engine) as Box<dyn StepEngine>)
        })
        .await
    });
    if let Err(error @ WorkerError::Stuck { .. }) = &served {
        // Its thread may hold locks of libraries, so that nothing but this ends the process for certain; whoever
        // supervises it starts another.
        tracing::error!(%error, "the process ends");
        std::process::abort();
    }
    runtime.shutdown_timeout(Duration::from_millis(100));
    served.map_err(|error| match (error.is_bad_input(), error.is_not_wanted()) {
        (true, _) => (2, error.to_string()),
        (_, true) => (3, error.to_string()),
        _ => (1, error.to_string()),
    })
}

/// SIGTERM is a clean leave: finish the step, go, nobody notices.
async fn leave_on_signal(leave: watch::Sender<bool>) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    terminate.recv().await;
    tracing::info!("leaving after this step");
    let _ = leave.send(true);
}

fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr);
    match std::env::var_os("CLOZE_LOG_JSON") {
        Some(_) => builder.json().init(),
        None => builder.init(),
    }
}

/// Whether something here can listen on it.
fn is_of_this_machine(address: &str) -> bool {
    let found = (address, 0u16).to_socket_addrs().into_iter().flatten();
    let mut local = found.filter(|address| UdpSocket::bind(address).is_ok());
    local.next().is_some()
}

/// The address of the interface that leads to the coordinator: connecting a UDP socket sends nothing.
fn local_address(coordinator: &str) -> Option<String> {
    let host = coordinator.split("://").nth(1)?.split('/').next()?;
    let target = host.to_socket_addrs().ok()?.next()?;
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "worker".to_owned() } else { name.trim().to_owned() }
}
