//! Going live and watching. Each handler checks who asks, hands the offer to the media plane, and answers.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ::media::id::{ChannelName, SessionId};
use ::media::message::{Codec, EndReason, Quality, Refusal};
use shard::{PublishRequest, WatchRequest};
use socketioxide::extract::SocketRef;

use super::event::{
    Done, IceCandidate, IceRestarted, Latency, Nothing, Pictures, QualityWanted, RestartIce, ServerClock, StartStream,
    StreamAnswered, VideoCodec, Watch, WatchAnswered,
};
use super::handshake::Guest;
use super::room;
use crate::app::App;
use crate::auth::Actor;
use crate::error::{Code, Error};
use crate::http::negotiate::Token;
use crate::lives::Streaming;
use crate::view::AirState;

/// Longest candidate line, in bytes. Browsers write up to 200.
const CANDIDATE_BYTES: usize = 1024;
/// A picture later than this is no live one.
const LATENCY_MS: f64 = 60_000.0;

/// H.264 keeps a recording playable everywhere as MP4; without a recording the streamer's first choice is as good.
pub fn preferred(asked: Option<VideoCodec>, record: bool) -> Option<Codec> {
    match asked {
        Some(VideoCodec::H264) => Some(Codec::H264),
        Some(VideoCodec::Vp8) => Some(Codec::Vp8),
        Some(VideoCodec::Vp9) => Some(Codec::Vp9),
        Some(VideoCodec::Av1) => Some(Codec::Av1),
        None => record.then_some(Codec::H264),
    }
}

pub async fn start_stream(
    app: App,
    socket: SocketRef,
    guest: Guest,
    start: StartStream,
) -> Result<StreamAnswered, Error> {
    streamer(&guest)?;
    still_open(&app)?;
    let record = app.settings().record_streams;
    let prefer_video = preferred(start.codec, record);
    let request = PublishRequest { channel: guest.channel.clone(), offer: start.offer, record, prefer_video };
    let published = app.plane().publish(request).await?;
    room::owns(&socket, published.session);
    tracing::info!(channel = %guest.channel, broadcast = %published.broadcast, resumed = published.resumed, "streamer accepted");
    let session = Token { session: published.session, broadcast: published.broadcast }.sign(&app);
    let broadcast = published.broadcast.to_string();
    Ok(StreamAnswered { answer: published.answer, broadcast, resumed: published.resumed, session })
}

/// Ends what is on air on the channel, whichever connection it came by: a page that was reloaded can still stop.
pub async fn stop_stream(app: App, _: SocketRef, guest: Guest, _: Nothing) -> Result<Done, Error> {
    streamer(&guest)?;
    let rooms = app.lives().rooms_now().await;
    let room = rooms.iter().find(|room| room.channel == guest.channel);
    let room = room.ok_or_else(|| Error::not_live(&guest.channel))?;
    app.plane().end(room.broadcast, EndReason::Stopped).await?;
    Ok(Done {})
}

pub async fn watch(app: App, socket: SocketRef, guest: Guest, watch: Watch) -> Result<WatchAnswered, Error> {
    let channel = match watch.channel {
        Some(text) => text.parse().map_err(|error: ::media::id::IdError| Error::invalid(error.to_string()))?,
        None => guest.channel.clone(),
    };
    room::follow(&socket, &channel);
    // Before the question who is on air, so that nothing between the two is missed.
    let goes_on = match &watch.session {
        Some(session) => resume(&app, &socket, &guest, &channel, session).await,
        None => false,
    };
    let live = app.lives().of_now(&channel).await;
    let state = live.as_ref().map_or(AirState::Offline, |live| live.state.into());
    if goes_on {
        return Ok(WatchAnswered { state, live, answer: None, session: watch.session });
    }
    let (Some(offer), Some(_)) = (watch.offer, live.as_ref()) else {
        return Ok(WatchAnswered { state, live, answer: None, session: None });
    };
    still_open(&app)?;
    app.join_rate().check(guest.caller)?;
    let watching = match app.plane().watch(WatchRequest { channel: channel.clone(), offer }).await {
        Ok(watching) => watching,
        // It ended between the two questions.
        Err(Refusal::NotLive(_)) => {
            return Ok(WatchAnswered { state: AirState::Offline, live: None, answer: None, session: None });
        }
        Err(refusal) => return Err(refusal.into()),
    };
    app.viewings().opened(watching.session, channel, guest.socket);
    replace(&app, &guest, Some(watching.session)).await;
    gone_meanwhile(&app, &socket, &guest).await;
    let session = Token { session: watching.session, broadcast: watching.broadcast }.sign(&app);
    Ok(WatchAnswered { state, live, answer: Some(watching.answer), session: Some(session) })
}

/// Gives a connection that stands to the socket that names it. Whoever has the name of a session has the session: it cannot be guessed.
async fn resume(app: &App, socket: &SocketRef, guest: &Guest, channel: &ChannelName, name: &str) -> bool {
    // A name that is not ours is of an earlier run of the server: its session is over.
    let Ok(Token { session, broadcast }) = Token::read(app, name) else { return false };
    let open = app.plane().diagnose(session).await.is_ok_and(|diagnosis| diagnosis.closed.is_none());
    if !open {
        return false;
    }
    let sends = |streaming: Streaming| streaming.session == session && streaming.channel == *channel;
    if guest.actor == Actor::Streamer && app.lives().streaming(broadcast).is_some_and(sends) {
        room::owns(socket, session);
        return true;
    }
    if !app.viewings().take(session, channel, guest.socket) {
        return false;
    }
    replace(app, guest, Some(session)).await;
    if app.viewings().is_paused(session) {
        // A socket that is gone already needs it no more.
        let _ = socket.emit("pictures", &Pictures { paused: true });
    }
    gone_meanwhile(app, socket, guest).await;
    true
}

