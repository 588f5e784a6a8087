//! The engine's protocol: which call comes when. A change of the protocol is a change of this file alone.

use std::collections::VecDeque;

use tinotify::tree::{Kernel, Options, Tree, TreeEvent, TreeKind};
use tinotify::{Errno, Event, EventMask, WatchMask, Wd};

use super::kernel::Handle;
use super::names::{self, EXCLUDED};
use super::queue::Record;
use super::rules::Rules;
use super::world::{World, trace};

/// The trees of one inotify instance, and the reader that feeds them.
pub struct Driver {
    trees: Vec<Tree<Handle>>,
    /// For each tree, whether it had a check open when the last record was fed.
    was_checking: Vec<bool>,
    /// For each tree, the path of the last record, if the caller could have reported that itself.
    plain: Vec<Option<Vec<u8>>>,
    /// The records that were read and not fed.
    read: VecDeque<Record>,
    /// The bytes of the stream that were fed.
    fed: u64,
    /// The watch whose end was fed last.
    ended: Option<i32>,
    /// Whether other subscribers have watches that a tree must leave alone.
    is_shared: bool,
}

/// The events that only the tree can report.
const NOT_PLAIN: EventMask = EventMask::CREATE
    .union(EventMask::DELETE)
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO)
    .union(EventMask::ISDIR);

/// Returns the options of the rules.
pub fn options(rules: &Rules) -> Options {
    let mut options = Options::new(rules.mask);
    options.max_depth = rules.max_depth;
    options.same_file_system = rules.same_file_system;
    options.follow_links = rules.links;
    options.track_files = rules.track_files;
    options.report_existing = rules.report_existing;
    options.max_open = rules.max_open.unwrap_or(options.max_open);
    if rules.exclude {
        options.exclude = Some(Box::new(|path: &[u8]| {
            path.rsplit(|byte| *byte == b'/').next() == Some(names::bytes(EXCLUDED))
        }));
    }
    options
}

impl Driver {
    /// Creates one tree for each root of the world.
    pub fn new(world: &World) -> Self {
        let tree = |_: &_| Tree::new(options(&world.rules));
        Self {
            trees: world.roots.iter().map(tree).collect(),
            was_checking: vec![false; world.roots.len()],
            plain: vec![None; world.roots.len()],
            read: VecDeque::new(),
            fed: 0,
            ended: None,
            is_shared: world.roots.len() > 1 || world.rules.users > 0,
        }
    }

    /// Runs `work` for a tree on the world, which keeps the watches that others need.
    fn with<R>(
        &mut self,
        world: &mut World,
        index: usize,
        work: impl FnOnce(&mut Tree<Handle>, &mut World) -> R,
    ) -> R {
        world.acting = index;
        world.kept.clear();
        for (other, tree) in self.trees.iter().enumerate() {
            if other != index {
                let wds = tree.directories().filter_map(|(_, wd)| wd);
                world.kept.extend(wds.map(Wd::as_raw));
            }
        }
        world.is_working = true;
        let result = work(&mut self.trees[index], world);
        world.is_working = false;
        result
    }

    /// Starts a tree, or ends it if that fails.
    pub fn start(&mut self, world: &mut World, index: usize) -> Result<(), Errno> {
        let started = self.with(world, index, |tree, world| tree.start(world));
        if started.is_err() {
            self.stop(world, index);
        }
        started
    }

    pub fn stop(&mut self, world: &mut World, index: usize) {
        self.with(world, index, |tree, world| tree.stop(world));
    }

    /// Returns the next event that a tree reports.
    pub fn next(&mut self, world: &mut World, index: usize) -> Option<TreeEvent> {
        let plain = self.plain[index].take();
        self.with(world, index, |tree, world| {
            let was_scanning = tree.is_scanning();
            let event = tree.next(world);
            // A caller asks first, to run a scan of the whole tree in its own thread. The overflow announces
            // the scan.
            let overflow = event.as_ref().is_some_and(|event| event.kind == TreeKind::Overflow);
            if let (Some(event), Some(path)) = (&event, &plain) {
                assert!(event.path == *path, "the caller would have reported {path:?} for {event}");
            }
            assert!(
                was_scanning || overflow || !tree.is_scanning(),
                "a scan of the whole tree was not announced"
            );
            event
        })
    }

    pub fn is_over(&self, index: usize) -> bool {
        self.trees[index].is_over()
    }

    pub fn len(&self) -> usize {
        self.trees.len()
    }

    /// Returns `true` if all records that were read were fed.
    pub fn is_fed(&self) -> bool {
        self.read.is_empty()
    }

    /// Frees a watch descriptor, since the trees have processed the end of its watch.
    fn forget_ended(&mut self, world: &mut World) {
        if let Some(ended) = self.ended.take() {
            world.unread_ends.retain(|wd| *wd != ended);
        }
    }

