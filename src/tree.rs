//! Trees that never lose track: a state machine without I/O of its own.
//!
//! It asks a [`Kernel`] to watch and to list, is fed the events that inotify gives, and tells what
//! happened, with paths beneath the root. `Watcher::watch_tree` drives it with the real kernel; a
//! simulated one proves it.
//!
//! The one who drives it does, in this order, again and again:
//!
//! 1. [`next`](Tree::next), until it gives `None`;
//! 2. [`feed`](Tree::feed) it the next event that was read, if there is one, and go to 1;
//! 3. [`fence`](Tree::fence) it, before each read, if it [`wants_fence`](Tree::wants_fence), and go
//!    to 1 if that is true;
//! 4. read; and if nothing was queued, [`caught_up`](Tree::caught_up): if that is true, go to 1 and
//!    read again, else wait.
//!
//! # How it keeps track
//!
//! What it knows follows the events, in their order; what it asks the kernel shows the world as it is
//! now, which is ahead of them. Four rules hold the two together:
//!
//! - Watch first, look second: what changes after the look comes as an event.
//! - A path is never trusted: whatever was opened by one is watched again, and only if that gives the
//!   descriptor known is it the directory meant. Else the world has moved, events that tell how are
//!   queued, and after them it is looked at again.
//! - What was found by looking is told at once, and remembered until all events of before the look
//!   have come, so that those which tell it again are dropped.
//! - Which directory a rename moved is told by its own `MOVE_SELF`, not by its name.
//!
//! While the record of an overflow is queued, more can be lost behind it without another one. So
//! what was queued when that record had been read is of no use, and all is looked at after it.

#![forbid(unsafe_code)]

mod feed;
mod files;
mod kernel;
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher drives it"))]
pub(crate) mod linux;
mod look;
mod nodes;
mod renames;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;

use crate::event::{Escaped, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::sys::Errno;
pub use kernel::{Kernel, Stat};

use feed::Held;
use files::Files;
use look::Frame;
use nodes::{NodeId, Nodes, ROOT};
use renames::{Doubt, Half};

/// A condition on the path of a directory beneath the root.
pub type Prune = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What a [`Tree`] watches and how.
pub struct Options {
    /// The events to tell. Those that are needed to keep track are asked of the kernel beside them.
    pub mask: WatchMask,
    /// So many steps beneath the root a directory is still watched; 0 is the root alone.
    pub depth: Option<u32>,
    /// Whether directories on other file systems than the root's stay unwatched.
    pub same_file_system: bool,
    /// Whether file names are kept, so that after lost events files are told too.
    pub snapshot: bool,
    /// Whether all that is there at the beginning is told.
    pub existing: bool,
    /// Says which directories, by their paths beneath the root, stay unwatched.
    pub prune: Option<Prune>,
    /// Any number that those who choose the names do not know.
    pub seed: u64,
}

impl Options {
    /// Everything beneath the root, without a snapshot.
    #[must_use]
    pub fn new(mask: WatchMask) -> Self {
        Self {
            mask,
            depth: None,
            same_file_system: false,
            snapshot: false,
            existing: false,
            prune: None,
            seed: 0,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("mask", &self.mask)
            .field("depth", &self.depth)
            .field("same_file_system", &self.same_file_system)
            .field("snapshot", &self.snapshot)
            .field("existing", &self.existing)
            .field("prune", &self.prune.is_some())
            .finish_non_exhaustive()
    }
}

/// What happened in a tree.
#[derive(Clone, PartialEq, Eq)]
pub struct TreeEvent {
    /// How it is known, and what is beyond a mask.
    pub kind: TreeKind,
    /// The kernel's words for it, also where it did not say them: `CREATE`, `DELETE`, `MODIFY` for
    /// what was found by looking, `MOVED_TO` for a rename.
    pub mask: EventMask,
    /// The number that joins the halves of a rename, else 0.
    pub cookie: u32,
    /// Where, beneath the root; empty for the root itself.
    pub path: Vec<u8>,
}

/// How a [`TreeEvent`] is known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeKind {
    /// The kernel told it so. `MOVED_TO` is something that came from outside of what is watched, and
    /// may have replaced a file; `MOVED_FROM` is something that went outside; after `UNMOUNT` nothing
    /// of before is beneath the path.
    Told,
    /// It was found by looking: `CREATE`, it is there and was not told before, and if something else was
    /// told to be there, that is gone; `DELETE`, it is gone, with all beneath it; `MODIFY`, it may have
    /// changed. Told to those who asked for what may have made it so.
    Found,
    /// Something was renamed within the tree, with all beneath it; what was at the new path is
    /// replaced.
    Renamed {
        /// Its old path beneath the root.
        from: Vec<u8>,
    },
    /// The directory can't be watched, and nothing is told of what happens in it; why.
    Unwatched(Barred),
    /// Events were lost. What changed meanwhile is looked for and told, and then that it was.
    Overflow,
    /// All that was missed is told.
    Resynced,
    /// The root has another path now. Its events go on, but nothing new is found by its old path.
    RootMoved,
    /// The root was removed, or its watch ended by force; the tree is over.
    RootRemoved,
    /// The root's file system was unmounted; the tree is over.
    RootUnmounted,
}

/// Why a directory can't be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Barred {
    /// The kernel said so: no permission, the limit of watches, no descriptor left.
    Errno(Errno),
    /// It is watched at another place of the tree already, to which its events belong: a bind mount.
    Twice,
}

