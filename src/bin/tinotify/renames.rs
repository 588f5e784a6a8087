//! `--renames` for plain watches: joins the two halves of a rename. A tree joins its own.
//!
//! `MOVED_FROM` is held back until one of these comes: the `MOVED_TO` of the same cookie, an event that
//! the kernel queues only after it, or the end of [`GRACE`].

use std::time::{Duration, Instant};

use tinotify::EventMask;

use crate::emit::{Effect, Emitter};
use crate::failure::Failure;
use crate::output::Location;

/// How long a `MOVED_FROM` waits for its `MOVED_TO`. One call of the kernel queues both, but a reader
/// can read between them.
const GRACE: Duration = Duration::from_millis(20);

/// Holds back first halves of renames.
#[derive(Debug)]
pub struct Renames {
    /// `--renames` was given.
    joins: bool,
    pending: Vec<PendingRename>,
}

/// A `MOVED_FROM` without its `MOVED_TO`.
#[derive(Debug)]
struct PendingRename {
    path: Vec<u8>,
    name_len: usize,
    mask: EventMask,
    cookie: u32,
    due: Instant,
}

impl PendingRename {
    fn location(&self) -> Location<'_> {
        Location::new(&self.path, self.name_len)
    }
}

impl Renames {
    pub fn new(joins: bool) -> Self {
        Self { joins, pending: Vec::new() }
    }

    /// Emits an event, or holds it back if it is the first half of a rename.
    pub fn event(
        &mut self,
        at: Location<'_>,
        mask: EventMask,
        cookie: u32,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        if self.joins && mask.contains(EventMask::MOVED_FROM) {
            let (path, name_len) = (at.path().to_vec(), at.name().len());
            let due = Instant::now() + GRACE;
            self.pending.push(PendingRename { path, name_len, mask, cookie, due });
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

    /// Emits the halves whose other half would come before this event: between the two, the kernel
    /// queues no creation, removal or other rename in the same directory.
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

    /// Emits the halves that have waited long enough.
    pub fn emit_overdue(&mut self, now: Instant, emitter: &mut Emitter) -> Result<Effect, Failure> {
        self.emit(|pending| pending.due <= now, emitter)
    }

    /// Emits all halves.
    pub fn emit_all(&mut self, emitter: &mut Emitter) -> Result<Effect, Failure> {
        self.emit(|_| true, emitter)
    }

    /// Returns when a half is overdue next.
    pub fn due(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.due).min()
    }

    fn emit(
        &mut self,
        which: impl Fn(&PendingRename) -> bool,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        let mut effect = Effect::Nothing;
        while let Some(half) = self.take(&which) {
            effect = effect.max(emitter.event(half.location(), half.mask, half.cookie)?);
        }
        Ok(effect)
    }

    /// Takes the oldest half for which `which` returns `true`.
    fn take(&mut self, which: impl Fn(&PendingRename) -> bool) -> Option<PendingRename> {
        let index = self.pending.iter().position(which)?;
        Some(self.pending.remove(index))
    }
}
