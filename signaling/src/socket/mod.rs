//! The socket's events, in one list. What each does is in `media.rs` and `room.rs`, what it carries in `event.rs`.

pub mod event;

/// (event, payload, what the ack carries): client to server.
pub const REQUESTS: &[(&str, &str, &str)] = &[
    ("start-stream", "StartStream", "StreamAnswered"),
    ("stop-stream", "Nothing", "Done"),
    ("watch", "Watch", "WatchAnswered"),
    ("unwatch", "Nothing", "Done"),
    ("ice-candidate", "IceCandidate", "Done"),
    ("clip", "ClipWanted", "Requested"),
];

/// (event, payload): server to client.
pub const ANNOUNCEMENTS: &[(&str, &str)] = &[
    ("stream-started", "StreamStarted"),
    ("stream-interrupted", "StreamInterrupted"),
    ("stream-ended", "StreamEnded"),
    ("viewers", "Viewers"),
    ("clip", "ClipAnnounced"),
    ("taken-over", "Notice"),
    ("server-stopping", "Notice"),
    ("alarm", "Alarm"),
];
