//! Ancillary data of one message: which local address, and how a run is cut into datagrams (ip(7), ipv6(7), udp(7)).

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Room for a local address of either family and a segment size, aligned as a `cmsghdr` must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct Control([u8; 64]);

/// A `cmsghdr` is three machine words in the kernel's layout for 64 bits: length, then level and type.
const HEADER: usize = size_of::<libc::cmsghdr>();

impl Control {
    pub const fn empty() -> Control {
        Control([0; 64])
    }

    /// Writes what a message needs; returns its length, 0 for nothing.
    pub fn write(&mut self, socket: SocketAddr, from: Option<IpAddr>, segment: Option<u16>) -> usize {
        let mut end = 0;
        match (socket, from) {
            (SocketAddr::V4(_), Some(IpAddr::V4(ip))) => {
                // in_pktinfo: interface (0: any), the source to use, the destination (only when receiving).
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                end = self.put(end, libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            (SocketAddr::V6(_), Some(ip)) => {
                // in6_pktinfo: the source to use, interface (0: any).
                let ip = match ip {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                end = self.put(end, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
            _ => {}
        }
        if let Some(segment) = segment {
            end = self.put(end, libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        end
    }

    fn put(&mut self, at: usize, level: libc::c_int, kind: libc::c_int, data: &[u8]) -> usize {
        let len = HEADER + data.len();
        let end = (at + len).next_multiple_of(8);
        let block = &mut self.0[at..end];
        block.fill(0);
        block[..8].copy_from_slice(&(len as u64).to_ne_bytes());
        block[8..12].copy_from_slice(&level.to_ne_bytes());
        block[12..16].copy_from_slice(&kind.to_ne_bytes());
        block[HEADER..len].copy_from_slice(data);
        end
    }

    /// The local address that the kernel wrote with a datagram; `len` is what it says it wrote.
    pub fn local(&self, len: usize) -> Option<IpAddr> {
        self.parts(len).find_map(|(level, kind, data)| match (level, kind) {
            // The second field is the local address: for a broadcast it differs from the destination.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                Some(Ipv4Addr::from(<[u8; 4]>::try_from(data.get(4..8)?).ok()?).into())
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let ip = Ipv6Addr::from(<[u8; 16]>::try_from(data.get(..16)?).ok()?);
                Some(IpAddr::V6(ip).to_canonical())
            }
            _ => None,
        })
    }

    /// Bytes of each datagram of a message that holds several (the last may be shorter).
    pub fn segment(&self, len: usize) -> Option<usize> {
        self.parts(len).find_map(|(level, kind, data)| match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                let size = libc::c_int::from_ne_bytes(data.get(..4)?.try_into().ok()?);
                usize::try_from(size).ok().filter(|size| *size > 0)
            }
            _ => None,
        })
    }

    /// Level, type and data of each part.
    fn parts(&self, len: usize) -> impl Iterator<Item = (libc::c_int, libc::c_int, &[u8])> {
        let mut rest = self.0.get(..len).unwrap_or_default();
        std::iter::from_fn(move || {
            let head = rest.get(..HEADER)?;
            let size = u64::from_ne_bytes(head[..8].try_into().ok()?) as usize;
            let level = libc::c_int::from_ne_bytes(head[8..12].try_into().ok()?);
            let kind = libc::c_int::from_ne_bytes(head[12..16].try_into().ok()?);
            let data = rest.get(HEADER..size)?;
            rest = rest.get(size.next_multiple_of(8)..).unwrap_or_default();
            Some((level, kind, data))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let v4 = SocketAddr::from(([0, 0, 0, 0], 1));
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 1));
        let (near, far): (IpAddr, IpAddr) = ([127, 0, 0, 7].into(), "fd00::7".parse().unwrap());
        for (socket, ip) in [(v4, near), (v6, near), (v6, far)] {
            for segment in [None, Some(1200)] {
                let mut control = Control::empty();
                let len = control.write(socket, Some(ip), segment);
                assert_eq!(control.local(len), Some(ip));
            }
        }
        let mut control = Control::empty();
        assert_eq!(control.write(v4, None, None), 0);
        assert_eq!(control.local(0), None);
        let len = control.write(v4, None, Some(1200));
        assert_eq!((len, control.local(len)), (24, None));
    }

    #[test]
    fn cut_or_lying_lengths_are_no_panic() {
        let mut control = Control::empty();
        let len = control.write(SocketAddr::from(([0, 0, 0, 0], 1)), Some([127, 0, 0, 1].into()), None);
        for cut in 0..len {
            let _ = control.local(cut);
        }
        for control in [Control([0xff; 64]), Control([0; 64])] {
            assert_eq!((control.segment(64), control.segment(65)), (None, None));
        }
        assert_eq!(Control([0xff; 64]).local(64), None);
        assert_eq!(control.local(65), None);
        assert_eq!(Control([0; 64]).local(64), None);
    }
}
