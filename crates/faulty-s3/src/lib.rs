//! An S3 server on a folder (`s3s-fs`) that fails on purpose, by a seed: errors, storms of 503, silence, vanished
//! connections, torn writes, lost answers, stale listings, trickling reads and such that break off. It can be as far away as one likes, encrypted,
//! and speak Google's dialect. For tests and measurements of what keeps its data on object storage; knows nothing of
//! what is kept.

mod faults;
pub mod tls;

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub use faults::{Dice, Fault, Kind, Rates};

/// The access key that the server knows.
pub const ACCESS_KEY: &str = "cloze";
/// And its secret.
pub const SECRET_KEY: &str = "masked-language-model";
/// The key of a service account of which no token is asked, for [`Dialect::Google`].
pub const GOOGLE_KEY: &str =
    r#"{"disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;
/// `GET` on this path tells how many requests met which fault.
pub const COUNTS: &str = "/_faults";

/// How late a late answer is, at most.
const LATE_MS: u64 = 400;
/// Longer than any client waits in a test.
const SILENCE: Duration = Duration::from_secs(60);
const TRICKLE: Duration = Duration::from_millis(20);
const TRICKLES: usize = 8;

/// Google's condition of an upload: the version that is to be replaced, `0` for none.
const IF_GENERATION: &str = "x-goog-if-generation-match";
/// The version of an object, in Google's answers.
const GENERATION: &str = "x-goog-generation";

/// What this program fails with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Which service is imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Amazon's.
    S3,
    /// That of older S3-compatible services: conditions are not looked at, and everybody is let in.
    Unconditional,
    /// Google's XML interface: S3's but for the conditions, which name generations. Everybody is let in.
    Google,
}

/// How far away the service is.
#[derive(Clone, Debug, Default)]
pub struct Delay {
    /// A request takes so long, whatever else happens to it.
    pub time: Duration,
    /// If its path contains this.
    pub key: String,
}

/// A server over a folder in which every folder is a bucket.
#[derive(Clone)]
pub struct Server {
    s3: S3Service,
    folder: PathBuf,
    dice: Arc<Dice>,
    /// The last answer to each listing.
    listings: Arc<Mutex<HashMap<String, Bytes>>>,
    /// `s3s-fs` looks and then writes; a service that keeps conditions does both at once.
    conditional: Arc<tokio::sync::Mutex<()>>,
    dialect: Dialect,
    delay: Delay,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// A server over `folder`, which exists.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub fn new(folder: &Path, rates: Rates, dialect: Dialect) -> Result<Self, Failure> {
        let files = s3s_fs::FileSystem::new(folder).map_err(|error| format!("{error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        if dialect == Dialect::S3 {
            builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        }
        Ok(Server {
            folder: folder.to_owned(),
            s3: builder.build(),
            dice: Arc::new(Dice::new(rates)),
            listings: Arc::default(),
            conditional: Arc::default(),
            dialect,
            delay: Delay::default(),
        })
    }

    /// The same, farther away.
    #[must_use]
    pub fn with_delay(self, delay: Delay) -> Self {
        Server { delay, ..self }
    }

