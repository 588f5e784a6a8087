//! Shared by the tests of trees: a mirror that is built only from the events, the walk of the disk that it
//! must equal, and the kernel's list of watches.

#![allow(dead_code)] // Each test binary uses some of it.

pub mod disk;
mod entry;
pub mod excuses;
mod mirror;
mod note;
mod random;
mod scene;

use tinotify::WatchMask;

#[allow(unused_imports)]
pub use self::{
    entry::{Content, Entry},
    mirror::Mirror,
    note::{Note, NoteKind},
    random::Random,
    scene::{Scene, established, watch_tree, watched, watches_amiss},
};

/// The changes of names, and `CLOSE_WRITE`: no event that is reported twice, by a directory and by its
/// parent.
pub const NAMES: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::CLOSE_WRITE);
