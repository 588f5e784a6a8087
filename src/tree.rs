//! Trees that never lose track: a state machine without I/O of its own.
//!
//! It asks a [`Kernel`] to watch and to list, is fed the events that inotify gives, and reports what
//! happened, with paths beneath the root. `Watcher::watch_tree` drives it with the real kernel; a
//! simulated one proves it. The caller repeats these steps:
//!
//! 1. [`next`](Tree::next), until it gives `None`;
//! 2. [`feed`](Tree::feed) the next event that was read, if there is one, and go to 1;
//! 3. read; if nothing was queued, call [`idle`](Tree::idle): if that is true, go to 1, else wait.
//!
//! # How it keeps track
//!
//! The tree of `nodes` is the world at one *position* of the stream of events: as it was when
//! the next event was queued. A look at the disk shows a later world. Six rules join the two:
//!
//! 1. **Watch first, look second.** What changes after a look comes as an event.
//! 2. **Events move what is known; a look adds only what is not known.** An event of a name says what
//!    is there at that position. `MOVE_SELF` says which directory a rename moved.
//! 3. **A path is never trusted.** What was opened is watched again, and only the same descriptor means
//!    the same directory.
//! 4. **A look has a window**: from the position of now to the end of the queue after the look. An
//!    event in the window that repeats what the look has shown is dropped.
//! 5. **What is not sure is checked.** A rename that can't be attributed, an event that contradicts what
//!    is known, a look that finds a known directory elsewhere: each puts a check of that one name on
//!    the `agenda`. A check looks, and concludes when the stream has come to the end of the
//!    queue after its look without an event of that name; else it looks again.
//! 6. **A loss is one big check.** After an overflow all that is queued is passed over, and the whole
//!    tree is compared: more events can be lost behind the record without another one.
//!
//! Each name is therefore exact at the position, or in a window, or on the agenda. At rest the agenda
//! is empty, and a directory costs its node and nothing else. Until a check concludes, what happens
//! beneath its name is reported by the path that was believed: where directories are made, renamed and
//! exchanged faster than they are looked at, that path may be one that never was.
//!
//! The files, in the order in which they may use each other: `nodes` (which directories there are),
//! `files` (which files), `renames` (pending halves), `agenda` (checks and when), `reports`
//! (what was said), `stale` (which events are too old), `edits` (changes of these), `look` (opens and
//! watches), `listing` (lists), `check` (compares), `feed` (events), `moving` (renames), `links` (to
//! directories).

#![forbid(unsafe_code)]

mod agenda;
mod check;
mod edits;
mod event;
mod feed;
mod files;
mod kernel;
mod links;
#[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher drives it"))]
pub(crate) mod linux;
mod listing;
mod look;
mod moving;
mod nodes;
mod options;
mod renames;
mod reports;
mod stale;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::event::Wd;
use crate::flags::WatchMask;
use crate::sys::Errno;
pub use event::{TreeEvent, TreeKind, UnwatchedReason};
pub use kernel::{Kernel, Stat};
pub use options::{Exclude, Options};

use agenda::{Agenda, When};
use edits::Waiting;
use feed::Inbox;
use files::Files;
use links::{Aliases, Links};
use listing::Frame;
use nodes::{NodeRef, Nodes, ROOT};
use renames::Renames;
use reports::Reports;
use stale::Stale;

