//! A file system and the inotify instance that watches it.
//!
//! Inodes, entries, link counts, mounts and watches; each change queues the events that Linux 6.18
//! queues, in its order. `tree_simulation.rs` compares the two.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

use tinotify::{Errno, EventMask, WatchMask};

use super::choices::Choices;
use super::names::{DEEPEST, ELSEWHERE, INTO, MOUNT, Name, OUT, Path, ROOT, SECOND_MOUNT, bytes};
use super::queue::{Queue, Record};
use super::rules::Rules;

/// An inode, by its place in [`World::nodes`]. Never used again within one world.
pub type Ino = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Dir,
    File,
    Link,
}

pub struct Inode {
    pub kind: Kind,
    pub dev: u64,
    /// As stat tells it: numbers of what is gone may come again.
    pub number: u64,
    /// Names that a file has.
    pub links: u32,
    /// Whether it ever had more than one.
    pub was_linked: bool,
    pub entries: Vec<(Name, Ino)>,
    /// Where a directory is; the root of a mount has none.
    pub parent: Option<(Ino, Name)>,
    /// What is mounted on this directory.
    pub mounted: Option<Ino>,
    /// The same, also when it is no more.
    was_mounted: Option<Ino>,
    /// Whether this directory is mounted somewhere, which keeps it.
    is_mounted: bool,
    /// Descriptors of the one who watches.
    pub open: u32,
    /// Whether somebody else has it open.
    pub held: bool,
    /// Directories that were removed from this one and are still open: they keep their parent, too.
    pins: u32,
    /// The parent that this one, removed and open, keeps.
    pinned: Option<Ino>,
    pub readable: bool,
    /// A directory that was removed.
    pub dead: bool,
    /// 0: not watched.
    pub wd: i32,
    pub mask: WatchMask,
    /// Size and time change together, with each write.
    pub version: u64,
}

/// A change of names or files, by inodes. Those that are not possible change nothing.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Mkdir(Ino, Name),
    Create(Ino, Name),
    Symlink(Ino, Name),
    Link { from: (Ino, Name), to: (Ino, Name) },
    Write(Ino, Name),
    Chmod(Ino, Name),
    Remove(Ino, Name),
    Rename { from: (Ino, Name), to: (Ino, Name) },
    Exchange { one: (Ino, Name), other: (Ino, Name) },
    Hold(Ino),
    Release(Ino),
    Unmount(Ino),
}

/// What is left to be queued of a rename that has begun.
struct Pending {
    /// The directories whose locks it holds.
    locked: [Ino; 2],
    steps: VecDeque<Step>,
}

#[derive(Clone, Copy)]
enum Step {
    Tell(Ino, EventMask, u32, Name),
    /// The last reference to a directory that has no name any more is gone.
    Drop(Ino),
}

/// For keys that are numbers.
#[derive(Default)]
pub struct Fibonacci(u64);

impl Hasher for Fibonacci {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
}

type Hash = BuildHasherDefault<Fibonacci>;

impl Inode {
    fn is_kept(&self) -> bool {
        self.open > 0 || self.held || self.pins > 0 || self.is_mounted
    }

    fn is_gone(&self) -> bool {
        match self.kind {
            Kind::Dir => self.dead && !self.is_kept(),
            _ => self.links == 0,
        }
    }
}

pub struct World {
    pub choices: Choices,
    pub rules: Rules,
    pub nodes: Vec<Inode>,
    pub queue: Queue,
    /// The root of the tree that is watched.
    pub root: Ino,
    /// Changes that may still be made.
    pub ops: u32,
    /// Bytes that were read from the queue.
    pub consumed: u64,
    /// Calls that the engine made.
    pub calls: u64,
    watched: u32,
    last_wd: i32,
    /// Watches that have ended, and the engine can't know it yet.
    pub untold: Vec<i32>,
    cookie: u32,
    pending: Option<Pending>,
    /// Changes that somebody is in the midst of: `rm -r`.
    plan: VecDeque<Op>,
    /// What handles that were dropped were open on.
    pub(super) closed: Rc<RefCell<Vec<Ino>>>,
    /// All paths that ever were, beneath the root.
    paths: HashSet<u64, Hash>,
    /// Each name that a directory ever had in it, and what it named.
    named: HashMap<(Ino, Name), Vec<Ino>, Hash>,
    /// What happened, for people; kept where somebody wants to read it.
    pub trace: Option<Vec<String>>,
    /// Whether changes are kept in `log`, to be done elsewhere too.
    pub logging: bool,
    pub log: Vec<(Op, Vec<Vec<Name>>, bool)>,
}

