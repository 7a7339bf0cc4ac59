//! The listening end: one thread with a runtime of its own, so that neither rounds nor lists wait for the other; bounds on what
//! strangers may hold; TLS where it listens beyond this machine.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::places::{Place, Places};
use super::problem::Problem;

/// The service while it runs; it ends with this.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens at `address` and answers by `app`, on at most `most` connections at once, of which the longest idle makes way.
    ///
    /// # Errors
    /// When the address can't be had: another program listens there, or it is none of this machine's.
    pub fn start(
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        app: Router,
        most: usize,
    ) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind(address).with_context(|| {
            format!("can't listen at {address}: choose another `listen` under [http] in shop.toml, or another --http")
        })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("http")
            .enable_all()
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    match TcpListener::from_std(listener) {
                        Ok(listener) => accept(&listener, tls, (app, most), stopped).await,
                        Err(error) => tracing::error!(%error, "the HTTP service can't listen"),
                    }
                });
                runtime.shutdown_timeout(LAST_ANSWERS);
            })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens: the port that the system chose, if it was asked for any.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // A thread that is gone needs no word.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: &TcpListener,
    tls: Option<TlsAcceptor>,
    (app, most): (Router, usize),
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Places::new(most));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (places, tls, app) = (Arc::clone(&places), tls.clone(), app.clone());
                let stopped = stopped.clone();
                tokio::spawn(async move { greet(stream, &places, tls, app, stopped).await });
            }
            Err(error) => {
                // Mostly too many open files: those that are served close some.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
    }
}

async fn greet(
    mut stream: TcpStream,
    places: &Arc<Places>,
    tls: Option<TlsAcceptor>,
    app: Router,
    stopped: watch::Receiver<bool>,
) {
    let Some(place) = places.take() else {
        // All are at work. Whoever does not read it has not waited either.
        let _ = tokio::time::timeout(AFTER_A_FAILURE, stream.write_all(FULL)).await;
        return;
    };
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(stream, place, app, stopped).await,
        Some(tls) => match tokio::time::timeout(TIME_FOR_A_HEAD, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve(stream, place, app, stopped).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("no TLS in time"),
        },
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    place: Place,
    app: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (app, at_work) = (app.clone(), place.at_work());
        async move {
            let answer = tokio::time::timeout(TIME_FOR_AN_ANSWER, app.oneshot(request.map(Body::new)));
            let answer: Response = match answer.await {
                Ok(answer) => answer.unwrap_or_else(|never: Infallible| match never {}),
                Err(_) => Problem::too_slow(TIME_FOR_AN_ANSWER).into_response(),
            };
            drop(at_work);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(TIME_FOR_A_HEAD)
        .max_buf_size(MOST_HEAD_BYTES);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    loop {
        tokio::select! {
            // What went wrong is the peer's affair: it hung up, or spoke no HTTP.
            _ = connection.as_mut() => return,
            () = place.wanted_by_another() => return,
            _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
        }
    }
}

const THREADS: usize = 2;
/// Connections at once of a shop's service.
pub(super) const MOST_CONNECTIONS: usize = 512;
/// For the head of a request, also of the next one on a connection that stays open.
const TIME_FOR_A_HEAD: Duration = Duration::from_secs(10);
/// From the head to the answer, the body among it.
const TIME_FOR_AN_ANSWER: Duration = Duration::from_secs(30);
const MOST_HEAD_BYTES: usize = 64 << 10;
const AFTER_A_FAILURE: Duration = Duration::from_millis(50);
const LAST_ANSWERS: Duration = Duration::from_millis(200);
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\nretry-after: 1\r\n\r\n";
