//! Numbers in VP8 payload descriptors (RFC 7741 §4.2): they are rewritten so that they continue where a viewer goes over to another layer
//! or another sender. Receivers order pictures by them, as they order AV1 frames by the numbers of dependency descriptors.

/// Numbers of one packet, as far as its descriptor has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// PictureID and whether it has 15 bits instead of 7.
    picture: Option<(u16, bool)>,
    /// TL0PICIDX.
    base: Option<u8>,
}

/// Added to the numbers of every packet of one stretch, modulo their width. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    picture: u16,
    base: u8,
    /// The same for frame numbers of dependency descriptors.
    frame: u16,
}

/// Where in a payload the numbers are: of the PictureID and of TL0PICIDX.
fn places(payload: &[u8]) -> Option<(Option<usize>, Option<usize>)> {
    if payload.first()? & 0x80 == 0 {
        return Some((None, None));
    }
    let extended = *payload.get(1)?;
    let (mut at, mut picture, mut base) = (2, None, None);
    if extended & 0x80 != 0 {
        picture = Some(at);
        at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
    }
    if extended & 0x40 != 0 {
        base = Some(at);
        at += 1;
    }
    at += usize::from(extended & 0x30 != 0);
    (payload.len() >= at).then_some((picture, base))
}

impl Numbers {
    /// `None` when the descriptor is cut.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (picture, base) = places(payload)?;
        let picture = picture.map(|at| match payload[at] {
            high if high & 0x80 != 0 => (u16::from_be_bytes([high & 0x7f, payload[at + 1]]), true),
            short => (u16::from(short), false),
        });
        Some(Self { picture, base: base.map(|at| payload[at]) })
    }

    /// As a packet with these numbers was sent.
    pub fn shifted(self, by: Shift) -> Self {
        let picture = self.picture.map(|(id, long)| (id.wrapping_add(by.picture) & mask(long), long));
        Self { picture, base: self.base.map(|base| base.wrapping_add(by.base)) }
    }
}

impl Shift {
    /// So that a picture numbered `next` follows the one that was sent as `sent`.
    pub fn after(sent: Numbers, next: Numbers) -> Self {
        let picture = sent.picture.zip(next.picture).map(|((sent, _), (next, _))| (sent + 1).wrapping_sub(next));
        let base = sent.base.zip(next.base).map(|(sent, next)| sent.wrapping_add(1).wrapping_sub(next));
        Self { picture: picture.unwrap_or(0), base: base.unwrap_or(0), frame: 0 }
    }

    /// The same behind so many pictures that were left out: receivers wait for a picture that is missing between two others.
    pub fn without(self, pictures: u64) -> Self {
        Self { picture: self.picture.wrapping_sub(pictures as u16), ..self }
    }

    /// Of frame numbers alone: the one numbered `next` follows the one that was sent as `sent`.
    pub fn after_frame(sent: u16, next: u16) -> Self {
        Self { frame: sent.wrapping_add(1).wrapping_sub(next), ..Self::default() }
    }

    /// What concerns payloads alone.
    pub fn of_payload(self) -> Self {
        Self { frame: 0, ..self }
    }

    /// What concerns descriptors alone.
    pub fn of_descriptor(self) -> Self {
        Self { frame: self.frame, ..Self::default() }
    }

    /// The frame number as it is sent.
    pub fn frame(self, number: u16) -> u16 {
        number.wrapping_add(self.frame)
    }

    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Rewrites a payload in place; a cut one is left as it is.
    pub fn apply(self, payload: &mut [u8]) {
        let Some((numbers, (picture, base))) = Numbers::read(payload).zip(places(payload)) else { return };
        let shifted = numbers.shifted(self);
        match (picture, shifted.picture) {
            (Some(at), Some((id, true))) => payload[at..at + 2].copy_from_slice(&(id | 0x8000).to_be_bytes()),
            (Some(at), Some((id, false))) => payload[at] = id as u8,
            _ => {}
        }
        if let (Some(at), Some(index)) = (base, shifted.base) {
            payload[at] = index;
        }
    }
}

fn mask(long: bool) -> u16 {
    if long { 0x7fff } else { 0x7f }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_continue_and_the_rest_stays() {
        let sent = Numbers::read(&[0x90, 0xe0, 0xff, 0xff, 0xff, 0x20, 1]).unwrap();
        let mut next = [0x90, 0xe0, 0x92, 0x34, 7, 0x60, 0x42];
        let shift = Shift::after(sent, Numbers::read(&next).unwrap());
        shift.apply(&mut next);
        assert_eq!(next, [0x90, 0xe0, 0x80, 0x00, 0, 0x60, 0x42], "both wrap");
        let mut later = [0x80, 0xe0, 0x92, 0x36, 8, 0x60, 0x42];
        shift.apply(&mut later);
        assert_eq!(later, [0x80, 0xe0, 0x80, 0x02, 1, 0x60, 0x42]);
    }

    #[test]
    fn short_numbers_keep_their_width() {
        let mut next = [0x90, 0x80, 0x7f, 1];
        Shift::after(Numbers::read(&[0x90, 0x80, 0x05, 1]).unwrap(), Numbers::read(&next).unwrap()).apply(&mut next);
        assert_eq!(next, [0x90, 0x80, 0x06, 1]);
        next[2] = 0x02;
        Shift { picture: 0x7ff0, ..Shift::default() }.apply(&mut next);
        assert_eq!(next, [0x90, 0x80, 0x72, 1]);
    }

    #[test]
    fn descriptors_without_numbers_are_left_alone() {
        for payload in [&[0x10, 1][..], &[0x90, 0x20, 0x40, 1], &[0x90], &[0x90, 0x80, 0x80], &[]] {
            let mut copy = payload.to_vec();
            Shift { picture: 9, base: 9, frame: 9 }.apply(&mut copy);
            assert_eq!(copy, payload);
        }
    }
}
