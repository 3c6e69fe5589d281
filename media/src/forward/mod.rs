//! What one viewer gets of one track, packet by packet. Nothing is queued here: a packet is sent now, or dropped for a reason.

pub mod holes;
pub mod keyframe;
pub mod layer;
pub mod level;
pub mod pacer;
pub mod rewrite;

use std::time::Instant;

use crate::buffer::cache::Meta;
use crate::stats::DropReason;

use keyframe::Gate;
use level::Level;
use rewrite::{Mapped, Rewriter, Seam};

/// What happens to one packet for one viewer.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Send(Mapped),
    /// It is not for this viewer, but what came behind it was sent already: an empty packet takes its number.
    Fill(Mapped),
    Drop(DropReason),
}

/// Decides about one packet: the gate, then the level, then the numbers. `clock_rate` is the track's, in Hz. `seam` is asked where another source begins.
pub fn forward(
    gate: &mut Gate,
    level: &mut Level,
    rewriter: &mut Rewriter,
    now: Instant,
    packet: &Meta,
    clock_rate: u32,
    seam: impl FnOnce(&Rewriter) -> Seam,
) -> Verdict {
    if !gate.admit(packet) {
        return Verdict::Drop(DropReason::AwaitKeyframe);
    }
    if !level.admit(packet) {
        return rewriter.leave_out(packet).map_or(Verdict::Drop(DropReason::Layer), Verdict::Fill);
    }
    match rewriter.map(now, packet, clock_rate, seam) {
        Ok(mapped) => Verdict::Send(mapped),
        Err(reason) => Verdict::Drop(reason),
    }
}
