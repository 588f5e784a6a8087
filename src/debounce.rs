//! Debouncing: many events in, one change out, once a path has been quiet.
//!
//! An editor that saves a file makes ten events. A program that reloads the file wants one, after the
//! last of them:
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
//! | you want | use |
//! |---|---|
//! | one change per file, some time after the last event of that file | [`Debouncer`] |
//! | to do one thing (build, sync) after anything changed, once all is quiet | [`Debouncer::per_watch`] |
//! | each event, at once | [`Watcher`](crate::Watcher) alone |
//! | identical events merged, at the price of a delay | [`read_delay`](crate::WatcherBuilder::read_delay) |
//! | the state of one file, such as a config file | [`watch_name`](crate::Watches::watch_name); with a debouncer if it is saved often |
//!
//! # Which call waits how
//!
//! | in | call |
//! |---|---|
//! | a thread | [`Debouncer::recv_from`], [`Debouncer::recv_deadline_from`] |
//! | tokio | `Debouncer::recv_from_async`, with a closure that returns `tokio::time::sleep_until` |
//! | async-io, smol | `Debouncer::recv_from_async_io` |
//! | an event loop, a test | [`Debouncer::push`], [`Debouncer::next_deadline`], [`Debouncer::pop`] |
//!
//! The debouncer has no thread, no clock and no I/O. The calls of the last line take the time as an
//! argument. The others push what a watcher reports at [`Instant::now`].
//!
//! # When a group is emitted
//!
//! - Its *quiet time* is over: since its last event, at least the time given to [`Debouncer::new`] has
//!   passed. Events of other paths do not matter.
//! - Or [`max_delay`](Debouncer::max_delay) has passed since its first event. What happens to the path
//!   afterwards begins a new group.
//! - A group that makes no sense before another one waits for it: a new file waits for its new
//!   directory. At the end of its `max_delay`, the other one is emitted early, and first.
//! - Groups that are due at the same time are emitted in the order of their first events, as far as
//!   the rule before allows that.
//! - An event that is not about one path is emitted at once, and before it everything pending of its watch,
//!   quiet or not. These are the end of a watch (`IGNORED`, `UNMOUNT`), a `MOVE_SELF` of the watched
//!   path, and the reports of a tree other than `Reported`, `Discovered`, `Renamed` and `Exchanged`. An
//!   overflow has everything pending of all watches before it.
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
//! The groups, applied in the order in which they are emitted, lead to what the events led to. Where
//! merging would break that, groups stay apart: an exchange of two files by way of a third name gives three
//! renames.
//!
//! # Limits
//!
//! - inotify does not say whether a rename replaced a file. Hence [`Change::Absent`], and `Created` for
//!   what may be a replacement.
//! - Nothing marks a `RENAME_EXCHANGE` of plain watches and of files. It looks like a → b and b → a: `Absent` b and
//!   nothing of a. Trees report exchanges of directories.
//! - Two watches that report the same path have a group each.
//! - An event costs O(log n + depth of its path) for n pending paths; a rename or removal of a directory
//!   also costs the groups beneath it. Memory grows with the pending paths, not with the events.

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
use step::{Level, Seen, Step};

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
    halves: Vec<Half>,
    /// Groups that are over.
    ready: VecDeque<Group>,
    ready_since: Option<Instant>,
}

/// So many old names wait for their new ones at once. The kernel queues both next to each other.
const MAX_HALVES: usize = 8;

/// The first half of a rename.
#[derive(Debug)]
struct Half {
    seen: Seen,
    cookie: u32,
    /// The group at the old path, if it has content that has not been reported yet.
    content: Option<entry::Id>,
}

impl Debouncer {
    /// Returns a debouncer that emits a group when nothing has happened to its path for `quiet`.
    #[must_use]
    pub fn new(quiet: Duration) -> Self {
        let timing = Timing { quiet, max_delay: None, per_watch: false };
        Self {
            pending: Pending::new(timing),
            halves: Vec::new(),
            ready: VecDeque::new(),
            ready_since: None,
        }
    }

