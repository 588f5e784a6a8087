//! Joins the two events of a rename into one, in a window of fixed size.
//!
//! The kernel reports a rename as two events with the same cookie: `MOVED_FROM` with the old name, then
//! `MOVED_TO` with the new name. Other events can come between them. One of the two is missing if its
//! directory is not watched.
//!
//! ```text
//!  MOVED_FROM "old" ──▶ waiting ──── MOVED_TO, same cookie ───▶ Paired { from, to }
//!                          ├──────── expire() ────────────────▶ the event: moved away
//!                          └──────── the window is full ──────▶ UnpairedFrom: moved away
//!  MOVED_TO "new", nothing waits with its cookie ─────────────▶ UnpairedTo: moved in
//!  any other event ───────────────────────────────────────────▶ Other, at once
//! ```
//!
//! ```
//! use tinotify::{Event, EventMask, Rename, RenamePairer, Wd};
//!
//! let wd = Wd::from_raw(1);
//! let mut pairer = RenamePairer::<8>::new();
//! assert!(pairer.push(Event::new(wd, EventMask::MOVED_FROM, 5, Some(c"old"))).is_none());
//! match pairer.push(Event::new(wd, EventMask::MOVED_TO, 5, Some(c"new"))) {
//!     Some(Rename::Paired { from, to }) => {
//!         assert_eq!((from.name(), to.name()), (Some(&b"old"[..]), Some(&b"new"[..])));
//!     }
//!     other => unreachable!("{other:?}"),
//! }
//! ```
//!
//! # Unpaired events
//!
//! A `MOVED_TO` that matches no waiting event is unpaired at once, because `MOVED_FROM` always comes
//! first. For a waiting `MOVED_FROM` the caller decides. Call [`expire`](RenamePairer::expire) when
//!
//! - the queue was empty, and still is a moment later (one read can end between the two events), or
//! - events were lost.

#![forbid(unsafe_code)]

use heapless::Vec;

use crate::event::{Event, EventBuf};
use crate::flags::EventMask;

/// The result of pushing an event into a [`RenamePairer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename<'a> {
    /// Both events of one rename.
    Paired {
        /// The event of the old name and its directory.
        from: Event<'a>,
        /// The event of the new name and its directory.
        to: Event<'a>,
    },
    /// A `MOVED_FROM` without its `MOVED_TO`: it was pushed out of a full window, or its name has more
    /// than 255 bytes and can not be kept.
    UnpairedFrom(Event<'a>),
    /// A `MOVED_TO` without its `MOVED_FROM`: the entry came from a directory that is not watched, or
    /// its `MOVED_FROM` has left the window.
    UnpairedTo(Event<'a>),
    /// An event that is not part of a rename, unchanged.
    Other(Event<'a>),
}

/// Joins `MOVED_FROM` and `MOVED_TO` events by their cookie.
///
/// Keeps up to `N` `MOVED_FROM` events, at least 1, in about 280 bytes each. Allocates nothing. No
/// event is lost: [`push`](Self::push) or [`expire`](Self::expire) returns each one.
#[derive(Clone, Debug)]
pub struct RenamePairer<const N: usize> {
    /// The `MOVED_FROM` events in the window, oldest first.
    waiting: Vec<EventBuf, N>,
    /// The event that is lent to the caller.
    lent: Option<EventBuf>,
}

impl<const N: usize> RenamePairer<N> {
    /// Makes an empty window.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N >= 1, "a RenamePairer needs room for at least one event") };
        Self { waiting: Vec::new(), lent: None }
    }

    /// Returns the number of `MOVED_FROM` events in the window.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns `true` if no `MOVED_FROM` event is in the window.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next event. Returns `None` if it is a `MOVED_FROM`, which now waits in the window. Returns
    /// any other event at once, alone or paired.
    ///
    /// If the window is full, a `MOVED_FROM` replaces the oldest one, which is returned. If several events
    /// with the same cookie wait, which no kernel causes, the newest one is paired.
    pub fn push<'a>(&'a mut self, event: Event<'a>) -> Option<Rename<'a>> {
        match event.mask().intersection(EventMask::MOVE) {
            EventMask::MOVED_FROM => {
                let Ok(moved_from) = EventBuf::try_from(event) else {
                    return Some(Rename::UnpairedFrom(event));
                };
                let pushed_out = self.waiting.is_full().then(|| self.waiting.remove(0));
                // Never fails: the line above made room.
                let _ = self.waiting.push(moved_from);
                self.lent = Some(pushed_out?);
                self.lent.as_ref().map(|from| Rename::UnpairedFrom(from.as_event()))
            }
            EventMask::MOVED_TO => {
                let same = |moved_from: &EventBuf| moved_from.as_event().cookie() == event.cookie();
                let Some(at) = self.waiting.iter().rposition(same) else {
                    return Some(Rename::UnpairedTo(event));
                };
                let from = self.lent.insert(self.waiting.remove(at));
                Some(Rename::Paired { from: from.as_event(), to: event })
            }
            _ => Some(Rename::Other(event)),
        }
    }

    /// Removes the oldest `MOVED_FROM` event from the window and returns it, or `None` if the window is
    /// empty.
    ///
    /// ```
    /// # let mut pairer = tinotify::RenamePairer::<8>::new();
    /// while let Some(from) = pairer.expire() {
    ///     println!("moved to an unwatched directory: {from}");
    /// }
    /// ```
    pub fn expire(&mut self) -> Option<Event<'_>> {
        if self.waiting.is_empty() {
            return None;
        }
        Some(self.lent.insert(self.waiting.remove(0)).as_event())
    }
}

impl<const N: usize> Default for RenamePairer<N> {
    fn default() -> Self {
        Self::new()
    }
}
