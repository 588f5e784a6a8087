//! Watches and unwatches the directories of trees when an ignore file has changed.

use std::sync::Arc;

use tinotify::{WatchKind, Watches};

use crate::filter::Filter;
use crate::messages::Messages;

pub struct Rewatch {
    filter: Option<Arc<Filter>>,
    watches: Watches,
    /// Whether `.git` is on the lists of excluded directories.
    excludes_git: bool,
}

impl Rewatch {
    pub fn new(filter: Option<Arc<Filter>>, watches: Watches) -> Self {
        Self { filter, watches, excludes_git: false }
    }

    /// Asks the filter again for each directory if an ignore file has changed. Prints the filter's warnings.
    pub fn if_stale(&mut self, messages: &Messages) {
        let Some(filter) = &self.filter else { return };
        if filter.take_stale() {
            self.excludes_git = !self.excludes_git;
            for info in self.watches.list().into_iter().filter(|info| info.kind == WatchKind::Tree)
            {
                // A tree asks its condition again when its list changes. The filter skips `.git` anyway.
                let git = info.path.join(".git");
                let _ = if self.excludes_git {
                    self.watches.exclude(info.watch, git)
                } else {
                    self.watches.include(info.watch, git)
                };
            }
        }
        filter.take_warnings().for_each(|warning| messages.warn(warning));
    }
}
