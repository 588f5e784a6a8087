//! The exit statuses of inotifywait.

/// An event was seen, or a text was printed.
pub const SUCCESS: u8 = 0;
/// Something failed, or a watch ended.
pub const FAILURE: u8 = 1;
/// No event came within `--timeout`.
pub const TIMED_OUT: u8 = 2;
