//! Messages about what is not reported: directories that cannot be watched, lost events, the ends of watches.
//!
//! Of many directories the first few are printed by their paths, and the others as a number.

use std::fmt;

use tinotify::{Errno, Escaped, TreeChange, UnwatchedReason, WatchError};

use crate::limits::Limit;
use crate::messages::Messages;

/// The number of unwatched directories that are printed before the next [`summarise`](Coverage::summarise).
const SHOWN: u64 = 5;

/// A reason that has no text.
pub const UNKNOWN: &str = "unknown reason";

#[derive(Debug)]
pub struct Coverage<'a> {
    messages: &'a Messages,
    follow_links: bool,
    /// The number of unwatched directories since the last summary.
    unwatched: u64,
    /// Why the last of them is not watched.
    reason: Option<UnwatchedReason>,
}

impl<'a> Coverage<'a> {
    pub fn new(messages: &'a Messages, follow_links: bool) -> Self {
        Self { messages, follow_links, unwatched: 0, reason: None }
    }

    /// Prints what a change of a tree means for later events.
    pub fn change(&mut self, change: TreeChange<'_>, path: &[u8]) {
        let shown = Escaped(path);
        match change {
            // With --follow-links, two paths often lead to one directory.
            TreeChange::Unwatched(UnwatchedReason::WatchedElsewhere) if self.follow_links => {}
            TreeChange::Unwatched(reason) => self.unwatched(path, reason),
            TreeChange::Unlisted(errno) => self.messages.warn(format_args!(
                "cannot list: {shown}: {errno}: what happened in it while events were lost is not known; it \
                 will be tried again"
            )),
            TreeChange::RootMoved => self.messages.warn(format_args!(
                "moved: {shown}: its path no longer leads to the watched directory; its events are still \
                 reported, but new directories in it cannot be watched: start again with its new path"
            )),
            TreeChange::Resynced => self.messages.warn(format_args!(
                "{shown} is resynchronised: all changes that can be discovered were shown"
            )),
            _ => {}
        }
    }

    /// Prints a directory that cannot be watched, or counts it.
    fn unwatched(&mut self, path: &[u8], reason: UnwatchedReason) {
        self.unwatched += 1;
        self.reason = Some(reason);
        if self.unwatched <= SHOWN {
            let (path, why) = (Escaped(path), Why(reason));
            self.messages.warn(format_args!("cannot watch: {path}: {why}"));
        }
    }

    /// Prints the number of directories that were not printed by their paths.
    pub fn summarise(&mut self) {
        if let (more @ 1.., Some(reason)) = (self.unwatched.saturating_sub(SHOWN), self.reason) {
            let why = Why(reason);
            self.messages
                .warn(format_args!("cannot watch: {more} more directories: the last one: {why}"));
        }
        self.unwatched = 0;
    }

    /// Prints that events were lost.
    pub fn overflow(&self) {
        self.messages.warn(format_args!(
            "events were lost: the kernel's queue was full: {}",
            Limit::QueuedEvents
        ));
    }

    /// Prints that a followed name may be missed.
    pub fn unfollowed(&self, error: &WatchError) {
        self.messages.warn(error);
    }

    /// Prints that a watch has ended.
    pub fn ended(&self, root: &[u8]) {
        self.messages.warn(format_args!(
            "watch ended: {}: it was removed, or its file system was unmounted",
            Escaped(root)
        ));
    }
}

/// Why a directory cannot be watched, and what to do.
pub struct Why(pub UnwatchedReason);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            UnwatchedReason::Failed(Errno::ENOSPC) => {
                write!(f, "ENOSPC: no watch is left: {}", Limit::Watches)
            }
            UnwatchedReason::Failed(errno) => errno.fmt(f),
            UnwatchedReason::WatchedElsewhere => f.write_str("it is watched at another path"),
            UnwatchedReason::RootMoved => {
                f.write_str("the root of its tree was moved; start again with its new path")
            }
            _ => f.write_str(UNKNOWN),
        }
    }
}
