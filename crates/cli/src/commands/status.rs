//! `cloze status`: one line, or JSON.

use clap::Args;
use serde_json::json;
use wire::v1;
use wire::v1::coordinator_client::CoordinatorClient;

use crate::failure::Failure;
use crate::show::thousands;

#[derive(Debug, Args)]
#[command(after_help = "Example: cloze status http://node0:7700")]
pub struct Arguments {
    /// The coordinator's URL.
    #[arg(default_value = "http://127.0.0.1:7700")]
    url: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A client of the coordinator at `url`.
///
/// # Errors
/// If nobody answers there.
pub async fn client(url: &str) -> Result<CoordinatorClient<tonic::transport::Channel>, Failure> {
    let endpoint = tonic::transport::Endpoint::from_shared(url.to_owned()).map_err(|error| {
        Failure::bad_input(format!("{url} is not a URL: {error}; as in http://node0:7700"))
    })?;
    let channel =
        endpoint.connect_timeout(std::time::Duration::from_secs(5)).connect().await.map_err(|_| {
            Failure::failed(format!("no coordinator answers at {url}; is the run still going?"))
        })?;
    Ok(CoordinatorClient::new(channel))
}

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut client = client(&arguments.url).await?;
    let status = client
        .get_status(v1::GetStatusRequest {})
        .await
        .map_err(|status| Failure::failed(status.message()))?
        .into_inner();
    if arguments.json {
        println!("{}", as_json(&status));
        return Ok(());
    }
    let members = status.workers.iter().filter(|worker| worker.member).count();
    let loss = status.last.as_ref().map_or("-".to_owned(), |report| format!("{:.4}", report.loss));
    println!(
        "{}: {}, step {}/{}, loss {loss}, {} tok/s, lr {:.2e}, {members} members of {} workers, checkpoint {}",
        status.run,
        status.phase,
        status.step,
        status.steps,
        thousands(status.tokens_per_second),
        status.learning_rate,
        status.workers.len(),
        status.durable
    );
    Ok(())
}

fn as_json(status: &v1::GetStatusResponse) -> serde_json::Value {
    let workers: Vec<_> = status
        .workers
        .iter()
        .map(|worker| {
            json!({"name": worker.name, "address": worker.address, "member": worker.member,
                   "micro_batches": worker.micro_batches, "applied": worker.applied})
        })
        .collect();
    json!({
        "run": status.run, "phase": status.phase, "term": status.term, "generation": status.generation,
        "step": status.step, "steps": status.steps, "durable": status.durable,
        "loss": status.last.as_ref().map(|report| report.loss),
        "learning_rate": status.learning_rate, "tokens_per_second": status.tokens_per_second, "workers": workers,
    })
}
