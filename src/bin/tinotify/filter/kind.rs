//! What each kind of filter decides.

use tinotify::EventMask;

use crate::output::Location;

/// One kind of filter. A tree asks it from threads of its own.
pub trait Kind: Send + Sync {
    /// Returns `true` if events at this path are hidden.
    fn hides(&self, at: Location<'_>, is_dir: bool) -> bool;

    /// Returns `true` if [`skips`](Self::skips) can be `true`.
    fn can_skip(&self) -> bool {
        false
    }

    /// Returns `true` if a directory is not watched. Its path ends with a slash.
    fn skips(&self, _dir: Location<'_>) -> bool {
        false
    }

    /// Takes notice of an event. Returns `true` if other directories may be skipped now.
    fn observe(&self, _at: Location<'_>, _mask: EventMask, _is_discovered: bool) -> bool {
        false
    }

    /// Forgets what was read from disk, because events were lost. Returns `true` if other directories may be
    /// skipped now.
    fn forget(&self) -> bool {
        false
    }

    /// Returns what the user should know since the last call.
    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
