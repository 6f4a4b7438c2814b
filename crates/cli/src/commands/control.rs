//! `cloze stop`, `pause`, `unpause` and `drain`: what people ask of a running coordinator.

use clap::Args;
use wire::v1;

use crate::failure::Failure;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze stop http://node0:7700")]
pub struct Arguments {
    /// The coordinator's URL.
    #[arg(default_value = "http://127.0.0.1:7700")]
    url: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze drain gpu-7:4711 http://node0:7700")]
pub struct Drain {
    /// The worker's name, as `cloze status --json` shows it.
    worker: String,
    /// The coordinator's URL.
    #[arg(default_value = "http://127.0.0.1:7700")]
    url: String,
}

fn said(status: &tonic::Status) -> Failure {
    match status.code() {
        tonic::Code::NotFound => Failure::bad_input(status.message()),
        _ => Failure::failed(status.message()),
    }
}

/// Runs `cloze stop`: the polite Ctrl-C, from anywhere.
pub async fn stop(arguments: Arguments) -> Result<(), Failure> {
    let request = v1::StopRequest { reason: "cloze stop".to_owned() };
    super::status::client(&arguments.url).await?.stop(request).await.map_err(|status| said(&status))?;
    println!("the run stops after its current step, with a checkpoint");
    Ok(())
}

/// Runs `cloze pause`.
pub async fn pause(arguments: Arguments) -> Result<(), Failure> {
    let request = v1::PauseRequest { reason: "cloze pause".to_owned() };
    super::status::client(&arguments.url).await?.pause(request).await.map_err(|status| said(&status))?;
    println!("the run stands still after its current step, with a checkpoint; `cloze unpause` lets it go on");
    Ok(())
}

/// Runs `cloze unpause`.
pub async fn unpause(arguments: Arguments) -> Result<(), Failure> {
    let mut client = super::status::client(&arguments.url).await?;
    client.unpause(v1::UnpauseRequest {}).await.map_err(|status| said(&status))?;
    println!("the run goes on");
    Ok(())
}

/// Runs `cloze drain`.
pub async fn drain(arguments: Drain) -> Result<(), Failure> {
    let request = v1::DrainRequest { worker: arguments.worker.clone() };
    super::status::client(&arguments.url).await?.drain(request).await.map_err(|status| said(&status))?;
    println!("{} goes after the current step, and is not replaced", arguments.worker);
    Ok(())
}
