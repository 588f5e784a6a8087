//! The queue of one inotify instance: it has a limit, merges identical records, and queues one overflow
//! record at a time (fsnotify_insert_event and inotify_merge, Linux 6.18).

use std::collections::VecDeque;

use tinotify::{Event, EventMask, Wd};

use super::inode::{NAMES, Name};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub wd: i32,
    pub mask: EventMask,
    pub name: Option<Name>,
}

impl Record {
    pub fn event(&self) -> Event<'static> {
        let name = self.name.map(|name| NAMES[usize::from(name)]);
        Event::new(Wd::from_raw(self.wd), self.mask, 0, name)
    }
}

pub struct Queue {
    records: VecDeque<Record>,
    pub limit: usize,
    is_overflown: bool,
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self { records: VecDeque::new(), limit, is_overflown: false }
    }

    pub fn push(&mut self, record: Record) {
        // The kernel checks the limit before it merges, and reports one overflow at a time.
        if self.records.len() >= self.limit {
            if !self.is_overflown {
                self.is_overflown = true;
                self.records.push_back(Record { wd: -1, mask: EventMask::Q_OVERFLOW, name: None });
            }
            return;
        }
        let merges = self.records.back() == Some(&record);
        if !merges || record.mask.contains(EventMask::IGNORED) {
            self.records.push_back(record);
        }
    }

    pub fn pop(&mut self) -> Option<Record> {
        let record = self.records.pop_front()?;
        self.is_overflown &= !record.mask.contains(EventMask::Q_OVERFLOW);
        Some(record)
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }
}