/// One tree of directories; `D` is what its [`Kernel`] opens.
#[derive(Debug)]
pub struct Tree<D> {
    options: Options,
    /// What the kernel is asked for.
    asked: WatchMask,
    nodes: Nodes,
    files: Files,
    renames: Renames,
    agenda: Agenda,
    reports: Reports,
    /// The listings that are being gone through; the innermost last.
    frames: Vec<Frame<D>>,
    /// The event that was fed last, until it has its turn.
    inbox: Inbox,
    /// Watches that are not needed and are ended a few at a time, since each queues an event.
    ending: BTreeSet<i32>,
    stale: Stale,
    /// The highest descriptor so far. The kernel counts upwards.
    newest: i32,
    links: Links,
    /// Directories that are watched at another place.
    aliases: Aliases,
    /// Directories that are watched without the events that listing makes.
    quiet: Vec<NodeRef>,
    /// What failed and is tried again.
    waiting: Waiting,
    /// The device of the root.
    device: u64,
    stage: Stage,
    /// The position: how many bytes of the stream have come.
    at: u64,
    /// The position at which the tree was begun.
    start: u64,
    /// Where the window of a look at the whole tree ends.
    ahead: Option<u64>,
    /// Where those events end among which some were lost.
    lost: Option<u64>,
    /// Whether the root's path leads elsewhere.
    root_moved: bool,
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
    /// Events were lost, and the whole tree is being compared.
    Resync,
    Over,
}

/// The events that the engine needs to keep track. `ATTRIB` reports changed permissions.
const NEEDED: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ATTRIB);

/// The events that listing a directory makes, there and in its parent. While a whole tree is listed,
/// they would fill the queue.
const LOUD: WatchMask = WatchMask::OPEN.union(WatchMask::ACCESS).union(WatchMask::CLOSE_NOWRITE);

/// Of the options, those that the kernel takes.
const PASSED: WatchMask = WatchMask::ALL_EVENTS.union(WatchMask::EXCL_UNLINK);

/// The end of a window that is not known yet.
const UNKNOWN: u64 = u64::MAX;

