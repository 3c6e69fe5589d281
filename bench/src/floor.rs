//! What the same egress costs without a server around it: AES-128-GCM in place and a GSO send, nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use media::arena::SendArena;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use shard::socket::{Receiver, Sender, Socket};

use crate::process::thread_cpu;
use crate::trace::Trace;

/// Bytes of an RTP header: authenticated, not encrypted.
const HEADER: usize = 12;
const TAG: usize = 16;

/// The shape of the traffic.
#[derive(Clone, Debug)]
pub struct Shape {
    pub viewers: usize,
    /// Packets that leave together for one viewer.
    pub burst: usize,
    pub packet_bytes: usize,
    pub packets_per_second: u32,
    /// Sizes and spacing of a recording instead of equal packets in equal bursts.
    pub trace: Option<Trace>,
}

impl Shape {
    /// Bytes of the packets that leave together, and the pause until the next.
    fn group(&self, at: usize) -> (Vec<usize>, Duration) {
        match &self.trace {
            Some(trace) => {
                let group = trace.group(at);
                (group.packets.iter().map(|packet| usize::from(packet.bytes)).collect(), group.pause)
            }
            None => {
                let pause = Duration::from_secs(1) * self.burst as u32 / self.packets_per_second.max(1);
                (vec![self.packet_bytes; self.burst], pause)
            }
        }
    }
}

/// Microseconds of CPU per packet, over `span`. The receivers are read by another thread, whose time does not count.
///
/// # Errors
/// When sockets or the scheduler's statistics are not to be had.
pub fn measure(shape: &Shape, span: Duration) -> io::Result<f64> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let sinks = (0..shape.viewers).map(|_| Socket::bind(loopback)).collect::<io::Result<Vec<_>>>()?;
    let addresses: Vec<SocketAddr> = sinks.iter().map(Socket::local_addr).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut receiver = Receiver::new();
            while !done.load(Ordering::Relaxed) {
                for sink in &sinks {
                    while receiver.receive(sink)? > 0 {}
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            io::Result::Ok(())
        });
        let sent = send(shape, &addresses, span);
        done.store(true, Ordering::Relaxed);
        reader.join().map_err(|_| io::Error::other("the reader failed"))??;
        sent
    })
}

fn send(shape: &Shape, addresses: &[SocketAddr], span: Duration) -> io::Result<f64> {
    let mut socket = Socket::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let keys = addresses.iter().map(|_| key()).collect::<io::Result<Vec<_>>>()?;
    let (mut sender, mut arena) = (Sender::new(), SendArena::new());
    let bytes = vec![0x5a; media::limit::DATAGRAM_BYTES];

    let (mut counter, mut next, mut at) = (0u64, Instant::now(), 0);
    let (end, before) = (next + span, thread_cpu()?);
    while next < end {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let (packets, pause) = shape.group(at);
        at += 1;
        next += pause;
        for (address, key) in addresses.iter().zip(&keys) {
            for &len in &packets {
                counter += 1;
                let Some(slot) = arena.open(*address, len + TAG) else { continue };
                slot[..len].copy_from_slice(&bytes[..len]);
                seal(key, counter, slot)?;
                arena.commit(len + TAG);
            }
            if arena.bytes().len() > media::arena::ARENA_BYTES / 2 {
                sender.send(&mut socket, arena.runs(), arena.bytes());
                arena.clear();
            }
        }
        sender.send(&mut socket, arena.runs(), arena.bytes());
        arena.clear();
    }
    let used = thread_cpu()? - before;
    Ok(used.as_secs_f64() * 1e6 / sender.figures().datagrams.max(1) as f64)
}

fn key() -> io::Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_128_GCM, &rand::random::<[u8; 16]>());
    key.map(LessSafeKey::new).map_err(|_| io::Error::other("no AES key"))
}

fn seal(key: &LessSafeKey, counter: u64, slot: &mut [u8]) -> io::Result<()> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    let (header, rest) = slot.split_at_mut(HEADER);
    let (payload, tag) = rest.split_at_mut(rest.len() - TAG);
    let sealed = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&*header), payload);
    tag.copy_from_slice(sealed.map_err(|_| io::Error::other("sealing failed"))?.as_ref());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_a_cost_per_packet() {
        for trace in [None, Some(Trace::load(crate::trace::TraceName::Chromium))] {
            let shape = Shape { viewers: 3, burst: 9, packet_bytes: 1200, packets_per_second: 260, trace };
            let us = measure(&shape, Duration::from_millis(100)).unwrap();
            assert!(us > 0.0 && us < 1000.0, "{us}");
        }
    }
}
