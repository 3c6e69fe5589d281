//! Figures of what drives a shard: its loop, its sockets, its queues. What a shard knows of sessions and rooms does not belong here.

use crate::stats::Spans;

/// Figures of the loop around a shard: its socket, its time, its queues. Counters since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriveStats {
    pub turns: u64,
    /// Microseconds spent in turns, waiting excluded.
    pub busy_us: u64,
    /// Microseconds of the longest turn of the last 10 to 20 s.
    pub longest_turn_us: u64,
    /// Datagrams given to the kernel, and the messages they went in: datagrams per message is the length of GSO runs.
    pub datagrams_out: u64,
    pub messages_out: u64,
    /// False where the kernel has no UDP GSO or refused it once.
    pub gso: bool,
    /// Times that a socket gave up GSO.
    pub gso_fallbacks: u64,
    /// Datagrams dropped because the socket's send buffer was full.
    pub send_would_block: u64,
    /// Datagrams that the kernel refused for another reason.
    pub send_failed: u64,
    /// Datagrams dropped unread: too long, empty or from port 0.
    pub unusable_in: u64,
    pub tap_items: u64,
    /// Access units that the recorder's queue had no room for, and how often a track ran into that.
    pub tap_dropped_units: u64,
    pub tap_overruns: u64,
    /// Times that the shard failed on a broken invariant and was started anew.
    pub restarts: u64,
    /// From the arrival of the first packet of a fan-out until the last datagram of it was given to the kernel.
    pub forward: Spans,
    pub tcp: TcpStats,
    /// Datagrams given to the shard that has their session.
    pub relayed: u64,
    /// What another shard had no room for.
    pub mesh_full: u64,
}

/// Figures of the ICE-TCP connections of a shard. Counters since start, but for `open`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpStats {
    /// Connections that a session has now.
    pub open: u64,
    /// Connections that came with a check.
    pub accepted: u64,
    pub frames_out: u64,
    /// Packets dropped because the connection had not taken those before.
    pub congested: u64,
    /// Packets for a connection that is gone.
    pub gone: u64,
    /// Connections closed because what came was no frame, or first no check.
    pub malformed: u64,
    /// Connections closed because their first check did not come in time.
    pub late: u64,
    /// Connections closed because their first check was of no session.
    pub strangers: u64,
    /// Connections closed because a bound was reached.
    pub refused: u64,
}

impl DriveStats {
    /// Counters with the names that metrics give them. What was dropped is in [`ShardStats::dropped`].
    pub fn counters(&self) -> [(&'static str, u64); 11] {
        [
            ("oxbow_shard_turns_total", self.turns),
            ("oxbow_shard_busy_microseconds_total", self.busy_us),
            ("oxbow_shard_restarts_total", self.restarts),
            ("oxbow_datagrams_sent_total", self.datagrams_out),
            ("oxbow_shard_relayed_datagrams_total", self.relayed),
            ("oxbow_send_messages_total", self.messages_out),
            ("oxbow_gso_fallbacks_total", self.gso_fallbacks),
            ("oxbow_tap_items_total", self.tap_items),
            ("oxbow_tap_overruns_total", self.tap_overruns),
            ("oxbow_tcp_connections_total", self.tcp.accepted),
            ("oxbow_tcp_packets_sent_total", self.tcp.frames_out),
        ]
    }

    /// Momentary values with the names that metrics give them.
    pub fn gauges(&self) -> [(&'static str, u64); 3] {
        [
            ("oxbow_shard_longest_turn_microseconds", self.longest_turn_us),
            ("oxbow_gso", u64::from(self.gso)),
            ("oxbow_tcp_connections", self.tcp.open),
        ]
    }

    /// Drops outside the router, with the names of their reasons: they complete [`ShardStats::dropped`].
    pub fn drops(&self) -> [(&'static str, u64); 11] {
        [
            ("unusable", self.unusable_in),
            ("send_would_block", self.send_would_block),
            ("send_failed", self.send_failed),
            ("mesh_full", self.mesh_full),
            ("tap_queue_full", self.tap_dropped_units),
            ("tcp_congested", self.tcp.congested),
            ("tcp_gone", self.tcp.gone),
            ("tcp_malformed", self.tcp.malformed),
            ("tcp_late", self.tcp.late),
            ("tcp_stranger", self.tcp.strangers),
            ("tcp_refused", self.tcp.refused),
        ]
    }
}
