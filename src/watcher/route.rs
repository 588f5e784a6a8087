//! The recipients of one descriptor's events, as a reader keeps them.

use std::ops::Range;

use super::path::SharedPath;
use super::subscription::Recipient;

/// All recipients of a descriptor, the oldest first. A route that is used again allocates only if it needs
/// more memory than before.
#[derive(Debug, Default)]
pub(super) struct Route {
    entries: Vec<Entry>,
    /// The paths for all recipients, one behind the other.
    paths: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    recipient: Recipient,
    /// The path of the descriptor's file or directory with a slash at its end, in `paths`.
    path: Range<usize>,
    /// The length of the path as it was given.
    len: usize,
}

impl Route {
    /// Removes all recipients. This may run users' code, so the lock must be open.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.paths.clear();
    }

    /// Adds a recipient whose watch is of the descriptor itself.
    pub fn push(&mut self, recipient: Recipient) {
        let start = self.paths.len();
        recipient.subscription.path.push_to(&mut self.paths);
        let len = recipient.subscription.path.len();
        self.entries.push(Entry { recipient, path: start..self.paths.len(), len });
    }

    /// Adds a recipient whose watch is of a tree, if `recipient` returns one. That appends the path of the
    /// descriptor's directory beneath the path of the watch.
    pub fn push_beneath(
        &mut self,
        watch: &SharedPath,
        recipient: impl FnOnce(&mut Vec<u8>) -> Option<Recipient>,
    ) {
        let start = self.paths.len();
        watch.push_to(&mut self.paths);
        let root = self.paths.len();
        let Some(recipient) = recipient(&mut self.paths) else {
            return self.paths.truncate(start);
        };
        let mut len = watch.len();
        if self.paths.len() > root {
            len = self.paths.len().saturating_sub(start);
            self.paths.push(b'/');
        }
        self.entries.push(Entry { recipient, path: start..self.paths.len(), len });
    }

    /// Removes the recipients that `keep` returns `false` for.
    pub fn retain(&mut self, mut keep: impl FnMut(&Recipient) -> bool) {
        self.entries.retain(|entry| keep(&entry.recipient));
    }

    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&Recipient> {
        self.entries.get(index).map(|entry| &entry.recipient)
    }

    /// Returns the recipients from an index on.
    pub fn from(&self, index: usize) -> impl Iterator<Item = &Recipient> + Clone {
        self.entries.iter().skip(index).map(|entry| &entry.recipient)
    }

    /// Returns the path of the descriptor's file or directory for a recipient, with a slash at its end, and its
    /// length as it was given.
    #[inline]
    pub fn path(&self, index: usize) -> Option<(&[u8], usize)> {
        let entry = self.entries.get(index)?;
        Some((self.paths.get(entry.path.clone())?, entry.len))
    }
}
