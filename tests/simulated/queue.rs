//! The queue of one inotify instance, with its limit, its merging and its one record of overflow
//! (fsnotify_insert_event and inotify_merge, Linux 6.18).

use std::collections::VecDeque;
use std::fmt;

use tinotify::{Event, EventMask, Wd};

use super::names::{Name, bytes, c_name};

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub wd: i32,
    pub mask: EventMask,
    pub cookie: u32,
    /// 0 for no name.
    pub name: Name,
}

impl Record {
    pub fn event(&self) -> Event<'static> {
        let name = (self.name != 0).then(|| c_name(self.name));
        Event::new(Wd::from_raw(self.wd), self.mask, self.cookie, name)
    }

    /// Returns the size of the record in the stream: a header of 16 bytes, and the name padded to a multiple
    /// of 16.
    pub fn size(&self) -> u64 {
        match self.name {
            0 => 16,
            name => 16 + (bytes(name).len() as u64 / 16 + 1) * 16,
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.event(), f)
    }
}

pub struct Queue {
    records: VecDeque<Record>,
    limit: usize,
    /// Whether an overflow record is queued.
    overflown: bool,
    /// The number of events that were ever lost.
    pub lost: u64,
    /// The number of overflow records that were ever read.
    pub overflows_read: u64,
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self { records: VecDeque::new(), limit, overflown: false, lost: 0, overflows_read: 0 }
    }

    /// Queues a record. Returns `true` if it merged with the last one.
    pub fn push(&mut self, record: Record) -> bool {
        // The limit is checked before merging, and only one overflow record is queued at a time.
        if self.records.len() >= self.limit {
            self.lost += 1;
            if !self.overflown {
                self.overflown = true;
                let mask = EventMask::Q_OVERFLOW;
                self.records.push_back(Record { wd: -1, mask, cookie: 0, name: 0 });
            }
            return false;
        }
        // Cookies are not compared, and an `IGNORED` does not merge.
        let same = |last: &Record| {
            (last.wd, last.mask, last.name) == (record.wd, record.mask, record.name)
                && !last.mask.contains(EventMask::IGNORED)
        };
        let merges = self.records.back().is_some_and(same);
        if !merges {
            self.records.push_back(record);
        }
        merges
    }

    /// Takes one record, if one of at most `room` bytes is queued.
    pub fn pop(&mut self, room: u64) -> Option<Record> {
        if self.records.front()?.size() > room {
            return None;
        }
        let record = self.records.pop_front()?;
        if record.mask.contains(EventMask::Q_OVERFLOW) {
            self.overflown = false;
            self.overflows_read += 1;
        }
        Some(record)
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the size of the first `records` records.
    pub fn first(&self, records: usize) -> u64 {
        self.records.iter().take(records).map(Record::size).sum()
    }

    /// Loses all events until the limit is set again.
    pub fn fill(&mut self) {
        self.limit = self.records.len();
    }

    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Returns the number of queued bytes (`FIONREAD`).
    pub fn bytes(&self) -> u64 {
        self.records.iter().map(Record::size).sum()
    }
}
