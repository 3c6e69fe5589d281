//! How an ICE-TCP path (RFC 6544) is named where paths are socket addresses: in the demultiplexer, in sessions and in the send arena.
//!
//! A TCP path is the peer's address with a mark that no datagram carries, and the number of the connection, which is never used again.
//! So it differs from the UDP path of the same address and from an earlier connection, while what is told to the
//! peer (XOR-MAPPED-ADDRESS) is still its own address and port. Frames and sockets do not belong here.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// The highest bit of the flow information: IPv6 has 28 bits of traffic class and flow label (RFC 8200 §3), so no network can set it.
const TCP: u32 = 1 << 31;

/// The path of connection number `connection` from `peer`.
pub fn tcp(peer: SocketAddr, connection: u32) -> SocketAddr {
    let ip = match peer.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    SocketAddr::V6(SocketAddrV6::new(ip, peer.port(), TCP, connection))
}

/// The connection's number, `None` for a UDP path.
pub fn tcp_connection(path: SocketAddr) -> Option<u32> {
    match path {
        SocketAddr::V6(v6) if v6.flowinfo() & TCP != 0 => Some(v6.scope_id()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_no_datagram_path_and_no_other_connection() {
        for peer in ["192.0.2.1:4000", "[2001:db8::1]:4000", "[fe80::1%2]:4000"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let path = tcp(peer, 7);
            assert_eq!((tcp_connection(path), tcp_connection(peer)), (Some(7), None));
            assert_ne!(path, peer);
            assert_ne!(path, tcp(peer, 8));
            assert_eq!((path.ip().to_canonical(), path.port()), (peer.ip(), 4000), "what the peer is told");
        }
    }
}
