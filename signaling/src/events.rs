//! The stream of events for those who follow it (server-sent events): what the log has behind a place, then what happens.
//!
//! Nothing is queued for anybody: a follower is a place in the log and reads on when its connection takes more. One that takes nothing for
//! a while is cut and may come back to its place.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::Stream;
use serde_json::json;
use storage::{Event, EventType, Id, Local, StorageError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::error::{Code, Error};
use crate::limits::EVENT_STREAMS;
use crate::listen::Line;

/// Without an event, something is said this often, so that both sides notice when the other is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client is asked to wait before it comes back.
const RETRY: Duration = Duration::from_secs(2);
/// Events that are read at a time.
const BATCH: u32 = 100;

/// Places for those who follow.
pub struct Seats(Arc<Semaphore>);

impl Default for Seats {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(EVENT_STREAMS)))
    }
}

impl Seats {
    /// # Errors
    /// `full`.
    pub fn take(&self) -> Result<OwnedSemaphorePermit, Error> {
        let full =
            |_| Error::new(Code::Full, format!("{EVENT_STREAMS} clients follow the events, which is as many as can"));
        Arc::clone(&self.0).try_acquire_owned().map_err(full)
    }
}

/// What somebody wants to hear of.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Empty: all.
    pub kinds: Vec<EventType>,
    pub channel: Option<String>,
}

impl Filter {
    fn lets(&self, event: &Event) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.channel.as_ref().is_none_or(|channel| event.channel.as_ref() == Some(channel))
    }
}

/// The body of the answer: what came after `place`, and what comes. A connection that takes nothing for `stall` is cut.
pub fn follow(
    local: Local,
    filter: Filter,
    place: Id,
    seat: OwnedSemaphorePermit,
    line: Line,
    stall: Duration,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let pace = Arc::new(Pace::default());
    tokio::spawn(cut_when_stalled(Arc::downgrade(&pace), line.clone(), stall));
    let newest = local.newest_event();
    let follower = Follower { local, filter, place, newest, line, pace, greeted: false, _seat: seat };
    futures::stream::unfold(follower, |mut follower| async move {
        follower.pace.taken();
        let text = follower.next().await?;
        follower.pace.given();
        Some((Ok(Bytes::from(text)), follower))
    })
}

struct Follower {
    local: Local,
    filter: Filter,
    /// Everything up to here was said.
    place: Id,
    newest: watch::Receiver<Option<Id>>,
    line: Line,
    pace: Arc<Pace>,
    greeted: bool,
    _seat: OwnedSemaphorePermit,
}

impl Follower {
    /// What is to be said next; none when nothing more is.
    async fn next(&mut self) -> Option<String> {
        if !self.greeted {
            self.greeted = true;
            // Its place from the beginning: it may lose the connection before the first event.
            return Some(format!("retry: {}\nid: {}\n\n", RETRY.as_millis(), self.place));
        }
        loop {
            self.newest.borrow_and_update();
            match self.batch().await {
                Ok(text) if !text.is_empty() => return Some(text),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the log of events cannot be read");
                    return None;
                }
            }
            tokio::select! {
                changed = self.newest.changed() => changed.ok()?,
                () = tokio::time::sleep(HEARTBEAT) => return Some(format!(": nothing new\nid: {}\n\n", self.place)),
                () = self.line.stopping.cancelled() => return None,
            }
        }
    }

    /// The next events that it wants, as text; empty when there are none now.
    async fn batch(&mut self) -> Result<String, StorageError> {
        loop {
            let page = self.local.events_after(self.place.clone(), BATCH).await?;
            let mut text = String::new();
            if page.gap {
                let said = json!({ "after": self.place, "oldest": page.events.first().map(|event| &event.id) });
                let _ = write!(text, "event: gap\ndata: {said}\n\n");
                self.place = self.local.start_of_events().await?;
            }
            for event in page.events.iter().filter(|event| self.filter.lets(event)) {
                text += &frame(event)?;
            }
            let Some(last) = page.events.last() else { return Ok(text) };
            self.place = last.id.clone();
            if !text.is_empty() {
                return Ok(text);
            }
        }
    }
}

/// Without a name of its own in the protocol, so that one handler hears them all.
fn frame(event: &Event) -> Result<String, StorageError> {
    // JSON on one line: it has no line ends of its own
    let json = serde_json::to_string(event).map_err(|e| StorageError::Corrupt(e.to_string()))?;
    Ok(format!("id: {}\ndata: {json}\n\n", event.id))
}

/// Whether the connection takes what it is given.
#[derive(Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    fn given(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The connection asks for more, so it has room.
    fn taken(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_stalled(&self, now: Instant, stall: Duration) -> bool {
        let given = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        given.is_some_and(|given| now.saturating_duration_since(given) > stall)
    }
}