macro_rules! trace {
    ($world:expr, $($text:tt)*) => {
        if let Some(trace) = &mut $world.trace {
            let line = format!($($text)*);
            if $crate::simulated::schedule::is_loud() {
                eprintln!("{line}");
            }
            trace.push(line);
        }
    };
}
pub(super) use trace;

/// The directory that holds the root and what is outside of it.
pub const TOP: Ino = 0;

impl World {
    /// The empty world: a root, and an outside.
    pub fn new(choices: Choices, rules: Rules) -> Self {
        let mut world = Self {
            choices,
            queue: Queue::new(rules.queue_limit),
            rules,
            nodes: Vec::new(),
            root: 0,
            ops: 0,
            calls: 0,
            consumed: 0,
            watched: 0,
            last_wd: 0,
            untold: Vec::new(),
            cookie: 0,
            pending: None,
            plan: VecDeque::new(),
            closed: Rc::default(),
            paths: HashSet::default(),
            named: HashMap::default(),
            trace: None,
            logging: false,
            log: Vec::new(),
        };
        world.inode(Kind::Dir, 1);
        world.apply(Op::Mkdir(TOP, ROOT));
        world.apply(Op::Mkdir(TOP, OUT));
        world.root = 1;
        world
    }

    /// A world with something in it: what the rules say, at random.
    pub fn populated(choices: Choices, rules: Rules) -> Self {
        let mut world = Self::new(choices, rules);
        let ops = 2 + world.choices.below(24);
        for _ in 0..ops {
            let dir = world.some_dir();
            let name = world.some_name();
            if world.choices.chance(1, 3) {
                world.apply(Op::Create(dir, name));
            } else {
                world.apply(Op::Mkdir(dir, name));
            }
        }
        if world.rules.mounts {
            let dev = 2;
            let covered = world.mount_point(MOUNT);
            let root = world.inode(Kind::Dir, dev);
            world.mount(covered, root);
            for _ in 0..world.choices.below(5) {
                let on: Vec<Ino> =
                    (root..world.nodes.len()).filter(|ino| world.is_dir(*ino)).collect();
                let (dir, name) = (world.choices.pick(&on).unwrap(), world.some_name());
                world.apply(Op::Mkdir(dir, name));
            }
        }
        if world.rules.binds {
            let covered = world.mount_point(SECOND_MOUNT);
            let dir = world.some_dir();
            let dir = world.over(dir);
            if dir != TOP && !world.reaches(dir, covered) {
                world.mount(covered, dir);
            }
        }
        world.remember();
        world
    }

    fn mount(&mut self, covered: Ino, root: Ino) {
        self.nodes[covered].mounted = Some(root);
        self.nodes[covered].was_mounted = Some(root);
        self.nodes[root].is_mounted = true;
    }

    fn mount_point(&mut self, name: Name) -> Ino {
        let dir = loop {
            let dir = self.some_dir();
            if dir != TOP {
                break dir;
            }
        };
        self.apply(Op::Mkdir(dir, name));
        self.entry(dir, name).unwrap_or(dir)
    }

    fn inode(&mut self, kind: Kind, dev: u64) -> Ino {
        let ino = self.nodes.len();
        let mut number = ino as u64 + 100;
        if self.rules.reuse_inodes {
            let in_use = |number: u64| {
                let alive = |node: &&Inode| !node.is_gone();
                self.nodes.iter().filter(alive).any(|node| (node.dev, node.number) == (dev, number))
            };
            number = (100..).find(|number| !in_use(*number)).unwrap();
        }
        self.nodes.push(Inode {
            kind,
            dev,
            number,
            links: 1,
            was_linked: false,
            entries: Vec::new(),
            parent: None,
            mounted: None,
            was_mounted: None,
            is_mounted: false,
            open: 0,
            held: false,
            pins: 0,
            pinned: None,
            readable: true,
            dead: false,
            wd: 0,
            mask: WatchMask::empty(),
            version: ino as u64,
        });
        ino
    }

    pub fn is_dir(&self, ino: Ino) -> bool {
        self.nodes[ino].kind == Kind::Dir
    }

