//! What the tests of trees share: a mirror built from the events alone, the walk of the disk that it
//! must equal, and the kernel's list of what is watched.

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
    note::{How, Note},
    random::Random,
    scene::{Scene, established, watch_tree, watched, watches_amiss},
};

/// What changes names, and what was written: no event that comes twice, of a directory from itself
/// and from its parent.
pub const NAMES: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::CLOSE_WRITE);
