//! The numbers of a track's units while its journal is read. They are counted on from count records; behind damage they are
//! counted back from the next one, since nobody knows how many units it took.

use crate::index::Entry;

/// Of one track.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// Of the next unit; none before the first count record and behind damage.
    next: Option<u64>,
    /// Units before the next one were given up.
    given_up: bool,
    /// The newest number that a unit has.
    last: Option<u64>,
    /// Damage was passed over since the newest count record.
    behind_damage: bool,
    /// Places in the entries of the units since then. `None`: one that is no entry.
    open: Vec<Option<usize>>,
}

impl Numbers {
    /// Of a track of which nothing was read before damage.
    pub(crate) fn behind_damage() -> Self {
        Self { behind_damage: true, ..Self::default() }
    }

    /// The newest entry is the next unit of this track.
    pub(crate) fn number(&mut self, entries: &mut [Entry]) {
        let Some(at) = entries.len().checked_sub(1) else { return };
        match self.next {
            Some(number) => self.give(number, at, entries),
            None if self.behind_damage => self.open.push(Some(at)),
            None => {}
        }
    }

    /// The next unit is no entry, since nobody can show it.
    pub(crate) fn pass(&mut self) {
        match self.next {
            Some(number) => (self.next, self.given_up) = (Some(number.saturating_add(1)), true),
            None => self.open.push(None),
        }
    }

    /// A count record.
    pub(crate) fn count(&mut self, number: u64, given_up: bool, entries: &mut [Entry]) {
        if self.last.is_some_and(|last| number <= last) {
            return; // one that stands in the file twice
        }
        if std::mem::take(&mut self.behind_damage) {
            let first = number.saturating_sub(self.open.len() as u64);
            let free = self.last.map_or(0, |last| last.saturating_add(1));
            self.given_up = self.last.is_none() || first > free;
            self.give_open(first.max(free), entries);
        }
        self.next = Some(number);
        self.given_up |= given_up;
    }

    /// Damage, or the end: no count record will tell the numbers of those that are open. They are counted on, which is the least that they can be.
    pub(crate) fn lose(&mut self, entries: &mut [Entry]) {
        match self.last {
            Some(last) => self.give_open(last.saturating_add(1), entries),
            None => self.open.clear(),
        }
        (self.next, self.behind_damage) = (None, true);
    }

    fn give_open(&mut self, first: u64, entries: &mut [Entry]) {
        for (number, place) in (first..).zip(std::mem::take(&mut self.open)) {
            match place {
                Some(at) => self.give(number, at, entries),
                None => self.given_up = true,
            }
        }
    }

    fn give(&mut self, number: u64, at: usize, entries: &mut [Entry]) {
        let Some(entry) = entries.get_mut(at) else { return };
        entry.number = Some(number);
        entry.after_given_up = std::mem::take(&mut self.given_up);
        (self.last, self.next) = (Some(number), Some(number.saturating_add(1)));
    }
}
