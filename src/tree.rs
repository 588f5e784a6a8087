//! Follows every directory beneath a root: a state machine without I/O of its own.
//!
//! The engine opens, watches and lists directories through a [`Kernel`], is fed the events that inotify
//! queues, and reports changes with paths beneath the root. `Watcher::watch_tree` drives it with the real
//! kernel; the tests drive it with a simulated one. The caller repeats these steps:
//!
//! 1. Call [`next`](Tree::next) until it returns `None`.
//! 2. [`feed`](Tree::feed) the next event that was read, if there is one, and go to 1.
//! 3. Read. If nothing was queued, call [`idle`](Tree::idle): if it returns `true`, go to 1, else wait.
//!
//! # How it keeps track
//!
//! The `nodes` are the directories at one *position* of the stream of events: as they were when the next
//! event was queued. A scan of the disk shows a later state. Six rules join the two:
//!
//! 1. **Watch first, list second.** A change after the listing is queued as an event.
//! 2. **Events move known directories; a scan only adds unknown ones.** An event of a name says what is there
//!    at that position. `MOVE_SELF` says which directory a rename moved.
//! 3. **No path is trusted.** An opened directory is watched again, and only the same descriptor means the same
//!    directory.
//! 4. **A scan has a window**: from the current position to the end of the queue after the scan. An event in the
//!    window that repeats what the scan showed is discarded.
//! 5. **Uncertain names are checked.** A rename that can't be attributed, an event that contradicts what is
//!    known, a scan that finds a known directory elsewhere: each puts a check of that one name on the `agenda`.
//!    A check examines the name, and concludes when the stream has reached the end of the queue after that
//!    without an event of the name. Otherwise it examines the name again.
//! 6. **An overflow is one big check.** All queued events are skipped, then the whole tree is compared: the
//!    kernel can drop more events behind the overflow record without queueing another one.
//!
//! Each name is therefore exact at the position, or in a window, or on the agenda. At rest the agenda is
//! empty, and a directory costs its node and nothing else. Until a check concludes, changes beneath its name
//! are reported with the path that was known before. Where directories are created, renamed and exchanged
//! faster than they are checked, that path may be one that never existed.
//!
//! # A rename in a tree
//!
//! The kernel queues up to three events for a rename, and the engine reports one:
//!
//! ```text
//! call                               events in the queue          engine
//!
//! rename("root/a/x", "root/b/y")     a: MOVED_FROM x, cookie 7    pending half of a/x
//!                                    b: MOVED_TO y, cookie 7      both halves; waits for x's own event
//!                                    x: MOVE_SELF                 reports Renamed { from: a/x } b/y
//!
//! rename("root/a/x", "/outside/x")   a: MOVED_FROM x, cookie 8    pending half of a/x
//!                                    x: MOVE_SELF                 reports MOVED_FROM a/x
//!
//! rename("root/a/f", "root/b/f")     a: MOVED_FROM f, cookie 9    pending half of a/f, a file
//!                                    b: MOVED_TO f, cookie 9      reports Renamed { from: a/f } b/f
//!
//! rename("root/a/f", "/outside/f")   a: MOVED_FROM f, cookie 10   pending half of a/f, a file
//!                                    (no second half)             reports MOVED_FROM a/f at the first of:
//!                                                                 - the next event of a name in a
//!                                                                 - the removal or rename of a
//!                                                                 - the end of the queue, behind a barrier
//! ```
//!
//! The files, in the order in which they may use each other: `nodes` (known directories), `files` (known
//! files), `renames` (pending halves), `agenda` (checks and when they are due), `reports` (events for the
//! caller), `stale` (events that are too old), `edits` (changes of these), `look` (opens and watches),
//! `listing` (lists), `check` (compares), `feed` (events), `moving` (renames), `links` (to directories).

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

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::event::Wd;
use crate::flags::WatchMask;
use crate::keys::KeySet;
use crate::sys::Errno;
pub use event::{TreeEvent, TreeKind, UnwatchedReason};
pub use kernel::{Kernel, Stat};
pub use options::{Exclude, Options};

