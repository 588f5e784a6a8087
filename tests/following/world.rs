//! A file system and the inotify instance that watches it.

use std::collections::{BTreeSet, VecDeque};

use tinotify::{Errno, EventMask, WatchMask};

use super::changes::Op;
use super::choices::Choices;
use super::distributions::Rules;
use super::inode::{Ino, Inode, Kind, Name, Place, text_of};
use super::queue::{Queue, Record};
use super::truth::Trace;

pub const ROOT: Ino = 0;

/// What is to happen just before a call.
pub struct Ambush {
    /// `watch`, `look` or `unwatch`, and the path; `unwatch` has none.
    pub call: String,
    pub step: AmbushStep,
}

pub enum AmbushStep {
    Op(String),
    Fail(Errno),
}

pub struct World {
    pub choices: Choices,
    pub rules: Rules,
    pub nodes: Vec<Inode>,
    pub queue: Queue,
    /// The path that is followed.
    pub path: Vec<u8>,
    /// The way of that path, as it is now.
    pub now: Trace,
    /// Changes that may still be made before the next rest.
    pub ops: u32,
    /// Nothing changes and no call fails, but for what a script says.
    pub is_quiet: bool,
    /// The engine walks.
    pub is_walking: bool,
    /// Changes that somebody is in the midst of, such as an atomic save.
    pub plan: VecDeque<Op>,
    /// Events of changes that were made already, and that are queued later.
    pub late: VecDeque<Notice>,
    /// Inode numbers that are free.
    pub free: Vec<(u64, u64)>,
    pub next_number: u64,
    /// What each descriptor was given for; the first is 1.
    pub wds: Vec<Ino>,
    pub watched: u32,
    pub mounts: u32,
    /// Watches that the follower was given and has not taken back, nor was fed the `IGNORED` of.
    pub held: BTreeSet<i32>,
    /// The events of which the follower says they are of interest.
    pub interest: Vec<(i32, WatchMask)>,
    /// Something on the way or at its end changed since the last rest, so often.
    pub touched: u32,
    /// What the engine looked at last.
    pub last_look: Ino,
    /// Where the name led to since the last rest.
    pub ends: Vec<Ino>,
    /// The way changed without an event that the follower can have. Until the next rest.
    pub is_silent: bool,
    /// Calls of this walk, without `unwatch`.
    pub calls: usize,
    /// What the follower did that it must not do.
    pub wrong: Option<String>,
    pub ambush: Vec<Ambush>,
    /// What happened, as a script; kept where somebody wants to read it.
    pub script: Option<Vec<String>>,
}

/// Something that inotify instances are to be told of an inode.
#[derive(Clone, Copy)]
pub enum Notice {
    Event(Ino, EventMask, Option<Name>),
    /// The last name is gone, and nobody has it open.
    Death(Ino),
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
            held: BTreeSet::new(),
            interest: Vec::new(),
            touched: 0,
            last_look: ROOT,
            ends: Vec::new(),
            is_silent: false,
            calls: 0,
            wrong: None,
            ambush: Vec::new(),
            script: None,
        };
        world.add_inode(Kind::Dir { entries: Vec::new(), parent: (ROOT, 0) }, 1);
        world
    }

    pub fn follow(&mut self, path: &[u8]) {
        self.path = path.to_vec();
        self.now = self.trace();
        self.ends = self.now.end.into_iter().collect();
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
            held: false,
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

    /// Queues events, some of them later.
    pub fn tell(&mut self, notice: Notice) {
        self.late.push_back(notice);
    }

    /// Queues what was to be queued later, or the first of it.
    pub fn flush(&mut self, some: bool) {
        while let Some(notice) = self.late.pop_front() {
            match notice {
                Notice::Event(ino, mask, name) => self.queue_event(ino, mask, name),
                Notice::Death(ino) => self.queue_death(ino),
            }
            if some && self.choices.chance(1, 2) {
                break;
            }
        }
    }

    fn queue_event(&mut self, ino: Ino, mask: EventMask, name: Option<Name>) {
        // What it led to a while ago is watched until the next walk.
        if self.ends.contains(&ino) {
            self.touched += 1;
        }
        let node = &self.nodes[ino];
        if node.wd != 0 && mask.intersects(node.mask.events()) {
            let record = Record { wd: node.wd, mask, name };
            self.queue.push(record);
        }
    }

    fn queue_death(&mut self, ino: Ino) {
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

    /// The kernel ends a watch.
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

    /// The path of a directory, for scripts. `None` if it has none any more.
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

    pub fn place_text(&self, place: Place) -> String {
        let dir = self.path_of(place.0).unwrap_or_else(|| "?".into());
        format!("{dir}/{}", text_of(place.1))
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
