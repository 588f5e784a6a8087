//! Drives the follower over the simulated kernel, and keeps the state that a program would keep.

use std::collections::VecDeque;

use tinotify::follow::{Follower, NameChange};
use tinotify::{Event, EventMask, WatchMask};

use super::inode::{Ino, Inode};
use super::queue::Record;
use super::world::World;

/// The file that a program read after the last reported change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub ino: Ino,
    pub version: u64,
}

pub struct Run {
    pub world: World,
    pub follower: Follower,
    /// Records that were read, but not fed yet.
    pub inbox: VecDeque<Record>,
    /// Whether the last report says that the name leads to a file.
    pub is_reported: bool,
    pub reading: Option<Reading>,
    /// The changes reported since the last rest, or since the last `expect` of a script.
    pub reported: Vec<NameChange>,
    /// The number of reports since the last rest.
    pub reports: u32,
    pub overflows: u32,
    /// `true` if the mask was changed, and the walk after it has not succeeded yet.
    pub has_new_mask: bool,
    pub masks: u32,
    pub walks: u64,
    pub failed_walks: u64,
    pub events: u64,
    /// The number of rests at which the name led to a file.
    pub found: u64,
    /// The number of walks after changes that cause no event.
    pub forced_walks: u64,
    /// The number of all reports.
    pub reports_total: u64,
}

/// An upper limit for the calls of one walk: each link has at most four components.
pub const MAX_CALLS: usize = 2 * (8 + 41 * 5);

impl Run {
    pub fn new(world: World) -> Self {
        let mask = world.rules.mask;
        let follower = Follower::new(&world.path, mask);
        Self {
            world,
            follower,
            inbox: VecDeque::new(),
            is_reported: false,
            reading: None,
            reported: Vec::new(),
            reports: 0,
            overflows: 0,
            has_new_mask: false,
            masks: 0,
            walks: 0,
            failed_walks: 0,
            events: 0,
            found: 0,
            forced_walks: 0,
            reports_total: 0,
        }
    }

    pub fn set_mask(&mut self, mask: WatchMask) {
        self.world.rules.mask = mask;
        self.world.record(|_| format!("mask {mask}"));
        self.follower.set_mask(mask);
        self.has_new_mask = true;
        self.masks += 1;
    }

    fn watches(&self) -> Vec<(i32, Option<Vec<u8>>)> {
        let watches = self.follower.watches();
        watches.map(|(wd, _, entry)| (wd.as_raw(), entry.map(<[u8]>::to_vec))).collect()
    }

    /// Walks, even if no walk is pending. Returns `true` if the walk succeeded.
    pub fn walk(&mut self) -> Result<bool, String> {
        let before = self.watches();
        let was_found = self.follower.is_found();
        (self.world.calls, self.world.is_walking) = (0, true);
        self.walks += 1;
        let result = self.follower.walk(&mut self.world);
        self.world.is_walking = false;
        if let Some(violation) = self.world.violation.take() {
            return Err(violation);
        }
        if self.world.calls > MAX_CALLS {
            return Err(format!("{} calls for one walk", self.world.calls));
        }
        match result {
            Ok(change) => {
                if self.follower.is_pending() {
                    return Err("a walk is pending after a walk".into());
                }
                self.compare_follower_wds()?;
                let watches = self.follower.watches();
                self.world.interest = watches.map(|(wd, mask, _)| (wd.as_raw(), mask)).collect();
                if std::mem::take(&mut self.has_new_mask) {
                    self.read_file();
                }
                if let Some(change) = change {
                    self.report(change)?;
                }
            }
            Err(errno) => {
                self.failed_walks += 1;
                if self.world.is_quiet && self.world.injections.is_empty() && !self.is_scripted() {
                    return Err(format!("a walk fails with {errno} without an injected error"));
                }
                if !self.follower.is_pending() || self.follower.is_found() != was_found {
                    return Err("a failed walk changed the state".into());
                }
                if before != self.watches() {
                    return Err("a failed walk changed the watches".into());
                }
                self.compare_follower_wds()?;
            }
        }
        Ok(result.is_ok())
    }

    /// Returns `true` if a script determines the changes.
    pub fn is_scripted(&self) -> bool {
        self.world.rules.burst == 0
    }

