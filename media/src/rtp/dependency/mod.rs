//! The dependency descriptor (AV1 RTP specification, appendix A): a header extension by which a sender says of every packet, whatever its
//! codec, which layer it belongs to and who can do without it.
//!
//! The templates come with keyframes and hold until the next ones, so that reading needs what was read before. What is forwarded is not
//! decided here.

mod structure;

use super::codec::bits::Bits;
use super::layer::{LayerId, SwitchUp};
use structure::Structure;

/// URI of the extension in SDP.
pub const URI: &str = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// What a picture is to a decode target (§A.8.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// No part of it.
    NotPresent,
    /// Part of it, and nothing else of it needs this picture.
    Discardable,
    /// Part of it, and whoever begins to take the target here can decode it from here on.
    Switch,
    Required,
}

impl Indication {
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::NotPresent,
            1 => Self::Discardable,
            2 => Self::Switch,
            _ => Self::Required,
        }
    }
}

/// The frame number of a descriptor; `None` when it is cut.
pub fn number(descriptor: &[u8]) -> Option<u16> {
    descriptor.get(1..)?.first_chunk().map(|number| u16::from_be_bytes(*number))
}

/// Writes another frame number into a descriptor; a cut one is left as it is. The rest of it counts from the frame itself.
pub fn renumber(descriptor: &mut [u8], number: u16) {
    if let Some(place) = descriptor.get_mut(1..3) {
        place.copy_from_slice(&number.to_be_bytes());
    }
}

/// What one packet's descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    pub first_packet: bool,
    pub last_packet: bool,
    /// Counts the frames of all layers, modulo 2^16.
    pub number: u16,
    pub layer: LayerId,
    pub switch_up: SwitchUp,
    /// Brought new templates: a keyframe.
    pub with_structure: bool,
    /// A bit for each decode target that is still being sent, when that changed.
    pub active_targets: Option<u32>,
    /// Pixels of the picture's spatial layer at most, where the sender says so.
    pub size: Option<(u16, u16)>,
    targets: u8,
    /// Two bits for each decode target, the first lowest.
    indications: u64,
}

impl Frame {
    /// `None`: there is no such target.
    pub fn indication(&self, target: u8) -> Option<Indication> {
        (target < self.targets).then(|| Indication::from_bits(self.indications >> (2 * target)))
    }
}

/// Why a descriptor says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("the descriptor ends too early")]
    Truncated,
    #[error("more layers or templates than there can be")]
    Bounds,
    #[error("templates that were never sent")]
    NoStructure,
    #[error("a template that the structure lacks")]
    NoTemplate,
}

/// Reads the descriptors of one stream, in any order. Templates of an older keyframe that comes late are not taken back.
#[derive(Debug, Default)]
pub struct Dependencies {
    structure: Option<Structure>,
    /// Number of the frame that brought it.
    since: u16,
}

impl Dependencies {
    /// # Errors
    /// Why nothing is known of the packet. The state is as before.
    pub fn read(&mut self, descriptor: &[u8]) -> Result<Frame, Unreadable> {
        let mut bits = Bits::new(descriptor);
        let first_packet = flag(&mut bits)?;
        let last_packet = flag(&mut bits)?;
        let template = take(&mut bits, 6)? as u8;
        let number = take(&mut bits, 16)? as u16;
        let extended = if descriptor.len() > 3 { Extended::read(&mut bits)? } else { Extended::default() };
        let fresh = if extended.structure { Some(Structure::read(&mut bits)?) } else { None };
        let structure = fresh.as_ref().or(self.structure.as_ref()).ok_or(Unreadable::NoStructure)?;
        let targets = structure.targets();
        let active_targets = match (extended.active_targets, extended.structure) {
            (true, _) => Some(take(&mut bits, u32::from(targets))?),
            (false, true) => Some(u32::MAX >> (32 - targets)),
            (false, false) => None,
        };
        let known = structure.template(template).ok_or(Unreadable::NoTemplate)?;
        let mut indications = known.indications;
        if extended.custom_indications {
            indications = structure::read_indications(&mut bits, targets)?;
        }
        if extended.custom_references {
            skip_references(&mut bits)?;
        }
        if extended.custom_chains {
            for _ in 0..structure.chains() {
                take(&mut bits, 8)?;
            }
        }
        let frame = Frame {
            first_packet,
            last_packet,
            number,
            layer: known.layer,
            switch_up: structure.largest_switch(indications).map_or(SwitchUp::No, SwitchUp::To),
            with_structure: fresh.is_some(),
            active_targets,
            size: structure.size(known.layer.spatial),
            targets,
            indications,
        };
        if let Some(fresh) = fresh {
            let newer = number.wrapping_sub(self.since) < 1 << 15;
            if self.structure.is_none() || newer {
                (self.structure, self.since) = (Some(fresh), number);
            }
        }
        Ok(frame)
    }
}

/// The flags behind the mandatory fields (§A.8.3).
#[derive(Clone, Copy, Default)]
struct Extended {
    structure: bool,
    active_targets: bool,
    custom_indications: bool,
    custom_references: bool,
    custom_chains: bool,
}

impl Extended {
    fn read(bits: &mut Bits<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            structure: flag(bits)?,
            active_targets: flag(bits)?,
            custom_indications: flag(bits)?,
            custom_references: flag(bits)?,
            custom_chains: flag(bits)?,
        })
    }
}

/// Differences of frame numbers, of 4, 8 or 12 bits each.
fn skip_references(bits: &mut Bits<'_>) -> Result<(), Unreadable> {
    loop {
        match take(bits, 2)? {
            0 => return Ok(()),
            nibbles => take(bits, 4 * nibbles)?,
        };
    }
}

fn flag(bits: &mut Bits<'_>) -> Result<bool, Unreadable> {
    bits.flag().ok_or(Unreadable::Truncated)
}

fn take(bits: &mut Bits<'_>, count: u32) -> Result<u32, Unreadable> {
    bits.take(count).ok_or(Unreadable::Truncated)
}

#[cfg(test)]
mod tests;
