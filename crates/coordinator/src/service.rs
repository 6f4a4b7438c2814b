//! gRPC: messages in, events out; commands in, messages out. Knows nothing of what they mean.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt};
use ledger::{Ending, Event, WorkerId};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use wire::v1;
use wire::v1::coordinator_server::{Coordinator, CoordinatorServer};

use crate::actor::{self, Actor, Handle, Input, Job};
use crate::rendezvous::Rendezvous;
use crate::{CoordinatorError, Update};

/// A rendezvous call may wait this long at most.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After the run's end, workers have this long to read their last message.
const FAREWELL: Duration = Duration::from_secs(2);

struct Service {
    inbox: mpsc::Sender<Input>,
    rendezvous: Arc<Rendezvous>,
    /// The run goes on with another coordinator.
    taken_over: Arc<AtomicBool>,
    sessions: AtomicU64,
}

/// Claims the run and serves it on `listener` until it ends. `started` is called with a handle as soon as workers can
/// connect; `on_update` hears of everything that a person may want to see.
///
/// # Errors
/// If the run cannot be claimed (another recipe, a failing store) or the address not be served.
pub async fn serve(
    job: Job,
    listener: TcpListener,
    started: impl FnOnce(Handle),
    on_update: impl Fn(Update) + Send + 'static,
) -> Result<Ending, CoordinatorError> {
    let (rendezvous, taken_over) = (Arc::new(Rendezvous::default()), Arc::new(AtomicBool::new(false)));
    let shared = (rendezvous.clone(), taken_over.clone());
    let (handle, actor) = actor::start(job, shared, Box::new(on_update)).await?;
    let inbox = handle.inbox.clone();
    let service = Service { inbox, rendezvous, taken_over, sessions: AtomicU64::new(0) };
    let (over, end) = oneshot::channel::<()>();
    let server = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .add_service(CoordinatorServer::new(service).max_decoding_message_size(wire::LARGEST_MESSAGE))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
            let _ = end.await;
        });
    let server = tokio::spawn(server);
    started(handle);
    let ending = actor
        .await
        .unwrap_or_else(|error| Ending::Failed(format!("the coordinator broke: {error}; this is a bug")));
    let _ = over.send(());
    // Sessions end when their workers have read the farewell; those of dead workers must not keep us.
    if let Ok(Ok(served)) = tokio::time::timeout(FAREWELL, server).await {
        served?;
    }
    Ok(ending)
}

impl Service {
    async fn tell(&self, input: Input) -> Result<(), Status> {
        self.inbox.send(input).await.map_err(|_| Status::unavailable("the run is over"))
    }
}

/// Reads a session to its end. Whatever ends it, the ledger hears that the worker is lost.
async fn read_session(
    worker: WorkerId,
    session: u64,
    mut messages: Streaming<v1::WorkerMessage>,
    inbox: mpsc::Sender<Input>,
) {
    let reason = loop {
        let event = match messages.message().await {
            Ok(Some(message)) => wire::event_of(worker, message).map_err(|error| error.to_string()),
            Ok(None) => Err("it closed its session".to_owned()),
            Err(status) => {
                tracing::debug!(%worker, message = status.message(), "a session ends with an error");
                Err("its connection broke".to_owned())
            }
        };
        match event {
            Ok(event) => {
                if inbox.send(Input::Event(event)).await.is_err() {
                    return;
                }
            }
            Err(reason) => break reason,
        }
    };
    let _ = inbox.send(Input::SessionEnded { worker, session, reason }).await;
}

