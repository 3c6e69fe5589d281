//! A peer's ICE-TCP connection: packets framed by RFC 4571 over a plain stream, written without any code of the server's.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use media::arena::SendArena;

pub struct Framed {
    stream: TcpStream,
    server: SocketAddr,
    inbound: Vec<u8>,
    outbound: Vec<u8>,
    ended: bool,
}

impl Framed {
    /// # Errors
    /// When nobody listens there.
    pub fn connect(server: SocketAddr) -> io::Result<Framed> {
        let stream = TcpStream::connect(server)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Framed { stream, server, inbound: Vec::new(), outbound: Vec::new(), ended: false })
    }

    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The server closed the connection.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whole packets that came.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn receive(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut buffer = [0; 16 * 1024];
        while !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.inbound.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
                Err(error) => return Err(error),
            }
        }
        let (mut packets, mut at) = (Vec::new(), 0);
        while let Some(&[high, low]) = self.inbound.get(at..at + 2) {
            let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
            let Some(packet) = self.inbound.get(at + 2..end) else { break };
            packets.push(packet.to_vec());
            at = end;
        }
        self.inbound.drain(..at);
        Ok(packets)
    }

    /// Sends what lies in the arena and empties it. What the connection does not take now goes with the next call.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn send(&mut self, out: &mut SendArena) -> io::Result<()> {
        for (_, packet) in out.datagrams() {
            self.outbound.extend_from_slice(&(packet.len() as u16).to_be_bytes());
            self.outbound.extend_from_slice(packet);
        }
        out.clear();
        self.write()
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outbound.extend_from_slice(bytes);
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.outbound.is_empty() {
            match self.stream.write(&self.outbound) {
                Ok(count) => drop(self.outbound.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
