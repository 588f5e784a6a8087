//! Shared by the tests of the debouncer. They build the events and choose the times themselves.

mod drivers;
mod property;
mod replay;
mod rules;
mod storm;
mod timing;
mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use tinotify::debounce::{Debouncer, Group};
use tinotify::{EventMask, TreeChange, WatchEventBuf};

pub const QUIET: Duration = Duration::from_millis(100);

/// Returns an event of a plain watch.
pub fn plain(mask: EventMask, path: impl AsRef<Path>, cookie: u32) -> WatchEventBuf {
    let path = path.as_ref();
    let builder = WatchEventBuf::builder(mask).cookie(cookie);
    let builder = builder.directory(path.parent().unwrap()).name(path.file_name().unwrap());
    builder.build()
}

/// Returns an event of a tree.
pub fn tree(mask: EventMask, path: impl AsRef<Path>, change: TreeChange<'_>) -> WatchEventBuf {
    let path = path.as_ref();
    let builder = WatchEventBuf::builder(mask).tree_change(change);
    let builder = builder.directory(path.parent().unwrap()).name(path.file_name().unwrap());
    builder.build()
}

pub fn renamed(from: &str, to: &str) -> WatchEventBuf {
    tree(EventMask::MOVED_TO, to, TreeChange::Renamed { from: Path::new(from) })
}

pub fn renamed_dir(from: &str, to: &str) -> WatchEventBuf {
    let mask = EventMask::MOVED_TO | EventMask::ISDIR;
    tree(mask, to, TreeChange::Renamed { from: Path::new(from) })
}

/// Returns all groups that are due.
pub fn popped(debouncer: &mut Debouncer, now: Instant) -> Vec<Group> {
    std::iter::from_fn(|| debouncer.pop(now)).collect()
}

pub fn flushed(debouncer: &mut Debouncer) -> Vec<Group> {
    std::iter::from_fn(|| debouncer.flush()).collect()
}

/// Pushes events one millisecond apart, and returns the groups as text.
pub fn merged(events: impl IntoIterator<Item = WatchEventBuf>) -> Vec<String> {
    let mut debouncer = Debouncer::new(QUIET);
    let mut now = Instant::now();
    for event in events {
        debouncer.push(event, now);
        assert!(debouncer.pop(now).is_none());
        now += Duration::from_millis(1);
    }
    let groups = popped(&mut debouncer, now + QUIET);
    assert!(debouncer.is_empty());
    assert_eq!(debouncer.next_deadline(), None);
    groups.iter().map(ToString::to_string).collect()
}
