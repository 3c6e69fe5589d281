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

    /// Whether who gets everything up to `top` gets this.
    pub fn is_within(self, top: Self) -> bool {
        self.spatial <= top.spatial && self.temporal <= top.temporal
    }
}

/// Whether who left temporal layers out may take them up again. A keyframe always allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwitchUp {
    /// Not known to be possible.
    #[default]
    No,
    /// With this picture, to its own layer: it needs nothing that was left out (VP8 `Y`, AV1 "switch indication").
    Here,
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
