//! `cloze stop`: the polite Ctrl-C, from anywhere.

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

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut client = super::status::client(&arguments.url).await?;
    let request = v1::StopRequest { reason: "cloze stop".to_owned() };
    client.stop(request).await.map_err(|status| Failure::failed(status.message()))?;
    println!("the run stops after its current step, with a checkpoint");
    Ok(())
}
