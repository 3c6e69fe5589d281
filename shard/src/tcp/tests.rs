//! Connections against a peer that reads slowly, or not at all.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use media::limit::DATAGRAM_BYTES;

use super::*;

/// Our end's number, and the peer's end.
fn pair(connections: &mut Connections) -> (u32, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, from) = listener.accept().unwrap();
    let (number, path) = connections.adopt(ours, from).unwrap();
    assert_eq!((path::tcp_connection(path), path.port()), (Some(number), from.port()));
    (number, peer)
}

/// Packets of a stream; every packet must be whole and filled with one byte.
fn packets(stream: &[u8]) -> Vec<u8> {
    let (mut at, mut found) = (0, Vec::new());
    while at < stream.len() {
        let len = usize::from(u16::from_be_bytes([stream[at], stream[at + 1]]));
        let packet = &stream[at + 2..at + 2 + len];
        assert!(len == DATAGRAM_BYTES && packet.iter().all(|byte| *byte == packet[0]), "a torn packet");
        found.push(packet[0]);
        at += 2 + len;
    }
    found
}

#[test]
fn a_peer_that_does_not_read_loses_whole_packets_and_never_half_of_one() {
    let mut connections = Connections::default();
    let (number, mut peer) = pair(&mut connections);
    let mut sent = 0u64;
    // Far more than both kernels' buffers hold.
    while connections.figures().congested < 100 {
        let run: Vec<u8> = (0..7u8).flat_map(|n| [((sent + u64::from(n)) % 251) as u8; DATAGRAM_BYTES]).collect();
        connections.send(number, &run, DATAGRAM_BYTES);
        sent += 7;
        assert!(sent < 100_000, "nothing was ever refused");
    }
    peer.set_nonblocking(true).unwrap();
    let mut stream = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    // What was half written is finished without being asked, once the peer reads.
    while connections.open[&number].outbound.len() + usize::from(packet_is_torn(&stream)) > 0 {
        if let Ok(count) = peer.read(&mut buffer) {
            stream.extend_from_slice(&buffer[..count]);
        }
        connections.ready().unwrap();
    }
    connections.send(number, &[9; DATAGRAM_BYTES], DATAGRAM_BYTES);
    peer.set_nonblocking(false).unwrap();
    connections.clear();
    peer.read_to_end(&mut stream).unwrap();
    let found = packets(&stream);
    let figures = connections.figures();
    assert_eq!(found.len() as u64, figures.frames_out);
    assert_eq!(figures.frames_out + figures.congested, sent + 1);
    assert_eq!(found.last(), Some(&9), "it goes on after the jam");
}

fn packet_is_torn(stream: &[u8]) -> bool {
    !stream.len().is_multiple_of(2 + DATAGRAM_BYTES)
}

#[test]
fn what_comes_in_pieces_is_put_together_and_an_end_is_noticed() {
    use std::io::Write;
    let mut connections = Connections::default();
    let (number, mut peer) = pair(&mut connections);
    let mut buffer = vec![0; LONGEST + READ_BYTES];
    let mut came = Vec::new();
    let mut read = |connections: &mut Connections| {
        while !connections.ready().unwrap().contains(&number) {}
        let Some((_, len)) = connections.read(number, &mut buffer) else { return came.clone() };
        let mut frames = Frames::of(&mut buffer[..len]);
        while let Some(packet) = frames.next_packet() {
            came.push(packet.to_vec());
        }
        connections.keep(number, frames.rest());
        came.clone()
    };
    peer.write_all(&[0, 3, b'a']).unwrap();
    assert!(read(&mut connections).is_empty());
    peer.write_all(&[b'b', b'c', 0]).unwrap();
    assert_eq!(read(&mut connections), [b"abc"]);
    peer.write_all(&[1, b'd']).unwrap();
    assert_eq!(read(&mut connections).last(), Some(&b"d".to_vec()));
    drop(peer);
    read(&mut connections);
    assert!(connections.is_empty() && connections.bell().is_none());
    connections.send(number, &[1; 30], 10);
    assert_eq!(connections.figures().gone, 3);
}

#[test]
fn what_is_no_frame_closes_the_connection() {
    use std::io::Write;
    let mut connections = Connections::default();
    let (number, mut peer) = pair(&mut connections);
    peer.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    while connections.ready().unwrap().is_empty() {}
    let mut buffer = vec![0; LONGEST + READ_BYTES];
    let (_, len) = connections.read(number, &mut buffer).unwrap();
    let mut frames = Frames::of(&mut buffer[..len]);
    assert!(frames.next_packet().is_none());
    connections.keep(number, frames.rest());
    assert_eq!((connections.len(), connections.figures().malformed), (0, 1));
}

#[test]
fn unused_connections_are_closed() {
    let mut connections = Connections::default();
    let (first, _one) = pair(&mut connections);
    let (_second, _two) = pair(&mut connections);
    connections.retain(|path| path::tcp_connection(path) == Some(first));
    assert_eq!(connections.len(), 1);
    connections.turn_away(first);
    assert_eq!((connections.len(), connections.figures().strangers), (0, 1));
}
