//! Joins the two halves of a rename, in a fixed window.
//!
//! The kernel tells a rename as two events with one cookie, `MOVED_FROM` and then `MOVED_TO`. Other
//! events can come between, and either half is missing where the other side is not watched.
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
//! # When a half stays alone
//!
//! A `MOVED_TO` alone is known at once, for its other half would have come first. A `MOVED_FROM`
//! alone is known by what the caller knows: when the queue was found empty and a moment has passed
//! (a reader can fall between the two), or when events were lost. Then [`expire`](RenamePairer::expire)
//! what is left.

#![forbid(unsafe_code)]

use heapless::Vec;

use crate::event::{Event, EventBuf};
use crate::flags::EventMask;

/// What became of an event that was pushed through [`RenamePairer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rename<'a> {
    /// Both halves of one rename.
    Paired {
        /// The old name, and where it was.
        from: Event<'a>,
        /// The new name, and where it is.
        to: Event<'a>,
    },
    /// An old name whose other half has not come: it was pushed out of a full window, or its name is
    /// too long to be kept (over 255 bytes).
    UnpairedFrom(Event<'a>),
    /// A new name that came from outside of what is watched, or whose other half was given up.
    UnpairedTo(Event<'a>),
    /// No half of a rename: the event as it came.
    Other(Event<'a>),
}

/// A window of up to `N` old names that wait for their new ones; `N` is at least 1.
///
/// Takes about 280 bytes for each, and allocates nothing. Every event pushed in comes out: alone, as
/// a half of a rename, or by [`expire`](Self::expire).
#[derive(Clone, Debug)]
pub struct RenamePairer<const N: usize> {
    /// The oldest first.
    waiting: Vec<EventBuf, N>,
    /// The one that is being lent.
    out: Option<EventBuf>,
}

impl<const N: usize> RenamePairer<N> {
    /// An empty window.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N >= 1, "a window of RenamePairer needs room for at least one half") };
        Self { waiting: Vec::new(), out: None }
    }

    /// The number of old names that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next event. `None` if it is an old name that now waits.
    ///
    /// Where several wait with one cookie, which no kernel brings about, the youngest is joined.
    pub fn push<'a>(&'a mut self, event: Event<'a>) -> Option<Rename<'a>> {
        match event.mask().intersection(EventMask::MOVE) {
            EventMask::MOVED_FROM => {
                let Ok(half) = EventBuf::try_from(event) else {
                    return Some(Rename::UnpairedFrom(event));
                };
                let pushed_out = self.waiting.is_full().then(|| self.waiting.remove(0));
                // There is room now.
                let _ = self.waiting.push(half);
                self.out = Some(pushed_out?);
                self.out.as_ref().map(|from| Rename::UnpairedFrom(from.as_event()))
            }
            EventMask::MOVED_TO => {
                let same = |half: &EventBuf| half.as_event().cookie() == event.cookie();
                let Some(at) = self.waiting.iter().rposition(same) else {
                    return Some(Rename::UnpairedTo(event));
                };
                let from = self.out.insert(self.waiting.remove(at));
                Some(Rename::Paired { from: from.as_event(), to: event })
            }
            _ => Some(Rename::Other(event)),
        }
    }

    /// Gives up the oldest name that waits, and lends it.
    ///
    /// ```
    /// # let mut pairer = tinotify::RenamePairer::<8>::new();
    /// while let Some(from) = pairer.expire() {
    ///     println!("{from} has left what is watched");
    /// }
    /// ```
    pub fn expire(&mut self) -> Option<Event<'_>> {
        if self.waiting.is_empty() {
            return None;
        }
        Some(self.out.insert(self.waiting.remove(0)).as_event())
    }
}

impl<const N: usize> Default for RenamePairer<N> {
    fn default() -> Self {
        Self::new()
    }
}