    /// Checks that `Follower::watches` returns the watches that the kernel has added for it.
    fn compare_follower_wds(&self) -> Result<(), String> {
        let returned: std::collections::BTreeSet<i32> =
            self.follower.watches().map(|(wd, ..)| wd.as_raw()).collect();
        if returned != self.world.follower_wds {
            let added = &self.world.follower_wds;
            return Err(format!("watches() returns {returned:?}, the kernel has {added:?}"));
        }
        Ok(())
    }

    /// Reads the file that the follower watches, as a program does after a report.
    fn read_file(&mut self) {
        let target = self.follower.watches().find(|(_, _, entry)| entry.is_none());
        let watched = target.and_then(|(wd, ..)| self.world.watched_as(wd.as_raw()));
        let ino = watched.or(Some(self.world.last_stat)).filter(|_| self.follower.is_found());
        self.reading = ino.map(|ino| Reading { ino, version: self.world.nodes[ino].version });
    }

    fn report(&mut self, change: NameChange) -> Result<(), String> {
        self.reports += 1;
        self.reports_total += 1;
        self.reported.push(change);
        let is_valid = match change {
            NameChange::Appeared => !self.is_reported,
            _ => self.is_reported,
        };
        if !is_valid {
            return Err(format!("{change:?}, reported before: {}", self.is_reported));
        }
        self.is_reported = change != NameChange::Vanished;
        if self.is_reported != self.follower.is_found() {
            return Err(format!("{change:?}, but is_found() is {}", self.follower.is_found()));
        }
        self.read_file();
        Ok(())
    }

    /// Returns `true` if `Follower::watches` says that the follower needs this event.
    fn is_of_interest(&self, event: &Event<'_>) -> bool {
        let life = EventMask::UNMOUNT | EventMask::IGNORED;
        self.follower.watches().any(|(wd, mask, entry)| {
            let is_its_name = || match (event.name(), entry) {
                (Some(name), Some(entry)) => name == entry,
                _ => true,
            };
            wd == event.wd() && event.mask().intersects(mask.events() | life) && is_its_name()
        })
    }

    /// Reads at most `max` records.
    pub fn read(&mut self, max: u32) {
        for _ in 0..max {
            let Some(record) = self.world.queue.pop() else { break };
            self.inbox.push_back(record);
        }
    }

    /// Feeds one record.
    pub fn feed(&mut self) -> Result<bool, String> {
        let Some(record) = self.inbox.pop_front() else { return Ok(false) };
        self.events += 1;
        let event = record.event();
        let was_pending = self.follower.is_pending();
        let is_of_interest = event.is_overflow() || self.is_of_interest(&event);
        let change = self.follower.feed(&event);
        if event.is_ignored() {
            self.world.follower_wds.remove(&record.wd);
        }
        self.overflows += u32::from(event.is_overflow());
        if was_pending && !self.follower.is_pending() {
            return Err("an event cancelled a pending walk".into());
        }
        if !is_of_interest && (change.is_some() || was_pending != self.follower.is_pending()) {
            return Err(format!("an event that is not of interest had an effect: {event}"));
        }
        self.compare_follower_wds()?;
        if let Some(change) = change {
            self.report(change)?;
        }
        Ok(true)
    }

    /// Stops following. Then only the watches of other subscribers may be left.
    pub fn end(&mut self) -> Result<(), String> {
        self.world.is_quiet = true;
        let next = Follower::new(b"/", WatchMask::MODIFY);
        std::mem::replace(&mut self.follower, next).end(&mut self.world);
        if let Some(violation) = self.world.violation.take() {
            return Err(violation);
        }
        let is_left = |node: &Inode| node.wd != 0 && node.other.is_empty();
        if !self.world.follower_wds.is_empty() || self.world.nodes.iter().any(is_left) {
            return Err("watches are left".into());
        }
        Ok(())
    }

    /// Reads, feeds and walks until nothing is left to do. The world must be quiet.
    pub fn settle(&mut self) -> Result<(), String> {
        self.world.flush(false);
        let max = 20 + 2 * (self.world.queue.len() + self.inbox.len());
        for _ in 0..max {
            self.read(u32::MAX);
            while self.feed()? {}
            if self.follower.is_pending() {
                self.walk()?;
            } else if self.world.queue.len() == 0 {
                return Ok(());
            }
        }
        Err("the follower does not come to rest".into())
    }
}
