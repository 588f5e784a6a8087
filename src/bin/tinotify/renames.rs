//! `--renames` for plain watches: joins `MOVED_FROM` and `MOVED_TO`. A tree joins them itself.
//!
//! `MOVED_FROM` is delayed until one of these:
//!
//! - the `MOVED_TO` with the same cookie;
//! - an event that the kernel can queue only after that `MOVED_TO`;
//! - the end of [`GRACE`].

use std::time::{Duration, Instant};

use tinotify::EventMask;

use crate::emit::{Effect, Emitter};
use crate::failure::Failure;
use crate::output::Location;

/// The maximum time that a `MOVED_FROM` waits for its `MOVED_TO`. The kernel queues both in one system
/// call, but a read can end between them.
const GRACE: Duration = Duration::from_millis(20);

/// Joins renames, and keeps each `MOVED_FROM` that waits for its `MOVED_TO`.
#[derive(Debug)]
pub struct Renames {
    /// Whether `--renames` was given.
    joins: bool,
    pending: Vec<PendingRename>,
}

/// A `MOVED_FROM` that waits for its `MOVED_TO`.
#[derive(Debug)]
struct PendingRename {
    path: Vec<u8>,
    name_len: usize,
    root_len: usize,
    mask: EventMask,
    cookie: u32,
    due: Instant,
}

impl PendingRename {
    fn location(&self) -> Location<'_> {
        Location::new(&self.path, self.name_len).in_root(self.root_len)
    }
}

impl Renames {
    pub fn new(joins: bool) -> Self {
        Self { joins, pending: Vec::new() }
    }

    /// Emits an event, or delays it if it is a `MOVED_FROM`.
    pub fn event(
        &mut self,
        at: Location<'_>,
        mask: EventMask,
        cookie: u32,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        if self.joins && mask.contains(EventMask::MOVED_FROM) {
            let (path, name_len, root_len) = (at.path().to_vec(), at.name().len(), at.root().len());
            let due = Instant::now() + GRACE;
            self.pending.push(PendingRename { path, name_len, root_len, mask, cookie, due });
            return Ok(Effect::Nothing);
        }
        if mask.contains(EventMask::MOVED_TO) {
            if let Some(first) = self.take(|pending| pending.cookie == cookie) {
                let is_dir = mask & EventMask::ISDIR;
                return emitter.renamed(first.location(), at, is_dir, cookie);
            }
        }
        emitter.event(at, mask, cookie)
    }

    /// Emits each pending `MOVED_FROM` whose `MOVED_TO` must have come before this event: between the two,
    /// the kernel queues no creation, removal or other rename of the same directory.
    pub fn emit_before(
        &mut self,
        at: Location<'_>,
        mask: EventMask,
        cookie: u32,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        const NAMES: EventMask = EventMask::CREATE
            .union(EventMask::DELETE)
            .union(EventMask::MOVED_FROM)
            .union(EventMask::MOVED_TO);
        if !mask.intersects(NAMES) {
            return Ok(Effect::Nothing);
        }
        let is_earlier = |pending: &PendingRename| {
            pending.cookie != cookie && pending.location().dir() == at.dir()
        };
        self.emit(is_earlier, emitter)
    }

    /// Emits each pending `MOVED_FROM` that has waited for [`GRACE`].
    pub fn emit_overdue(&mut self, now: Instant, emitter: &mut Emitter) -> Result<Effect, Failure> {
        self.emit(|pending| pending.due <= now, emitter)
    }

    /// Emits each pending `MOVED_FROM`.
    pub fn emit_all(&mut self, emitter: &mut Emitter) -> Result<Effect, Failure> {
        self.emit(|_| true, emitter)
    }

    /// Returns when the next pending `MOVED_FROM` is due.
    pub fn due(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.due).min()
    }

    fn emit(
        &mut self,
        which: impl Fn(&PendingRename) -> bool,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        let mut effect = Effect::Nothing;
        while let Some(rename) = self.take(&which) {
            effect = effect.max(emitter.event(rename.location(), rename.mask, rename.cookie)?);
        }
        Ok(effect)
    }

    /// Removes and returns the oldest pending `MOVED_FROM` for which `which` returns `true`.
    fn take(&mut self, which: impl Fn(&PendingRename) -> bool) -> Option<PendingRename> {
        let index = self.pending.iter().position(which)?;
        Some(self.pending.remove(index))
    }
}
