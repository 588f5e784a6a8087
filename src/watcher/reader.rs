//! Reads records, and finds the recipients of each.
//!
//! ```text
//! kernel's queue → buffer → record → recipients ─┬─ a watch, plain ──────────────────────→ lent
//!                                                ├─ a watch with a filter → the filter ──→ lent
//!                                                ├─ the follower of a name ─┐
//!                                                └─ the engine of a tree ───┴→ outbox ───→ lent
//! ```
//!
//! A record is offered to all its recipients first. Then the outbox is emptied, and then the next record is
//! taken. Names are walked when the buffer is empty. Trees with work for an empty queue do it when nothing
//! is queued.

mod buffer;
mod lent;
mod routes;
mod search;
mod settings;
mod wait;

use std::sync::Arc;

use super::error::{StopReason, WatchError};
use super::event::{WatchEvent, WatchEventBuf};
use super::id::WatchId;
use super::shared::{Shared, Worked};
use super::subscription::{LIFE, TURNS, Way};
use crate::flags::EventMask;

use buffer::{Buffer, Record};
use lent::Lent;
use routes::Routes;
use search::Search;
pub(crate) use search::{Deadline, Found};
pub(super) use settings::Settings;

/// The reader of a watcher. It is at one event at a time, which it lends.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    settings: Settings,
    buffer: Buffer,
    /// The current record.
    record: Record,
    /// Whether it ended its watch, so that its recipients are no longer in the state.
    is_last: bool,
    routes: Routes,
    /// The event out of the outbox that is lent.
    notice: Option<WatchEventBuf>,
    lent: Lent,
    /// Whether something may come before the next record: an event in the outbox, a busy tree, or a notice
    /// that is lent.
    has_work: bool,
    /// Trees that may have more to report, before they are fed again.
    busy: Vec<WatchId>,
    /// An error that the next call returns.
    failed: Option<WatchError>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, settings: Settings, buffer_size: usize) -> Self {
        Self {
            shared,
            settings,
            buffer: Buffer::new(buffer_size),
            record: Record::NONE,
            is_last: false,
            routes: Routes::new(),
            notice: None,
            lent: Lent::All,
            has_work: false,
            busy: Vec::new(),
            failed: None,
        }
    }

    #[inline]
    pub(super) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn into_shared(self) -> Arc<Shared> {
        self.shared
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.wakeup().is_stopped()
    }

    /// Returns `true` if something waits that the inotify descriptor does not show.
    pub(super) fn has_buffered(&self) -> bool {
        !self.buffer.is_empty()
            || !self.routes.is_over()
            || self.has_work
            || self.failed.is_some()
            || self.shared.look(|state| state.has_waiting())
    }

    /// Returns the event that was found.
    #[inline(always)]
    pub(crate) fn lend(&self) -> WatchEvent<'_> {
        let event = self.buffer.event(&self.record);
        self.lent.event(event, &self.routes, self.notice.as_ref())
    }

    /// Returns the event that was found, and those behind it in the buffer.
    pub(crate) fn rest_of_batch(&mut self) -> Vec<WatchEventBuf> {
        let mut batch = vec![self.lend().to_buf()];
        let mut search = Search::new(Deadline::Empty, || self.queue_end());
        loop {
            match self.step(&mut search) {
                Ok(Found::Event) => batch.push(self.lend().to_buf()),
                Ok(_) => return batch,
                Err(error) => {
                    self.failed = Some(error);
                    return batch;
                }
            }
        }
    }

    /// Returns the next event; waits for it. `None` if there was none in time.
    #[inline(always)]
    pub(super) fn recv(
        &mut self,
        deadline: Deadline,
    ) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.check_stop(deadline)?;
        if !self.is_plain_next() {
            if let Some(found) = self.search(deadline)? {
                return Ok(if found == Found::Event { Some(self.lend()) } else { None });
            }
        }
        let (event, block) = self.buffer.take_event()?;
        self.routes.compose(0, event.name().unwrap_or_default(), block);
        let (subscription, path) = (self.routes.subscription(0), self.routes.path());
        Ok(Some(WatchEvent::new(event, subscription, path, None)))
    }

    /// Goes on to the next event, and waits for it.
    #[inline]
    pub(crate) fn find(&mut self, deadline: Deadline) -> Result<Found, WatchError> {
        self.check_stop(deadline)?;
        if !self.is_plain_next() {
            if let Some(found) = self.search(deadline)? {
                return Ok(found);
            }
        }
        let record = self.buffer.take()?;
        self.keep(record);
        self.compose(0);
        Ok(Found::Event)
    }

    /// Returns `true` if the next record can be lent at once: nothing comes before it, and it has one recipient,
    /// who is lent it as it is.
    #[inline(always)]
    fn is_plain_next(&mut self) -> bool {
        if !self.routes.is_over() || self.has_work {
            return false;
        }
        let Some((wd, mask)) = self.buffer.head() else { return false };
        self.routes.go_to(wd, &self.shared);
        self.routes.pass(mask, self.buffer.position())
    }

    #[inline(always)]
    fn check_stop(&self, deadline: Deadline) -> Result<(), WatchError> {
        if deadline.waits() && self.is_stopped() {
            return Err(WatchError::Stopped(StopReason::Requested));
        }
        Ok(())
    }

    /// Takes the next record out of the buffer, and goes to its recipients.
    #[inline(always)]
    fn take(&mut self) -> Result<Record, WatchError> {
        let record = self.buffer.take()?;
        self.routes.go_to(record.wd, &self.shared);
        Ok(record)
    }

    /// Makes a record the current one, lent to its first recipient.
    #[inline(always)]
    fn keep(&mut self, record: Record) {
        self.record = record;
        self.is_last = false;
        self.lent = Lent::Record(0);
    }

    /// Finds the next event, and does all pending work before it. Returns `None` if the event is the next
    /// record, which can be lent at once.
    #[inline(never)]
    fn search(&mut self, deadline: Deadline) -> Result<Option<Found>, WatchError> {
        let mut search = Search::new(deadline, || self.queue_end());
        loop {
            match self.step(&mut search)? {
                Found::Nothing => {}
                found => return Ok(Some(found)),
            }
            if !self.read_more(&mut search)? {
                return Ok(Some(Found::Nothing));
            }
            // The caller has waited for this record, and the processor's caches are cold, so it takes the
            // shortest code.
            if search.is_first() && self.is_plain_next() {
                return Ok(None);
            }
        }
    }

    /// Fills the empty buffer, and waits until that is possible. `false` if the time is over.
    fn read_more(&mut self, search: &mut Search) -> Result<bool, WatchError> {
        if search.is_done(self.buffer.position(), || self.queue_end()) {
            return Ok(false);
        }
        let mut reads_now = self.reads_first(search.deadline);
        loop {
            self.check_stop(search.deadline)?;
            if reads_now {
                let is_read = self.read()?;
                if is_read || self.trees_are_busy() {
                    search.note_read(is_read);
                    return Ok(true);
                }
            }
            if self.settings.stop_without_watches && !self.shared.look(|state| state.has_watches())
            {
                return Err(WatchError::Stopped(StopReason::NoWatches));
            }
            if search.deadline == Deadline::Empty && self.is_stopped() {
                return Err(WatchError::Stopped(StopReason::Requested));
            }
            if search.is_over() || !search.deadline.waits() {
                return Ok(false);
            }
            let (inotify, wakeup) = (self.shared.inotify(), self.shared.wakeup());
            if !wait::wait(inotify, wakeup, self.settings.read_delay, search.deadline)? {
                search.set_over(self.queue_end());
            }
            reads_now = true;
        }
    }

    /// Returns `true` if the first step is a read, `false` if it is the wait. After a read that emptied the
    /// queue, another read would most likely find nothing, so a call that waits begins with the wait. But not
    /// if there is work that the wait does not end for.
    fn reads_first(&self, deadline: Deadline) -> bool {
        let is_empty = self.buffer.has_drained_queue();
        if !deadline.waits() || (!is_empty && self.settings.read_delay.is_zero()) {
            return true;
        }
        let needs_watches = self.settings.stop_without_watches;
        self.shared.look(|state| state.needs_reader() || needs_watches && !state.has_watches())
    }

    #[inline(never)]
    fn queue_end(&self) -> u64 {
        self.shared.look(|state| state.queue().end(self.shared.inotify()))
    }

    /// Fills the empty buffer, or finds that the outbox or trees have something; `false` if nothing is
    /// there.
    fn read(&mut self) -> Result<bool, WatchError> {
        let (buffer, busy) = (&mut self.buffer, &mut self.busy);
        let is_blocking = self.settings.is_blocking;
        self.shared.with_state(|state, inotify| {
            if state.set_woken(false) {
                self.shared.wakeup().clear();
            }
            // What was found at the set-up of a tree comes before what has happened since.
            busy.extend(state.trees().with_work());
            if state.has_notices() || !busy.is_empty() {
                self.has_work = true;
                return Ok(true);
            }
            // Under the lock, so that a thread that adds a watch knows how far the stream was read.
            let is_filled = buffer.fill(state.queue_mut(), inotify, is_blocking)?;
            if is_filled {
                state.retry_names();
            }
            Ok(is_filled)
        })
    }

    /// With nothing queued, trees finish what they left open. Returns `true` if there may be more to do.
    #[inline(never)]
    fn trees_are_busy(&mut self) -> bool {
        let (restless, consumed) = self
            .shared
            .look(|state| (state.trees().restless().collect::<Vec<_>>(), state.queue().consumed()));
        if restless.is_empty() {
            return false;
        }
        let mut more = false;
        for tree in restless {
            let worked = self.shared.work_on_tree(tree, |driver, inotify, host| {
                more |= driver.idle(inotify, host, consumed);
            });
            self.note_work(tree, worked);
        }
        let has_notices = self.shared.look(|state| state.has_notices());
        self.has_work |= has_notices;
        more || has_notices || !self.busy.is_empty()
    }

    /// Goes on to the next event in the buffer or in the outbox.
    #[inline(never)]
    fn step(&mut self, search: &mut Search) -> Result<Found, WatchError> {
        self.notice = None;
        loop {
            while let Some(index) = self.next_recipient() {
                if self.offer(index) {
                    self.compose(index);
                    return Ok(Found::Event);
                }
                self.check_stop(search.deadline)?;
            }
            if self.has_work {
                if self.work()? {
                    return Ok(Found::Event);
                }
                self.check_stop(search.deadline)?;
            } else if !self.buffer.is_empty() {
                if search.is_late(self.buffer.position()) {
                    // What the records before this one have changed is reported first.
                    if self.walk_names()? {
                        continue;
                    }
                    return Ok(Found::Late);
                }
                let record = self.take()?;
                self.keep(record);
                if self.turn()? {
                    return Ok(Found::Event);
                }
            } else if let Some(error) = self.failed.take() {
                return Err(error);
            } else if !self.walk_names()? {
                return Ok(Found::Nothing);
            }
        }
    }

    /// Takes the next event out of the outbox; if there is none, works on a busy tree. Returns `true` if an
    /// event is lent.
    fn work(&mut self) -> Result<bool, WatchError> {
        let taken = self.shared.change(|state, inotify| state.take_notice(inotify));
        let Some((notice, stopped)) = taken else {
            match self.busy.pop() {
                Some(tree) => {
                    let worked = self.shared.work_on_tree(tree, |_, _, _| {});
                    self.note_work(tree, worked);
                }
                None => self.has_work = false,
            }
            return Ok(false);
        };
        if notice.is_overflow() && self.settings.stop_on_overflow {
            return Err(WatchError::Stopped(StopReason::Overflow));
        }
        if let (Some(driver), Some(id)) = (stopped, notice.watch()) {
            self.shared.stop_tree(id, driver);
        }
        if !notice.is_accepted() {
            return Ok(false);
        }
        self.notice = Some(notice);
        self.lent = Lent::Notice;
        Ok(true)
    }

    /// Walks the names that may have changed. Returns `true` if the outbox may hold something.
    fn walk_names(&mut self) -> Result<bool, WatchError> {
        if !self.shared.look(|state| state.has_notices()) {
            return Ok(false);
        }
        self.has_work = true;
        self.shared.change(|state, inotify| state.walk_names(inotify))?;
        Ok(true)
    }

    /// Composes the path of the current record for one of its recipients.
    fn compose(&mut self, index: usize) {
        let event = self.buffer.event(&self.record);
        self.routes.compose(index, event.name().unwrap_or_default(), None);
    }

    fn next_recipient(&mut self) -> Option<usize> {
        if self.is_last { self.routes.next() } else { self.routes.next_now(&self.shared) }
    }

    /// Offers the record to one of its recipients. Returns `true` if it is lent to the caller.
    fn offer(&mut self, index: usize) -> bool {
        let Some(recipient) = self.routes.get(index) else { return false };
        let mask = self.record.mask;
        // Every subscriber gets the end of a watch, however late it joined.
        let is_in_time = self.record.position >= recipient.since || self.is_last;
        if !recipient.mask.intersects(mask) || !is_in_time {
            return false;
        }
        let is_life = mask.intersects(LIFE);
        let (id, event) = (recipient.subscription.id, self.buffer.event(&self.record));
        self.lent = Lent::Record(index);
        match &recipient.way {
            Way::Inode if is_life => true,
            Way::Inode => {
                let is_accepted = recipient.subscription.accepts(&event);
                if is_accepted && recipient.subscription.is_one_shot() {
                    self.shared.change(|state, inotify| state.end_one_shot(inotify, id));
                    self.has_work = true;
                }
                is_accepted
            }
            Way::Step(entry) => {
                if event.name().is_none_or(|name| name == &**entry) {
                    self.shared.change(|state, _| state.feed_name(id, &event));
                }
                false
            }
            Way::Target => {
                let change = self.shared.change(|state, _| state.feed_name(id, &event));
                self.lent = Lent::Changed(index);
                change.is_some() && recipient.subscription.accepts(&event)
            }
            Way::Tree(engine) if mask.intersects(*engine) => {
                let worked = self.shared.feed_tree(id, event, self.record.position);
                self.note_work(id, worked);
                false
            }
            Way::Tree(_) => recipient.subscription.accepts(&event),
        }
    }

    /// Notes what came of work on a tree. Goes on with the panic of its exclude condition.
    fn note_work(&mut self, tree: WatchId, worked: Worked) {
        self.has_work = true;
        if worked.more {
            self.busy.push(tree);
        }
        worked.resume_panic();
    }

    /// Handles the end of a watch, or a loss. Returns `true` if the record is lent
    /// now, to all.
    #[inline]
    fn turn(&mut self) -> Result<bool, WatchError> {
        if self.record.mask.intersects(TURNS) { self.turn_of_life() } else { Ok(false) }
    }

    #[cold]
    fn turn_of_life(&mut self) -> Result<bool, WatchError> {
        let (mask, wd) = (self.record.mask, self.record.wd);
        if mask.contains(EventMask::Q_OVERFLOW) {
            self.routes.finish();
            return self.overflow();
        }
        if mask.contains(EventMask::IGNORED) {
            self.shared.change(|state, _| state.ended(wd));
            self.is_last = true;
        }
        if mask.contains(EventMask::UNMOUNT)
            && self.settings.stop_on_unmount
            && !self.routes.is_empty()
        {
            // The error reports the unmount.
            self.routes.finish();
            return Err(WatchError::Stopped(StopReason::Unmounted));
        }
        Ok(false)
    }

    fn overflow(&mut self) -> Result<bool, WatchError> {
        let trees: Vec<WatchId> = self.shared.change(|state, inotify| {
            state.overflowed(inotify);
            state.trees().ids().collect()
        });
        self.has_work = true;
        // Every tree is fed before a panic goes on.
        let mut panicked = Worked::default();
        for tree in trees {
            let event = self.buffer.event(&self.record);
            let mut worked = self.shared.feed_tree(tree, event, self.record.position);
            panicked.panicked = worked.panicked.take().or(panicked.panicked);
            self.note_work(tree, worked);
        }
        panicked.resume_panic();
        if self.settings.stop_on_overflow {
            return Err(WatchError::Stopped(StopReason::Overflow));
        }
        self.lent = Lent::All;
        Ok(true)
    }
}
