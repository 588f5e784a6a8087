//! Merges many events into one change, and emits it when the path has been quiet.
//!
//! An editor that saves a file causes about ten events. A program that reloads the file needs one, after
//! the last of them:
//!
//! ```
//! # #[cfg(not(miri))] {
//! use std::time::Duration;
//! use tinotify::debounce::{Change, Debouncer};
//! use tinotify::{TreeOptions, Watcher};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! let mut watcher = Watcher::new()?;
//! watcher.watch_tree(path, Watcher::CHANGES, TreeOptions::new())?;
//! let mut debouncer =
//!     Debouncer::new(Duration::from_millis(50)).max_delay(Duration::from_secs(2));
//!
//! # std::fs::write(path.join("page.tmp"), "text")?;
//! # std::fs::rename(path.join("page.tmp"), path.join("page"))?;
//! # let page = path.join("page");
//! loop {
//!     let group = debouncer.recv_from(&mut watcher)?;
//!     match group.change() {
//!         Change::Created | Change::Modified | Change::Replaced => {
//!             println!("read {}", group.path().display());
//! #           assert_eq!(group.path(), page);
//! #           break;
//!         }
//!         Change::Removed => println!("drop {}", group.path().display()),
//!         Change::Renamed { from } => {
//!             println!("{} is now {}", from.display(), group.path().display());
//!         }
//!         Change::Event if group.is_overflow() => println!("read everything again"),
//!         _ => {}
//!     }
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When to use it
//!
//! | to get | use |
//! |---|---|
//! | one change per file, after a quiet time of that file | [`Debouncer`] |
//! | one build or sync after any change, after a quiet time of all files | [`Debouncer::per_watch`] |
//! | each event, at once | [`Watcher`](crate::Watcher) alone |
//! | identical events merged, with a delay | [`read_delay`](crate::WatcherBuilder::read_delay) |
//! | the state of one file, such as a config file | [`watch_name`](crate::Watches::watch_name); with a debouncer if it is saved often |
//!
//! # Which method to call
//!
//! | in | call |
//! |---|---|
//! | a thread | [`Debouncer::recv_from`], [`Debouncer::recv_deadline_from`] |
//! | tokio | `Debouncer::recv_from_async`, with a closure that returns `tokio::time::sleep_until` |
//! | async-io, smol | `Debouncer::recv_from_async_io` |
//! | an event loop, a test | [`Debouncer::push`], [`Debouncer::next_deadline`], [`Debouncer::pop`] |
//!
//! The debouncer has no thread, no clock and no I/O. The methods of the last line take the time as an
//! argument. The others push the events of a watcher with the time [`Instant::now`].
//!
//! # When a group is emitted
//!
//! ```text
//!  event   event event                     event          (one path)
//!    │       │     │                         │
//!  ──┴───────┴─────┴───────────────▶ emit    └─ the next group
//!    │             ├── quiet time ──┤
//!    ├──────────────── max_delay, at most ─────────┤
//! ```
//!
//! - After its *quiet time*: the time given to [`Debouncer::new`] has passed since its last event. Events
//!   of other paths do not count.
//! - Or after [`max_delay`](Debouncer::max_delay), counted from its first event. Later events of the path
//!   start a new group.
//! - Some groups must come before others: a new directory before a new file in it. The later group waits
//!   for the earlier one. When the `max_delay` of the later group ends, the earlier one is emitted early,
//!   before it.
//! - Groups that are due at the same time are emitted in the order of their first events, if the rule
//!   above allows it.
//! - An event that does not concern one path is emitted at once, after everything pending of its watch.
//!   These are the end of a watch (`IGNORED`, `UNMOUNT`), a `MOVE_SELF` of the watched path, and the
//!   changes of a tree other than `Reported`, `Discovered`, `Renamed` and `Exchanged`. An overflow is
//!   emitted after everything pending of all watches.
//!
//! # What is merged
//!
//! | events at one path | group |
//! |---|---|
//! | create, modify, close | `Created` |
//! | modify, modify | `Modified` |
//! | create, …, delete | nothing |
//! | delete, create | `Replaced` |
//! | modify, delete | `Removed` |
//! | rename a → b, b → c | `Renamed` a → c, and `Absent` b |
//! | create a, rename a → b | `Created` b, or `Replaced` b if a pending group knows an old b |
//! | modify a, rename a → b | `Renamed` a → b, which is modified |
//! | rename a → b, b → a | `Modified` or nothing, and `Absent` b |
//! | rename a → b, delete b | `Removed` a, and `Absent` b |
//! | `MOVED_FROM` a, `MOVED_TO` b, same cookie | rename a → b, also from one watch to another |
//! | `MOVED_FROM` a alone | `Removed` a |
//! | `MOVED_TO` b alone | `Created` b |
//! | create d/x, rename of the directory d → e | `Renamed` d → e, `Created` e/x |
//! | changes in d, delete d | `Removed` d |
//!
//! Applied in the order in which they are emitted, the groups lead to the same names and contents as the
//! events. Groups that can't be merged without breaking this stay separate: an exchange of two files by
//! means of a third name is three renames.
//!
//! # Limits
//!
//! - inotify does not report whether a rename replaced a file. Therefore [`Change::Absent`] exists, and
//!   `Created` may be a replacement.
//! - The kernel reports a `RENAME_EXCHANGE` as two renames, a → b and b → a. With a plain watch, or for
//!   files, the groups are `Absent` b and nothing for a. Trees report exchanges of directories.
//! - If two watches report the same path, each has its own group.
//! - An event takes O(log n + depth of its path) for n pending paths. A rename or removal of a directory
//!   also takes time for each group beneath it. Memory grows with the pending paths, not with the events.

