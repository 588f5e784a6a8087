//! A plain file system with any number of names and any depth, for tests of how cost grows. Nothing in it is
//! random.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;

use tinotify::tree::{Kernel, Stat};
use tinotify::{Errno, Event, EventMask, WatchMask, Wd};

use super::driver::Stream;

#[derive(Default)]
struct Node {
    is_dir: bool,
    entries: BTreeMap<Vec<u8>, usize>,
    parent: Option<(usize, Vec<u8>)>,
    is_denied: bool,
    wd: i32,
    mask: WatchMask,
    version: u64,
}

struct Record {
    wd: i32,
    mask: EventMask,
    cookie: u32,
    name: Option<CString>,
}

impl Record {
    fn size(&self) -> u64 {
        self.name.as_ref().map_or(16, |name| 16 + (name.as_bytes().len() as u64 / 16 + 1) * 16)
    }
}

pub struct Field {
    nodes: Vec<Node>,
    /// The node of each watch; the first is not used.
    wds: Vec<usize>,
    queue: VecDeque<Record>,
    queued: u64,
    consumed: u64,
    cookie: u32,
    /// The number of the engine's calls.
    pub calls: u64,
    /// The number of queued records.
    pub events: u64,
}

pub const ROOT: usize = 0;

impl Field {
    pub fn new() -> Self {
        let root = Node { is_dir: true, ..Node::default() };
        Self {
            nodes: vec![root],
            wds: vec![0],
            queue: VecDeque::new(),
            queued: 0,
            consumed: 0,
            cookie: 0,
            calls: 0,
            events: 0,
        }
    }

    fn push(&mut self, wd: i32, mask: EventMask, cookie: u32, name: Option<&[u8]>) {
        let name = name.map(|name| CString::new(name).unwrap());
        let record = Record { wd, mask, cookie, name };
        self.queued += record.size();
        self.events += 1;
        self.queue.push_back(record);
    }

    fn report(&mut self, ino: usize, mask: EventMask, cookie: u32, name: Option<&[u8]>) {
        let node = &self.nodes[ino];
        if node.wd != 0 && mask.bits() & node.mask.bits() != 0 {
            self.push(node.wd, mask, cookie, name);
        }
    }

    fn is_dir(&self, ino: usize) -> EventMask {
        if self.nodes[ino].is_dir { EventMask::ISDIR } else { EventMask::empty() }
    }

    pub fn make(&mut self, dir: usize, name: &str, is_dir: bool) -> usize {
        let ino = self.nodes.len();
        let parent = Some((dir, name.into()));
        self.nodes.push(Node { is_dir, parent, ..Node::default() });
        self.nodes[dir].entries.insert(name.into(), ino);
        self.report(dir, EventMask::CREATE | self.is_dir(ino), 0, Some(name.as_bytes()));
        ino
    }

    pub fn mkdir(&mut self, dir: usize, name: &str) -> usize {
        self.make(dir, name, true)
    }

    pub fn write(&mut self, dir: usize, name: &str) {
        let ino = self.nodes[dir].entries[name.as_bytes()];
        self.nodes[ino].version += 1;
        self.report(dir, EventMask::MODIFY, 0, Some(name.as_bytes()));
        self.report(dir, EventMask::CLOSE_WRITE, 0, Some(name.as_bytes()));
    }

    pub fn chmod(&mut self, dir: usize, name: &str, is_denied: bool) {
        let ino = self.nodes[dir].entries[name.as_bytes()];
        self.nodes[ino].is_denied = is_denied;
        self.report(dir, EventMask::ATTRIB | self.is_dir(ino), 0, Some(name.as_bytes()));
        self.report(ino, EventMask::ATTRIB | self.is_dir(ino), 0, None);
    }

    pub fn remove(&mut self, dir: usize, name: &str) {
        let ino = self.nodes[dir].entries.remove(name.as_bytes()).unwrap();
        self.end_watch(ino);
        self.report(dir, EventMask::DELETE | self.is_dir(ino), 0, Some(name.as_bytes()));
    }

    pub fn rename(&mut self, from: (usize, &str), to: (usize, &str)) {
        let ino = self.nodes[from.0].entries.remove(from.1.as_bytes()).unwrap();
        let victim = self.nodes[to.0].entries.insert(to.1.into(), ino);
        self.nodes[ino].parent = Some((to.0, to.1.into()));
        self.cookie += 1;
        let (cookie, is_dir) = (self.cookie, self.is_dir(ino));
        self.report(from.0, EventMask::MOVED_FROM | is_dir, cookie, Some(from.1.as_bytes()));
        self.report(to.0, EventMask::MOVED_TO | is_dir, cookie, Some(to.1.as_bytes()));
        if !is_dir.is_empty() {
            self.report(ino, EventMask::MOVE_SELF, 0, None);
        }
        if let Some(victim) = victim {
            self.end_watch(victim);
        }
    }