    /// Serves until the task is dropped, encrypted if it is told how.
    pub async fn serve(self, listener: TcpListener, tls: Option<TlsAcceptor>) -> Infallible {
        loop {
            let Ok((socket, _)) = listener.accept().await else { continue };
            let (server, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => server.converse(socket).await,
                    Some(tls) => {
                        // Clients that do not believe the certificate hang up.
                        let Ok(socket) = tls.accept(socket).await else { return };
                        server.converse(socket).await;
                    }
                }
            });
        }
    }

    async fn converse(self, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let answer = service_fn(move |request| self.clone().answered(request));
        // A connection that broke is what this program is for.
        let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
    }

    /// With an error of a type that a connection's task can own.
    async fn answered(self, request: Request<Incoming>) -> std::io::Result<Response<Body>> {
        self.answer(request).await.map_err(std::io::Error::other)
    }

    /// An error closes the connection.
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        if request.uri().path() == COUNTS {
            let counts = serde_json::to_string(&self.dice.counts())?;
            return Ok(Response::new(Body::from(counts)));
        }
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let listing = (method == Method::GET
            && uri.query().is_some_and(|query| query.contains("list-type=2")))
        .then(|| uri.to_string());
        let writes = matches!(method, Method::PUT | Method::POST);
        let part = method == Method::PUT && uri.path().ends_with(".safetensors");
        if uri.path().contains(&self.delay.key) {
            tokio::time::sleep(self.delay.time).await;
        }
        let fault = self.dice.next(Kind { writes, lists: listing.is_some(), part });
        match fault {
            Some(Fault::SlowDown) => return Ok(failure(StatusCode::SERVICE_UNAVAILABLE, "SlowDown")),
            Some(Fault::InternalError) => {
                return Ok(failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
            }
            Some(Fault::Vanished) => return Err("vanished".into()),
            Some(Fault::Torn) => {
                let _ = half(request.into_body()).await;
                return Err("torn".into());
            }
            Some(Fault::Silence) => {
                tokio::time::sleep(SILENCE).await;
                return Err("silent".into());
            }
            Some(Fault::Late) => {
                let late = LATE_MS.min(20 + (uri.path().len() as u64 * 37) % LATE_MS);
                tokio::time::sleep(Duration::from_millis(late)).await;
            }
            Some(Fault::StaleListing) => {
                let known = listing.as_ref().and_then(|listing| self.listings().get(listing).cloned());
                if let Some(stale) = known {
                    return Ok(Response::new(Body::from(stale)));
                }
            }
            Some(Fault::LostAnswer | Fault::Trickle | Fault::BreaksOff | Fault::Lie) | None => {}
        }
        let answer = self.done(request, fault == Some(Fault::Lie)).await?;
        match fault {
            Some(Fault::LostAnswer) => Err("the answer is lost".into()),
            Some(Fault::Trickle) => trickling(answer).await,
            Some(Fault::BreaksOff) => breaking_off(answer).await,
            _ => match listing {
                Some(listing) => self.remembered(listing, answer).await,
                None => Ok(answer),
            },
        }
    }

    async fn done(&self, request: Request<Incoming>, lie: bool) -> Result<Response<Body>, Failure> {
        let (mut head, body) = request.into_parts();
        match self.dialect {
            Dialect::S3 => {}
            Dialect::Unconditional => {
                // They are signed, so that the signature goes with them.
                for header in [header::IF_NONE_MATCH, header::IF_MATCH, header::AUTHORIZATION] {
                    head.headers.remove(header);
                }
            }
            Dialect::Google => {
                head.headers.remove(header::AUTHORIZATION);
                // Only creation is asked for by this generation.
                if head.headers.remove(IF_GENERATION).is_some_and(|generation| generation == "0") {
                    head.headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
                }
            }
        }
        let conditional = head.headers.contains_key(header::IF_NONE_MATCH) && head.method == Method::PUT;
        let object = self.folder.join(head.uri.path().trim_start_matches('/'));
        let request = Request::from_parts(head, Body::from(body));
        let _alone = match conditional {
            true => Some(self.conditional.lock().await),
            false => None,
        };
        let mut answer = self.s3.call(request).await.map_err(|error| format!("{error:?}"))?;
        if self.dialect == Dialect::Google {
            answer.headers_mut().insert(GENERATION, HeaderValue::from_static("1"));
        }
        if lie && answer.status() == StatusCode::OK {
            let file = std::fs::File::options().write(true).open(object)?;
            file.set_len(file.metadata()?.len() / 2)?;
        }
        Ok(answer)
    }

    async fn remembered(&self, listing: String, answer: Response<Body>) -> Result<Response<Body>, Failure> {
        let (head, body) = answer.into_parts();
        let bytes = BodyExt::collect(body).await?.to_bytes();
        if head.status == StatusCode::OK {
            self.listings().insert(listing, bytes.clone());
        }
        Ok(Response::from_parts(head, Body::from(bytes)))
    }

    fn listings(&self) -> std::sync::MutexGuard<'_, HashMap<String, Bytes>> {
        self.listings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a body as far as its middle.
async fn half(mut body: Incoming) -> Result<(), Failure> {
    let size = hyper::body::Body::size_hint(&body).exact().unwrap_or(0);
    let mut read = 0;
    while read < size / 2 {
        let Some(frame) = body.frame().await else { break };
        read += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(())
}

async fn trickling(answer: Response<Body>) -> Result<Response<Body>, Failure> {
    let (head, body) = answer.into_parts();
    let bytes = BodyExt::collect(body).await?.to_bytes();
    let step = (bytes.len() / TRICKLES).max(1);
    let pieces: Vec<Bytes> =
        (0..bytes.len()).step_by(step).map(|from| bytes.slice(from..bytes.len().min(from + step))).collect();
    let slow = stream::iter(pieces).then(|piece| async {
        tokio::time::sleep(TRICKLE).await;
        Ok::<_, std::io::Error>(Frame::data(piece))
    });
    Ok(Response::from_parts(head, Body::http_body_unsync(StreamBody::new(slow))))
}

/// The length that the head names stays that of the whole.
async fn breaking_off(answer: Response<Body>) -> Result<Response<Body>, Failure> {
    let (head, body) = answer.into_parts();
    let bytes = BodyExt::collect(body).await?.to_bytes();
    let first = Ok(Frame::data(bytes.slice(..bytes.len() / 2)));
    let broken = stream::iter([first, Err(std::io::Error::other("broken off"))]);
    Ok(Response::from_parts(head, Body::http_body_unsync(StreamBody::new(broken))))
}

fn failure(status: StatusCode, code: &str) -> Response<Body> {
    let text =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>");
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    answer
}
