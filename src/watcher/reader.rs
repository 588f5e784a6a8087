//! Reads events, finds out whom each is for, and sees to what follows from it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::builder::Settings;
use super::error::{End, WatchError};
use super::event::{Change, Extra, WatchEvent, WatchEventBuf};
use super::handle::Shared;
use super::table::{LIFE, Role, Sub, Subs, TURNS, Watch};
use super::tree::TreeTold;
use crate::decode::{DecodeError, DecodeErrorKind, split_event};
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::inotify::Error;
use crate::sys::{self, Errno};
use crate::tree::TreeKind;

/// The one who reads for a watcher: at one event at a time, which it lends.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) shared: Arc<Shared>,
    settings: Settings,
    buffer: Box<[u8]>,
    /// The buffer for reading, while `buffer` is what was read ahead.
    spare: Option<Box<[u8]>>,
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
    /// Who is given the record, where that is none of `subs`.
    apart: Option<Arc<Sub>>,
    /// What it says beyond the kernel.
    extra: Option<Extra>,
    /// The name in what was made, and a NUL.
    name: Vec<u8>,
    /// Trees that may have something to tell.
    busy: Vec<Watch>,
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

/// The record at hand, or what was made in its place, as numbers, so that nothing borrows the buffer.
#[derive(Clone, Copy, Debug)]
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
    /// Its name is not in the buffer.
    made: bool,
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
    cookie: u32,
    name: Vec<u8>,
    extra: Option<Extra>,
    /// The watch ends with it.
    ends: bool,
}

impl Made {
    /// The last event of a watch.
    const fn ignored(sub: Arc<Sub>) -> Self {
        let mask = EventMask::IGNORED;
        Self { sub, mask, cookie: 0, name: Vec::new(), extra: None, ends: false }
    }
}