use agenda::{Agenda, When};
use edits::Retries;
use feed::Inbox;
use files::Files;
use links::{Aliases, Links};
use listing::Frame;
use nodes::{NodeRef, Nodes, ROOT};
use renames::Renames;
use reports::Reports;
use stale::Stale;

/// One tree of directories. `D` is the [`Kernel`]'s open directory.
#[derive(Debug)]
pub struct Tree<D> {
    options: Options,
    /// The events that each directory is watched for.
    watched_events: WatchMask,
    nodes: Nodes,
    files: Files,
    renames: Renames,
    agenda: Agenda,
    reports: Reports,
    /// The listings in progress, the innermost last.
    frames: Vec<Frame<D>>,
    /// The event that was fed last, until it is processed.
    inbox: Inbox,
    /// Watches that are no longer needed. They are ended a few at a time, since each end queues an event.
    ending: KeySet<i32>,
    stale: Stale,
    /// The highest watch descriptor so far. The kernel counts upwards.
    highest_wd: i32,
    links: Links,
    /// Directories that are watched under another path.
    aliases: Aliases,
    /// Directories that are watched without [`LISTING_EVENTS`] for now.
    narrowed: Vec<NodeRef>,
    /// Directories that failed and are retried.
    retries: Retries,
    /// The device of the root.
    device: u64,
    stage: Stage,
    /// Whether `Established` was reported. An overflow only delays it.
    established: bool,
    /// The position: the bytes of the stream that were fed.
    position: u64,
    /// The end of the queue when the tree was started.
    start: u64,
    /// The end of the window of a scan of the whole tree.
    ahead: Option<u64>,
    /// The end of the queued events among which some were lost.
    lost: Option<u64>,
    /// Whether the root's path no longer leads to the root.
    root_moved: bool,
}

/// The purpose of the listings in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not started.
    New,
    /// The tree is being set up.
    Setup,
    /// Set up; follows events.
    Steady,
    /// Events were lost, and the whole tree is being compared with the disk.
    Resync,
    Over,
}

/// The events that the engine itself needs. `ATTRIB` reports changed permissions.
const NEEDED: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ATTRIB);

/// The events that listing a directory causes, in it and in its parent. While a whole tree is listed, they
/// would fill the queue.
const LISTING_EVENTS: WatchMask =
    WatchMask::OPEN.union(WatchMask::ACCESS).union(WatchMask::CLOSE_NOWRITE);

/// The bits of [`Options::mask`] that are passed on to the kernel.
const KERNEL_BITS: WatchMask = WatchMask::ALL_EVENTS.union(WatchMask::EXCL_UNLINK);

/// A window whose end is not known yet.
const UNKNOWN: u64 = u64::MAX;