    fn end_watch(&mut self, ino: usize) {
        let wd = std::mem::take(&mut self.nodes[ino].wd);
        if wd != 0 {
            self.wds[wd as usize] = usize::MAX;
            self.push(wd, EventMask::IGNORED, 0, None);
        }
    }

    /// Loses all queued events.
    pub fn overflow(&mut self) {
        self.queue.clear();
        self.queued = 0;
        self.push(-1, EventMask::Q_OVERFLOW, 0, None);
    }

    fn child(&self, dir: usize, name: &[u8]) -> Result<usize, Errno> {
        self.nodes[dir].entries.get(name).copied().ok_or(Errno::ENOENT)
    }

    fn opened(&mut self, ino: usize) -> Result<usize, Errno> {
        if self.nodes[ino].is_dir { Ok(ino) } else { Err(Errno::ENOTDIR) }
    }

    fn add_watch(&mut self, ino: usize, mask: WatchMask) -> Result<Wd, Errno> {
        let node = &mut self.nodes[ino];
        if !node.is_dir {
            return Err(Errno::ENOTDIR);
        }
        if node.is_denied {
            return Err(Errno::EACCES);
        }
        if node.wd == 0 {
            node.wd = self.wds.len() as i32;
            self.wds.push(ino);
        }
        node.mask |= mask & WatchMask::ALL_EVENTS;
        Ok(Wd::from_raw(node.wd))
    }

    fn stat_of(&self, ino: usize) -> Stat {
        let node = &self.nodes[ino];
        let version = node.version;
        let mtime = (version as i64, 0);
        let (is_dir, ino) = (node.is_dir, ino as u64);
        Stat { is_dir, is_leaf: false, is_link: false, dev: 1, ino, size: version, mtime }
    }
}

impl Kernel for Field {
    type Dir = usize;

    fn open(&mut self, path: &[u8]) -> Result<usize, Errno> {
        self.calls += 1;
        let mut at = ROOT;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            at = self.child(at, name)?;
        }
        self.opened(at)
    }

    fn open_child(&mut self, dir: &usize, name: &[u8]) -> Result<usize, Errno> {
        self.calls += 1;
        let ino = self.child(*dir, name)?;
        self.opened(ino)
    }

    fn watch(&mut self, dir: &usize, mask: WatchMask) -> Result<Wd, Errno> {
        self.calls += 1;
        self.add_watch(*dir, mask)
    }

    fn watch_child(&mut self, dir: &usize, name: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        self.calls += 1;
        let ino = self.child(*dir, name)?;
        self.add_watch(ino, mask)
    }

    fn narrow_mask(&mut self, dir: &usize, _: Wd, mask: WatchMask) {
        self.calls += 1;
        self.nodes[*dir].mask = mask & WatchMask::ALL_EVENTS;
    }

    fn unwatch(&mut self, wd: Wd) {
        self.calls += 1;
        let ino = self.wds.get(wd.as_raw() as usize).copied();
        if let Some(ino) = ino.filter(|ino| *ino != usize::MAX) {
            self.end_watch(ino);
        }
    }

    fn is_shared(&self, _: Wd) -> bool {
        false
    }

    fn is_watching(&mut self, _: Wd) -> Option<bool> {
        self.calls += 1;
        None
    }

    fn stat(&mut self, dir: &usize) -> Result<Stat, Errno> {
        self.calls += 1;
        Ok(self.stat_of(*dir))
    }

    fn stat_child(&mut self, dir: &usize, name: &[u8]) -> Result<Stat, Errno> {
        self.calls += 1;
        self.child(*dir, name).map(|ino| self.stat_of(ino))
    }

    fn list(&mut self, dir: &mut usize, each: &mut dyn FnMut(&[u8], bool)) -> Result<(), Errno> {
        self.calls += 1;
        if self.nodes[*dir].is_denied {
            return Err(Errno::EACCES);
        }
        for (name, ino) in &self.nodes[*dir].entries {
            each(name, self.nodes[*ino].is_dir);
        }
        Ok(())
    }

    fn barrier(&mut self, _: &mut usize) -> Result<(), Errno> {
        self.calls += 1;
        Ok(())
    }

    fn front(&self) -> u64 {
        self.consumed
    }

    fn end(&mut self) -> u64 {
        self.calls += 1;
        self.consumed + self.queued
    }
}

impl Stream for Field {
    fn read_one(&mut self, feed: impl FnOnce(&mut Self, Event<'_>, u64)) -> bool {
        let Some(record) = self.queue.pop_front() else { return false };
        let at = self.consumed;
        self.consumed += record.size();
        self.queued -= record.size();
        let wd = Wd::from_raw(record.wd);
        let event = Event::new(wd, record.mask, record.cookie, record.name.as_deref());
        feed(self, event, at);
        true
    }

    fn ends(&self) -> (u64, u64) {
        (self.consumed, self.consumed + self.queued)
    }
}
