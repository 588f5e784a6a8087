//! What a tree watches and how.

use alloc::boxed::Box;
use core::fmt;

use crate::flags::WatchMask;

/// A condition on the path of a directory beneath the root.
pub type Exclude = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What a [`Tree`](super::Tree) watches and how.
pub struct Options {
    /// The events to tell. Those that are needed to keep track are asked of the kernel beside them.
    pub mask: WatchMask,
    /// So many steps beneath the root a directory is still watched; 0 is the root alone.
    pub max_depth: Option<u32>,
    /// Whether directories on other file systems than the root's stay unwatched.
    pub same_file_system: bool,
    /// Whether links to directories are followed, which the [`Kernel`](super::Kernel) has to do.
    pub follow_links: bool,
    /// Whether file names are kept, so that after lost events files are told too.
    pub track_files: bool,
    /// Whether all that is there at the beginning is told.
    pub report_existing: bool,
    /// Says which directories, by their paths beneath the root, stay unwatched.
    pub exclude: Option<Exclude>,
    /// While one listing goes into another, so many directories are open at most; 0 sets no limit.
    pub max_open: usize,
    /// Any number that those who choose the names do not know.
    pub seed: u64,
}

impl Options {
    /// Everything beneath the root, without a snapshot.
    #[must_use]
    pub fn new(mask: WatchMask) -> Self {
        Self {
            mask,
            max_depth: None,
            same_file_system: false,
            follow_links: false,
            track_files: false,
            report_existing: false,
            exclude: None,
            max_open: 24,
            seed: 0,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("mask", &self.mask)
            .field("max_depth", &self.max_depth)
            .field("same_file_system", &self.same_file_system)
            .field("follow_links", &self.follow_links)
            .field("track_files", &self.track_files)
            .field("report_existing", &self.report_existing)
            .field("exclude", &self.exclude.is_some())
            .field("max_open", &self.max_open)
            .finish_non_exhaustive()
    }
}