/// One line such as `Found CREATE,ISDIR "a/b"`: safe to print on a terminal.
impl fmt::Display for TreeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TreeKind::Renamed { from } => write!(f, "Renamed from \"{}\"", Escaped(from))?,
            kind => write!(f, "{kind:?}")?,
        }
        if !self.mask.is_empty() {
            write!(f, " {}", self.mask)?;
        }
        write!(f, " \"{}\"", Escaped(&self.path))
    }
}

impl fmt::Debug for TreeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreeEvent {{ {self} }}")
    }
}

/// One tree of directories; `D` is what its [`Kernel`] opens.
#[derive(Debug)]
pub struct Tree<D> {
    options: Options,
    /// What the kernel is asked for.
    asked: WatchMask,
    /// The directories that are to be watched for loud events again.
    hushed: Vec<NodeId>,
    nodes: Nodes,
    files: Files,
    /// The device of the root.
    device: u64,
    /// What is to be told.
    out: VecDeque<TreeEvent>,
    /// The listings that are being gone through; the innermost last.
    frames: Vec<Frame<D>>,
    /// The event that comes when the listings are through.
    held: Option<Held>,
    /// Old names that wait for what becomes of them.
    halves: Vec<Half>,
    /// The names to which something was renamed, where nothing else has happened to names since.
    lately: Vec<(NodeId, Box<[u8]>)>,
    /// Where an exchange may have left something.
    doubts: Vec<Doubt>,
    /// Directories to be looked at again when all events of before have come.
    again: Vec<NodeId>,
    /// Those for which that did not help: when more events have come.
    later: Vec<NodeId>,
    /// Directories that are watched at another place.
    twice: Vec<NodeId>,
    /// Counts the times that the whole tree was looked at.
    pass: u32,
    stage: Stage,
    /// Where in the stream those events end among which some were lost.
    lost: Option<u64>,
    /// Where in the stream those events end that a look was ahead of, at more than one listing shows.
    unsure: Option<u64>,
    /// How many bytes of the stream have come.
    at: u64,
    /// Whether all events of before now have come.
    at_end: bool,
}

/// What the listings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not begun.
    New,
    /// The tree is being set up.
    Setup,
    /// All is known.
    Steady,
    /// Events were lost, and what they told is being looked for.
    Resync,
    Over,
}

/// The events without which track is lost.
const NEEDED: WatchMask =
    WatchMask::CREATE.union(WatchMask::DELETE).union(WatchMask::MOVE).union(WatchMask::MOVE_SELF);

/// What the listing of a directory makes happen there and in its parent. Told while a whole tree is
/// looked at, they fill the queue, and are lost, so that all is to be looked at again.
const LOUD: WatchMask = WatchMask::OPEN.union(WatchMask::ACCESS).union(WatchMask::CLOSE_NOWRITE);

/// Of the options, what is the kernel's business.
const PASSED: WatchMask = WatchMask::ALL_EVENTS.union(WatchMask::EXCL_UNLINK);

