//! What is kept of a viewer on demand: all that came from it, and what it was given because of that. With the record of its streamer it is enough to
//! decide the same again. When it happened is in the notes; who is traced does not belong here.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::limit;
use crate::message::Quality;
use crate::rtp::layer::LayerId;

use super::What;

/// The numbers of one stream to a viewer, which are drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Place of its section in the answer.
    pub section: u8,
    pub ssrc: u32,
    /// The first sequence number.
    pub first: u16,
}

/// What a viewer is given of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Place of its section in the answer.
    pub section: u8,
    /// Place of the simulcast layer whose packets it gets; `None` before the first and in a pause.
    pub layer: Option<u8>,
    /// The one that it shall get.
    pub target: Option<u8>,
    /// How much of that layer it shall get.
    pub top: LayerId,
    /// Nothing goes out before a keyframe.
    pub awaits_keyframe: bool,
    /// It has not been sent yet what others were.
    pub behind: bool,
    pub paused: bool,
}

/// What a viewer's network is thought to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carries {
    /// Bits per second; `None` while no limit was met.
    pub bitrate: Option<u64>,
    /// More is sent than passes.
    pub congested: bool,
}

#[derive(Clone, Copy)]
pub enum Detail {
    Stream(Stream),
    /// So many bytes.
    Feedback(u16),
    Moved(SocketAddr),
    Preferred(Quality),
    Stands(Standing),
    Carries(Carries),
}

/// See the head of this module. It has all its memory from the beginning.
pub struct Trace {
    /// One of each note that is traced, in order.
    details: VecDeque<Detail>,
    /// Of each [`Detail::Feedback`], in order.
    bytes: VecDeque<u8>,
    address: Option<SocketAddr>,
    standing: [Option<Standing>; limit::MEDIA_SECTIONS],
    carries: Option<Carries>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            details: VecDeque::with_capacity(limit::TRACE_NOTES),
            bytes: VecDeque::with_capacity(limit::TRACE_BYTES),
            address: None,
            standing: [None; limit::MEDIA_SECTIONS],
            carries: None,
        }
    }
}

impl Trace {
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes.len() + bytes <= limit::TRACE_BYTES
    }

    /// Only with room for it, see [`Trace::has_room`].
    pub fn feedback(&mut self, compound: &[u8]) {
        self.bytes.extend(compound);
        self.add(Detail::Feedback(compound.len() as u16));
    }

    pub fn add(&mut self, detail: Detail) {
        self.details.push_back(detail);
    }

    pub fn forget_oldest(&mut self) {
        if let Some(Detail::Feedback(bytes)) = self.details.pop_front() {
            self.bytes.drain(..usize::from(bytes));
        }
    }

    /// Whether this is another address than the last one.
    pub fn moves(&mut self, to: SocketAddr) -> bool {
        self.address.replace(to) != Some(to)
    }

    /// Whether this is another standing than the last one of its section.
    pub fn stands_anew(&mut self, standing: Standing) -> bool {
        let known = self.standing.get_mut(usize::from(standing.section));
        known.is_some_and(|known| known.replace(standing) != Some(standing))
    }

    pub fn carries_anew(&mut self, carries: Carries) -> bool {
        self.carries.replace(carries) != Some(carries)
    }

    pub fn read(&self) -> impl Iterator<Item = What> {
        let mut bytes = self.bytes.iter().copied();
        self.details.iter().map(move |detail| match *detail {
            Detail::Stream(stream) => What::Stream(stream),
            Detail::Feedback(len) => What::Feedback(bytes.by_ref().take(usize::from(len)).collect()),
            Detail::Moved(to) => What::Moved(to),
            Detail::Preferred(quality) => What::Preferred(quality),
            Detail::Stands(standing) => What::Stands(standing),
            Detail::Carries(carries) => What::Carries(carries),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Diary;
    use super::*;
    use crate::id::{SessionId, ShardId};
    use crate::message::Role;
    use crate::session::testing::start;

    fn flight(diary: &Diary) -> (Vec<What>, u64) {
        let told = diary.read(SessionId::new(ShardId(0), 1), "main".parse().unwrap(), Role::Viewer);
        (told.flight.into_iter().map(|note| note.what).collect(), told.notes_lost)
    }

    #[test]
    fn the_oldest_feedback_makes_room_for_the_newest() {
        let now = start();
        let mut diary = Diary::new(now, Role::Viewer);
        diary.feedback(now, &[1; 8]);
        assert_eq!(flight(&diary), (Vec::new(), 0), "it is not traced");
        diary.begin_trace();
        let compound = |n: usize| vec![n as u8; 900 + n % 500];
        for n in 0..300 {
            diary.feedback(now, &compound(n));
            diary.carries(now, Carries { bitrate: Some(n as u64 / 3), congested: false });
        }
        let (notes, lost) = flight(&diary);
        let kept: Vec<usize> = (0..300).filter(|n| notes.contains(&What::Feedback(compound(*n).into()))).collect();
        assert!(kept.len() > 40 && kept.len() < 80, "{} compounds", kept.len());
        assert_eq!(kept, (300 - kept.len()..300).collect::<Vec<_>>());
        assert_eq!(notes.last(), Some(&What::Feedback(compound(299).into())));
        assert_eq!(notes.len() as u64 + lost, 300 + 100, "an estimate is noted when it changes");
    }

    #[test]
    fn notes_are_bounded_and_end_with_the_trace() {
        let now = start();
        let mut diary = Diary::new(now, Role::Viewer);
        diary.begin_trace();
        for n in 0..limit::TRACE_NOTES + 7 {
            diary.preferred(now, Quality::AtMost(n as u16));
        }
        let (notes, lost) = flight(&diary);
        assert_eq!((notes.len(), lost), (limit::TRACE_NOTES, 7));
        assert_eq!(notes[0], What::Preferred(Quality::AtMost(7)));
        let section = Standing {
            section: 200,
            layer: None,
            target: None,
            top: LayerId::ALL,
            awaits_keyframe: true,
            behind: false,
            paused: false,
        };
        diary.stands(now, section);
        assert_eq!(flight(&diary).1, 7, "there is no such section");
        diary.closed(now, crate::message::CloseReason::Requested);
        diary.end_trace();
        let (notes, lost) = flight(&diary);
        assert_eq!(notes, [What::Closed(crate::message::CloseReason::Requested)]);
        assert_eq!(lost as usize, limit::TRACE_NOTES + 7);
        assert!(!diary.is_traced());
    }
}
