//! A piece of a file in memory, which moves on as the file is read: whoever reads record after record asks the system rarely, and looks at the bytes
//! where they are.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

#[derive(Debug)]
pub(crate) struct Window {
    file: File,
    /// Read at a time.
    ahead: usize,
    /// Kept of what was read, for who goes back a little.
    behind: usize,
    buffer: Vec<u8>,
    filled: usize,
    at: u64,
}

impl Window {
    pub(crate) fn new(file: File, ahead: usize, behind: usize) -> Self {
        Self { file, ahead, behind, buffer: Vec::new(), filled: 0, at: 0 }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// `len` bytes from `from` on; `None` when the file is shorter.
    pub(crate) fn bytes(&mut self, from: u64, len: usize) -> io::Result<Option<&[u8]>> {
        let place = match self.place(from, len) {
            Some(place) => place,
            None => {
                self.load(from, len)?;
                let Some(place) = self.place(from, len) else { return Ok(None) };
                place
            }
        };
        Ok(self.buffer.get(place..place + len))
    }

    /// Where in the buffer they are.
    fn place(&self, from: u64, len: usize) -> Option<usize> {
        let place = usize::try_from(from.checked_sub(self.at)?).ok()?;
        (place.checked_add(len)? <= self.filled).then_some(place)
    }

    fn load(&mut self, from: u64, len: usize) -> io::Result<()> {
        let end = self.at + self.filled as u64;
        let begin =
            if (self.at..=end).contains(&from) { from.saturating_sub(self.behind as u64).max(self.at) } else { from };
        let kept = end.saturating_sub(begin) as usize * usize::from((self.at..=end).contains(&begin));
        if kept > 0 {
            self.buffer.copy_within(self.filled - kept..self.filled, 0);
        }
        (self.at, self.filled) = (begin, kept);
        let wanted = (from - begin) as usize + len.max(self.ahead);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.filled < wanted {
            match self.file.read_at(&mut self.buffer[self.filled..wanted], self.at + self.filled as u64) {
                Ok(0) => break,
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn any_piece_can_be_read_in_any_order() {
        let content: Vec<u8> = (0..2000_u32).flat_map(u32::to_le_bytes).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        for (ahead, behind) in [(1, 0), (64, 0), (64, 64), (100, 1000), (10_000, 10)] {
            let mut window = Window::new(file.try_clone().unwrap(), ahead, behind);
            for step in 0..3000_usize {
                // Mostly forward, sometimes back or far.
                let from = if step % 7 == 0 { step * 7919 % 8000 } else { step * 3 % 8000 };
                let len = step * 31 % 300;
                let expected = content.get(from..from + len);
                assert_eq!(window.bytes(from as u64, len).unwrap(), expected, "{len} bytes from {from}");
            }
            assert_eq!(window.bytes(1 << 40, 2).unwrap(), None);
        }
    }
}
