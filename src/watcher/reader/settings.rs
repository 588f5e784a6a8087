//! Settings of a reader.

use std::time::Duration;

/// See the methods of [`WatcherBuilder`](super::super::WatcherBuilder).
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Settings {
    pub is_blocking: bool,
    pub read_delay: Duration,
    pub stop_without_watches: bool,
    pub stop_on_overflow: bool,
    pub stop_on_unmount: bool,
}