#![forbid(unsafe_code)]

mod drive;
mod entry;
mod group;
mod pending;
mod rules;
mod step;
mod subtree;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use group::{Change, Group};

use crate::watcher::{WatchEventBuf, WatchId};
use pending::{Pending, Timing};
use step::{Batch, Level, Step};

/// Merges events into groups, and emits each group when its path has been quiet.
///
/// See the [module](self) for the rules.
///
/// ```
/// use std::time::{Duration, Instant};
/// use tinotify::debounce::{Change, Debouncer};
/// use tinotify::{EventMask, WatchEventBuf};
///
/// let event = |mask| WatchEventBuf::builder(mask).directory("/tmp").name("new").build();
/// let quiet = Duration::from_millis(100);
/// let mut debouncer = Debouncer::new(quiet);
///
/// let start = Instant::now();
/// debouncer.push(event(EventMask::CREATE), start);
/// debouncer.push(event(EventMask::CLOSE_WRITE), start + quiet / 2);
/// assert!(debouncer.pop(start + quiet).is_none());
///
/// let deadline = debouncer.next_deadline().unwrap();
/// assert_eq!(deadline, start + quiet / 2 + quiet);
/// let group = debouncer.pop(deadline).unwrap();
/// assert_eq!((group.change(), group.events()), (Change::Created, 2));
/// assert!(debouncer.is_empty());
/// ```
#[derive(Debug)]
pub struct Debouncer {
    pending: Pending,
    /// Old names that wait for their new ones.
    renames: Vec<PendingRename>,
    /// Groups to be emitted, in order.
    ready: VecDeque<Group>,
    ready_since: Option<Instant>,
}

/// The maximum number of pending renames. Few are enough, because the kernel queues both events of a
/// rename next to each other.
const MAX_PENDING_RENAMES: usize = 8;

/// A `MOVED_FROM` that waits for its `MOVED_TO`.
#[derive(Debug)]
struct PendingRename {
    batch: Batch,
    cookie: u32,
    /// The group at the old path, if its content has not been emitted yet.
    content: Option<entry::Id>,
}

impl Debouncer {
    /// Returns a debouncer that emits a group when nothing has happened to its path for `quiet`.
    #[must_use]
    pub fn new(quiet: Duration) -> Self {
        let timing = Timing { quiet, max_delay: None, per_watch: false };
        Self {
            pending: Pending::new(timing),
            renames: Vec::new(),
            ready: VecDeque::new(),
            ready_since: None,
        }
    }