#[tonic::async_trait]
impl Coordinator for Service {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<v1::CoordinatorMessage, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.ok_or_else(|| Status::invalid_argument("an empty session"))?;
        let (worker, info) =
            wire::hello_of(first).map_err(|error| Status::failed_precondition(error.to_string()))?;
        let (outbox, outgoing) = Actor::outbox();
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        let input = Input::Session { worker, session, hello: Event::Hello { worker, info }, outbox };
        if self.tell(input).await.is_err() {
            if self.taken_over.load(Ordering::Relaxed) {
                return Err(Status::unavailable("the run goes on with another coordinator"));
            }
            // It comes too late: the run is over, and that is no failure of the worker.
            let reason = "the run is over".to_owned();
            let kind = Some(v1::coordinator_message::Kind::Dismiss(v1::Dismiss { reason }));
            let farewell = v1::CoordinatorMessage { term: 0, kind };
            return Ok(Response::new(Box::pin(tokio_stream::once(Ok(farewell)))));
        }
        tokio::spawn(read_session(worker, session, messages, self.inbox.clone()));
        let messages = ReceiverStream::new(outgoing).map(|message| Ok(Arc::unwrap_or_clone(message)));
        Ok(Response::new(Box::pin(messages)))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let (answer, status) = oneshot::channel();
        self.tell(Input::Status(answer)).await?;
        status.await.map(Response::new).map_err(|_| Status::unavailable("the run is over"))
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Result<Response<v1::StopResponse>, Status> {
        self.tell(Input::Event(Event::Stop { reason: request.into_inner().reason })).await?;
        Ok(Response::new(v1::StopResponse {}))
    }

    async fn pause(&self, request: Request<v1::PauseRequest>) -> Result<Response<v1::PauseResponse>, Status> {
        self.tell(Input::Event(Event::Pause { reason: request.into_inner().reason })).await?;
        Ok(Response::new(v1::PauseResponse {}))
    }

    async fn unpause(&self, _: Request<v1::UnpauseRequest>) -> Result<Response<v1::UnpauseResponse>, Status> {
        self.tell(Input::Event(Event::Unpause)).await?;
        Ok(Response::new(v1::UnpauseResponse {}))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let (answer, found) = oneshot::channel();
        let worker = request.into_inner().worker;
        self.tell(Input::Drain(worker.clone(), answer)).await?;
        match found.await {
            Ok(true) => Ok(Response::new(v1::DrainResponse {})),
            Ok(false) => Err(Status::not_found(format!(
                "no worker {worker}; `cloze status` names those that are here"
            ))),
            Err(_) => Err(Status::unavailable("the run is over")),
        }
    }

    async fn rendezvous_set(
        &self,
        request: Request<v1::RendezvousSetRequest>,
    ) -> Result<Response<v1::RendezvousSetResponse>, Status> {
        let v1::RendezvousSetRequest { key, value } = request.into_inner();
        self.rendezvous.set(key, value);
        Ok(Response::new(v1::RendezvousSetResponse {}))
    }

    async fn rendezvous_get(
        &self,
        request: Request<v1::RendezvousGetRequest>,
    ) -> Result<Response<v1::RendezvousGetResponse>, Status> {
        let v1::RendezvousGetRequest { key, timeout_ms } = request.into_inner();
        let timeout = Duration::from_millis(timeout_ms).min(LONGEST_WAIT);
        match self.rendezvous.get(&key, timeout).await {
            Some(value) => Ok(Response::new(v1::RendezvousGetResponse { value })),
            None => Err(Status::deadline_exceeded(format!("nobody set {key} within {timeout_ms} ms"))),
        }
    }

    async fn rendezvous_add(
        &self,
        request: Request<v1::RendezvousAddRequest>,
    ) -> Result<Response<v1::RendezvousAddResponse>, Status> {
        let v1::RendezvousAddRequest { key, amount } = request.into_inner();
        Ok(Response::new(v1::RendezvousAddResponse { value: self.rendezvous.add(key, amount) }))
    }

    async fn rendezvous_check(
        &self,
        request: Request<v1::RendezvousCheckRequest>,
    ) -> Result<Response<v1::RendezvousCheckResponse>, Status> {
        let all_there = self.rendezvous.check(&request.into_inner().keys);
        Ok(Response::new(v1::RendezvousCheckResponse { all_there }))
    }
}