    /// What a name in a directory stands for, before anything that is mounted there.
    pub fn entry(&self, dir: Ino, name: Name) -> Option<Ino> {
        self.nodes[dir].entries.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    /// What is there, with all that is mounted.
    pub fn over(&self, mut ino: Ino) -> Ino {
        while let Some(mounted) = self.nodes[ino].mounted {
            ino = mounted;
        }
        ino
    }

    /// Whether a walk from a directory, through mounts too, comes to another.
    fn reaches(&self, from: Ino, to: Ino) -> bool {
        from == to
            || self.nodes[from].mounted.is_some_and(|mounted| self.reaches(mounted, to))
            || self.nodes[from].entries.iter().any(|(_, ino)| self.reaches(*ino, to))
    }

    fn height(&self, ino: Ino) -> u32 {
        let over = self.over(ino);
        let heights = self.nodes[over].entries.iter().map(|entry| 1 + self.height(entry.1));
        heights.max().unwrap_or(0)
    }

    /// How deep a directory is beneath [`TOP`], counted the longest way.
    fn level(&self, ino: Ino) -> u32 {
        let beneath = self.nodes[ino].parent.map(|(parent, _)| 1 + self.level(parent));
        let through = self.covered_by(ino).map(|covered| self.level(covered));
        beneath.max(through).unwrap_or(0)
    }

    /// The names from [`TOP`] to a directory, as one of its paths.
    pub fn names_to(&self, dir: Ino) -> Vec<Name> {
        let mut names = Vec::new();
        let mut at = dir;
        while at != TOP {
            if let Some((parent, name)) = self.nodes[at].parent {
                names.push(name);
                at = parent;
            } else if let Some(covered) = self.covered_by(at) {
                at = covered;
            } else {
                break;
            }
        }
        names.reverse();
        names
    }

    /// Where something is mounted.
    fn covered_by(&self, root: Ino) -> Option<Ino> {
        self.nodes.iter().position(|node| node.mounted == Some(root))
    }

    /// Whether the root is where it was, which is where its path leads.
    pub fn root_in_place(&self) -> bool {
        self.entry(TOP, ROOT) == Some(self.root)
    }

    // History.

    /// Takes down the paths that there are now.
    fn remember(&mut self) {
        let mut stack = vec![(Path::ROOT, self.root)];
        self.paths.insert(0);
        while let Some((path, dir)) = stack.pop() {
            let dir = self.over(dir);
            for (name, ino) in &self.nodes[dir].entries {
                let path = path.join(*name);
                self.paths.insert(path.0);
                if self.nodes[*ino].kind == Kind::Dir && path.depth() < DEEPEST {
                    stack.push((path, *ino));
                }
            }
        }
    }

    /// Whether something was ever there.
    pub fn ever_was(&self, path: Path) -> bool {
        self.paths.contains(&path.0)
    }

    /// Whether each name on the way was ever in a directory that the name before it stood for: true
    /// of what is found by looking, where a directory further up was renamed since.
    pub fn ever_fitted(&self, path: Path) -> bool {
        let mut at = vec![self.root];
        for name in path.names() {
            let mut next = Vec::new();
            for dir in at {
                for ino in self.named.get(&(dir, name)).into_iter().flatten() {
                    let mounts =
                        std::iter::successors(Some(*ino), |ino| self.nodes[*ino].was_mounted);
                    for ino in mounts {
                        if !next.contains(&ino) {
                            next.push(ino);
                        }
                    }
                }
            }
            at = next;
        }
        !at.is_empty()
    }

    fn enter(&mut self, dir: Ino, name: Name, ino: Ino) {
        self.nodes[dir].entries.push((name, ino));
        if self.is_dir(ino) {
            self.nodes[ino].parent = Some((dir, name));
        }
        let named = self.named.entry((dir, name)).or_default();
        if !named.contains(&ino) {
            named.push(ino);
        }
    }

    fn leave(&mut self, dir: Ino, name: Name) -> Option<Ino> {
        let entries = &mut self.nodes[dir].entries;
        let at = entries.iter().position(|entry| entry.0 == name)?;
        Some(entries.remove(at).1)
    }

    // Watches.

    /// inotify_add_watch of an inode.
    pub fn add_watch(&mut self, ino: Ino, mask: WatchMask) -> Result<i32, Errno> {
        let events = mask & WatchMask::ALL_EVENTS;
        let node = &mut self.nodes[ino];
        if node.wd != 0 {
            if mask.contains(WatchMask::MASK_CREATE) {
                return Err(Errno::EEXIST);
            }
            node.mask =
                if mask.contains(WatchMask::MASK_ADD) { node.mask | events } else { events };
            return Ok(node.wd);
        }
        if self.watched >= self.rules.watch_limit {
            return Err(Errno::ENOSPC);
        }
        let wd = self.free_wd().ok_or(Errno::ENOSPC)?;
        self.last_wd = wd;
        self.watched += 1;
        let node = &mut self.nodes[ino];
        (node.wd, node.mask) = (wd, events);
        Ok(wd)
    }

    /// The next number that no watch has, cyclically.
    fn free_wd(&self) -> Option<i32> {
        let max = self.rules.last_wd;
        (self.last_wd + 1..=max).chain(1..=self.last_wd).find(|wd| {
            !self.nodes.iter().any(|node| node.wd == *wd)
                && (self.rules.reuse_untold_wds || !self.untold.contains(wd))
        })
    }

    /// inotify_rm_watch.
    pub fn remove_watch(&mut self, wd: i32) -> Result<(), Errno> {
        let ino = self.watch_of(wd).ok_or(Errno::EINVAL)?;
        self.end_watch(ino);
        Ok(())
    }

    pub fn watch_of(&self, wd: i32) -> Option<Ino> {
        self.nodes.iter().position(|node| wd > 0 && node.wd == wd)
    }

    fn end_watch(&mut self, ino: Ino) {
        let wd = std::mem::take(&mut self.nodes[ino].wd);
        self.watched -= 1;
        self.untold.push(wd);
        let record = Record { wd, mask: EventMask::IGNORED, cookie: 0, name: 0 };
        trace!(self, "        queued: {record:?}");
        self.queue.push(record);
    }

    pub fn tell(&mut self, ino: Ino, mask: EventMask, cookie: u32, name: Name) {
        let node = &self.nodes[ino];
        let wanted = node.mask.bits() | EventMask::UNMOUNT.bits();
        if node.wd == 0 || mask.bits() & wanted == 0 {
            return;
        }
        // The end and the move of a directory itself don't say that it is one.
        let own = EventMask::DELETE_SELF | EventMask::MOVE_SELF;
        let mask = if mask.intersects(own) { mask - EventMask::ISDIR } else { mask };
        let record = Record { wd: node.wd, mask, cookie, name };
        trace!(self, "        queued: {record:?}");
        self.queue.push(record);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Tell(ino, mask, cookie, name) => self.tell(ino, mask, cookie, name),
            Step::Drop(ino) => {
                if !self.nodes[ino].is_gone() {
                    return;
                }
                if self.nodes[ino].wd != 0 {
                    self.tell(ino, EventMask::DELETE_SELF, 0, 0);
                    self.end_watch(ino);
                }
                if let Some(parent) = self.nodes[ino].pinned.take() {
                    self.nodes[parent].pins -= 1;
                    self.step(Step::Drop(parent));
                }
            }
        }
    }