    /// Emits a group at the latest this long after its first event, even if its path is never quiet.
    /// Default: no limit, so a file that is written without a pause is never reported.
    ///
    /// Set it before the first event.
    #[must_use]
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.pending.timing.max_delay = Some(max_delay);
        self
    }

    /// Measures the quiet time and the maximum delay per watch. All groups of a watch are emitted together,
    /// after a quiet time without an event of the watch. Default: per path.
    ///
    /// Set it before the first event.
    #[must_use]
    pub const fn per_watch(mut self) -> Self {
        self.pending.timing.per_watch = true;
        self
    }

    /// Measures the quiet time and the maximum delay per path. This is the default.
    #[must_use]
    pub const fn per_path(mut self) -> Self {
        self.pending.timing.per_watch = false;
        self
    }

    /// Returns the number of pending paths. Some of them may have no net effect, and then no group.
    #[must_use]
    pub fn len(&self) -> usize {
        let waiting = self.pending.len().saturating_add(self.renames.len());
        waiting.saturating_add(self.ready.len())
    }

    /// Returns `true` if nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an event, which was read at `now`. `now` should never decrease from one call to the next.
    ///
    /// May change the [`next_deadline`](Self::next_deadline).
    pub fn push(&mut self, event: WatchEventBuf, now: Instant) {
        let step = Step::of(&event);
        let cookie = event.cookie();
        if step == Step::Barrier {
            return self.pass_through(event, now);
        }
        let mut batch = Batch::new(event, now);
        let rename =
            if step == Step::MovedTo { self.take_rename(batch.watch, cookie) } else { None };
        self.expire_renames_at(batch.watch, &batch.path);
        match step {
            Step::Barrier => {}
            Step::MovedFrom => self.add_rename(batch, cookie),
            Step::MovedTo => match rename {
                Some(rename) => {
                    batch.add(rename.batch.events, rename.batch.mask, rename.batch.first);
                    let is_known = rename.content.is_none_or(|id| self.pending.get(id).is_some());
                    let level = if is_known { Level::Nothing } else { Level::Modified };
                    let from = (rename.batch.watch, rename.batch.path);
                    rules::rename(&mut self.pending, batch, from, level);
                }
                None => rules::local(&mut self.pending, batch, &Step::Arrive),
            },
            Step::Rename { from } => {
                let from = (batch.watch, from);
                self.expire_renames_at(from.0, &from.1);
                rules::rename(&mut self.pending, batch, from, Level::Nothing);
            }
            Step::Exchange { with } => {
                self.expire_renames_at(batch.watch, &with);
                rules::exchange(&mut self.pending, batch, with);
            }
            step => rules::local(&mut self.pending, batch, &step),
        }
    }

    /// Returns when to call [`pop`](Self::pop) next, or `None` if nothing is pending. The time may be in
    /// the past. `pop` may still return `None` then, because events can have no net effect.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return self.ready_since;
        }
        let renames = self.renames.iter().filter_map(|rename| self.deadline_of(rename));
        renames.chain(self.pending.next_deadline()).min()
    }

    /// Returns the next group that is due at `now`. Call it until it returns `None`.
    pub fn pop(&mut self, now: Instant) -> Option<Group> {
        if self.ready.is_empty() {
            while let Some(at) = self
                .renames
                .iter()
                .position(|rename| self.deadline_of(rename).is_some_and(|end| end <= now))
            {
                self.expire_rename(at);
            }
            loop {
                let due = self.pending.due(now);
                if due.is_empty() {
                    break;
                }
                self.pending.take(due, &mut self.ready);
            }
            self.ready_since = Some(now);
        }
        self.ready.pop_front()
    }

    /// Returns the next group, even if it is not due. Use it at the end, when there are no more events.
    /// Call it until it returns `None`.
    pub fn flush(&mut self) -> Option<Group> {
        self.finish_all();
        self.ready.pop_front()
    }

    fn finish_all(&mut self) {
        while !self.renames.is_empty() {
            self.expire_rename(0);
        }
        let all = self.pending.all().collect();
        self.pending.take(all, &mut self.ready);
    }

    /// Emits everything pending that comes before an event, then the event.
    fn pass_through(&mut self, event: WatchEventBuf, now: Instant) {
        if self.ready.is_empty() {
            self.ready_since = Some(now);
        }
        match event.watch() {
            None => self.finish_all(),
            watch => {
                let is_of = |rename: &PendingRename| rename.batch.watch == watch;
                while let Some(at) = self.renames.iter().position(is_of) {
                    self.expire_rename(at);
                }
                let pending = self.pending.of(watch).collect();
                self.pending.take(pending, &mut self.ready);
            }
        }
        self.ready.push_back(Group::of_event(event, now));
    }

    fn deadline_of(&self, rename: &PendingRename) -> Option<Instant> {
        self.pending.timing.end(rename.batch.first, rename.batch.last)
    }

    /// Keeps a `MOVED_FROM` until its `MOVED_TO`, or another event of its path.
    fn add_rename(&mut self, batch: Batch, cookie: u32) {
        if self.renames.len() >= MAX_PENDING_RENAMES {
            self.expire_rename(0);
        }
        let at = self.pending.at(batch.watch, &batch.path);
        let entry = at.and_then(|id| Some((id, self.pending.get(id)?)));
        let entry = entry.filter(|(_, entry)| entry.path == batch.path);
        let content = entry.filter(|(_, entry)| entry.has_content()).map(|(id, _)| id);
        if let Some((id, _)) = entry {
            // This event extends the quiet time of the path.
            self.pending.change(id, |entry| entry.last = entry.last.max(batch.last));
        }
        self.pending.extend(batch.watch, batch.first, batch.last);
        self.renames.push(PendingRename { batch, cookie, content });
    }

    /// Removes and returns the pending rename with this cookie, preferably one of the same watch.
    fn take_rename(&mut self, watch: Option<WatchId>, cookie: u32) -> Option<PendingRename> {
        let of = |rename: &PendingRename| rename.cookie == cookie;
        let here = self.renames.iter().position(|rename| of(rename) && rename.batch.watch == watch);
        let at = here.or_else(|| self.renames.iter().position(of))?;
        Some(self.renames.remove(at))
    }

    /// Expires the pending renames that an event of this path concerns.
    fn expire_renames_at(&mut self, watch: Option<WatchId>, path: &Path) {
        let concerns = |rename: &PendingRename| {
            rename.batch.watch == watch
                && (rename.batch.path.starts_with(path) || path.starts_with(&rename.batch.path))
        };
        while let Some(at) = self.renames.iter().position(concerns) {
            self.expire_rename(at);
        }
    }

    /// Handles a `MOVED_FROM` whose new name is not watched, as a removal.
    fn expire_rename(&mut self, at: usize) {
        let batch = self.renames.remove(at).batch;
        rules::local(&mut self.pending, batch, &Step::Remove);
    }
}

/// A path, and the watch that reports it.
type WatchedPath = (Option<WatchId>, PathBuf);
