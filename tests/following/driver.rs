//! Drives the follower over the simulated kernel, and keeps what a program would keep that trusts it.

use std::collections::VecDeque;

use tinotify::follow::{Follower, NameChange};
use tinotify::{Event, EventMask, WatchMask};

use super::inode::{Ino, Inode};
use super::queue::Record;
use super::world::World;

/// What a program read when it was last told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub ino: Ino,
    pub version: u64,
}

pub struct Run {
    pub world: World,
    pub follower: Follower,
    /// Records that were read and not fed.
    pub inbox: VecDeque<Record>,
    /// Whether the name was announced to be there.
    pub is_announced: bool,
    pub reading: Option<Reading>,
    /// What was announced since the last rest, or since a script asked.
    pub told: Vec<NameChange>,
    /// Announcements since the last rest.
    pub announced: u32,
    pub overflows: u32,
    /// The mask was changed, and the walk that goes with it is to be made.
    pub is_masked: bool,
    pub masks: u32,
    pub walks: u64,
    pub failed_walks: u64,
    pub events: u64,
    /// Rests at which the name led to a file, and at which the follower had to be told of a change.
    pub found: u64,
    pub poked: u64,
    /// Announcements, ever.
    pub announcements: u64,
}

/// More calls than any walk can need: each link may have four parts.
pub const MOST_CALLS: usize = 2 * (8 + 41 * 5);

impl Run {
    pub fn new(world: World) -> Self {
        let mask = world.rules.mask;
        let follower = Follower::new(&world.path, mask);
        Self {
            world,
            follower,
            inbox: VecDeque::new(),
            is_announced: false,
            reading: None,
            told: Vec::new(),
            announced: 0,
            overflows: 0,
            is_masked: false,
            masks: 0,
            walks: 0,
            failed_walks: 0,
            events: 0,
            found: 0,
            poked: 0,
            announcements: 0,
        }
    }

    pub fn set_mask(&mut self, mask: WatchMask) {
        self.world.rules.mask = mask;
        self.world.record(|_| format!("mask {mask}"));
        self.follower.set_mask(mask);
        self.is_masked = true;
        self.masks += 1;
    }

    fn watches(&self) -> Vec<(i32, Option<Vec<u8>>)> {
        let watches = self.follower.watches();
        watches.map(|(wd, _, entry)| (wd.as_raw(), entry.map(<[u8]>::to_vec))).collect()
    }

    /// Walks, whether or not it is needed. Returns `true` if that did not fail.
    pub fn walk(&mut self) -> Result<bool, String> {
        let before = self.watches();
        let was_found = self.follower.is_found();
        (self.world.calls, self.world.is_walking) = (0, true);
        self.walks += 1;
        let result = self.follower.walk(&mut self.world);
        self.world.is_walking = false;
        if let Some(wrong) = self.world.wrong.take() {
            return Err(wrong);
        }
        if self.world.calls > MOST_CALLS {
            return Err(format!("{} calls for one walk", self.world.calls));
        }
        match result {
            Ok(change) => {
                if self.follower.is_pending() {
                    return Err("pending after a walk".into());
                }
                self.compare_held()?;
                let watches = self.follower.watches();
                self.world.interest = watches.map(|(wd, mask, _)| (wd.as_raw(), mask)).collect();
                if std::mem::take(&mut self.is_masked) {
                    self.read_file();
                }
                if let Some(change) = change {
                    self.announce(change)?;
                }
            }
            Err(errno) => {
                self.failed_walks += 1;
                if self.world.is_quiet && self.world.ambush.is_empty() && !self.is_scripted() {
                    return Err(format!("a walk fails with {errno} for no reason"));
                }
                if !self.follower.is_pending() || self.follower.is_found() != was_found {
                    return Err("a walk that failed changed something".into());
                }
                if before != self.watches() {
                    return Err("a walk that failed changed the watches".into());
                }
                self.compare_held()?;
            }
        }
        Ok(result.is_ok())
    }

    /// Whether a script says what happens, and not chance.
    pub fn is_scripted(&self) -> bool {
        self.world.rules.burst == 0
    }

    /// What the follower says it holds is what it was given.
    fn compare_held(&self) -> Result<(), String> {
        let says: std::collections::BTreeSet<i32> =
            self.follower.watches().map(|(wd, ..)| wd.as_raw()).collect();
        if says != self.world.held {
            return Err(format!("says it holds {says:?} and holds {:?}", self.world.held));
        }
        Ok(())
    }

    /// The program reads the file that the follower means: it has it open, or opens it again.
    fn read_file(&mut self) {
        let target = self.follower.watches().find(|(_, _, entry)| entry.is_none());
        let watched = target.and_then(|(wd, ..)| self.world.watched_as(wd.as_raw()));
        let ino = watched.or(Some(self.world.last_look)).filter(|_| self.follower.is_found());
        self.reading = ino.map(|ino| Reading { ino, version: self.world.nodes[ino].version });
    }

    fn announce(&mut self, change: NameChange) -> Result<(), String> {
        self.announced += 1;
        self.announcements += 1;
        self.told.push(change);
        let is_right = match change {
            NameChange::Appeared => !self.is_announced,
            _ => self.is_announced,
        };
        if !is_right {
            return Err(format!("{change:?}, and announced before: {}", self.is_announced));
        }
        self.is_announced = change != NameChange::Vanished;
        if self.is_announced != self.follower.is_found() {
            return Err(format!("{change:?}, and is_found() is {}", self.follower.is_found()));
        }
        self.read_file();
        Ok(())
    }

    /// Whether an event is among those that the follower says are of interest.
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

    /// Reads so many records at most.
    pub fn read(&mut self, most: u32) {
        for _ in 0..most {
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
            self.world.held.remove(&record.wd);
        }
        self.overflows += u32::from(event.is_overflow());
        if was_pending && !self.follower.is_pending() {
            return Err("an event ends a pending walk".into());
        }
        if !is_of_interest && (change.is_some() || was_pending != self.follower.is_pending()) {
            return Err(format!("is moved by {event}"));
        }
        self.compare_held()?;
        if let Some(change) = change {
            self.announce(change)?;
        }
        Ok(true)
    }

    /// Stops following, after which only what others need is watched.
    pub fn end(&mut self) -> Result<(), String> {
        self.world.is_quiet = true;
        let next = Follower::new(b"/", WatchMask::MODIFY);
        std::mem::replace(&mut self.follower, next).end(&mut self.world);
        if let Some(wrong) = self.world.wrong.take() {
            return Err(wrong);
        }
        let is_left = |node: &Inode| node.wd != 0 && node.other.is_empty();
        if !self.world.held.is_empty() || self.world.nodes.iter().any(is_left) {
            return Err("watches are left".into());
        }
        Ok(())
    }

    /// Does what there is to do, until nothing is left. The world is quiet.
    pub fn settle(&mut self) -> Result<(), String> {
        self.world.flush(false);
        let most = 20 + 2 * (self.world.queue.len() + self.inbox.len());
        for _ in 0..most {
            self.read(u32::MAX);
            while self.feed()? {}
            if self.follower.is_pending() {
                self.walk()?;
            } else if self.world.queue.len() == 0 {
                return Ok(());
            }
        }
        Err("does not come to rest".into())
    }
}
