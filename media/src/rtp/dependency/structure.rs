//! The templates that a stream's packets refer to (§A.8.4): layers, decode targets, chains, sizes.

use super::Indication;
use super::Unreadable::{self, Bounds};
use super::{flag, take};
use crate::rtp::codec::bits::Bits;
use crate::rtp::layer::LayerId;

/// Ids have six bits.
const TEMPLATES: usize = 64;
/// AV1 has four spatial and eight temporal layers (§6.2.3 there).
const SPATIAL: u8 = 4;
const TEMPORAL: u8 = 8;

#[derive(Debug)]
pub(super) struct Structure {
    first_id: u8,
    templates: Vec<Template>,
    /// What each decode target holds at most.
    targets: Vec<LayerId>,
    chains: u32,
    /// Pixels of each spatial layer; empty where they are not told.
    sizes: Vec<(u16, u16)>,
}

#[derive(Debug)]
pub(super) struct Template {
    pub layer: LayerId,
    /// Two bits for each decode target, the first lowest.
    pub indications: u64,
}

impl Structure {
    pub(super) fn read(bits: &mut Bits<'_>) -> Result<Self, Unreadable> {
        let first_id = take(bits, 6)? as u8;
        let targets = take(bits, 5)? as u8 + 1;
        let mut templates = read_layers(bits)?;
        for template in &mut templates {
            template.indications = read_indications(bits, targets)?;
        }
        for _ in &templates {
            while flag(bits)? {
                take(bits, 4)?; // fdiff_minus_one
            }
        }
        let chains = non_symmetric(bits, u32::from(targets) + 1)?;
        if chains > 0 {
            for _ in 0..targets {
                non_symmetric(bits, chains)?; // decode_target_protected_by
            }
            for _ in &templates {
                for _ in 0..chains {
                    take(bits, 4)?; // template_chain_fdiff
                }
            }
        }
        let mut sizes = Vec::new();
        if flag(bits)? {
            let highest = templates.iter().map(|template| template.layer.spatial).max().unwrap_or(0);
            for _ in 0..=highest {
                let (width, height) = (take(bits, 16)? + 1, take(bits, 16)? + 1);
                sizes.push((u16::try_from(width).map_err(|_| Bounds)?, u16::try_from(height).map_err(|_| Bounds)?));
            }
        }
        let targets = (0..targets).map(|target| highest_layer(&templates, target)).collect();
        Ok(Self { first_id, templates, targets, chains, sizes })
    }

    /// How many decode targets there are, 1 to 32.
    pub(super) fn targets(&self) -> u8 {
        self.targets.len() as u8
    }

    pub(super) fn chains(&self) -> u32 {
        self.chains
    }

    pub(super) fn template(&self, id: u8) -> Option<&Template> {
        self.templates.get(usize::from(id.wrapping_sub(self.first_id) & 63))
    }

    /// What the largest decode target holds that can be taken up with a picture of these indications.
    pub(super) fn largest_switch(&self, indications: u64) -> Option<LayerId> {
        let switch = |target: usize| Indication::from_bits(indications >> (2 * target)) == Indication::Switch;
        let targets = self.targets.iter().enumerate().filter(|(target, _)| switch(*target)).map(|(_, top)| *top);
        targets.max_by_key(|top| (top.spatial, top.temporal))
    }

    pub(super) fn size(&self, spatial: u8) -> Option<(u16, u16)> {
        self.sizes.get(usize::from(spatial)).copied()
    }
}

/// One template after the other, each in the layer of the one before or in the next.
fn read_layers(bits: &mut Bits<'_>) -> Result<Vec<Template>, Unreadable> {
    let mut templates = Vec::new();
    let mut layer = LayerId::BASE;
    loop {
        if templates.len() == TEMPLATES {
            return Err(Bounds);
        }
        templates.push(Template { layer, indications: 0 });
        match take(bits, 2)? {
            0 => {}
            1 => layer.temporal += 1,
            2 => layer = LayerId { spatial: layer.spatial + 1, temporal: 0 },
            _ => return Ok(templates),
        }
        if layer.spatial == SPATIAL || layer.temporal == TEMPORAL {
            return Err(Bounds);
        }
    }
}

pub(super) fn read_indications(bits: &mut Bits<'_>, targets: u8) -> Result<u64, Unreadable> {
    (0..targets).try_fold(0, |all, target| Ok(all | u64::from(take(bits, 2)?) << (2 * target)))
}

fn highest_layer(templates: &[Template], target: u8) -> LayerId {
    let part = templates.iter().filter(|template| template.indications >> (2 * target) & 3 != 0);
    part.fold(LayerId::BASE, |top, template| LayerId {
        spatial: top.spatial.max(template.layer.spatial),
        temporal: top.temporal.max(template.layer.temporal),
    })
}

/// `ns(n)` of AV1 §4.10.7: a value below `n` in as few bits as will do.
fn non_symmetric(bits: &mut Bits<'_>, n: u32) -> Result<u32, Unreadable> {
    let width = n.ilog2() + 1;
    let short = (1 << width) - n;
    let value = take(bits, width - 1)?;
    if value < short {
        return Ok(value);
    }
    Ok((value << 1) - short + u32::from(flag(bits)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_as_few_bits_as_will_do() {
        // n = 5: 00, 01, 10, 110, 111
        for (byte, expected) in
            [(0b0000_0000, 0), (0b0100_0000, 1), (0b1000_0000, 2), (0b1100_0000, 3), (0b1110_0000, 4)]
        {
            assert_eq!(non_symmetric(&mut Bits::new(&[byte]), 5), Ok(expected));
        }
        assert_eq!(non_symmetric(&mut Bits::new(&[]), 1), Ok(0), "one value needs no bit");
        assert_eq!(non_symmetric(&mut Bits::new(&[]), 2), Err(Unreadable::Truncated));
    }
}
