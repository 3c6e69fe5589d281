//! How much of a scalable stream one viewer gets: up to which temporal and which spatial layer. Why it shall be more or less does not belong
//! here.
//!
//! Less begins with any picture. More needs a picture that what was left out is not needed for: a keyframe, for more temporal layers a switching
//! point.

use crate::buffer::cache::Meta;
use crate::rtp::layer::{LayerId, SwitchUp};

/// A stream without a switching point in so many pictures needs a keyframe to go up.
const PATIENCE: u16 = 64;

/// See the head of this module.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    target: LayerId,
    top: LayerId,
    /// The source that the rest is about, and the index from which on `top` holds; before, it was `before`.
    source: Option<u32>,
    since: u64,
    before: LayerId,
    /// Timestamp of the newest picture.
    picture: u64,
    /// Something of it was left out.
    cut: bool,
    /// From the next picture on nothing needs temporal layers that were left out.
    free_after: bool,
    /// Pictures since more temporal layers are wanted than there are.
    waited: u16,
}

impl Default for Level {
    fn default() -> Self {
        Self {
            target: LayerId::ALL,
            top: LayerId::ALL,
            source: None,
            since: 0,
            before: LayerId::ALL,
            picture: 0,
            cut: false,
            free_after: false,
            waited: 0,
        }
    }
}

impl Level {
    /// What the viewer shall get.
    pub fn target(&self) -> LayerId {
        self.target
    }

    pub fn aim(&mut self, target: LayerId) {
        self.target = target;
    }

    /// More is wanted, and it takes a keyframe.
    pub fn wants_key(&self) -> bool {
        self.target.spatial > self.top.spatial || self.waited >= PATIENCE
    }

    /// Whether the viewer gets this packet, whose source it may have. A source begins with a keyframe.
    pub fn admit(&mut self, packet: &Meta) -> bool {
        if self.source != Some(packet.source) {
            let (top, source) = (self.target, Some(packet.source));
            let (since, picture) = (packet.index, packet.timestamp);
            *self = Self { target: top, top, before: top, source, since, picture, ..Self::default() };
        } else if packet.index >= self.since {
            self.adapt(packet);
        }
        let admitted = self.admits(packet);
        self.cut |= !admitted && packet.timestamp == self.picture;
        admitted
    }

    /// The same of a packet that came before.
    pub fn admits(&self, packet: &Meta) -> bool {
        self.source != Some(packet.source) || packet.inspected.layer.is_within(self.top_at(packet.index))
    }

    /// The last packet of a picture, as the viewer gets it.
    pub fn ends(&self, packet: &Meta) -> bool {
        let highest = self.top_at(packet.index).spatial == packet.inspected.layer.spatial;
        packet.marker || packet.inspected.end && highest && self.source == Some(packet.source)
    }

    fn top_at(&self, index: u64) -> LayerId {
        if index < self.since { self.before } else { self.top }
    }