pub async fn quality(app: App, _: SocketRef, guest: Guest, wanted: QualityWanted) -> Result<Done, Error> {
    let session = *watching(&guest);
    let nothing = || Error::new(Code::NotFound, "this socket plays nothing");
    let quality = wanted.height.map_or(Quality::Auto, Quality::AtMost);
    app.plane().prefer(session.ok_or_else(nothing)?, quality).await.map_err(|_| nothing())?;
    Ok(Done {})
}

pub async fn unwatch(app: App, socket: SocketRef, guest: Guest, _: Nothing) -> Result<Done, Error> {
    leave(&app, &guest).await;
    room::unfollow(&socket);
    Ok(Done {})
}

/// Whoever has the name of a session has the session: it cannot be guessed, and a socket of the new network must be able to use it.
pub async fn restart_ice(app: App, _: SocketRef, _: Guest, restart: RestartIce) -> Result<IceRestarted, Error> {
    let session = Token::read(&app, &restart.session)?.session;
    match app.plane().ice(session, restart.fragment, None).await? {
        Some(fragment) => Ok(IceRestarted { fragment }),
        None => Err(Error::invalid("the credentials are those that the connection has")),
    }
}

/// Our answers carry every candidate and a lite agent sends no checks, so what a browser trickles is checked and ignored.
pub async fn ice_candidate(_: App, _: SocketRef, _: Guest, candidate: IceCandidate) -> Result<Done, Error> {
    let line = match &candidate.candidate {
        serde_json::Value::Null => return Ok(Done {}),
        serde_json::Value::String(line) => line.as_str(),
        serde_json::Value::Object(object) => match object.get("candidate") {
            Some(serde_json::Value::String(line)) => line.as_str(),
            None | Some(serde_json::Value::Null) => "",
            Some(_) => return Err(Error::invalid("candidate.candidate is a text")),
        },
        _ => return Err(Error::invalid("candidate is an RTCIceCandidate, its text, or null")),
    };
    if line.len() > CANDIDATE_BYTES {
        return Err(Error::new(Code::TooLarge, format!("a candidate has at most {CANDIDATE_BYTES} bytes")));
    }
    if !line.is_empty() && !line.trim_start_matches("a=").starts_with("candidate:") {
        return Err(Error::invalid("a candidate begins with 'candidate:'"));
    }
    Ok(Done {})
}

/// A viewer says how late its picture is, and learns the clock to measure it by.
pub async fn latency(_: App, _: SocketRef, guest: Guest, latency: Latency) -> Result<ServerClock, Error> {
    if let Some(ms) = latency.ms {
        if !(0.0..=LATENCY_MS).contains(&ms) {
            return Err(Error::invalid(format!("ms lies between 0 and {LATENCY_MS}")));
        }
        let watches = guest.watching.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if watches {
            metrics::histogram!("oxbow_latency_seconds").record(ms / 1000.0);
        }
    }
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(ServerClock { utc_ms: since_1970.as_secs_f64() * 1000.0 })
}

/// The viewer wants no more: its session ends. A streamer's session is left alone, since the media decides whether the streamer is gone.
pub async fn leave(app: &App, guest: &Guest) {
    replace(app, guest, None).await;
}

/// The socket is gone and its viewer may not be: the session is kept for a while.
pub async fn lost(app: &App, guest: &Guest) {
    let session = watching(guest).take();
    let pushed_out = session.and_then(|session| app.viewings().lost(session, guest.socket, Instant::now()));
    if let Some(pushed_out) = pushed_out {
        // Unknown: it ended by itself.
        let _ = app.plane().close(pushed_out).await;
    }
}

/// The socket went while the plane worked: nobody would hear of it again.
async fn gone_meanwhile(app: &App, socket: &SocketRef, guest: &Guest) {
    if !socket.connected() {
        lost(app, guest).await;
    }
}

async fn replace(app: &App, guest: &Guest, session: Option<SessionId>) {
    let before = std::mem::replace(&mut *watching(guest), session);
    if let Some(before) = before.filter(|before| Some(*before) != session)
        && app.viewings().ended(before, guest.socket)
    {
        // Unknown: it ended by itself.
        let _ = app.plane().close(before).await;
    }
}

fn watching(guest: &Guest) -> MutexGuard<'_, Option<SessionId>> {
    guest.watching.lock().unwrap_or_else(PoisonError::into_inner)
}

fn streamer(guest: &Guest) -> Result<(), Error> {
    match guest.actor {
        Actor::Streamer => Ok(()),
        Actor::Stranger => Err(Error::key_required()),
    }
}

fn still_open(app: &App) -> Result<(), Error> {
    if app.is_stopping() { Err(Error::new(Code::ShuttingDown, "the server is shutting down")) } else { Ok(()) }
}