    /// Ends what descriptors that were closed meanwhile kept alive.
    pub fn close_dropped(&mut self) {
        loop {
            let Some(ino) = self.closed.borrow_mut().pop() else { return };
            self.nodes[ino].open -= 1;
            self.step(Step::Drop(ino));
        }
    }

    /// Queues the rest of a rename that has begun.
    pub fn finish_rename(&mut self) {
        if let Some(pending) = self.pending.take() {
            trace!(self, "    the rename is through");
            for step in pending.steps {
                self.step(step);
            }
        }
    }

    pub fn is_renaming(&self) -> bool {
        self.pending.is_some()
    }

    /// Waits for the lock of a directory.
    pub fn lock(&mut self, dir: Ino) {
        if self.is_locked(dir) {
            self.finish_rename();
        }
    }

    fn is_locked(&self, ino: Ino) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.locked.contains(&ino))
    }

    // Changes.

    /// Makes a change, if it is possible.
    pub fn apply(&mut self, op: Op) -> bool {
        self.close_dropped();
        let paths = if self.logging { self.paths_of(op) } else { Vec::new() };
        let line = self.trace.as_ref().map(|trace| trace.len());
        if line.is_some() {
            let paths: Vec<String> =
                self.paths_of(op).iter().map(|names| self.readable(names)).collect();
            trace!(self, "    {op:?} {}", paths.join(" "));
        }
        let done = self.try_apply(op).is_some();
        if let (Some(trace), Some(line), false) = (&mut self.trace, line, done) {
            trace.truncate(line);
        }
        if self.logging {
            self.log.push((op, paths, done));
        }
        if done {
            match op {
                Op::Write(..) | Op::Chmod(..) | Op::Remove(..) => {}
                Op::Hold(_) | Op::Release(_) => {}
                _ => self.remember(),
            }
        }
        done
    }

    fn readable(&self, names: &[Name]) -> String {
        let names: Vec<String> =
            names.iter().map(|name| bytes(*name).escape_ascii().to_string()).collect();
        names.join("/")
    }

    /// The paths from [`TOP`] that a change is about.
    fn paths_of(&self, op: Op) -> Vec<Vec<Name>> {
        let path = |(dir, name): (Ino, Name)| {
            let mut names = self.names_to(dir);
            names.push(name);
            names
        };
        match op {
            Op::Mkdir(dir, name) | Op::Create(dir, name) | Op::Symlink(dir, name) => {
                vec![path((dir, name))]
            }
            Op::Write(dir, name) | Op::Chmod(dir, name) | Op::Remove(dir, name) => {
                vec![path((dir, name))]
            }
            Op::Link { from, to } | Op::Rename { from, to } => vec![path(from), path(to)],
            Op::Exchange { one, other } => vec![path(one), path(other)],
            Op::Hold(dir) | Op::Release(dir) | Op::Unmount(dir) => vec![self.names_to(dir)],
        }
    }

    /// Whether a name can be made there now.
    fn is_free(&self, dir: Ino, name: Name) -> Option<()> {
        self.is_open_for_names(dir)?;
        (self.entry(dir, name).is_none() && self.level(dir) + 2 < DEEPEST).then_some(())
    }

    fn is_open_for_names(&self, dir: Ino) -> Option<()> {
        (self.is_dir(dir) && !self.nodes[dir].dead && !self.is_locked(dir)).then_some(())
    }

    fn try_apply(&mut self, op: Op) -> Option<()> {
        match op {
            Op::Mkdir(dir, name) => {
                self.is_free(dir, name)?;
                let ino = self.inode(Kind::Dir, self.nodes[dir].dev);
                self.enter(dir, name, ino);
                self.tell(dir, EventMask::CREATE | EventMask::ISDIR, 0, name);
            }
            Op::Create(dir, name) => {
                self.is_free(dir, name)?;
                let ino = self.inode(Kind::File, self.nodes[dir].dev);
                self.enter(dir, name, ino);
                self.tell(dir, EventMask::CREATE, 0, name);
                self.tell(dir, EventMask::CLOSE_WRITE, 0, name);
            }
            Op::Symlink(dir, name) => {
                self.is_free(dir, name)?;
                let ino = self.inode(Kind::Link, self.nodes[dir].dev);
                self.enter(dir, name, ino);
                self.tell(dir, EventMask::CREATE, 0, name);
            }
            Op::Link { from, to } => {
                self.is_free(to.0, to.1)?;
                let ino = self.entry(from.0, from.1)?;
                let file = &mut self.nodes[ino];
                if file.kind != Kind::File || file.dev != self.nodes[to.0].dev {
                    return None;
                }
                self.nodes[ino].links += 1;
                self.nodes[ino].was_linked = true;
                self.enter(to.0, to.1, ino);
                self.tell(to.0, EventMask::CREATE, 0, to.1);
            }
            Op::Write(dir, name) => {
                let ino = self.entry(dir, name)?;
                if self.nodes[ino].kind != Kind::File {
                    return None;
                }
                self.nodes[ino].version += 1;
                self.tell(dir, EventMask::MODIFY, 0, name);
                self.tell(dir, EventMask::CLOSE_WRITE, 0, name);
            }
            Op::Chmod(dir, name) => {
                let ino = self.entry(dir, name)?;
                let node = &mut self.nodes[ino];
                // chmod follows links, and goes to what is mounted.
                if node.kind == Kind::Link || node.mounted.is_some() {
                    return None;
                }
                node.readable = !node.readable;
                if node.kind == Kind::Dir {
                    self.tell(dir, EventMask::ATTRIB | EventMask::ISDIR, 0, name);
                    self.tell(ino, EventMask::ATTRIB | EventMask::ISDIR, 0, 0);
                } else {
                    self.tell(dir, EventMask::ATTRIB, 0, name);
                }
            }
            Op::Remove(dir, name) => self.remove(dir, name)?,
            Op::Rename { from, to } => self.rename(from, to)?,
            Op::Exchange { one, other } => self.exchange(one, other)?,
            Op::Hold(ino) => {
                let node = &mut self.nodes[ino];
                if node.held || node.dead {
                    return None;
                }
                node.held = true;
            }
            Op::Release(ino) => {
                if !std::mem::take(&mut self.nodes[ino].held) {
                    return None;
                }
                self.step(Step::Drop(ino));
            }
            Op::Unmount(root) => self.unmount(root)?,
        }
        Some(())
    }

    fn remove(&mut self, dir: Ino, name: Name) -> Option<()> {
        self.is_open_for_names(dir)?;
        let ino = self.entry(dir, name)?;
        if !self.is_dir(ino) {
            self.leave(dir, name);
            self.nodes[ino].links -= 1;
            self.tell(dir, EventMask::DELETE, 0, name);
            return Some(());
        }
        let node = &self.nodes[ino];
        if node.mounted.is_some() || !node.entries.is_empty() || self.is_locked(ino) {
            return None;
        }
        self.leave(dir, name);
        self.die(ino, dir);
        self.step(Step::Drop(ino));
        self.tell(dir, EventMask::DELETE | EventMask::ISDIR, 0, name);
        Some(())
    }

    fn die(&mut self, dir: Ino, parent: Ino) {
        let node = &mut self.nodes[dir];
        node.dead = true;
        node.parent = None;
        if node.is_kept() {
            node.pinned = Some(parent);
            self.nodes[parent].pins += 1;
        }
    }

    fn rename(&mut self, from: (Ino, Name), to: (Ino, Name)) -> Option<()> {
        let ino = self.entry(from.0, from.1)?;
        let victim = self.entry(to.0, to.1);
        if victim == Some(ino) {
            // The same file by two names: nothing happens, and that is no error.
            return (from.0 == to.0 || self.is_dir(to.0)).then_some(());
        }
        self.may_move(ino, from.0, to.0)?;
        if let Some(victim) = victim {
            let node = &self.nodes[victim];
            let fits = self.is_dir(victim) == self.is_dir(ino)
                && node.mounted.is_none()
                && node.entries.is_empty()
                && !self.is_locked(victim);
            fits.then_some(())?;
        }
        // One cross-directory rename at a time has the file system's own lock.
        self.leave(from.0, from.1);
        if let Some(victim) = victim {
            self.leave(to.0, to.1);
            match self.nodes[victim].kind {
                Kind::Dir => self.die(victim, to.0),
                _ => self.nodes[victim].links -= 1,
            }
        }
        self.enter(to.0, to.1, ino);
        self.cookie += 1;
        let mut steps = self.halves(ino, from, to, self.cookie, victim);
        steps.extend(victim.map(Step::Drop));
        self.queue_rename([from.0, to.0], steps);
        Some(())
    }

    /// fsnotify_move.
    fn halves(
        &self,
        ino: Ino,
        from: (Ino, Name),
        to: (Ino, Name),
        cookie: u32,
        victim: Option<Ino>,
    ) -> VecDeque<Step> {
        let is_dir = if self.is_dir(ino) { EventMask::ISDIR } else { EventMask::empty() };
        let mut steps = VecDeque::with_capacity(5);
        steps.push_back(Step::Tell(from.0, EventMask::MOVED_FROM | is_dir, cookie, from.1));
        steps.push_back(Step::Tell(to.0, EventMask::MOVED_TO | is_dir, cookie, to.1));
        // The victim lost a link.
        if let Some(victim) = victim {
            if self.is_dir(victim) {
                let mask = EventMask::ATTRIB | EventMask::ISDIR;
                steps.push_back(Step::Tell(victim, mask, 0, 0));
            }
        }
        if self.is_dir(ino) {
            steps.push_back(Step::Tell(ino, EventMask::MOVE_SELF | is_dir, 0, 0));
        }
        steps
    }

    fn queue_rename(&mut self, locked: [Ino; 2], mut steps: VecDeque<Step>) {
        let mut now = steps.len() as u32;
        if self.pending.is_none() && self.choices.chance(self.rules.split_renames, 16) {
            // What comes later may be all of it.
            let least = u32::from(!self.rules.late_renames);
            now = least + self.choices.below(now - least + 1);
        }
        for _ in 0..now.min(steps.len() as u32) {
            if let Some(step) = steps.pop_front() {
                self.step(step);
            }
        }
        if !steps.is_empty() {
            trace!(self, "        (the rest comes later)");
            self.pending = Some(Pending { locked, steps });
        }
    }

    fn may_move(&self, ino: Ino, from: Ino, to: Ino) -> Option<()> {
        self.is_open_for_names(from)?;
        self.is_open_for_names(to)?;
        let node = &self.nodes[ino];
        let across = from != to;
        let may = node.mounted.is_none()
            && self.nodes[from].dev == self.nodes[to].dev
            && !self.reaches(ino, to)
            && self.level(to) + 2 + self.height(ino) < DEEPEST
            && !(across && self.is_locked(ino))
            // One rename between directories at a time has the file system's own lock.
            && !(across && self.pending.as_ref().is_some_and(|p| p.locked[0] != p.locked[1]));
        may.then_some(())
    }

    fn exchange(&mut self, one: (Ino, Name), other: (Ino, Name)) -> Option<()> {
        let (first, second) = (self.entry(one.0, one.1)?, self.entry(other.0, other.1)?);
        if first == second {
            return Some(());
        }
        self.may_move(first, one.0, other.0)?;
        self.may_move(second, other.0, one.0)?;
        self.leave(one.0, one.1);
        self.leave(other.0, other.1);
        self.enter(one.0, one.1, second);
        self.enter(other.0, other.1, first);
        self.cookie += 2;
        let mut steps = self.halves(first, one, other, self.cookie - 1, None);
        steps.extend(self.halves(second, other, one, self.cookie, None));
        self.queue_rename([one.0, other.0], steps);
        Some(())
    }

    fn unmount(&mut self, root: Ino) -> Option<()> {
        let covered = self.covered_by(root)?;
        let dev = self.nodes[root].dev;
        let here = |node: &Inode| node.dev == dev;
        if dev == self.nodes[covered].dev
            // Without a watch there is no event, and nobody can know of it.
            || self.nodes[root].wd == 0
            || self.nodes.iter().any(|node| {
                here(node) && (node.open > 0 || node.held || node.mounted.is_some())
            })
            // Some of it is mounted elsewhere: only that mount goes, and the file system stays.
            || self.nodes.iter().filter(|node| {
                node.mounted.is_some_and(|mounted| here(&self.nodes[mounted]))
            }).count() > 1
        {
            return None;
        }
        self.finish_rename();
        self.nodes[covered].mounted = None;
        self.nodes[root].is_mounted = false;
        let len = self.nodes.len();
        let first = self.choices.below(len as u32) as usize;
        for ino in (first..len).chain(0..first) {
            if self.nodes[ino].dev == dev {
                let is_dir = self.is_dir(ino);
                self.nodes[ino].entries.clear();
                self.nodes[ino].parent = None;
                self.nodes[ino].links = 0;
                self.nodes[ino].dead = is_dir;
                if self.nodes[ino].wd != 0 {
                    self.tell(ino, EventMask::UNMOUNT | EventMask::ISDIR, 0, 0);
                    self.end_watch(ino);
                }
            }
        }
        Some(())
    }

    // Chance.

    /// A directory that is alive, in the tree or not; mostly deep.
    pub fn some_dir(&mut self) -> Ino {
        let alive: Vec<Ino> = (1..self.nodes.len())
            .filter(|ino| self.is_dir(*ino) && !self.nodes[*ino].dead)
            .collect();
        self.choices.pick(&alive).unwrap_or(TOP)
    }

    pub fn some_name(&mut self) -> Name {
        let name = 1 + self.choices.below(u32::from(self.rules.names)) as Name;
        if self.rules.prune && name == self.rules.names { super::names::PRUNED } else { name }
    }

    fn some_entry(&mut self) -> Option<(Ino, Name)> {
        for _ in 0..4 {
            let dir = self.some_dir();
            let names: Vec<Name> = self.nodes[dir].entries.iter().map(|entry| entry.0).collect();
            if let Some(name) = self.choices.pick(&names) {
                return Some((dir, name));
            }
        }
        None
    }

    fn some_directory_entry(&mut self) -> Option<(Ino, Name)> {
        for _ in 0..4 {
            let dir = self.some_dir();
            if let Some(place) = self.nodes[dir].parent.filter(|place| place.0 != TOP) {
                return Some(place);
            }
        }
        None
    }

    /// Somewhere for a name to be made, or to be taken from what has it.
    fn some_place(&mut self) -> (Ino, Name) {
        (self.some_dir(), self.some_name())
    }

    /// Changes something, if there are changes left to make.
    pub fn change(&mut self) {
        if self.ops == 0 {
            return;
        }
        self.ops -= 1;
        if self.pending.is_some() && self.choices.chance(1, 4) {
            self.finish_rename();
            return;
        }
        if !self.plan.is_empty() && self.choices.chance(3, 4) {
            if let Some(op) = self.plan.pop_front() {
                self.apply(op);
            }
            return;
        }
        if let Some(op) = self.some_op() {
            self.apply(op);
        }
    }

    fn some_op(&mut self) -> Option<Op> {
        let rules = self.rules;
        match self.choices.below(32) {
            0 => None,
            1..=3 => {
                let (dir, name) = self.some_place();
                Some(Op::Create(dir, name))
            }
            4..=8 => {
                let (dir, name) = self.some_place();
                Some(Op::Mkdir(dir, name))
            }
            9..=10 => {
                // mkdir -p, and a file at its end.
                let (mut dir, _) = self.some_place();
                for _ in 0..1 + self.choices.below(3) {
                    let name = self.some_name();
                    self.apply(Op::Mkdir(dir, name));
                    dir = self.entry(dir, name).filter(|ino| self.is_dir(*ino))?;
                }
                let name = self.some_name();
                Some(Op::Create(dir, name))
            }
            11..=12 => self.some_entry().map(|(dir, name)| Op::Write(dir, name)),
            13..=15 => self.some_entry().map(|(dir, name)| Op::Remove(dir, name)),
            16..=17 => {
                let (dir, name) = self.some_directory_entry()?;
                let top = self.entry(dir, name)?;
                self.plan_removal(dir, name, top);
                self.plan.pop_front()
            }
            18..=22 => {
                let from = self.some_directory_entry()?;
                let to = self.some_target();
                Some(Op::Rename { from, to })
            }
            23..=24 => {
                let from = self.some_entry()?;
                let to = self.some_target();
                Some(Op::Rename { from, to })
            }
            25 => {
                let (from, to) = (self.some_entry()?, self.some_place());
                Some(Op::Link { from, to })
            }
            26 => {
                let (dir, name) = self.some_place();
                Some(Op::Symlink(dir, name))
            }
            27 if rules.exchanges => {
                let (one, other) = (self.some_entry()?, self.some_entry()?);
                Some(Op::Exchange { one, other })
            }
            28 if rules.unreadable || rules.superuser => {
                self.some_entry().map(|(dir, name)| Op::Chmod(dir, name))
            }
            29 if rules.held => {
                let dir = self.some_dir();
                Some(if self.nodes[dir].held { Op::Release(dir) } else { Op::Hold(dir) })
            }
            30 if rules.held => {
                let held = self.nodes.iter().position(|node| node.held && node.dead)?;
                Some(Op::Release(held))
            }
            31 if rules.mounts => {
                let mounts: Vec<Ino> = self.nodes.iter().filter_map(|node| node.mounted).collect();
                self.choices.pick(&mounts).map(Op::Unmount)
            }
            31 if rules.root_moves => Some(if self.root_in_place() {
                Op::Rename { from: (TOP, ROOT), to: (TOP, ELSEWHERE) }
            } else {
                Op::Rename { from: (TOP, ELSEWHERE), to: (TOP, ROOT) }
            }),
            31 if rules.root_dies => {
                self.plan_removal(TOP, ROOT, self.root);
                self.plan.pop_front()
            }
            _ => {
                // A symlink in the place of a directory.
                let (dir, name) = self.some_directory_entry()?;
                self.plan.push_back(Op::Symlink(dir, name));
                let to = if self.choices.chance(1, 2) { self.some_target() } else { (2, INTO) };
                Some(Op::Rename { from: (dir, name), to })
            }
        }
    }

    /// Some place, or one that is taken by a directory: renames shall replace.
    fn some_target(&mut self) -> (Ino, Name) {
        let taken = if self.choices.chance(1, 4) { self.some_directory_entry() } else { None };
        taken.unwrap_or_else(|| self.some_place())
    }

    fn plan_removal(&mut self, dir: Ino, name: Name, ino: Ino) {
        if self.nodes[ino].mounted.is_none() {
            for (name, below) in self.nodes[ino].entries.clone() {
                self.plan_removal(ino, name, below);
            }
        }
        self.plan.push_back(Op::Remove(dir, name));
    }
}