    fn adapt(&mut self, packet: &Meta) {
        if packet.timestamp < self.picture {
            return;
        }
        let mut top = self.top;
        if packet.timestamp > self.picture {
            (self.picture, self.cut) = (packet.timestamp, false);
            top = top.min(self.target);
            if std::mem::take(&mut self.free_after) {
                top.temporal = self.target.temporal;
            }
            self.waited = self.waited.saturating_add(1);
        }
        let layer = packet.inspected.layer;
        if packet.inspected.key && !self.cut {
            top = self.target;
        } else if layer.is_within(top) {
            match packet.inspected.switch_up {
                SwitchUp::After => self.free_after = true,
                SwitchUp::To(all) if !self.cut => top = top.max(all.min(self.target)),
                _ => {}
            }
        } else if packet.inspected.switch_up == SwitchUp::Here
            && layer.temporal == top.temporal + 1
            && layer.is_within(self.target)
        {
            top.temporal = layer.temporal;
        }
        if top.temporal >= self.target.temporal {
            self.waited = 0;
        }
        if top != self.top {
            (self.before, self.top, self.since) = (self.top, top, packet.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::cache::tests::meta;
    use crate::rtp::codec::Inspected;

    fn packet(index: u64, picture: u64, spatial: u8, temporal: u8, switch_up: SwitchUp) -> Meta {
        let inspected = Inspected { layer: LayerId { spatial, temporal }, switch_up, ..Inspected::default() };
        Meta { inspected, timestamp: meta(picture).timestamp, ..meta(index) }
    }

    fn key(index: u64, picture: u64) -> Meta {
        let packet = packet(index, picture, 0, 0, SwitchUp::No);
        Meta { inspected: Inspected { key: true, ..packet.inspected }, ..packet }
    }

    fn top(spatial: u8, temporal: u8) -> LayerId {
        LayerId { spatial, temporal }
    }

    #[test]
    fn rates_fall_with_the_next_picture_and_rise_one_by_one() {
        use SwitchUp::{Here, No};
        let mut level = Level::default();
        // Layers 0 2 1 2, then the target falls within a picture.
        assert!(level.admit(&key(100, 1)));
        assert!(level.admit(&packet(101, 2, 0, 2, No)));
        level.aim(top(u8::MAX, 0));
        assert!(level.admit(&packet(102, 2, 0, 2, No)), "the picture goes on");
        assert!(!level.admit(&packet(103, 3, 0, 1, No)));
        assert!(!level.wants_key());
        level.aim(LayerId::ALL);
        assert!(!level.admit(&packet(104, 4, 0, 2, Here)), "layers below it would be missing");
        assert!(level.admit(&packet(105, 5, 0, 0, No)));
        assert!(!level.admit(&packet(106, 6, 0, 1, No)));
        assert!(level.admit(&packet(107, 7, 0, 1, Here)));
        assert!(!level.admit(&packet(108, 8, 0, 2, No)));
        assert!(level.admit(&packet(109, 9, 0, 2, Here)));
        assert!(!level.admit(&packet(108, 8, 0, 2, No)), "late, and as before");
    }

    #[test]
    fn a_switching_point_frees_what_follows() {
        let mut level = Level::default();
        level.aim(top(0, 0));
        assert!(level.admit(&key(100, 1)));
        level.aim(top(0, 1));
        assert!(!level.admit(&packet(101, 2, 0, 1, SwitchUp::After)), "it was left out itself");
        assert!(level.admit(&packet(102, 3, 0, 0, SwitchUp::After)));
        assert!(level.admit(&packet(103, 4, 0, 1, SwitchUp::No)));
        assert!(!level.admit(&packet(104, 5, 0, 2, SwitchUp::No)), "beyond the target");
    }

    #[test]
    fn an_indication_names_what_it_frees() {
        let mut level = Level::default();
        level.aim(top(1, 0));
        assert!(level.admit(&key(100, 1)));
        level.aim(LayerId::ALL);
        assert!(level.wants_key());
        assert!(!level.admit(&packet(101, 2, 1, 1, SwitchUp::To(top(1, 2)))));
        assert!(level.admit(&packet(102, 3, 0, 0, SwitchUp::To(top(0, 2)))));
        assert!(level.admit(&packet(103, 4, 1, 2, SwitchUp::No)));
        assert!(!level.admit(&packet(104, 4, 2, 2, SwitchUp::No)));
        assert!(level.admit(&key(105, 5)));
        assert!(level.admit(&packet(106, 5, 2, 0, SwitchUp::No)));
        assert!(!level.wants_key());
    }

    #[test]
    fn larger_pictures_begin_with_a_whole_keyframe() {
        let mut level = Level::default();
        level.aim(top(0, u8::MAX));
        assert!(level.admit(&key(100, 1)));
        level.aim(LayerId::ALL);
        // Its first packet comes late: an upper layer was left out.
        assert!(!level.admit(&packet(103, 2, 1, 0, SwitchUp::No)));
        assert!(level.admit(&key(102, 2)));
        assert!(!level.admit(&packet(104, 2, 1, 0, SwitchUp::No)));
        assert!(level.wants_key());
        assert!(level.admit(&key(105, 3)));
        assert!(level.admit(&packet(106, 3, 1, 0, SwitchUp::No)));
    }

    #[test]
    fn the_highest_layer_that_is_sent_ends_the_picture() {
        let mut level = Level::default();
        level.aim(top(1, u8::MAX));
        level.admit(&key(100, 1));
        let end = |spatial: u8, marker: bool| {
            let packet = packet(101, 1, spatial, 0, SwitchUp::No);
            Meta { marker, inspected: Inspected { end: true, ..packet.inspected }, ..packet }
        };
        assert_eq!([end(0, false), end(1, false), end(0, true)].map(|packet| level.ends(&packet)), [false, true, true]);
    }

    #[test]
    fn without_switching_points_a_keyframe_is_needed() {
        let mut level = Level::default();
        level.aim(top(0, 0));
        level.admit(&key(100, 1));
        level.aim(LayerId { spatial: 0, temporal: 1 });
        (0..u64::from(PATIENCE)).for_each(|at| {
            assert!(!level.wants_key());
            level.admit(&packet(101 + at, 2 + at, 0, 0, SwitchUp::No));
        });
        assert!(level.wants_key());
        level.admit(&key(400, 400));
        assert!(!level.wants_key() && level.admit(&packet(401, 401, 0, 1, SwitchUp::No)));
    }
}
