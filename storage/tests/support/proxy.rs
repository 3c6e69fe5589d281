//! A TCP proxy between a client and a server of the tests, which can be told to be slow, to swallow everything, or to hang up.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How the proxy treats bytes; changes apply to open connections too.
#[derive(Default)]
struct Weather {
    /// Bytes per second and direction; 0 is as fast as it goes.
    rate: AtomicU64,
    /// Takes bytes and passes nothing on.
    mute: AtomicBool,
    /// Bytes to let through towards the server before everything is hung up; `u64::MAX` for ever.
    budget: AtomicU64,
    /// Bytes that went to the server.
    up: AtomicU64,
    closed: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// See the module. Dropped, it hangs up.
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<Weather>,
}

impl Proxy {
    /// In front of `server`.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let weather = Arc::new(Weather { budget: AtomicU64::new(u64::MAX), ..Weather::default() });
        let inside = weather.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if inside.closed.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else { continue };
                inside.open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), inside.clone(), true);
                pass(server, client, inside.clone(), false);
            }
        });
        Self { address, weather }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that clients have sent to the server through this proxy.
    pub fn sent_up(&self) -> u64 {
        self.weather.up.load(Ordering::SeqCst)
    }

    /// Bytes per second in each direction of each connection; 0 is as fast as it goes.
    pub fn set_rate(&self, rate: u64) {
        self.weather.rate.store(rate, Ordering::SeqCst);
    }

    /// Whether bytes disappear.
    pub fn set_mute(&self, mute: bool) {
        self.weather.mute.store(mute, Ordering::SeqCst);
    }

    /// Hangs up, on this and every later connection, once this many more bytes went to the server.
    pub fn hang_up_after(&self, bytes: u64) {
        self.weather.budget.store(bytes, Ordering::SeqCst);
    }

    /// Lets bytes through again.
    pub fn recover(&self) {
        self.set_mute(false);
        self.set_rate(0);
        self.weather.budget.store(u64::MAX, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.weather.closed.store(true, Ordering::SeqCst);
        hang_up(&self.weather);
        // Wakes the listening thread, which ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn hang_up(weather: &Weather) {
    for stream in weather.open.lock().unwrap().drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, weather: Arc<Weather>, towards_server: bool) {
    thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        loop {
            let rate = weather.rate.load(Ordering::SeqCst);
            // A slow line in steps of 20 ms.
            let length = if rate == 0 { buffer.len() } else { ((rate / 50) as usize).clamp(1, buffer.len()) };
            let read = match from.read(&mut buffer[..length]) {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            if rate > 0 {
                thread::sleep(Duration::from_secs_f64(read as f64 / rate as f64));
            }
            if weather.mute.load(Ordering::SeqCst) {
                continue;
            }
            if towards_server {
                weather.up.fetch_add(read as u64, Ordering::SeqCst);
                let spend = |left: u64| (left != u64::MAX).then(|| left.saturating_sub(read as u64));
                let left = weather.budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).unwrap_or(u64::MAX);
                if left < read as u64 {
                    hang_up(&weather);
                    break;
                }
            }
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
