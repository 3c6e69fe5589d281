//! Layers of a scalable stream, as packets declare them. Which layers a viewer gets is decided in `forward`.

/// Where a packet's picture stands in a scalable stream. A picture needs only pictures of layers that are not above its own, in both directions.
/// A stream that declares no layers is all [`LayerId::BASE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LayerId {
    /// 0 for the smallest picture.
    pub spatial: u8,
    /// 0 for the lowest rate.
    pub temporal: u8,
}

impl LayerId {
    pub const BASE: Self = Self { spatial: 0, temporal: 0 };
    /// Above every layer that there can be.
    pub const ALL: Self = Self { spatial: u8::MAX, temporal: u8::MAX };

    /// Whether who gets everything up to `top` gets this.
    pub fn is_within(self, top: Self) -> bool {
        self.spatial <= top.spatial && self.temporal <= top.temporal
    }

    /// What is within both.
    pub fn min(self, other: Self) -> Self {
        Self { spatial: self.spatial.min(other.spatial), temporal: self.temporal.min(other.temporal) }
    }

    /// What is needed for both.
    pub fn max(self, other: Self) -> Self {
        Self { spatial: self.spatial.max(other.spatial), temporal: self.temporal.max(other.temporal) }
    }
}

/// Whether who left temporal layers out may take them up again. A keyframe always allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwitchUp {
    /// Not known to be possible.
    #[default]
    No,
    /// With this picture, to its own layer: it needs pictures of the base layer alone (VP8 `Y`).
    Here,
    /// With this picture, to everything within this layer (the "switch indication" of a dependency descriptor).
    To(LayerId),
    /// After this picture, to any layer above its own: nothing behind it needs what was left out before it (VP9 `U`).
    After,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_count() {
        let top = LayerId { spatial: 1, temporal: 1 };
        for (spatial, temporal, within) in [(0, 0, true), (1, 1, true), (0, 2, false), (2, 0, false), (0, 1, true)] {
            assert_eq!(LayerId { spatial, temporal }.is_within(top), within, "{spatial} {temporal}");
        }
        assert!(LayerId::BASE.is_within(LayerId::BASE));
    }
}