impl<D> Tree<D> {
    /// Returns a tree that is not begun yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            asked: options.mask.intersection(PASSED).union(NEEDED),
            nodes: Nodes::new(options.seed),
            files: Files::new(options.track_files),
            renames: Renames::default(),
            agenda: Agenda::default(),
            reports: Reports::new(options.mask),
            frames: Vec::new(),
            inbox: Inbox::default(),
            ending: BTreeSet::new(),
            stale: Stale::default(),
            newest: i32::MAX,
            links: Links::default(),
            aliases: Aliases::default(),
            quiet: Vec::new(),
            waiting: Waiting::default(),
            device: 0,
            stage: Stage::New,
            at: 0,
            start: 0,
            ahead: None,
            lost: None,
            root_moved: false,
            options,
        }
    }

    /// Watches the root. The rest is done by [`next`](Self::next).
    ///
    /// # Errors
    ///
    /// Those of [`Kernel::open`], [`Kernel::watch`], [`Kernel::stat`] and [`Kernel::list`].
    pub fn start<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> Result<(), Errno> {
        // What is queued now happened before the tree began.
        self.start = kernel.end();
        self.at = kernel.front();
        let dir = kernel.open(&[])?;
        self.device = kernel.stat(&dir)?.dev;
        let wd = kernel.watch(&dir, self.asked)?;
        self.note_watch(kernel, wd);
        self.nodes.set_state(ROOT, nodes::State::Watched(wd));
        self.newest = wd.as_raw();
        self.stage = Stage::Setup;
        self.ahead = Some(UNKNOWN);
        self.list(kernel, ROOT, dir, look::Purpose::setup(self.options.report_existing))
    }

    /// Works until there is something to report; `None` when only another event can bring more.
    ///
    /// One call looks at no more than it needs to for one event.
    pub fn next<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> Option<TreeEvent> {
        loop {
            if let Some(event) = self.reports.pop() {
                return Some(event);
            }
            if self.stage == Stage::Over || !self.work(kernel) {
                return None;
            }
        }
    }

    /// Does one thing of what is to be done; `false` if nothing is.
    fn work<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> bool {
        if self.stage == Stage::New {
            return false;
        }
        if !self.frames.is_empty() {
            self.step(kernel);
        } else if let Some(link) = self.links.take_put_off() {
            self.visit_link(kernel, link);
        } else if matches!(self.stage, Stage::Setup | Stage::Resync) {
            let setup = self.stage == Stage::Setup;
            let kind = if setup { TreeKind::Established } else { TreeKind::Resynced };
            self.stage = Stage::Steady;
            self.agenda.complete(kind, When::End);
        } else if let Some(node) = self.quiet.pop() {
            self.raise(kernel, node);
        } else if self.is_resync_due() {
            self.resync(kernel);
        } else if let Some(task) = self.agenda.next(self.at) {
            self.run(kernel, task);
        } else if !self.inbox.is_empty() {
            self.take_event(kernel);
        } else if self.agenda.is_fresh() || self.ahead == Some(UNKNOWN) {
            let end = kernel.end();
            self.seal(end, false);
        } else {
            return false;
        }
        true
    }

    /// The queue ends at `end` now, and all looks were made before.
    fn seal(&mut self, end: u64, idle: bool) {
        self.agenda.seal(end, idle);
        if self.ahead == Some(UNKNOWN) {
            self.ahead = Some(end);
        }
        self.come_to(self.at);
    }

    /// The queue was found empty, and all that was read from it, `at` bytes since its beginning, was
    /// fed. Returns `true` if there is more to do, with [`next`](Self::next) and another read.
    pub fn idle<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, at: u64) -> bool {
        self.come_to(at);
        if matches!(self.stage, Stage::New | Stage::Over) {
            return !self.end_some(kernel);
        }
        let mut more = self.is_resync_due() || self.agenda.is_due(at);
        more |= self.fence_renames(kernel);
        self.retry_some(kernel);
        more |= self.check_links();
        if self.agenda.is_idle() || self.agenda.is_fresh() || self.ahead == Some(UNKNOWN) {
            let end = kernel.end();
            self.seal(end, true);
            more = true;
        }
        // Not while something is to be compared: the next look may need a watch again, and each end
        // queues an event, which would move the end of the queue that a check waits for.
        if !more && self.agenda.is_empty() {
            more = !self.end_some(kernel);
        }
        more
    }

    /// Puts the end of pending renames on the agenda: once the lock of a directory was free, all events
    /// are queued of what has begun there.
    fn fence_renames<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> bool {
        let unfenced = self.renames.unfenced();
        let mut passed = BTreeMap::new();
        for (_, dir) in &unfenced {
            let is_passed = || self.barrier(kernel, *dir);
            passed.entry(*dir).or_insert_with(is_passed);
        }
        if unfenced.is_empty() {
            return false;
        }
        let end = kernel.end();
        for (cookie, dir) in unfenced {
            // A directory that is not in its place yet comes there by an event, if one is queued.
            if end <= self.at || passed.get(&dir) == Some(&true) {
                self.renames.fence(cookie);
                self.agenda.close(cookie, end);
            }
        }
        true
    }

    /// Replaces the events that are reported. Those that were not asked for at the beginning do not
    /// come.
    pub fn tell_of(&mut self, mask: WatchMask) {
        self.options.mask = mask;
        self.reports.ask(mask);
    }

    /// Asks the kernel for more events, which are reported once every directory is watched for them.
    pub fn ask(&mut self, mask: WatchMask) {
        self.asked |= mask.intersection(PASSED);
        let mut next = Some(ROOT);
        while let Some(node) = next {
            if self.nodes.wd(node).is_some() {
                self.nodes.set_quiet(node, true);
                self.quiet.push(node);
            }
            next = self.nodes.after(ROOT, node);
        }
    }

    /// Replaces the condition of [`Options::exclude`]: stops watching what is to be left out, and looks for
    /// what is to be watched.
    pub fn set_exclude(&mut self, exclude: Option<Exclude>) {
        self.options.exclude = exclude;
        self.exclude_anew(ROOT);
    }

    /// Returns `true` if [`idle`](Self::idle) would do nothing.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.renames.is_empty()
            && self.agenda.is_empty()
            && self.ending.is_empty()
            && self.ahead.is_none()
            && self.lost.is_none()
            && self.waiting.is_empty()
            && !self.links.is_due()
    }

    /// All of the stream before `at` has come.
    fn come_to(&mut self, at: u64) {
        self.at = at;
        self.ahead.take_if(|end| *end <= at);
        self.stale.come_to(at);
    }

    /// Returns `true` if an event of the directory may be older than its listing.
    fn in_window(&self, dir: NodeRef) -> bool {
        self.ahead.is_some() || self.files.in_window(dir)
    }

    /// Ends all watches at once. Each queues an event.
    pub fn stop<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        self.retire();
        while !self.end_some(kernel) {}
    }

    /// Ends the tree. Its watches are ended by [`idle`](Self::idle), a few at a time so that the events
    /// of that do not fill the queue, until the tree [`rests`](Self::rests).
    pub fn retire(&mut self) {
        let mut next = Some(ROOT);
        while let Some(node) = next {
            self.ending.extend(self.nodes.wd(node).map(Wd::as_raw));
            next = self.nodes.after(ROOT, node);
        }
        let old = core::mem::replace(self, Self::new(Options::new(self.options.mask)));
        self.reports = old.reports;
        self.ending = old.ending;
        self.stage = Stage::Over;
    }

    /// The root's path leads to it again, or has been replaced by one that does. What was missed
    /// meanwhile is discovered.
    pub fn root_found(&mut self) {
        if self.root_moved {
            self.agenda.compare(ROOT, When::End);
        }
    }

    /// Returns `true` if there will be no more events: the root is gone, or the tree was stopped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Returns `true` while the whole tree is set up or compared, or [`next`](Self::next) will begin that.
    #[must_use]
    pub fn is_looking(&self) -> bool {
        matches!(self.stage, Stage::Setup | Stage::Resync)
            || !self.quiet.is_empty()
            || self.is_resync_due()
    }

    /// Events were lost, and all that was queued by then has come.
    fn is_resync_due(&self) -> bool {
        self.lost.is_some_and(|end| end <= self.at)
    }

    /// The number of directories that are known, watched or not, with the root.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Always `false`: there is a root.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Returns `true` if the descriptor is one of its watches.
    #[must_use]
    pub fn contains(&self, wd: Wd) -> bool {
        self.nodes.by_wd(wd).is_some() || self.renames.has_replaced(wd.as_raw())
    }

    /// Returns `true` if those events of the watch that have a name, other than renames and those of
    /// directories, can be reported as they come, by [`path_of`](Self::path_of), without being fed.
    #[must_use]
    pub fn is_plain(&self, wd: Wd) -> bool {
        self.lost.is_none()
            && self.ahead.is_none()
            && self.renames.is_empty()
            && self.agenda.is_empty()
            && self.reports.is_empty()
            && self.nodes.by_wd(wd).is_none_or(|node| !self.files.knows(node))
    }

    /// Returns `true` if the descriptor is the root's.
    #[must_use]
    pub fn is_root(&self, wd: Wd) -> bool {
        self.nodes.wd(ROOT) == Some(wd)
    }

    /// Replaces `path` by that of a watched directory, beneath the root; `false` if the descriptor is
    /// none of this tree.
    pub fn path_of(&self, wd: Wd, path: &mut Vec<u8>) -> bool {
        match self.nodes.by_wd(wd) {
            Some(node) => {
                self.nodes.path(node, &[], path);
                true
            }
            None => false,
        }
    }

    /// Returns `true` while something that is known is to be compared with the disk. Until it has been, what
    /// is reported beneath it is reported by the path that is believed.
    #[must_use]
    pub fn is_checking(&self) -> bool {
        self.lost.is_some() || self.stage == Stage::Resync || self.agenda.has_checks()
    }

    /// All directories that are known, parents first: the path beneath the root, and the watch.
    pub fn directories(&self) -> impl Iterator<Item = (Vec<u8>, Option<Wd>)> {
        let nodes = core::iter::successors(Some(ROOT), |&node| self.nodes.after(ROOT, node));
        nodes.map(|node| (self.path(node, &[]), self.nodes.wd(node)))
    }
}