    /// Emits a group at the latest this long after its first event, even if its path is never quiet.
    /// Set it before the first event. Default: no limit, so that a file that is always written is never
    /// reported.
    #[must_use]
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.pending.timing.max_delay = Some(max_delay);
        self
    }

    /// Measures the quiet time and the maximal delay for each watch, not for each path: all groups of a
    /// watch are emitted together, when nothing has happened to any path of the watch. Set it before the
    /// first event. Default: for each path.
    #[must_use]
    pub const fn per_watch(mut self) -> Self {
        self.pending.timing.per_watch = true;
        self
    }

    /// Measures the quiet time and the maximal delay for each path. This is the default.
    #[must_use]
    pub const fn per_path(mut self) -> Self {
        self.pending.timing.per_watch = false;
        self
    }

    /// Returns how many paths are pending. Some of them may come to nothing.
    #[must_use]
    pub fn len(&self) -> usize {
        let waiting = self.pending.len().saturating_add(self.halves.len());
        waiting.saturating_add(self.ready.len())
    }

    /// Returns `true` if nothing is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in an event, which was read at `now`. Times should not go back.
    ///
    /// Afterwards the [`next_deadline`](Self::next_deadline) may be another one.
    pub fn push(&mut self, event: WatchEventBuf, now: Instant) {
        let step = Step::of(&event);
        let cookie = event.cookie();
        if step == Step::Barrier {
            return self.pass(event, now);
        }
        let mut seen = Seen::new(event, now);
        let half = if step == Step::MovedTo { self.take_half(seen.watch, cookie) } else { None };
        self.end_halves_at(seen.watch, &seen.path);
        match step {
            Step::Barrier => {}
            Step::MovedFrom => self.hold(seen, cookie),
            Step::MovedTo => match half {
                Some(half) => {
                    seen.add(half.seen.events, half.seen.mask, half.seen.first);
                    let is_known = half.content.is_none_or(|id| self.pending.get(id).is_some());
                    let level = if is_known { Level::Nothing } else { Level::Modified };
                    let from = (half.seen.watch, half.seen.path);
                    rules::rename(&mut self.pending, seen, from, level);
                }
                None => rules::local(&mut self.pending, seen, &Step::Arrive),
            },
            Step::Rename { from } => {
                let from = (seen.watch, from);
                self.end_halves_at(from.0, &from.1);
                rules::rename(&mut self.pending, seen, from, Level::Nothing);
            }
            Step::Exchange { with } => {
                self.end_halves_at(seen.watch, &with);
                rules::exchange(&mut self.pending, seen, with);
            }
            step => rules::local(&mut self.pending, seen, &step),
        }
    }

    /// Returns when [`pop`](Self::pop) has to be called next; `None` if nothing is pending. It may be in
    /// the past, and `pop` may return nothing then: events can come to nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return self.ready_since;
        }
        let halves = self.halves.iter().filter_map(|half| self.end_of(half));
        halves.chain(self.pending.next_deadline()).min()
    }

    /// Returns the next group that is due at `now`. Call it until it returns `None`.
    pub fn pop(&mut self, now: Instant) -> Option<Group> {
        if self.ready.is_empty() {
            while let Some(at) =
                self.halves.iter().position(|half| self.end_of(half).is_some_and(|end| end <= now))
            {
                self.end_half(at);
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

    /// Returns the next group, due or not: for the end, when no more events will come. Call it until it
    /// returns `None`.
    pub fn flush(&mut self) -> Option<Group> {
        self.finish_all();
        self.ready.pop_front()
    }

    fn finish_all(&mut self) {
        while !self.halves.is_empty() {
            self.end_half(0);
        }
        let all = self.pending.all().collect();
        self.pending.take(all, &mut self.ready);
    }

    /// Emits everything that comes before an event, and the event.
    fn pass(&mut self, event: WatchEventBuf, now: Instant) {
        if self.ready.is_empty() {
            self.ready_since = Some(now);
        }
        match event.watch() {
            None => self.finish_all(),
            watch => {
                let is_of = |half: &Half| half.seen.watch == watch;
                while let Some(at) = self.halves.iter().position(is_of) {
                    self.end_half(at);
                }
                let pending = self.pending.of(watch).collect();
                self.pending.take(pending, &mut self.ready);
            }
        }
        self.ready.push_back(Group::of_event(event, now));
    }

    fn end_of(&self, half: &Half) -> Option<Instant> {
        self.pending.timing.end(half.seen.first, half.seen.last)
    }

    /// Keeps the first half of a rename until the second comes, or anything else of its path.
    fn hold(&mut self, seen: Seen, cookie: u32) {
        if self.halves.len() >= MAX_HALVES {
            self.end_half(0);
        }
        let at = self.pending.at(seen.watch, &seen.path);
        let entry = at.and_then(|id| Some((id, self.pending.get(id)?)));
        let entry = entry.filter(|(_, entry)| entry.path == seen.path);
        let content = entry.filter(|(_, entry)| entry.has_content()).map(|(id, _)| id);
        if let Some((id, _)) = entry {
            // Its path was not quiet.
            self.pending.change(id, |entry| entry.last = entry.last.max(seen.last));
        }
        self.pending.extend(seen.watch, seen.first, seen.last);
        self.halves.push(Half { seen, cookie, content });
    }

    /// Returns the first half of a rename, by preference of the same watch.
    fn take_half(&mut self, watch: Option<WatchId>, cookie: u32) -> Option<Half> {
        let of = |half: &Half| half.cookie == cookie;
        let here = self.halves.iter().position(|half| of(half) && half.seen.watch == watch);
        let at = here.or_else(|| self.halves.iter().position(of))?;
        Some(self.halves.remove(at))
    }

    /// Ends the halves that an event of this path concerns: they stay alone.
    fn end_halves_at(&mut self, watch: Option<WatchId>, path: &Path) {
        let concerns = |half: &Half| {
            half.seen.watch == watch
                && (half.seen.path.starts_with(path) || path.starts_with(&half.seen.path))
        };
        while let Some(at) = self.halves.iter().position(concerns) {
            self.end_half(at);
        }
    }

    /// Handles an old name whose new one is not watched.
    fn end_half(&mut self, at: usize) {
        let seen = self.halves.remove(at).seen;
        rules::local(&mut self.pending, seen, &Step::Remove);
    }
}

/// A path, and the watch that reports it.
type Place = (Option<WatchId>, PathBuf);