    /// Feeds the next record to its trees. Take their reports before the next call.
    pub fn feed(&mut self, world: &mut World) -> Option<Record> {
        self.forget_ended(world);
        let record = self.read.pop_front()?;
        trace!(world, "feed at {}: {record:?}", self.fed);
        let fed = self.fed;
        for index in 0..self.trees.len() {
            self.was_checking[index] = self.trees[index].is_checking();
            let is_overflow = record.mask.contains(EventMask::Q_OVERFLOW);
            let is_its = self.trees[index].contains(Wd::from_raw(record.wd));
            self.plain[index] = self.plain_path(index, &record);
            if is_overflow || is_its || !self.is_shared {
                self.with(world, index, |tree, world| tree.feed(world, record.event(), fed));
            }
        }
        self.fed += record.size();
        if record.mask.contains(EventMask::IGNORED) {
            self.ended = Some(record.wd);
        }
        Some(record)
    }

    /// Returns the path with which the caller may report an event itself.
    fn plain_path(&self, index: usize, record: &Record) -> Option<Vec<u8>> {
        let (tree, event) = (&self.trees[index], record.event());
        let is_plain = !event.mask().intersects(NOT_PLAIN) && tree.is_plain(event.wd());
        let (name, mut path) = (event.name().filter(|_| is_plain)?, Vec::new());
        tree.path_of(event.wd(), &mut path).then(|| {
            let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
            [&path[..], slash, name].concat()
        })
    }

    /// Reads again when all records were fed, at most `room` bytes. If nothing is queued, runs the trees'
    /// idle work. Returns `false` if nothing is left to do.
    pub fn turn(&mut self, world: &mut World, room: impl FnOnce(&mut World) -> u64) -> bool {
        self.forget_ended(world);
        let room = room(world);
        self.read = world.read(room).into();
        let read = self.read.len();
        world.record_step(|| if read == 0 { "idle".into() } else { format!("read {read}") });
        !self.read.is_empty() || self.idle(world)
    }

    /// Runs the trees' idle work, since the queue is empty.
    fn idle(&mut self, world: &mut World) -> bool {
        let mut more = false;
        for index in 0..self.trees.len() {
            let at = world.consumed;
            more |= self.with(world, index, |tree, world| {
                let (rests, calls) = (tree.is_at_rest(), world.calls);
                let more = tree.idle(world, at);
                assert!(!rests || !more && calls == world.calls, "at rest, there was more to do");
                more
            });
        }
        if more {
            trace!(world, "idle: more");
        }
        world.close_dropped();
        more || !world.queue.is_empty()
    }

    /// Returns the directories that a tree knows: path and watch.
    pub fn directories(&self, index: usize) -> Vec<(Vec<u8>, i32)> {
        let raw = |wd: Option<Wd>| wd.map_or(0, |wd| wd.as_raw());
        self.trees[index].directories().map(|(path, wd)| (path, raw(wd))).collect()
    }

    /// Returns the number of directories that a tree knows.
    pub fn known(&self, index: usize) -> usize {
        self.trees[index].len()
    }

    /// Returns `true` if the tree had no check open when the last record was fed, and has none now.
    pub fn is_sure(&self, index: usize) -> bool {
        !self.was_checking[index] && !self.trees[index].is_checking()
    }

    /// Returns `true` if a tree has a check open.
    pub fn is_checking(&self, index: usize) -> bool {
        self.trees[index].is_checking()
    }

    /// Returns `true` if the caller may report the events of files in all watched directories itself.
    pub fn is_plain(&self, index: usize) -> bool {
        let tree = &self.trees[index];
        tree.directories().filter_map(|(_, wd)| wd).all(|wd| tree.is_plain(wd))
    }

    /// Returns `true` if a tree keeps nothing but its nodes.
    pub fn rests(&self, index: usize) -> bool {
        self.trees[index].is_at_rest()
    }
}

/// A kernel with a queue and a reader.
pub trait Stream: Kernel {
    /// Takes the next record and calls `feed` with it and its position. Returns `false` if no record is left.
    fn read_one(&mut self, feed: impl FnOnce(&mut Self, Event<'_>, u64)) -> bool;
    /// Returns the bytes that were read, and the position of the end of the queue.
    fn ends(&self) -> (u64, u64);
}

/// Drives one tree until nothing is left to do. Returns how many events it reported.
pub fn drive<K: Stream>(tree: &mut Tree<K::Dir>, kernel: &mut K) -> u64 {
    let mut reported = 0;
    loop {
        while tree.next(kernel).is_some() {
            reported += 1;
        }
        if kernel.read_one(|kernel, event, at| tree.feed(kernel, event, at)) {
            continue;
        }
        let (at, _) = kernel.ends();
        if !tree.idle(kernel, at) && at == kernel.ends().1 {
            return reported;
        }
    }
}

/// Returns the mask with which a tree watches each directory.
pub fn asked(rules: &Rules) -> WatchMask {
    rules.mask & WatchMask::ALL_EVENTS | super::rules::NEEDED
}
