//! The owning wrapper: paths instead of descriptors, and every way of waiting for events.
//!
//! ```
//! # #[cfg(not(miri))] {
//! use std::time::Duration;
//! use tinotify::{EventKind, WatchMask, Watcher};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! let mut watcher = Watcher::new()?;
//! let logs = watcher.watch(path, WatchMask::CREATE | WatchMask::CLOSE_WRITE)?;
//! # std::fs::write(path.join("new"), "text")?;
//!
//! while let Some(event) = watcher.next_timeout(Duration::from_millis(1))? {
//!     assert_eq!(event.watch(), Some(logs));
//!     println!("{:?}: {}", event.kind(), event.path().display());
//! }
//! watcher.unwatch(logs)?;
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which call waits how
//!
//! | call | nothing queued |
//! |---|---|
//! | [`Watcher::next`] | waits |
//! | [`Watcher::try_next`] | `None` at once |
//! | [`Watcher::next_timeout`], [`Watcher::next_deadline`] | waits, then `None` |
//! | [`Watcher::batch`], [`Watcher::batch_timeout`] | as these, for all that is queued |
//! | [`Watcher::drain`] | ends at once |
//! | [`Watcher::iter`] | waits |
//! | [`Watcher::ticks`] | waits, then gives `None`, and goes on |
//! | [`Watcher::run`] | waits |
//!
//! A signal handler makes none of them return early, and events that are filtered out do not make a
//! deadline later. A [`Stopper`] makes all of them that wait return
//! [`End::Stopped`].

#![forbid(unsafe_code)]

mod builder;
mod error;
mod event;
mod handle;
mod iter;
mod name;
mod table;

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ops::{ControlFlow, Range};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use builder::Settings;
pub use builder::WatcherBuilder;
pub use error::{End, WatchError};
pub use event::{Change, WatchEvent, WatchEventBuf};
use handle::Shared;
pub use handle::{Stopper, WatchOptions, Watches};
pub use iter::{Drain, Iter, Ticks, wait_for};
use table::{LIFE, Role, Sub, Subs};
pub use table::{Watch, WatchInfo};

use crate::decode::{DecodeError, split_event};
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::inotify::Error;
use crate::sys::{self, Errno};

/// An inotify instance with all that belongs to it: watches, their paths, and a buffer of events.
///
/// One thread reads. Others can add and remove watches ([`watches`](Self::watches)) and stop the
/// reading ([`stopper`](Self::stopper)). Giving an event allocates nothing.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    settings: Settings,
    buffer: Box<[u8]>,
    /// What of the buffer is still to be decoded.
    ahead: Range<usize>,
    /// Where in the stream the buffer begins.
    base: u64,
    record: Record,
    /// Who is to be given the record at hand.
    subs: Subs,
    next_sub: usize,
    /// The descriptor and the version that `subs` is of.
    subs_of: (Wd, u64),
    /// Subscribers of other descriptors, so that the lock is seldom needed.
    cache: [Cached; CACHE],
    made: VecDeque<Made>,
    /// What is being lent, where it is not for one of `subs`.
    apart: Option<Made>,
    /// Followed names whose way has changed.
    restless: Vec<Watch>,
    /// Those that could not be followed, to be tried again when something comes.
    stuck: Vec<Watch>,
    /// Events were lost, so anything may have happened to followed names.
    overflowed: bool,
    /// An error that is to be told by the next call.
    failed: Option<WatchError>,
    now: Now,
}

/// A power of two.
const CACHE: usize = 64;

#[derive(Clone, Debug)]
struct Cached {
    of: (Wd, u64),
    subs: Subs,
}

/// The record at hand, as numbers, so that nothing borrows the buffer.
#[derive(Clone, Debug)]
struct Record {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    /// Where in the buffer the name and its NUL begin, and end.
    name: usize,
    end: usize,
    /// Where in the stream it begins.
    offset: u64,
    /// The watch has ended, so who gets it is no longer in the table.
    last: bool,
}

impl Record {
    #[inline]
    fn event<'a>(&self, buffer: &'a [u8]) -> Event<'a> {
        let name_and_nul = buffer.get(self.name..self.end).unwrap_or_default();
        Event::from_parts(self.wd, self.mask, self.cookie, name_and_nul)
    }
}

