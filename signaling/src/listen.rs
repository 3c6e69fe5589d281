//! Accepting connections, plain or TLS, and answering what comes on them.
//!
//! A TLS handshake never holds up the next connection. A handshake, a request's head or a pause between two requests that
//! takes too long ends its connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Handshakes going on at a time. More: new connections wait in the kernel's queue.
const HANDSHAKES: usize = 256;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections at a time, without websockets. More: new ones wait in the kernel's queue.
const CONNECTIONS: usize = 10_000;
/// For the head of a request, and so also between two requests of a connection.
const HEAD: Duration = Duration::from_secs(30);
/// After an error of accept such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Where the connection comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The connection that a request came on, for answers that go on for long.
#[derive(Clone, Debug)]
pub struct Line {
    /// The server stops: answers should come to an end.
    pub stopping: CancellationToken,
    /// Ends the connection where it is, for a client that takes nothing any more.
    pub cut: CancellationToken,
}

/// A certificate chain and its key.
#[derive(Clone)]
pub struct Tls(Arc<rustls::ServerConfig>);

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the certificate is not readable as PEM: {0}")]
    Certificate(String),
    #[error("the key is not readable as PEM: {0}")]
    Key(String),
    #[error("the certificate and the key do not work together: {0}")]
    Pair(String),
}

impl Tls {
    /// From the texts of two PEM files. The chain begins with the server's own certificate.
    ///
    /// # Errors
    /// Which of the two is wrong; never their contents.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::Certificate(error.to_string()))?;
        if chain.is_empty() {
            return Err(TlsError::Certificate("it holds no certificate".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Pair(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| TlsError::Pair(error.to_string()))?;
        // Websockets of HTTP/1.1; HTTP/2 would need extended CONNECT everywhere.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// A bound socket, with or without TLS.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

impl Listener {
    /// # Errors
    /// What the kernel says, for instance that the port is taken.
    pub async fn bind(address: SocketAddr, tls: Option<Tls>) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        Ok(Self { tcp, tls: tls.map(|Tls(config)| TlsAcceptor::from(config)), handshakes: JoinSet::new() })
    }

    /// On a socket whose buffers a test has chosen.
    #[cfg(test)]
    pub(crate) fn on(tcp: TcpListener) -> Self {
        Self { tcp, tls: None, handshakes: JoinSet::new() }
    }

    /// # Errors
    /// What the kernel says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    async fn tcp(listener: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Small messages of the socket should not wait for more.
                    let _ = stream.set_nodelay(true);
                    return (stream, peer);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

impl Listener {
    /// The next connection. May be dropped and asked again: none gets lost.
    async fn accept(&mut self) -> (Connection, Peer) {
        let Some(tls) = self.tls.clone() else {
            let (stream, peer) = Self::tcp(&self.tcp).await;
            return (Connection::Plain(stream), Peer(peer));
        };
        loop {
            tokio::select! {
                (stream, peer) = Self::tcp(&self.tcp), if self.handshakes.len() < HANDSHAKES => {
                    let tls = tls.clone();
                    self.handshakes.spawn(async move {
                        let done = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await.ok()?;
                        done.ok().map(|stream| (stream, peer))
                    });
                }
                Some(done) = self.handshakes.join_next(), if !self.handshakes.is_empty() => {
                    match done {
                        Ok(Some((stream, peer))) => return (Connection::Tls(Box::new(stream)), Peer(peer)),
                        _ => metrics::counter!("oxbow_tls_handshakes_failed_total").increment(1),
                    }
                }
            }
        }
    }

    /// Answers requests until `stop` is done and those under way are finished.
    pub async fn serve(mut self, router: Router, stop: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                (stream, peer) = self.accept(), if connections.len() < CONNECTIONS => {
                    connections.spawn(answer(stream, peer, router.clone(), stopping.clone()));
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        drop(self);
        stopping.cancel();
        while connections.join_next().await.is_some() {}
    }
}

/// One connection, to its end. What goes wrong on it is its client's business.
async fn answer(stream: Connection, peer: Peer, router: Router, stopping: CancellationToken) {
    let line = Line { stopping: stopping.clone(), cut: CancellationToken::new() };
    let cut = line.cut.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(line.clone());
        router.clone().oneshot(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = cut.cancelled() => return,
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = cut.cancelled() => {}
    }
}

/// One accepted connection.
pub enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Connection::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Connection::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
