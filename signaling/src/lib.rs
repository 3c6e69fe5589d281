//! The wire to browsers: REST, WHIP and WHEP over axum, events over socket.io.
//!
//! docs/protocol.md is the contract. This crate decides who may ask (`auth.rs`) and how answers and refusals look
//! (`view.rs`, `error.rs`). It does not know the recorder: a clip that somebody asks for is a row of the local job table. It reads
//! no settings and starts nothing by itself: the server builds an [`App`], binds a [`Listener`] and calls [`serve`].

pub mod access;
pub mod address;
mod announce;
mod app;
mod assets;
mod auth;
mod clips;
mod covers;
mod error;
mod events;
mod health;
mod http;
mod limits;
mod listen;
mod lives;
pub mod openapi;
mod orders;
mod range;
mod replay;
pub mod report;
mod socket;
mod timeline;
mod turn;
pub mod typescript;
pub mod view;
mod viewings;
mod webhooks;

pub use announce::Announcer;
pub use app::{App, Metrics, Parts, Settings};
pub use assets::{Asset, Assets};
pub use error::{Code, Error};
pub use listen::{Listener, Tls, TlsError};
pub use turn::{IceServer, Turn};

use axum::Router;
use axum::routing::get;

/// Everything that a listener needs, and the way to speak to those who are connected.
pub struct Site {
    router: Router,
    pub announcer: Announcer,
    io: socketioxide::SocketIo,
}

impl Site {
    pub fn new(app: App) -> Self {
        let (layer, io) = socket::layer(app.clone());
        let identify = axum::middleware::from_fn_with_state(app.clone(), http::identify);
        let router = http::routes(app.clone()).layer(layer).layer(identify).with_state(app.clone());
        Self { router, announcer: Announcer::new(app, io.clone()), io }
    }

    /// Closes the sockets, which ends their requests.
    pub async fn close(&self) {
        self.io.close().await;
    }

    /// Answers requests until `stop` is done and those under way are finished.
    pub async fn serve(&self, listener: Listener, stop: impl Future<Output = ()>) {
        listener.serve(self.router.clone(), stop).await;
    }
}

/// Serves /metrics alone, for `METRICS_BIND`.
pub async fn serve_metrics(listener: Listener, text: Metrics, stop: impl Future<Output = ()>) {
    let text = move || async move { ([("content-type", "text/plain; version=0.0.4")], text()) };
    listener.serve(Router::new().route("/metrics", get(text)), stop).await;
}