impl<D> Tree<D> {
    /// A tree that is not begun yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            asked: options.mask.intersection(PASSED).union(NEEDED),
            hushed: Vec::new(),
            nodes: Nodes::new(options.seed),
            files: Files::new(options.snapshot),
            options,
            device: 0,
            out: VecDeque::new(),
            frames: Vec::new(),
            held: None,
            halves: Vec::new(),
            lately: Vec::new(),
            doubts: Vec::new(),
            again: Vec::new(),
            later: Vec::new(),
            twice: Vec::new(),
            pass: 1,
            stage: Stage::New,
            lost: None,
            unsure: None,
            at: 0,
            at_end: false,
        }
    }

    /// Watches the root. The rest is done by [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// Those of [`Kernel::open`], [`Kernel::watch`] and [`Kernel::stat`].
    pub fn start<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> Result<(), Errno> {
        let dir = kernel.open(&[])?;
        self.device = kernel.stat(&dir)?.dev;
        let wd = kernel.watch(&dir, self.asked)?;
        self.nodes.set_wd(ROOT, Some(wd));
        self.see(ROOT);
        self.stage = Stage::Setup;
        self.unsure = Some(u64::MAX);
        self.list(kernel, ROOT, dir, false)
    }

    /// Works until there is something to tell; `None` when only another event can bring more.
    ///
    /// One call looks at no more than it needs to for one event.
    pub fn next<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> Option<TreeEvent> {
        loop {
            if let Some(event) = self.out.pop_front() {
                return Some(event);
            }
            if self.stage == Stage::Over {
                return None;
            }
            if !self.frames.is_empty() {
                self.step(kernel);
            } else if let Some(held) = self.held.take() {
                self.feed_held(kernel, &held);
            } else {
                match self.stage {
                    Stage::Setup => self.stage = Stage::Steady,
                    Stage::Resync => self.end_resync(kernel),
                    Stage::Steady if !self.hushed.is_empty() => self.raise(kernel),
                    _ => return None,
                }
            }
        }
    }

    /// The queue was found empty, and all that was read from it, `at` bytes since its beginning, was
    /// fed. Whether that made something to be told, or the queue is to be read again.
    pub fn caught_up<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, at: u64) -> bool {
        self.come_to(at);
        if self.stage == Stage::Over {
            return false;
        }
        if self.lost.is_some_and(|end| end <= at) {
            self.resync(kernel);
            return self.lost.is_none() || !self.out.is_empty();
        }
        if self.settle_halves(kernel) {
            return true;
        }
        let mut again = core::mem::take(&mut self.again);
        again.sort_unstable();
        again.dedup();
        let worked = !again.is_empty();
        self.at_end = true;
        for id in again {
            self.look_again(kernel, id);
        }
        self.at_end = false;
        worked && (!self.frames.is_empty() || !self.out.is_empty() || !self.again.is_empty())
    }

    /// Tells other events from now on; those that were not asked for at the beginning do not come.
    pub fn tell_of(&mut self, mask: WatchMask) {
        self.options.mask = mask;
    }

    /// Whether [`caught_up`](Self::caught_up) would do nothing.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.halves.is_empty()
            && self.doubts.is_empty()
            && self.again.is_empty()
            && self.files.rest()
            && self.lost.is_none()
    }

    /// Whether the next read is to be told of by [`fence`](Self::fence).
    #[must_use]
    pub fn wants_fence(&self) -> bool {
        self.files.wants_fence() || self.lost.is_some() || self.unsure == Some(u64::MAX)
    }

    /// The queue is about to be read: `at` bytes were read since its beginning, all of them fed, and it
    /// ends at `end` now. Whether there is something to do first.
    pub fn fence<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, at: u64, end: u64) -> bool {
        self.files.fence(end);
        if self.unsure == Some(u64::MAX) {
            self.unsure = Some(end);
        }
        if self.lost == Some(u64::MAX) {
            self.lost = Some(end);
        }
        if self.lost.is_none_or(|end| end > at) {
            return false;
        }
        self.resync(kernel);
        self.lost.is_none()
    }

    /// All of the stream before `at` has come.
    fn come_to(&mut self, at: u64) {
        self.at = at;
        self.files.passed(at);
        self.unsure.take_if(|end| *end <= at);
    }

    /// Ends all watches.
    pub fn stop<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        let mut next = Some(ROOT);
        while let Some(id) = next {
            if let Some(wd) = self.nodes.wd(id) {
                kernel.unwatch(wd);
            }
            next = self.nodes.after(ROOT, id);
        }
        self.nodes = Nodes::new(self.options.seed);
        self.files = Files::new(false);
        self.frames = Vec::new();
        self.held = None;
        self.halves.clear();
        self.lately.clear();
        self.doubts.clear();
        self.again.clear();
        self.later.clear();
        self.twice.clear();
        self.lost = None;
        self.hushed = Vec::new();
        self.stage = Stage::Over;
    }

    /// Whether there will be no more events: the root is gone, or it was stopped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether all of it is being gone through: it is being set up, or events were lost and what they
    /// told is being looked for.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        matches!(self.stage, Stage::Setup | Stage::Resync) || !self.hushed.is_empty()
    }

    /// The number of directories that are known, watched or not, with the root.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: there is always a root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Whether the descriptor is one of its watches.
    #[must_use]
    pub fn contains(&self, wd: Wd) -> bool {
        self.nodes.by_wd(wd).is_some()
    }

    /// Whether the events of that watch that have a name, other than renames and those of
    /// directories, can be told as they come, by [`path_of`](Self::path_of), without being fed.
    #[must_use]
    pub fn is_plain(&self, wd: Wd) -> bool {
        self.lost.is_none()
            && self.halves.is_empty()
            && self.doubts.is_empty()
            && self.unsure.is_none()
            && self.nodes.by_wd(wd).is_none_or(|id| !self.files.has(id))
    }

    /// Whether the descriptor is the root's.
    #[must_use]
    pub fn is_root(&self, wd: Wd) -> bool {
        self.nodes.wd(ROOT) == Some(wd)
    }

    /// Puts the path of a watched directory, beneath the root, in place of what `path` holds; `false`
    /// if it is none of this tree.
    pub fn path_of(&self, wd: Wd, path: &mut Vec<u8>) -> bool {
        match self.nodes.by_wd(wd) {
            Some(id) => {
                self.nodes.path(id, &[], path);
                true
            }
            None => false,
        }
    }

    /// All directories that are known, parents first: the path beneath the root, and the watch.
    pub fn directories(&self) -> impl Iterator<Item = (Vec<u8>, Option<Wd>)> {
        let ids = core::iter::successors(Some(ROOT), |&id| self.nodes.after(ROOT, id));
        ids.map(|id| {
            let mut path = Vec::new();
            self.nodes.path(id, &[], &mut path);
            (path, self.nodes.wd(id))
        })
    }

    /// The path of a name in a directory.
    fn path(&self, dir: NodeId, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::new();
        self.nodes.path(dir, name, &mut path);
        path
    }

    /// Has something told, if it was asked for.
    fn tell(&mut self, kind: TreeKind, mask: EventMask, cookie: u32, path: Vec<u8>) {
        let asked = self.options.mask.events();
        let wanted = match &kind {
            TreeKind::Told => mask.intersects(asked.union(EventMask::UNMOUNT)),
            TreeKind::Found => asked.intersects(reasons(mask)),
            TreeKind::Renamed { .. } => {
                asked.intersects(EventMask::MOVED_FROM | EventMask::MOVED_TO)
            }
            _ => true,
        };
        if wanted {
            self.out.push_back(TreeEvent { kind, mask, cookie, path });
        }
    }
}

/// What may have happened, where the mask was found by looking.
const fn reasons(found: EventMask) -> EventMask {
    if found.contains(EventMask::DELETE) {
        EventMask::DELETE.union(EventMask::MOVED_FROM)
    } else if found.contains(EventMask::MODIFY) {
        EventMask::MODIFY.union(EventMask::CLOSE_WRITE).union(EventMask::ATTRIB)
    } else if found.contains(EventMask::ISDIR) {
        EventMask::CREATE.union(EventMask::MOVED_TO)
    } else {
        EventMask::CREATE
            .union(EventMask::MOVED_TO)
            .union(EventMask::MODIFY)
            .union(EventMask::CLOSE_WRITE)
    }
}
