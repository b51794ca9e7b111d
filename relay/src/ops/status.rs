//! The operator's own port: metrics, and whether the relay lives and is ready; off unless asked
//! for.
//!
//! Plain HTTP/1.1 for the operator's network; nothing here is for clients or the public. One
//! request per connection, a few connections at once, each for a short time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::metrics;
use super::tasks::Tasks;
use crate::limits::{ACCEPT_RETRY, STATUS_CONNECTIONS, STATUS_TIME};

/// Whether the relay can serve clients at this moment.
pub(crate) type IsReady = Arc<dyn Fn() -> bool + Send + Sync>;

/// The open port.
pub(crate) struct Status {
    socket: TcpListener,
    is_ready: IsReady,
}

impl Status {
    /// Listens on `address`; port 0 lets the system choose.
    ///
    /// # Errors
    /// The system's, when the address cannot be had.
    pub(crate) async fn bind(address: SocketAddr, is_ready: IsReady) -> std::io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, is_ready })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until `closed`. At the bound of connections the next waits to be accepted.
    pub(crate) async fn run(self, tasks: Tasks, closed: CancellationToken) {
        let places = Arc::new(Semaphore::new(STATUS_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                () = closed.cancelled() => return,
                accepted = accept(&self.socket, &places) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let (is_ready, closed) = (Arc::clone(&self.is_ready), closed.clone());
                    tasks.spawn("status", async move {
                        tokio::select! {
                            () = closed.cancelled() => {}
                            () = serve(stream, is_ready) => {}
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept connections for status");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}

/// A place first, then a connection for it.
async fn accept(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = socket.accept().await?;
    Ok((stream, place))
}

async fn serve(stream: TcpStream, is_ready: IsReady) {
    let answering = service_fn(|request| {
        let response = answer(&request, &is_ready);
        async move { Ok::<_, Infallible>(response) }
    });
    let served =
        http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answering);
    match tokio::time::timeout(STATUS_TIME, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a request for status failed"),
        Err(_) => debug!("a request for status took too long"),
    }
}

fn answer(request: &Request<Incoming>, is_ready: &IsReady) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return say(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
    }
    match request.uri().path() {
        "/metrics" => say(StatusCode::OK, metrics::render()),
        "/livez" => say(StatusCode::OK, "live\n".into()),
        "/readyz" if is_ready() => say(StatusCode::OK, "ready\n".into()),
        "/readyz" => say(StatusCode::SERVICE_UNAVAILABLE, "not ready\n".into()),
        _ => say(StatusCode::NOT_FOUND, "/metrics, /livez, /readyz\n".into()),
    }
}

fn say(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let plain = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A port whose relay is ready or not, and what ends it.
    async fn start() -> (SocketAddr, Arc<AtomicBool>, CancellationToken) {
        let (ready, closed) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
        let is_ready = Arc::clone(&ready);
        let is_ready: IsReady = Arc::new(move || is_ready.load(Ordering::Relaxed));
        let status = Status::bind("127.0.0.1:0".parse().unwrap(), is_ready).await.unwrap();
        let address = status.address().unwrap();
        let tasks = Tasks::new();
        tasks.spawn("status", status.run(tasks.clone(), closed.clone()));
        (address, ready, closed)
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("{request} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_relay_is_live_while_it_is_not_ready() {
        let (address, ready, _closed) = start().await;
        assert!(ask(address, "GET /readyz").await.starts_with("HTTP/1.1 200"));
        ready.store(false, Ordering::Relaxed);
        assert!(ask(address, "GET /readyz").await.starts_with("HTTP/1.1 503"));
        assert!(ask(address, "GET /livez").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "GET /").await.starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /livez").await.starts_with("HTTP/1.1 405"));
        assert!(ask(address, "nonsense").await.starts_with("HTTP/1.1 400"));
    }

    /// At the bound of connections one more waits, and gets its answer when a place is free.
    #[tokio::test]
    async fn one_more_than_the_bound_waits_for_a_place() {
        let (address, _ready, _closed) = start().await;
        let mut idle = Vec::new();
        for _ in 0..STATUS_CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        let mut late = Box::pin(ask(address, "GET /livez"));
        // More turns of the runtime than an answer takes by far.
        let turns = async {
            for _ in 0..10_000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            answer = &mut late => panic!("answered beyond the bound: {answer}"),
            () = turns => {}
        }
        drop(idle);
        assert!(late.await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_relay_that_stops_closes_the_port() {
        let (address, _ready, closed) = start().await;
        let mut open = TcpStream::connect(address).await.unwrap();
        closed.cancel();
        assert_eq!(open.read(&mut [0]).await.unwrap_or_default(), 0);
    }
}