/// An event that the kernel did not give.
#[derive(Clone, Debug)]
struct Made {
    sub: Arc<Sub>,
    mask: EventMask,
    change: Option<Change>,
}

impl Made {
    fn event(&self) -> Event<'_> {
        Event::from_parts(self.sub.wd, self.mask, 0, &[])
    }
}

/// What is being lent.
#[derive(Clone, Copy, Debug)]
enum Now {
    /// The record, to this one of `subs`.
    Sub(usize),
    /// The record, to nobody in particular.
    All,
    /// The record, as a change of the followed name that `apart` is about.
    Name,
    /// Not the record, but `apart`.
    Made,
}

impl Watcher {
    /// What changes a file or a directory: all events but those of reading (`ACCESS`, `OPEN`,
    /// `CLOSE_NOWRITE`), which a program that looks at what it watches would bring about itself.
    pub const CHANGES: WatchMask = WatchMask::ALL_EVENTS
        .difference(WatchMask::ACCESS)
        .difference(WatchMask::OPEN)
        .difference(WatchMask::CLOSE_NOWRITE);

    /// A watcher that watches nothing yet.
    ///
    /// # Errors
    ///
    /// Those of [`Inotify::init`].
    pub fn new() -> Result<Self, WatchError> {
        Self::builder().build()
    }

    /// A watcher with settings.
    #[must_use]
    pub fn builder() -> WatcherBuilder {
        WatcherBuilder::default()
    }

    fn from_parts(shared: Arc<Shared>, settings: Settings, buffer_size: usize) -> Self {
        let empty = || Cached { of: (Wd::NONE, 0), subs: Subs::default() };
        Self {
            shared,
            settings,
            buffer: vec![0; buffer_size].into_boxed_slice(),
            ahead: 0..0,
            base: 0,
            record: Record {
                wd: Wd::NONE,
                mask: EventMask::empty(),
                cookie: 0,
                name: 0,
                end: 0,
                offset: 0,
                last: false,
            },
            subs: Subs::default(),
            next_sub: 0,
            subs_of: (Wd::NONE, 0),
            cache: std::array::from_fn(|_| empty()),
            made: VecDeque::new(),
            apart: None,
            restless: Vec::new(),
            stuck: Vec::new(),
            overflowed: false,
            failed: None,
            now: Now::All,
        }
    }

    /// A handle that adds and removes watches from any thread.
    #[must_use]
    pub fn watches(&self) -> Watches {
        Watches { shared: Arc::clone(&self.shared) }
    }

