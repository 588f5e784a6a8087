//! Configures a [`Tree`](super::Tree).

use alloc::boxed::Box;
use core::fmt;

use crate::flags::WatchMask;

/// Returns `true` for the path, beneath the root, of a directory to exclude.
pub type Exclude = Box<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What a [`Tree`](super::Tree) watches and how.
#[non_exhaustive]
pub struct Options {
    /// The events to report. The tree is also watched for the events that the engine itself needs.
    pub mask: WatchMask,
    /// Watches directories down to this depth beneath the root; 0 watches the root alone. Default: no limit.
    pub max_depth: Option<u32>,
    /// Excludes directories on other file systems than the root's. Default: `false`.
    pub same_file_system: bool,
    /// Follows symbolic links to directories. The [`Kernel`](super::Kernel) has to follow them as well.
    /// Default: `false`.
    pub follow_links: bool,
    /// Tracks files as well as directories, so that changes lost in an overflow are reported for files too.
    /// Costs memory per file name and one `stat` per file at set-up and after an overflow. Default: `false`.
    pub track_files: bool,
    /// Reports the entries that exist at set-up, as discovered. Default: `false`.
    pub report_existing: bool,
    /// Excludes the directories for which this returns `true`: they are reported, but neither watched nor
    /// listed. Default: none.
    pub exclude: Option<Exclude>,
    /// Keeps at most this many directories open while listings are nested; 0 sets no limit. Default: 24.
    pub max_open: usize,
    /// The seed of the index of names. A number that can't be guessed keeps others from choosing names that
    /// collide. Default: 0.
    pub seed: u64,
}

impl Options {
    /// Returns the defaults: all directories beneath the root, without tracking files.
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