async fn cut_when_stalled(pace: Weak<Pace>, line: Line, stall: Duration) {
    loop {
        tokio::time::sleep(stall / 6).await;
        let Some(pace) = pace.upgrade() else { return };
        if pace.is_stalled(Instant::now(), stall) {
            metrics::counter!("oxbow_event_streams_cut_total").increment(1);
            line.cut.cancel();
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use axum::{Extension, Router};
    use futures::StreamExt;
    use tokio::io::AsyncWriteExt as _;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::limits::EVENT_STALL;
    use crate::listen::Listener;

    fn line() -> Line {
        Line { stopping: CancellationToken::new(), cut: CancellationToken::new() }
    }

    async fn text(stream: &mut (impl Stream<Item = Result<Bytes, Infallible>> + Unpin)) -> String {
        String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_follower_hears_what_was_what_is_and_what_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::open(folder.path().join("local.db")).unwrap();
        for number in 0..3 {
            local.note_alarm("main".into(), format!("first {number}\nline")).await.unwrap();
        }
        let start = local.start_of_events().await.unwrap();
        let seats = Seats::default();
        let line = line();
        let filter = Filter { kinds: vec![EventType::AlarmRaised], channel: Some("main".into()) };
        let stream = follow(local.clone(), filter, start, seats.take().unwrap(), line.clone(), EVENT_STALL);
        let mut stream = Box::pin(stream);
        assert!(text(&mut stream).await.starts_with("retry: 2000\nid: "));
        let first = text(&mut stream).await;
        assert_eq!(first.matches("\n\n").count(), 3, "{first}");
        assert!(first.contains("\"sequence\":3") && first.contains("first 2\\nline"), "{first}");

        local.note_alarm("side".into(), "elsewhere".into()).await.unwrap();
        local.note_alarm("main".into(), "then".into()).await.unwrap();
        let then = text(&mut stream).await;
        assert!(then.contains("then") && !then.contains("elsewhere"), "{then}");
        line.stopping.cancel();
        assert!(stream.next().await.is_none());

        let stranger = Id::new(1, 1);
        let stream = follow(
            local.clone(),
            Filter::default(),
            stranger.clone(),
            seats.take().unwrap(),
            line.clone(),
            EVENT_STALL,
        );
        let mut stream = Box::pin(stream);
        text(&mut stream).await;
        let said = text(&mut stream).await;
        assert!(said.starts_with(&format!("event: gap\ndata: {{\"after\":\"{stranger}\",\"oldest\":\"")), "{said}");
        assert_eq!(said.matches("\n\n").count(), 6, "and then all there is: {said}");
    }

    #[tokio::test]
    async fn seats_are_bounded_and_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::open(folder.path().join("local.db")).unwrap();
        let place = local.end_of_events().await.unwrap();
        let seats = Seats::default();
        let follow = |seat| follow(local.clone(), Filter::default(), place.clone(), seat, line(), EVENT_STALL);
        let mut all: Vec<_> = (0..EVENT_STREAMS).map(|_| follow(seats.take().unwrap())).collect();
        assert_eq!(seats.take().unwrap_err().code, Code::Full);
        all.pop();
        assert!(seats.take().is_ok());
    }

    #[test]
    fn who_takes_nothing_is_stalled_and_who_has_nothing_to_take_is_not() {
        let (pace, now) = (Pace::default(), Instant::now());
        let later = now + 2 * EVENT_STALL;
        assert!(!pace.is_stalled(later, EVENT_STALL), "nothing was given");
        pace.given();
        assert!(!pace.is_stalled(now, EVENT_STALL) && pace.is_stalled(later, EVENT_STALL));
        pace.taken();
        assert!(!pace.is_stalled(later, EVENT_STALL));
    }

    #[tokio::test]
    async fn a_connection_that_takes_nothing_is_cut_and_one_that_reads_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::open(folder.path().join("local.db")).unwrap();
        let (seats, followed) = (Arc::new(Seats::default()), local.clone());
        let held = Arc::clone(&seats);
        let route = move |Extension(line): Extension<Line>| {
            let (local, seats) = (followed.clone(), Arc::clone(&held));
            async move {
                let place = local.end_of_events().await.unwrap();
                let (seat, stall) = (seats.take().unwrap(), Duration::from_millis(600));
                Body::from_stream(follow(local, Filter::default(), place, seat, line, stall))
            }
        };
        // Small buffers, which a little fills.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(4096).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = Listener::on(socket.listen(16).unwrap());
        let address = listener.address().unwrap();
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(route));
        let serving = tokio::spawn(listener.serve(router, stop.clone().cancelled_owned()));
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut deaf = socket.connect(address).await.unwrap();
        deaf.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut hearing = reqwest::get(format!("http://{address}/")).await.unwrap();
        let reading = tokio::spawn(async move { while let Ok(Some(_)) = hearing.chunk().await {} });
        while seats.0.available_permits() > EVENT_STREAMS - 2 {
            tokio::task::yield_now().await;
        }
        let filling = async {
            while seats.0.available_permits() < EVENT_STREAMS - 1 {
                local.note_alarm("main".into(), "x".repeat(500)).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(120), filling).await.expect("it is cut");
        assert!(!reading.is_finished(), "the other goes on");
        stop.cancel();
        serving.await.unwrap();
        reading.await.unwrap();
        drop(deaf);
    }
}
