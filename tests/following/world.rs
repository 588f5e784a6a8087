//! A simulated file system, and the inotify instance that watches it.

use std::collections::{BTreeSet, VecDeque};

use tinotify::{Errno, EventMask, WatchMask};

use super::changes::Op;
use super::choices::Choices;
use super::distributions::Rules;
use super::inode::{Dentry, Ino, Inode, Kind, Name, text_of};
use super::queue::{Queue, Record};
use super::resolve::Trace;

pub const ROOT: Ino = 0;

/// A step of a script that is made before a call of the engine.
pub struct Injection {
    /// `watch` or `stat` with a path, or `unwatch`.
    pub call: String,
    pub step: InjectedStep,
}

pub enum InjectedStep {
    Op(String),
    Fail(Errno),
}

pub struct World {
    pub choices: Choices,
    pub rules: Rules,
    pub nodes: Vec<Inode>,
    pub queue: Queue,
    /// The followed path.
    pub path: Vec<u8>,
    /// The resolution of that path now.
    pub now: Trace,
    /// The number of changes that may still be made before the next rest.
    pub ops: u32,
    /// `true` if only a script changes the world or makes calls fail.
    pub is_quiet: bool,
    /// `true` while the engine walks.
    pub is_walking: bool,
    /// The remaining changes of a sequence, such as an atomic save.
    pub plan: VecDeque<Op>,
    /// Events of earlier changes that are not queued yet.
    pub late: VecDeque<Notice>,
    /// Free inode numbers.
    pub free: Vec<(u64, u64)>,
    pub next_number: u64,
    /// The inode of each descriptor; the first descriptor is 1.
    pub wds: Vec<Ino>,
    pub watched: u32,
    pub mounts: u32,
    /// The follower's watches: added, neither released nor fed an `IGNORED` since.
    pub follower_wds: BTreeSet<i32>,
    /// The events that the follower needs, from `Follower::watches`.
    pub interest: Vec<(i32, WatchMask)>,
    /// The number of changes since the last rest that concern the path or its target.
    pub relevant_changes: u32,
    /// The inode of the engine's last `stat`.
    pub last_stat: Ino,
    /// The targets of the name since the last rest.
    pub recent_targets: Vec<Ino>,
    /// `true` if the path changed since the last rest without an event for the follower.
    pub is_silent: bool,
    /// The number of calls of this walk, without `unwatch`.
    pub calls: usize,
    /// The first call of the follower that is forbidden.
    pub violation: Option<String>,
    pub injections: Vec<Injection>,
    /// The schedule as a script, if it is recorded.
    pub script: Option<Vec<String>>,
}

/// A change of an inode that inotify reports.
#[derive(Clone, Copy)]
pub enum Notice {
    Event(Ino, EventMask, Option<Name>),
    /// The last link was removed, and no process has the file open.
    Deleted(Ino),
}

impl World {
    pub fn new(choices: Choices, rules: Rules) -> Self {
        let mut world = Self {
            choices,
            rules,
            nodes: Vec::with_capacity(32),
            queue: Queue::new(rules.queue_limit),
            path: Vec::new(),
            now: Trace::default(),
            ops: 0,
            is_quiet: true,
            is_walking: false,
            plan: VecDeque::new(),
            late: VecDeque::new(),
            free: Vec::new(),
            next_number: 1,
            wds: Vec::new(),
            watched: 0,
            mounts: 0,
            follower_wds: BTreeSet::new(),
            interest: Vec::new(),
            relevant_changes: 0,
            last_stat: ROOT,
            recent_targets: Vec::new(),
            is_silent: false,
            calls: 0,
            violation: None,
            injections: Vec::new(),
            script: None,
        };
        world.add_inode(Kind::Dir { entries: Vec::new(), parent: (ROOT, 0) }, 1);
        world
    }

    pub fn follow(&mut self, path: &[u8]) {
        self.path = path.to_vec();
        self.now = self.trace();
        self.recent_targets = self.now.end.into_iter().collect();
    }

    pub fn add_inode(&mut self, kind: Kind, dev: u64) -> Ino {
        let free = self.free.iter().rposition(|(of, _)| *of == dev);
        let number = match free {
            Some(at) => self.free.remove(at).1,
            None => {
                self.next_number += 1;
                self.next_number
            }
        };
        self.nodes.push(Inode {
            kind,
            dev,
            number,
            links: 1,
            is_open: false,
            is_dead: false,
            read: true,
            search: true,
            mounted: None,
            covers: None,
            version: 0,
            wd: 0,
            mask: WatchMask::empty(),
            other: WatchMask::empty(),
        });
        self.nodes.len() - 1
    }

    /// Adds an event to those that `flush` queues.
    pub fn notify(&mut self, notice: Notice) {
        self.late.push_back(notice);
    }

    /// Queues the events of earlier changes. With `some`, it may queue only the first ones.
    pub fn flush(&mut self, some: bool) {
        while let Some(notice) = self.late.pop_front() {
            match notice {
                Notice::Event(ino, mask, name) => self.queue_event(ino, mask, name),
                Notice::Deleted(ino) => self.queue_deleted(ino),
            }
            if some && self.choices.chance(1, 2) {
                break;
            }
        }
    }

    fn queue_event(&mut self, ino: Ino, mask: EventMask, name: Option<Name>) {
        // An old target is watched until the next walk.
        if self.recent_targets.contains(&ino) {
            self.relevant_changes += 1;
        }
        let node = &self.nodes[ino];
        if node.wd != 0 && mask.intersects(node.mask.events()) {
            let record = Record { wd: node.wd, mask, name };
            self.queue.push(record);
        }
    }

    fn queue_deleted(&mut self, ino: Ino) {
        if self.nodes[ino].is_dead {
            return;
        }
        self.queue_event(ino, EventMask::DELETE_SELF, None);
        self.end_watch(ino);
        let node = &mut self.nodes[ino];
        node.is_dead = true;
        let number = (node.dev, node.number);
        if self.rules.reuse {
            self.free.push(number);
        }
    }

    /// Ends a watch, and queues its `IGNORED`.
    pub fn end_watch(&mut self, ino: Ino) {
        let node = &mut self.nodes[ino];
        if node.wd == 0 {
            return;
        }
        let record = Record { wd: node.wd, mask: EventMask::IGNORED, name: None };
        node.wd = 0;
        node.mask = WatchMask::empty();
        node.other = WatchMask::empty();
        self.watched -= 1;
        self.queue.push(record);
    }

    /// Returns the path of a directory, for scripts. `None` if it was removed.
    pub fn path_of(&self, mut dir: Ino) -> Option<String> {
        let mut path = String::new();
        loop {
            while let Some(covered) = self.nodes[dir].covers {
                dir = covered;
            }
            if dir == ROOT {
                return Some(path);
            }
            let Kind::Dir { parent, .. } = self.nodes[dir].kind else { return None };
            if self.nodes[dir].links == 0 || self.child(parent.0, parent.1) != Some(dir) {
                return None;
            }
            path = format!("/{}{path}", text_of(parent.1));
            dir = parent.0;
        }
    }

    pub fn dentry_text(&self, dentry: Dentry) -> String {
        let dir = self.path_of(dentry.0).unwrap_or_else(|| "?".into());
        format!("{dir}/{}", text_of(dentry.1))
    }

    pub fn record(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.script.is_some() {
            let line = line(self);
            if let Some(script) = &mut self.script {
                script.push(line);
            }
        }
    }
}
