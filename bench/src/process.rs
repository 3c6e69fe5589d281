//! Time and memory of processes and threads, read from /proc.

use std::fs;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ticks per second of /proc's times (USER_HZ), 100 on every Linux of today.
const TICKS_PER_SECOND: u64 = 100;

/// Time that a process has used so far, in steps of 10 ms. The kernel charges it for softirq work inside its calls,
/// so over loopback a sender's figure contains the receive path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub user: Duration,
    pub system: Duration,
}

impl Cpu {
    /// # Errors
    /// When there is no such process.
    pub fn of(pid: u32) -> io::Result<Cpu> {
        parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat"))?, OWN).ok_or_else(|| malformed("stat"))
    }

    /// Of all processes that this one started and that are gone.
    ///
    /// # Errors
    /// When /proc is not there.
    pub fn of_ended_children() -> io::Result<Cpu> {
        parse_stat(&fs::read_to_string("/proc/self/stat")?, OF_CHILDREN).ok_or_else(|| malformed("stat"))
    }

    pub fn total(self) -> Duration {
        self.user + self.system
    }

    #[must_use]
    pub fn since(self, earlier: Cpu) -> Cpu {
        Cpu { user: self.user.saturating_sub(earlier.user), system: self.system.saturating_sub(earlier.system) }
    }
}

/// Fields 14 and 15, counted after the command name, and those behind them for children that were waited for (proc(5)).
const OWN: usize = 11;
const OF_CHILDREN: usize = 13;

/// Two fields behind the command name, which may contain anything but is the last thing in parentheses.
fn parse_stat(stat: &str, from: usize) -> Option<Cpu> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(from);
    let mut ticks = || Some(Duration::from_millis(fields.next()?.parse::<u64>().ok()? * 1000 / TICKS_PER_SECOND));
    Some(Cpu { user: ticks()?, system: ticks()? })
}

/// Resident memory of a process in KB.
///
/// # Errors
/// When there is no such process.
pub fn rss_kb(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).ok_or_else(|| malformed("status"))
}

/// Open descriptors of a process.
///
/// # Errors
/// When there is no such process, or it is another user's.
pub fn descriptors(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Threads of a process.
///
/// # Errors
/// When there is no such process.
pub fn threads(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?.count())
}

/// The clock by which the kernel stamps arrivals, in nanoseconds.
pub fn utc_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Processes that wanted to run in the last minute, on average: what else this machine does.
///
/// # Errors
/// When the kernel does not tell.
pub fn load() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split(' ').next().and_then(|load| load.parse().ok()).ok_or_else(|| malformed("loadavg"))
}

/// Time that the calling thread has spent on a processor, in nanoseconds' resolution.
///
/// # Errors
/// When the kernel keeps no scheduler statistics.
pub fn thread_cpu() -> io::Result<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = stat.split_ascii_whitespace().next().and_then(|nanos| nanos.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| malformed("schedstat"))
}

fn malformed(file: &str) -> io::Error {
    io::Error::other(format!("/proc/…/{file} is not as expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 123 45 0 0 20 0 3 0 99 1 2";
        let expected = Cpu { user: Duration::from_millis(1230), system: Duration::from_millis(450) };
        assert_eq!(parse_stat(stat, OWN), Some(expected));
        let gone = Cpu { user: Duration::ZERO, system: Duration::from_millis(70) };
        assert_eq!(parse_stat("42 (a) S 1 42 42 0 -1 4194304 100 0 0 0 123 45 0 7 20 0", OF_CHILDREN), Some(gone));
        assert_eq!(parse_stat("42 no name", OWN), None);
    }

    #[test]
    fn this_process_has_figures() {
        assert!(rss_kb(std::process::id()).unwrap() > 0);
        assert!(descriptors(std::process::id()).unwrap() >= 3 && threads(std::process::id()).unwrap() >= 1);
        assert!(load().unwrap() >= 0.0 && utc_ns() > 0);
        // The kernel counts in ticks: a busy thread gets there.
        let began = thread_cpu().unwrap();
        while thread_cpu().unwrap() == began {
            std::hint::spin_loop();
        }
        Cpu::of(std::process::id()).unwrap();
    }
}