    /// A handle that makes the reading end.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::clone(&self.shared) }
    }

    /// As [`Watches::watch`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn watch(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<Watch, WatchError> {
        self.watches().watch(path, mask)
    }

    /// As [`Watches::watch_with`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn watch_with(
        &self,
        path: impl AsRef<Path>,
        mask: WatchMask,
        options: WatchOptions,
    ) -> Result<Watch, WatchError> {
        self.watches().watch_with(path, mask, options)
    }

    /// As [`Watches::watch_name`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn watch_name(&self, path: impl AsRef<Path>, mask: WatchMask) -> Result<Watch, WatchError> {
        self.watches().watch_name(path, mask)
    }

    /// As [`Watches::unwatch`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn unwatch(&self, watch: Watch) -> Result<(), WatchError> {
        self.watches().unwatch(watch)
    }

    /// Ends the watch that has this alias.
    ///
    /// # Errors
    ///
    /// [`WatchError::NoSuchAlias`], and as for [`unwatch`](Self::unwatch).
    pub fn unwatch_alias(&self, alias: impl AsRef<OsStr>) -> Result<(), WatchError> {
        self.unwatch(self.watches().with_alias(alias)?)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// [`WatchError::Ended`] when stopped, or when it is time by the builder's settings;
    /// [`WatchError::Inotify`] where a system call fails; [`WatchError::Path`] where a followed name
    /// can't be followed further (the limit of watches, say): it is tried again with the next events.
    /// Reading can go on after any of them.
    #[allow(clippy::should_implement_trait)] // It lends, as an iterator can't.
    pub fn next(&mut self) -> Result<WatchEvent<'_>, WatchError> {
        self.arrive(Until::Event)?;
        Ok(self.lend())
    }

    /// The next event, if there is one now: in the buffer or in the kernel's queue. `None` only when
    /// the queue was found empty, which is what edge-triggered epoll(7) asks for. Never waits.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub fn try_next(&mut self) -> Result<Option<WatchEvent<'_>>, WatchError> {
        Ok(if self.arrive(Until::Empty)? { Some(self.lend()) } else { None })
    }

    /// Waits for the next event, but not longer than `timeout`: then `None`.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<WatchEvent<'_>>, WatchError> {
        let until = Until::after(timeout);
        Ok(if self.arrive(until)? { Some(self.lend()) } else { None })
    }

    /// Waits for the next event, but not beyond `deadline`: then `None`.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next).
    pub fn next_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<WatchEvent<'_>>, WatchError> {
        Ok(if self.arrive(Until::Time(deadline))? { Some(self.lend()) } else { None })
    }

    /// Waits for the next event, and takes with it all that the same read(2) gave. Allocates.
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next); events before an error are given first, the error by the next
    /// call.
    pub fn batch(&mut self) -> Result<Vec<WatchEventBuf>, WatchError> {
        self.batch_until(Until::Event)
    }

    /// As [`batch`](Self::batch), but waits not longer than `timeout`: then the batch is empty.
    ///
    /// # Errors
    ///
    /// As for [`batch`](Self::batch).
    pub fn batch_timeout(&mut self, timeout: Duration) -> Result<Vec<WatchEventBuf>, WatchError> {
        self.batch_until(Until::after(timeout))
    }

    fn batch_until(&mut self, until: Until) -> Result<Vec<WatchEventBuf>, WatchError> {
        Ok(if self.arrive(until)? { self.rest_of_batch() } else { Vec::new() })
    }

    /// The event that was arrived at, and those behind it in the buffer.
    pub(crate) fn rest_of_batch(&mut self) -> Vec<WatchEventBuf> {
        let mut batch = vec![self.lend().to_buf()];
        loop {
            match self.step() {
                Ok(true) => batch.push(self.lend().to_buf()),
                Ok(false) => return batch,
                Err(error) => {
                    self.failed = Some(error);
                    return batch;
                }
            }
        }
    }

    /// Takes all events that are there now, until the queue is found empty. Never waits.
    pub fn drain(&mut self) -> Drain<'_> {
        Drain { watcher: self }
    }

    /// Waits for one event after another, each with a name of its own. Ends when stopped, or when no
    /// watch is left and the watcher was built to end then; every other error is an item.
    pub fn iter(&mut self) -> Iter<'_> {
        Iter { watcher: self }
    }

    /// As [`iter`](Self::iter), and gives `None` whenever nothing has come for `idle`: time to do
    /// other things.
    pub fn ticks(&mut self, idle: Duration) -> Ticks<'_> {
        Ticks { watcher: self, idle }
    }

    /// Waits for one event after another, and gives them to `each` until it breaks. `None` if the
    /// watcher was stopped first, or no watch is left and it was built to end then.
    ///
    /// ```
    /// # #[cfg(not(miri))] {
    /// use std::ops::ControlFlow;
    /// use tinotify::{WatchMask, Watcher};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path();
    /// let mut watcher = Watcher::new()?;
    /// watcher.watch(path, WatchMask::CREATE)?;
    /// # std::fs::write(path.join("a"), "")?;
    /// # std::fs::write(path.join("done"), "")?;
    /// let done = watcher.run(|event| match event.name() {
    ///     Some(name) if name == "done" => ControlFlow::Break(event.path()),
    ///     _ => ControlFlow::Continue(()),
    /// })?;
    /// assert_eq!(done, Some(path.join("done")));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`next`](Self::next), but for these two.
    pub fn run<B>(
        &mut self,
        mut each: impl FnMut(WatchEvent<'_>) -> ControlFlow<B>,
    ) -> Result<Option<B>, WatchError> {
        loop {
            match self.arrive(Until::Event) {
                Ok(_) => {}
                Err(WatchError::Ended(End::Stopped | End::NoWatches)) => return Ok(None),
                Err(error) => return Err(error),
            }
            if let ControlFlow::Break(value) = each(self.lend()) {
                return Ok(Some(value));
            }
        }
    }

    /// Whether events wait in the buffer, which poll(2) on the descriptor does not show. Some of them
    /// may be for nobody.
    #[must_use]
    pub fn has_buffered(&self) -> bool {
        !self.ahead.is_empty() || !self.made.is_empty() || self.next_sub < self.subs.len()
    }

    /// Closes the watcher, if no handle is left, and says how that went.
    ///
    /// # Errors
    ///
    /// `EBADF`: someone else closed the descriptor before.
    pub fn close(self) -> Result<(), WatchError> {
        match Arc::into_inner(self.shared) {
            Some(shared) => Ok(shared.inotify.close()?),
            None => Ok(()),
        }
    }

    /// Whether a stopper has stopped it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }

    /// What becomes readable when events are queued, and when it is stopped.
    #[cfg(any(feature = "tokio", feature = "async-io"))]
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.shared.inotify.as_fd(), self.shared.stop.as_fd()]
    }

    /// The event that was arrived at.
    pub(crate) fn lend(&self) -> WatchEvent<'_> {
        let apart = self.apart.as_ref();
        match self.now {
            Now::Sub(index) => self.whole(self.subs.get(index), None),
            Now::All => self.whole(None, None),
            Now::Name => self.whole(apart.map(|apart| &apart.sub), Some(Change::Changed)),
            Now::Made => WatchEvent {
                event: apart.map_or(self.record.event(&[]), Made::event),
                sub: apart.map(|apart| &apart.sub),
                change: apart.and_then(|apart| apart.change),
            },
        }
    }

    /// The record at hand, as an event of a subscriber.
    #[inline]
    fn whole<'a>(&'a self, sub: Option<&'a Arc<Sub>>, change: Option<Change>) -> WatchEvent<'a> {
        WatchEvent { event: self.record.event(&self.buffer), sub, change }
    }

    /// Goes on to the next event to be given, and waits for it. `false` if there was none in time.
    #[inline]
    pub(crate) fn arrive(&mut self, until: Until) -> Result<bool, WatchError> {
        if until != Until::Empty && self.is_stopped() {
            return Err(WatchError::Ended(End::Stopped));
        }
        Ok(self.step()? || self.arrive_later(until)?)
    }

    /// The same, once there is nothing more in the buffer.
    fn arrive_later(&mut self, until: Until) -> Result<bool, WatchError> {
        let mut over = false;
        loop {
            while self.read()? {
                if self.step()? {
                    return Ok(true);
                }
                // Events that are for nobody must not make it later.
                if over || until.is_over() {
                    return Ok(false);
                }
                if until != Until::Empty && self.is_stopped() {
                    return Err(WatchError::Ended(End::Stopped));
                }
            }
            if self.settings.end_without_watches && self.shared.table().users().next().is_none() {
                return Err(WatchError::Ended(End::NoWatches));
            }
            if over || until == Until::Empty {
                return Ok(false);
            }
            over = !self.wait(until)?;
            if self.is_stopped() {
                return Err(WatchError::Ended(End::Stopped));
            }
        }
    }

    /// Waits until something is queued or the watcher is stopped; `false` if the time is over first.
    fn wait(&self, until: Until) -> Result<bool, WatchError> {
        loop {
            let left = until.left();
            match sys::poll([self.shared.inotify.fd(), &self.shared.stop], left) {
                Ok([false, false]) => return Ok(false),
                Ok([true, false]) if !self.settings.read_delay.is_zero() => {
                    let delay = left.unwrap_or(Duration::MAX).min(self.settings.read_delay);
                    match sys::poll([&self.shared.stop], Some(delay)) {
                        Ok(_) | Err(Errno::EINTR) => return Ok(true),
                        Err(errno) => return Err(Error::Poll(errno).into()),
                    }
                }
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::Poll(errno).into()),
            }
        }
    }

    /// Fills the empty buffer; `false` if nothing is queued.
    fn read(&mut self) -> Result<bool, WatchError> {
        // Under the lock, so that whoever adds a watch knows how far the stream was read.
        let mut table = self.shared.table();
        let inotify = &self.shared.inotify;
        loop {
            if self.settings.blocking
                && !inotify.fd().poll(Some(Duration::ZERO)).map_err(Error::Poll)?
            {
                return Ok(false);
            }
            match inotify.fd().read(&mut self.buffer) {
                Ok(len) => {
                    self.base = table.consumed;
                    table.consumed = table.consumed.saturating_add(len as u64);
                    self.ahead = 0..len;
                    self.restless.append(&mut self.stuck);
                    return Ok(len > 0);
                }
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(errno) => {
                    let room = self.buffer.len();
                    return Err(Error::Read { errno, room }.into());
                }
            }
        }
    }

    /// Goes on to the next event in the buffer; `false` if there is none.
    #[inline]
    fn step(&mut self) -> Result<bool, WatchError> {
        if self.apart.is_some() {
            self.apart = None;
        }
        loop {
            while let Some(sub) = self.subs.get(self.next_sub) {
                let index = self.next_sub;
                self.next_sub = index.saturating_add(1);
                if sub.mask.intersects(self.record.mask)
                    && self.record.offset >= sub.since
                    // The first of a record was looked up just now.
                    && ((index == 0 && sub.plain) || self.is_given_to(index))
                {
                    self.now = Now::Sub(index);
                    return Ok(true);
                }
                if self.apart.is_some() {
                    return Ok(true);
                }
            }
            if !self.made.is_empty() {
                self.apart = self.made.pop_front();
                self.now = Now::Made;
                return Ok(true);
            }
            if self.ahead.is_empty() {
                if self.restless.is_empty() && self.failed.is_none() {
                    return Ok(false);
                }
                self.look_after_names()?;
                continue;
            }
            self.take_record()?;
            let life = LIFE.union(EventMask::Q_OVERFLOW);
            if self.record.mask.intersects(life) && self.turn_of_life()? {
                return Ok(true);
            }
        }
    }

    /// Takes the next record out of the buffer.
    #[inline]
    fn take_record(&mut self) -> Result<(), WatchError> {
        let bytes = self.buffer.get(self.ahead.clone()).unwrap_or_default();
        let offset = self.base.saturating_add(self.ahead.start as u64);
        let (event, rest) = match split_event(bytes) {
            Ok(split) => split,
            Err(kind) => {
                self.ahead = 0..0;
                return Err(DecodeError { offset: offset as usize, kind }.into());
            }
        };
        let size = bytes.len().saturating_sub(rest.len());
        let name = self.ahead.start.wrapping_add(crate::decode::HEADER);
        self.record = Record {
            wd: event.wd(),
            mask: event.mask(),
            cookie: event.cookie(),
            name,
            end: name.wrapping_add(event.name_and_nul().len()),
            offset,
            last: false,
        };
        self.ahead.start = self.ahead.start.saturating_add(size);

        let of = (self.record.wd, self.shared.version.load(Ordering::Acquire));
        if self.subs_of != of {
            self.subs = self.look_up(of);
            self.subs_of = of;
        }
        self.next_sub = 0;
        Ok(())
    }

    /// The subscribers of a descriptor, at that version of the table.
    fn look_up(&mut self, of: (Wd, u64)) -> Subs {
        let slot = of.0.as_raw() as usize % CACHE;
        let Some(cached) = self.cache.get_mut(slot) else { return Subs::default() };
        if cached.of != of {
            *cached = Cached { of, subs: self.shared.table().subs(of.0) };
        }
        Arc::clone(&cached.subs)
    }

    /// Whether a subscriber whose mask the record meets is to be given it. What is behind a followed
    /// name is put apart.
    fn is_given_to(&mut self, index: usize) -> bool {
        let Some(sub) = self.subs.get(index) else { return false };
        let current = self.shared.version.load(Ordering::Acquire) == self.subs_of.1;
        if !current && !self.record.last && self.shared.table().get(sub.watch).is_err() {
            return false;
        }
        let life = self.record.mask.intersects(LIFE);
        match &sub.role {
            Role::File => {}
            Role::Step { follower, entry } => {
                let name = self.record.event(&self.buffer).name();
                if name.is_none_or(|name| name == entry.as_encoded_bytes()) {
                    self.restless.push(*follower);
                }
                return false;
            }
            Role::Target { follower } if life => {
                self.restless.push(*follower);
                return false;
            }
            Role::Target { follower } => {
                let user = self.shared.table().get(*follower).map(Arc::clone);
                if let Some(sub) = user.ok().filter(|user| self.meets(user)) {
                    self.apart = Some(Made { sub, mask: self.record.mask, change: None });
                    self.now = Now::Name;
                }
                return false;
            }
            Role::Name => return false,
        }
        if life {
            return true;
        }
        if !self.meets(sub) {
            return false;
        }
        if sub.asked.contains(WatchMask::ONESHOT) {
            let sub = Arc::clone(sub);
            let _ = self.shared.change(|table, inotify| table.remove(inotify, sub.watch));
            self.made.push_back(Made { sub, mask: EventMask::IGNORED, change: None });
        }
        true
    }

    /// Whether the record meets a subscriber's own condition.
    fn meets(&self, sub: &Sub) -> bool {
        let filter = sub.filter.as_ref();
        filter.is_none_or(|filter| filter(&self.record.event(&self.buffer)))
    }

    /// Sees to the table where the record tells of the end of a watch, or of a loss. Whether it is
    /// to be given now, to all.
    fn turn_of_life(&mut self) -> Result<bool, WatchError> {
        let mask = self.record.mask;
        if mask.contains(EventMask::Q_OVERFLOW) {
            self.overflowed = true;
            let lost = self.shared.change(|table, inotify| {
                self.restless.extend(table.followers.keys());
                table.lost(inotify)
            });
            let ended = |sub| Made { sub, mask: EventMask::IGNORED, change: None };
            let users = lost.into_iter().filter(|sub| sub.role == Role::File);
            self.made.extend(users.map(ended));
            self.next_sub = self.subs.len();
            if self.settings.end_at_overflow {
                return Err(WatchError::Ended(End::Overflow));
            }
            self.now = Now::All;
            return Ok(true);
        }
        if mask.contains(EventMask::IGNORED) {
            let wd = self.record.wd;
            match self.shared.change(|table, _| table.ignored(wd)) {
                Some(subs) => {
                    self.subs = subs;
                    self.subs_of = (Wd::NONE, 0);
                    self.next_sub = 0;
                    self.record.last = true;
                }
                None => self.next_sub = self.subs.len(),
            }
        }
        if mask.contains(EventMask::UNMOUNT)
            && self.settings.end_at_unmount
            && !self.subs.is_empty()
        {
            return Err(WatchError::Ended(End::Unmounted));
        }
        Ok(false)
    }

    /// Walks the way to each name again that had a change on it.
    fn look_after_names(&mut self) -> Result<(), WatchError> {
        let mut result = match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(()),
        };
        let overflowed = std::mem::take(&mut self.overflowed);
        self.restless.sort_unstable();
        self.restless.dedup();
        let (restless, stuck, made) = (&mut self.restless, &mut self.stuck, &mut self.made);
        self.shared.change(|table, inotify| {
            for watch in restless.drain(..) {
                match table.refresh(inotify, watch) {
                    Ok(Some(change)) => table.changes.push((watch, change)),
                    // Nobody knows, so look.
                    Ok(None) if overflowed && table.is_found(watch) => {
                        table.changes.push((watch, Change::Changed));
                    }
                    Ok(None) => {}
                    Err(error) => {
                        stuck.push(watch);
                        result = Err(error);
                    }
                }
            }
            for (watch, change) in std::mem::take(&mut table.changes) {
                let mask = match change {
                    Change::Appeared => EventMask::CREATE,
                    Change::Vanished => EventMask::DELETE,
                    Change::Changed => EventMask::MODIFY,
                    Change::Replaced => EventMask::MOVED_TO,
                };
                if let Ok(sub) = table.get(watch) {
                    made.push_back(Made { sub: Arc::clone(sub), mask, change: Some(change) });
                }
            }
        });
        result
    }
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until there is an event.
    Event,
    /// Not at all.
    Empty,
    /// Until there is an event, or it is so late.
    Time(Instant),
}

impl Until {
    /// A time too far away for the clock is never.
    fn after(timeout: Duration) -> Self {
        Instant::now().checked_add(timeout).map_or(Self::Event, Self::Time)
    }

    fn left(self) -> Option<Duration> {
        match self {
            Self::Event => None,
            Self::Empty => Some(Duration::ZERO),
            Self::Time(time) => Some(time.saturating_duration_since(Instant::now())),
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Time(time) if time <= Instant::now())
    }
}

impl AsFd for Watcher {
    /// The inotify descriptor, for poll(2) and epoll(7): readable when events are queued. See
    /// [`has_buffered`](Watcher::has_buffered) for those that were read already.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.inotify.as_fd()
    }
}

impl AsRawFd for Watcher {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.inotify.as_raw_fd()
    }
}
