//! Walks the clips of one broadcast by their continuity records alone, and names whatever does not join. Pure.
//!
//! A clip that somebody deleted is in the chain as its tombstone; one that is still on its way without a file is a member of which
//! nothing is known. Units that the disk did not take are written down as such, and no break.

use std::collections::BTreeMap;

use storage::local::LocalClip;
use storage::{Clip, Continuity, Id, Tombstone};

/// Two clips of one broadcast agree on the time of media zero to the millisecond that `started_at_ms` is rounded to.
const ZERO_TOLERANCE_MS: i64 = 2;

/// A place in the chain.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: Id,
    pub(crate) part: u32,
    /// Empty when there is no file (yet).
    pub(crate) sha256: String,
    pub(crate) continuity: Option<Continuity>,
    /// UTC milliseconds of the broadcast's media zero, where it can be known.
    zero_ms: Option<i64>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Clip,
    Deleted,
    /// Not in the database yet.
    Coming,
}

impl From<&Clip> for Member {
    fn from(clip: &Clip) -> Self {
        Self {
            id: clip.id.clone(),
            part: clip.part,
            sha256: clip.sha256.clone(),
            continuity: clip.continuity.clone(),
            zero_ms: Some(clip.started_at_ms - (clip.from_ns / 1_000_000) as i64),
            kind: Kind::Clip,
        }
    }
}

impl From<&Tombstone> for Member {
    fn from(tombstone: &Tombstone) -> Self {
        let Tombstone { id, part, sha256, continuity, .. } = tombstone.clone();
        Self { id, part, sha256, continuity, zero_ms: None, kind: Kind::Deleted }
    }
}

impl From<&LocalClip> for Member {
    fn from(row: &LocalClip) -> Self {
        let (id, part) = (row.id.clone(), row.part);
        let unknown = Self { id, part, sha256: String::new(), continuity: None, zero_ms: None, kind: Kind::Coming };
        row.clip.as_ref().map_or(unknown, |clip| Self { kind: Kind::Coming, ..clip.into() })
    }
}

/// How many clips were made of it, deleted ones among them; none when some were made by writers that did not count.
pub(crate) fn made(members: &[Member]) -> Option<u32> {
    let made: Vec<_> = members.iter().filter(|member| !member.sha256.is_empty()).collect();
    made.iter().all(|member| member.continuity.is_some()).then_some(made.len() as u32).filter(|made| *made > 0)
}

/// Everything that does not join, in order of the parts. Silent when the chain is whole, and for clips of writers that did not count.
pub(crate) fn walk(members: &mut [Member]) -> Vec<String> {
    members.sort_by_key(|member| member.part);
    let mut walk = Walk { members, ..Walk::default() };
    if members.iter().all(|member| member.kind != Kind::Clip || member.continuity.is_none()) {
        return Vec::new();
    }
    for at in 0..members.len() {
        walk.member(at);
    }
    walk.wrong
}

#[derive(Default)]
struct Walk<'a> {
    members: &'a [Member],
    tracks: BTreeMap<u8, Last>,
    /// A member of which nothing is known stands between here and the one before.
    blind: bool,
    /// There was one: of tracks that have not been seen since, nothing is known either.
    blurred: bool,
    wrong: Vec<String>,
}

/// The last unit of a track so far.
struct Last {
    clip: Id,
    unit: u64,
    ns: u64,
}

impl Walk<'_> {
    fn member(&mut self, at: usize) {
        let member = &self.members[at];
        if at > 0 && self.members[at - 1].part == member.part {
            let (one, other) = (&self.members[at - 1].id, &member.id);
            self.wrong.push(format!("clips {one} and {other} are both part {} of their broadcast", member.part));
        }
        let Some(record) = &member.continuity else {
            if member.kind == Kind::Clip {
                self.wrong.push(format!("clip {} has no continuity record, others of its broadcast have", member.id));
            }
            self.blind = true;
            return;
        };
        self.zero(at);
        self.link(member, record);
        for track in 0..record.tracks.len() {
            self.track(member, record, track);
        }
        if self.blind {
            let here = |track: &u8| record.tracks.iter().any(|t| t.track == *track);
            self.tracks.retain(|track, _| here(track));
            (self.blind, self.blurred) = (false, true);
        }
    }

    /// Wall clock and timeline of all clips are laid on each other in the same way.
    fn zero(&mut self, at: usize) {
        let (member, first) = (&self.members[at], self.members[..at].iter().find_map(|m| Some((m.zero_ms?, &m.id))));
        if let (Some(zero), Some((first, other))) = (member.zero_ms, first)
            && (zero - first).abs() > ZERO_TOLERANCE_MS
        {
            let off = zero - first;
            self.wrong.push(format!("clips {other} and {}: their clocks are {off} ms apart", member.id));
        }
    }

    /// The clip before it, by name and hash.
    fn link(&mut self, member: &Member, record: &Continuity) {
        let wrong = &mut self.wrong;
        let id = &member.id;
        let Some(link) = &record.before else {
            // one that is on its way gets its link before its row
            if member.kind == Kind::Clip && record.passed != member.part {
                wrong.push(format!("clip {id} does not name the clip before it"));
            }
            return;
        };
        if link.part + record.passed + 1 != member.part {
            wrong.push(format!("clip {id} is part {} and names part {} as the one before it", member.part, link.part));
        }
        let Some(before) = self.members.iter().find(|other| other.id == link.clip) else {
            wrong.push(format!("clip {id} names clip {} before it, which is nowhere", link.clip));
            return;
        };
        let replaced = before.continuity.iter().any(|record| record.replaced.contains(&link.sha256));
        if before.part != link.part {
            wrong.push(format!("clip {id} names clip {} as part {}, it is part {}", link.clip, link.part, before.part));
        } else if !before.sha256.is_empty() && before.sha256 != link.sha256 && !replaced {
            wrong.push(format!("clip {id} names clip {} before it with another hash than it has", link.clip));
        }
    }

    fn track(&mut self, member: &Member, record: &Continuity, at: usize) {
        let (id, track) = (&member.id, &record.tracks[at]);
        let number = track.track;
        let within = (track.last_unit + 1).checked_sub(track.first_unit);
        if within != Some(track.units + track.unshown + track.given_up) {
            let (first, last, units) = (track.first_unit, track.last_unit, track.units);
            self.wrong.push(format!("clip {id}, track {number}: units {first} to {last} are not {units}"));
        }
        let last = self.tracks.insert(number, Last { clip: id.clone(), unit: track.last_unit, ns: track.last_ns });
        let (expected, between) = match &last {
            Some(last) => (last.unit + 1, format!("between clips {} and {id}", last.clip)),
            None => (0, format!("before clip {id}")),
        };
        if self.blind || (self.blurred && last.is_none()) {
            return;
        }
        if track.first_unit < expected {
            let (first, last) = (track.first_unit, expected - 1);
            self.wrong.push(format!("{between}, track {number}: units {first} to {last} are in both"));
        } else if track.first_unit > expected && !track.given_up_before {
            let missing = track.first_unit - 1;
            self.wrong.push(format!("{between}, track {number}: units {expected} to {missing} are missing"));
        } else if last.is_some_and(|last| track.from_ns <= last.ns) {
            self.wrong.push(format!("{between}, track {number}: time does not move forward at {} ns", track.from_ns));
        }
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
pub(crate) mod tests;