impl<D> Tree<D> {
    /// Creates a tree, which does nothing before [`start`](Self::start).
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            watched_events: options.mask.intersection(KERNEL_BITS).union(NEEDED),
            nodes: Nodes::new(options.seed),
            files: Files::new(options.track_files),
            renames: Renames::default(),
            agenda: Agenda::default(),
            reports: Reports::new(options.mask, options.max_depth),
            frames: Vec::new(),
            inbox: Inbox::default(),
            ending: KeySet::new(),
            stale: Stale::default(),
            highest_wd: i32::MAX,
            links: Links::default(),
            aliases: Aliases::default(),
            narrowed: Vec::new(),
            retries: Retries::default(),
            device: 0,
            stage: Stage::New,
            established: false,
            position: 0,
            start: 0,
            ahead: None,
            lost: None,
            root_moved: false,
            options,
        }
    }

    /// Watches the root and lists it. [`next`](Self::next) does the rest of the set-up.
    ///
    /// # Errors
    ///
    /// The errors of [`Kernel::open`], [`Kernel::watch`], [`Kernel::stat`] and [`Kernel::list`], for the
    /// root.
    pub fn start<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> Result<(), Errno> {
        // Events that are queued by now are older than the tree.
        self.start = kernel.end();
        self.position = kernel.front();
        let dir = kernel.open(&[])?;
        self.device = kernel.stat(&dir)?.dev;
        let wd = kernel.watch(&dir, self.watched_events)?;
        self.note_watch(kernel, wd);
        self.nodes.set_state(ROOT, nodes::State::Watched(wd));
        self.highest_wd = wd.as_raw();
        self.stage = Stage::Setup;
        self.ahead = Some(UNKNOWN);
        self.list(kernel, ROOT, dir, look::Purpose::setup(self.options.report_existing))
    }

    /// Works until there is something to report, and returns it. Returns `None` if only another event, or
    /// [`idle`](Self::idle), can lead to more.
    ///
    /// One call does no more than the work for one report.
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

    /// Does one step of the pending work. Returns `false` if there is none.
    fn work<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) -> bool {
        if self.stage == Stage::New {
            return false;
        }
        if !self.frames.is_empty() {
            self.step(kernel);
        } else if let Some(link) = self.links.take_postponed() {
            self.visit_link(kernel, link);
        } else if matches!(self.stage, Stage::Setup | Stage::Resync) {
            if self.stage == Stage::Resync {
                self.agenda.complete(TreeKind::Resynced, When::End);
            }
            if !self.established {
                self.agenda.complete(TreeKind::Established, When::End);
            }
            self.stage = Stage::Steady;
        } else if let Some(node) = self.narrowed.pop() {
            self.widen(kernel, node);
        } else if self.is_resync_due() {
            self.resync(kernel);
        } else if let Some(task) = self.agenda.next(self.position) {
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

    /// Sets the position of fresh tasks and of an unfinished window to `end`, where the queue ends now.
    fn seal(&mut self, end: u64, idle: bool) {
        self.agenda.seal(end, idle);
        if self.ahead == Some(UNKNOWN) {
            self.ahead = Some(end);
        }
        self.advance_to(self.position);
    }

    /// Does the work that waits for an empty queue. Call it when a read has found nothing, and everything
    /// that was read, `at` bytes since the beginning, was fed.
    ///
    /// Returns `true` if there is more to do, with [`next`](Self::next) and another read.
    pub fn idle<K: Kernel<Dir = D>>(&mut self, kernel: &mut K, at: u64) -> bool {
        self.advance_to(at);
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
        // Not while a check is open: the next scan may need a watch again, and each end of a watch queues an
        // event, which would move the end of the queue that a check waits for.
        if !more && self.agenda.is_empty() {
            more = !self.end_some(kernel);
        }
        more
    }

    /// Puts the end of each pending rename on the agenda. Behind the barrier, all events are queued of the
    /// renames that have begun in its directory.
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
            // A directory that was not found at its path yet gets there by a queued event.
            if end <= self.position || passed.get(&dir) == Some(&true) {
                self.renames.fence(cookie);
                self.agenda.close(cookie, end);
            }
        }
        true
    }

    /// Replaces the events that are reported. Events that the directories are not watched for never come; see
    /// [`add_watched_events`](Self::add_watched_events).
    pub fn set_reported_events(&mut self, mask: WatchMask) {
        self.options.mask = mask;
        self.reports.set_events(mask);
    }

    /// Watches all directories for more events. An event is reported from the time when its directory is
    /// watched for it.
    pub fn add_watched_events(&mut self, mask: WatchMask) {
        self.watched_events |= mask.intersection(KERNEL_BITS);
        let mut next = Some(ROOT);
        while let Some(node) = next {
            if self.nodes.wd(node).is_some() {
                self.nodes.set_narrowed(node, true);
                self.narrowed.push(node);
            }
            next = self.nodes.after(ROOT, node);
        }
    }

    /// Replaces [`Options::exclude`]. Directories that become excluded are no longer watched; those that no
    /// longer are excluded are watched and scanned.
    pub fn set_exclude(&mut self, exclude: Option<Exclude>) {
        self.options.exclude = exclude;
        self.update_excludes(ROOT);
    }

    /// Returns `true` if nothing is pending: [`idle`](Self::idle) would do nothing.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.renames.is_empty()
            && self.agenda.is_empty()
            && self.ending.is_empty()
            && self.ahead.is_none()
            && self.lost.is_none()
            && self.retries.is_empty()
            && !self.links.is_due()
    }

    /// Moves the position to `at`.
    fn advance_to(&mut self, at: u64) {
        self.position = at;
        self.ahead.take_if(|end| *end <= at);
        self.stale.advance_to(at);
    }

    /// Returns `true` if an event of the directory may be older than its listing.
    fn in_window(&self, dir: NodeRef) -> bool {
        self.ahead.is_some() || self.files.in_window(dir)
    }

    /// Ends the tree and all its watches at once. Each end queues an event.
    pub fn stop<K: Kernel<Dir = D>>(&mut self, kernel: &mut K) {
        self.retire();
        while !self.end_some(kernel) {}
    }

    /// Ends the tree, but leaves its watches to [`idle`](Self::idle). That ends a few at a time, so that
    /// their events do not fill the queue, until the tree [is at rest](Self::is_at_rest).
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

    /// Compares the tree, since the root's path leads to the root again, or was replaced by one that does.
    /// Changes that were missed meanwhile are discovered.
    pub fn root_found(&mut self) {
        if self.root_moved {
            self.agenda.compare(ROOT, When::End);
        }
    }

    /// Returns `true` if no more events come: the root is gone, or the tree was stopped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Returns `true` while the whole tree is set up or compared, or if [`next`](Self::next) will start that.
    #[must_use]
    pub fn is_scanning(&self) -> bool {
        matches!(self.stage, Stage::Setup | Stage::Resync)
            || !self.narrowed.is_empty()
            || self.is_resync_due()
    }

    /// Returns `true` if events were lost, and all events that were queued by then were fed.
    fn is_resync_due(&self) -> bool {
        self.lost.is_some_and(|end| end <= self.position)
    }

    /// Returns the number of known directories, watched or not, with the root.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Always `false`: the root counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 0
    }

    /// Returns `true` if the watch is one of this tree's.
    #[must_use]
    pub fn contains(&self, wd: Wd) -> bool {
        self.nodes.by_wd(wd).is_some() || self.renames.has_replaced(wd.as_raw())
    }

    /// Returns `true` if the caller may report some events of this watch itself, with the path from
    /// [`path_of`](Self::path_of), without feeding them: events with a name, other than those of directories,
    /// and other than `CREATE`, `DELETE`, `MOVED_FROM` and `MOVED_TO`.
    #[must_use]
    pub fn is_plain(&self, wd: Wd) -> bool {
        self.lost.is_none()
            && self.ahead.is_none()
            && self.renames.is_empty()
            && self.agenda.is_empty()
            && self.reports.is_empty()
            && (self.files.is_empty()
                || self.nodes.by_wd(wd).is_none_or(|node| !self.files.knows(node)))
    }

    /// Returns `true` if the watch is the root's.
    #[must_use]
    pub fn is_root(&self, wd: Wd) -> bool {
        self.nodes.wd(ROOT) == Some(wd)
    }

    /// Appends to `path` the path of a watched directory beneath the root. Returns `false` if the watch is not
    /// one of this tree's.
    pub fn path_of(&self, wd: Wd, path: &mut Vec<u8>) -> bool {
        let Some(node) = self.nodes.by_wd(wd) else { return false };
        self.nodes.push_path(node, path);
        true
    }

    /// Returns `true` while a check is open. It may show that a known directory has another path. Until then,
    /// changes beneath that directory are reported with the path that was known before.
    #[must_use]
    pub fn is_checking(&self) -> bool {
        self.lost.is_some() || self.stage == Stage::Resync || self.agenda.has_checks()
    }

    /// Returns all known directories, parents first: the path beneath the root, and the watch.
    pub fn directories(&self) -> impl Iterator<Item = (Vec<u8>, Option<Wd>)> {
        let nodes = core::iter::successors(Some(ROOT), |&node| self.nodes.after(ROOT, node));
        nodes.map(|node| (self.path(node, &[]), self.nodes.wd(node)))
    }
}