/// To whom the record is lent.
#[derive(Clone, Copy, Debug)]
enum Now {
    /// To this one of `subs`.
    Sub(usize),
    /// To nobody in particular.
    All,
    /// To the one who is `apart`, with what is `extra`.
    Apart,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, settings: Settings, buffer_size: usize) -> Self {
        let empty = || Cached { of: (Wd::NONE, 0), subs: Subs::default() };
        Self {
            shared,
            settings,
            buffer: vec![0; buffer_size].into_boxed_slice(),
            spare: None,
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
                made: false,
            },
            subs: Subs::default(),
            next_sub: 0,
            subs_of: (Wd::NONE, 0),
            cache: std::array::from_fn(|_| empty()),
            made: VecDeque::new(),
            apart: None,
            extra: None,
            name: Vec::new(),
            busy: Vec::new(),
            restless: Vec::new(),
            stuck: Vec::new(),
            overflowed: false,
            failed: None,
            now: Now::All,
        }
    }

    /// Whether a stopper has stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }

    /// Whether events wait in the buffer, for whomever.
    pub(super) fn has_buffered(&self) -> bool {
        !self.ahead.is_empty()
            || !self.made.is_empty()
            || self.next_sub < self.subs.len()
            || !self.restless.is_empty()
            || !self.busy.is_empty()
            || self.failed.is_some()
            || self.shared.table().has_news()
    }

    /// The event that was arrived at.
    #[inline(always)]
    pub(crate) fn lend(&self) -> WatchEvent<'_> {
        let (sub, extra) = match self.now {
            Now::Sub(index) => (self.subs.get(index), None),
            Now::All => (None, None),
            Now::Apart => (self.apart.as_ref(), self.extra.as_ref()),
        };
        WatchEvent { event: self.event(), sub, extra }
    }

    /// The record at hand, as an event.
    #[inline]
    fn event(&self) -> Event<'_> {
        self.record.event(if self.record.made { &self.name } else { &self.buffer })
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

    /// The next event to be given; waits for it. `None` if there was none in time.
    #[inline(always)]
    pub(super) fn next(&mut self, until: Until) -> Result<Option<WatchEvent<'_>>, WatchError> {
        self.go_on(until)?;
        let taken = self.take_straight()?;
        if let Some((record, true)) = taken {
            // As `lend` would, but of what is at hand.
            let event = record.event(&self.buffer);
            return Ok(Some(WatchEvent { event, sub: self.subs.first(), extra: None }));
        }
        Ok(if self.arrive_by_steps(until, taken.is_some())? { Some(self.lend()) } else { None })
    }

    /// Goes on to the next event to be given, and waits for it. `false` if there was none in time.
    #[inline]
    pub(crate) fn arrive(&mut self, until: Until) -> Result<bool, WatchError> {
        self.go_on(until)?;
        match self.take_straight()? {
            Some((_, true)) => Ok(true),
            taken => self.arrive_by_steps(until, taken.is_some()),
        }
    }

    /// Whoever waits ends when stopped.
    #[inline(always)]
    fn go_on(&self, until: Until) -> Result<(), WatchError> {
        if until != Until::Empty && self.is_stopped() {
            return Err(WatchError::Ended(End::Stopped));
        }
        Ok(())
    }

    /// The way of nearly all events: nothing else is to be done, so takes the next record, and tells
    /// whether it is given to its first subscriber.
    #[inline(always)]
    fn take_straight(&mut self) -> Result<Option<(Record, bool)>, WatchError> {
        let through = self.next_sub >= self.subs.len() && self.made.is_empty();
        if !through || !self.busy.is_empty() || self.apart.is_some() || self.ahead.is_empty() {
            return Ok(None);
        }
        let record = self.take_record()?;
        let straight = self.is_for_first(&record);
        if straight {
            self.next_sub = 1;
            self.now = Now::Sub(0);
        }
        Ok(Some((record, straight)))
    }

    /// The same, whatever is to be done on the way. Whether a record was `taken`, and no more.
    #[inline(never)]
    fn arrive_by_steps(&mut self, until: Until, taken: bool) -> Result<bool, WatchError> {
        Ok((taken && self.is_for_all()?) || self.step()? || self.arrive_later(until)?)
    }

    /// The same, once there is nothing more in the buffer.
    #[inline(never)]
    fn arrive_later(&mut self, until: Until) -> Result<bool, WatchError> {
        let mut over = false;
        // With a delay, what is queued already waits for more of its like.
        let at_once = until == Until::Empty || self.settings.read_delay.is_zero();
        let mut now = at_once;
        let mut fence = None;
        loop {
            while now && (self.read()? || self.trees_caught_up()) {
                if self.step()? {
                    return Ok(true);
                }
                // What was in time is given; later events that are for nobody must not make it later.
                if over || until.is_over() {
                    let fence = *fence.get_or_insert_with(|| self.queue_end());
                    if self.offset() >= fence {
                        return Ok(false);
                    }
                }
                if until != Until::Empty && self.is_stopped() {
                    return Err(WatchError::Ended(End::Stopped));
                }
                now = at_once;
            }
            if self.settings.end_without_watches && self.shared.table().users().next().is_none() {
                return Err(WatchError::Ended(End::NoWatches));
            }
            if over || until == Until::Empty {
                return Ok(false);
            }
            over = !self.wait(until)?;
            now = true;
            if self.is_stopped() {
                return Err(WatchError::Ended(End::Stopped));
            }
        }
    }

    /// Waits until something is queued or the watcher is stopped; `false` if the time is over first.
    fn wait(&self, until: Until) -> Result<bool, WatchError> {
        loop {
            match sys::poll([self.shared.inotify.fd(), &self.shared.stop], until.left()) {
                Ok([false, false]) => return Ok(false),
                Ok([true, false]) if !self.settings.read_delay.is_zero() => break,
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::Poll(errno).into()),
            }
        }
        let merged = Until::after(self.settings.read_delay);
        loop {
            let left = [merged.left(), until.left()].into_iter().flatten().min();
            match sys::poll([&self.shared.stop], left) {
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::Poll(errno).into()),
            }
        }
    }

    /// Position of the end of the kernel's queue.
    fn queue_end(&self) -> u64 {
        self.shared.table().queue.end(&self.shared.inotify)
    }

    /// Fills the empty buffer, or has trees tell what they have to; `false` if nothing is queued.
    fn read(&mut self) -> Result<bool, WatchError> {
        // Under the lock, so that whoever adds a watch knows how far the stream was read.
        let mut table = self.shared.table();
        let inotify = &self.shared.inotify;
        self.shared.awake(&mut table);
        // What was there when a tree was set up comes before what happened since.
        table.trees_with_news(&mut self.busy);
        if !self.busy.is_empty() {
            return Ok(true);
        }
        if let Some((base, records)) = table.queue.take() {
            self.base = base;
            self.ahead = 0..records.len();
            let own = std::mem::replace(&mut self.buffer, records);
            self.spare.get_or_insert(own);
            self.restless.append(&mut self.stuck);
            return Ok(true);
        }
        if let Some(own) = self.spare.take() {
            self.buffer = own;
        }
        loop {
            if self.settings.blocking {
                match inotify.fd().poll(Some(Duration::ZERO)) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(Errno::EINTR) => continue,
                    Err(errno) => return Err(Error::Poll(errno).into()),
                }
            }
            match inotify.fd().read(&mut self.buffer) {
                Ok(len) => {
                    self.base = table.queue.consumed();
                    table.queue.read(len);
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

    /// With nothing queued, trees can finish what they left open. Whether they did, and may have left
    /// more.
    fn trees_caught_up(&mut self) -> bool {
        if self.shared.table().trees_rest() {
            return false;
        }
        let busy = &mut self.busy;
        self.shared.change(|table, inotify| table.trees_caught_up(inotify, busy));
        !self.busy.is_empty()
    }

    /// Goes on to the next event in the buffer; `false` if there is none.
    #[inline(never)]
    fn step(&mut self) -> Result<bool, WatchError> {
        if self.apart.is_some() {
            self.apart = None;
            self.extra = None;
        }
        loop {
            while self.next_sub < self.subs.len() {
                if self.next_sub > 0 {
                    self.catch_up();
                }
                let Some(sub) = self.subs.get(self.next_sub) else { break };
                let index = self.next_sub;
                self.next_sub = index.saturating_add(1);
                if sub.mask.intersects(self.record.mask)
                    // Whoever is in the table when the watch ends is told, however late it joined.
                    && (self.record.offset >= sub.since || self.record.last)
                    && (sub.plain && !self.record.mask.intersects(sub.engine)
                        || self.is_given_to(index))
                {
                    self.now = Now::Sub(index);
                    return Ok(true);
                }
                if self.apart.is_some() {
                    return Ok(true);
                }
            }
            if !self.made.is_empty() {
                if self.take_made() {
                    return Ok(true);
                }
                continue;
            }
            if let Some(&tree) = self.busy.last() {
                self.tell_tree(tree);
                continue;
            }
            if self.ahead.is_empty() {
                if self.restless.is_empty() && self.failed.is_none() {
                    return Ok(false);
                }
                self.look_after_names()?;
                continue;
            }
            self.take_record()?;
            if self.is_for_all()? {
                return Ok(true);
            }
        }
    }

    /// Whether the record, new at hand, is for the first subscriber, without any ado.
    #[inline]
    fn is_for_first(&self, record: &Record) -> bool {
        self.subs.first().is_some_and(|sub| {
            sub.plain
                && sub.mask.intersects(record.mask)
                && !record.mask.intersects(sub.turns)
                && record.offset >= sub.since
        })
    }

    /// Whether the record, new at hand, is for all. What it turns is seen to.
    #[inline]
    fn is_for_all(&mut self) -> Result<bool, WatchError> {
        Ok(self.record.mask.intersects(TURNS) && self.turn_of_life()?)
    }

    /// Puts the next event that was made in the record's place; `false` if it is for nobody.
    #[cold]
    fn take_made(&mut self) -> bool {
        let Some(made) = self.made.pop_front() else { return false };
        let Made { sub, mask, cookie, name, extra, ends } = made;
        // Nobody hears of a name or a tree that was unwatched meanwhile.
        if (extra.is_some() || ends) && self.shared.table().get(sub.watch).is_err() {
            return false;
        }
        if ends {
            // The kernel has dropped what there was.
            let _ = self.shared.change(|table, inotify| table.remove(inotify, sub.watch));
        }
        let end = name.len();
        self.name = name;
        self.record = Record { wd: sub.wd, mask, cookie, name: 0, end, made: true, ..self.record };
        // The condition is on what happened, not on how the tree fares.
        let told = matches!(
            extra,
            Some(Extra::Tree(
                TreeKind::Told
                    | TreeKind::Found
                    | TreeKind::Renamed { .. }
                    | TreeKind::Exchanged { .. },
                _
            ))
        );
        if told && !self.meets(&sub) {
            return false;
        }
        self.now = Now::Apart;
        self.extra = extra;
        self.apart = Some(sub);
        true
    }

    /// Makes an event of what a tree tells next, if there is something.
    #[cold]
    fn tell_tree(&mut self, tree: Watch) {
        let told = self.shared.change(|table, inotify| table.tree_next(inotify, tree));
        let Some(TreeTold { sub, mask, cookie, name, extra, last }) = told else {
            self.busy.pop();
            return;
        };
        let ended = last.then(|| sub.root.as_ref().unwrap_or(&sub).clone());
        self.made.push_back(Made { sub, mask, cookie, name, extra: Some(extra), ends: false });
        self.made.extend(ended.map(|sub| Made { ends: true, ..Made::ignored(sub) }));
    }

    /// Has a tree take the record at hand.
    #[cold]
    fn feed_tree(&mut self, tree: Watch) {
        let (record, buffer) = (&self.record, &self.buffer);
        let event = record.event(buffer);
        self.shared.change(|table, inotify| table.feed_tree(inotify, tree, event, record.offset));
        self.busy.push(tree);
    }

    /// Takes the next record out of the buffer.
    #[inline(always)]
    fn take_record(&mut self) -> Result<Record, WatchError> {
        let split = match self.buffer.get(self.ahead.clone()) {
            Some(bytes) => split_event(bytes),
            None => Err(DecodeErrorKind::HeaderCut { have: 0 }),
        };
        let (event, rest) = match split {
            Ok(split) => split,
            Err(kind) => return Err(self.stumble(kind)),
        };
        let offset = self.offset();
        let name = self.ahead.start.wrapping_add(crate::decode::HEADER);
        let record = Record {
            wd: event.wd(),
            mask: event.mask(),
            cookie: event.cookie(),
            name,
            end: name.wrapping_add(event.name_and_nul().len()),
            offset,
            last: false,
            made: false,
        };
        self.record = record;
        self.ahead.start = self.ahead.end.wrapping_sub(rest.len());

        let of = (record.wd, self.shared.version.load(Ordering::Acquire));
        if self.subs_of != of {
            self.look_up(of);
        }
        self.next_sub = 0;
        Ok(record)
    }

    /// Where in the stream the next record begins.
    #[inline]
    const fn offset(&self) -> u64 {
        // No kernel lives to give 2^64 bytes.
        self.base.wrapping_add(self.ahead.start as u64)
    }

    /// Gives up the buffer, which goes on with bytes that are no event.
    #[cold]
    fn stumble(&mut self, kind: DecodeErrorKind) -> WatchError {
        let offset = self.offset() as usize;
        self.ahead = 0..0;
        DecodeError { offset, kind }.into()
    }

    /// Finds the subscribers of a descriptor, at that version of the table.
    #[inline(never)]
    fn look_up(&mut self, of: (Wd, u64)) {
        let slot = of.0.as_raw() as usize % CACHE;
        let Some(cached) = self.cache.get_mut(slot) else { return };
        if cached.of != of {
            *cached = Cached { of, subs: self.shared.table().subs_and_trees(of.0) };
        }
        self.subs = Arc::clone(&cached.subs);
        self.subs_of = of;
    }

    /// Sees to it that those who are still to be given the record are as they are now: others were
    /// given it before, and what they did may have changed or ended these.
    fn catch_up(&mut self) {
        let version = self.shared.version.load(Ordering::Acquire);
        if version == self.subs_of.1 || self.record.last {
            return;
        }
        let table = self.shared.table();
        let rest = self.subs.iter().skip(self.next_sub);
        let still = |sub: &Arc<Sub>| {
            let now = table.get(sub.watch).ok()?;
            Some(if sub.root.is_some() { sub } else { now }.clone())
        };
        self.subs = rest.filter_map(still).collect();
        self.subs_of = (Wd::NONE, version);
        self.next_sub = 0;
    }

    /// Whether a subscriber whose mask the record meets is to be given it. What is behind a followed
    /// name is put apart.
    #[inline(never)]
    fn is_given_to(&mut self, index: usize) -> bool {
        let Some(sub) = self.subs.get(index) else { return false };
        let life = self.record.mask.intersects(LIFE);
        match &sub.role {
            Role::File => {}
            Role::Tree if !self.record.mask.intersects(sub.engine) => return self.meets(sub),
            Role::Tree => {
                self.feed_tree(sub.watch);
                return false;
            }
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
                    self.apart = Some(sub);
                    self.extra = Some(Extra::Name(Change::Changed));
                    self.now = Now::Apart;
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
            self.made.push_back(Made::ignored(sub));
        }
        true
    }

    /// Whether the record meets a subscriber's own condition.
    fn meets(&self, sub: &Sub) -> bool {
        let filter = sub.filter.as_ref();
        filter.is_none_or(|filter| filter(&self.event()))
    }

    /// Sees to the table where the record tells of the end of a watch, or of a loss. Whether it is
    /// to be given now, to all.
    #[cold]
    fn turn_of_life(&mut self) -> Result<bool, WatchError> {
        let mask = self.record.mask;
        if mask.contains(EventMask::Q_OVERFLOW) {
            self.overflowed = true;
            let lost = self.shared.change(|table, inotify| {
                self.restless.extend(table.followers.keys());
                table.lost(inotify)
            });
            let users = lost.into_iter().filter(|sub| sub.role == Role::File);
            self.made.extend(users.map(Made::ignored));
            let trees: Vec<Watch> =
                self.shared.table().trees.iter().map(|tree| tree.sub.watch).collect();
            trees.into_iter().for_each(|tree| self.feed_tree(tree));
            self.next_sub = self.subs.len();
            if self.settings.end_at_overflow {
                return Err(WatchError::Ended(End::Overflow));
            }
            self.now = Now::All;
            return Ok(true);
        }
        if mask.contains(EventMask::IGNORED) {
            let wd = self.record.wd;
            let trees: Vec<Watch> = self.shared.table().trees_of(wd).collect();
            trees.into_iter().for_each(|tree| self.feed_tree(tree));
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
            // Told by this, so not as an event too.
            self.next_sub = self.subs.len();
            return Err(WatchError::Ended(End::Unmounted));
        }
        Ok(false)
    }

    /// Walks the way to each name again that had a change on it.
    #[cold]
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
                    let extra = Some(Extra::Name(change));
                    let sub = Arc::clone(sub);
                    let (cookie, name) = (0, Vec::new());
                    made.push_back(Made { sub, mask, cookie, name, extra, ends: false });
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
    pub(super) fn after(timeout: Duration) -> Self {
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
