//! The recipients of one descriptor's events, as a reader keeps them.

use std::ops::Range;

use super::path::SharedPath;
use super::subscription::Recipient;

/// All recipients of a descriptor: its subscribers, the oldest first, and then the trees. Most descriptors have one
/// recipient. It is here and not on the heap, since an event of another directory needs another route. A route that
/// is used again allocates only if it needs more memory than before.
#[derive(Debug, Default)]
pub(super) struct Route {
    first: Option<Entry>,
    rest: Vec<Entry>,
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
        self.first = None;
        self.rest.clear();
        self.paths.clear();
    }

    /// Adds a recipient whose watch is of the descriptor itself.
    pub fn push(&mut self, recipient: Recipient) {
        let start = self.paths.len();
        recipient.subscription.path.push_to(&mut self.paths);
        let len = recipient.subscription.path.len();
        self.add(Entry { recipient, path: start..self.paths.len(), len });
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
        self.add(Entry { recipient, path: start..self.paths.len(), len });
    }

    fn add(&mut self, entry: Entry) {
        match &self.first {
            None => self.first = Some(entry),
            Some(_) => self.rest.push(entry),
        }
    }

    /// Replaces a recipient by the first one of another route. Returns `false` if that has none. This may run
    /// users' code, so the lock must be open.
    pub fn replace(&mut self, index: usize, by: Self) -> bool {
        let Some(Entry { recipient, path, len }) = by.first else { return false };
        let start = self.paths.len();
        self.paths.extend_from_slice(by.paths.get(path).unwrap_or_default());
        let new = Entry { recipient, path: start..self.paths.len(), len };
        self.entry_mut(index).map(|old| *old = new).is_some()
    }

    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.rest.len().wrapping_add(self.first.is_some() as usize)
    }

    #[inline(always)]
    fn entry(&self, index: usize) -> Option<&Entry> {
        match index.checked_sub(1) {
            None => self.first.as_ref(),
            Some(index) => self.rest.get(index),
        }
    }

    fn entry_mut(&mut self, index: usize) -> Option<&mut Entry> {
        match index.checked_sub(1) {
            None => self.first.as_mut(),
            Some(index) => self.rest.get_mut(index),
        }
    }

    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&Recipient> {
        self.entry(index).map(|entry| &entry.recipient)
    }

    /// Returns the path of the descriptor's file or directory for a recipient, with a slash at its end, and its
    /// length as it was given.
    #[inline]
    pub fn path(&self, index: usize) -> Option<(&[u8], usize)> {
        let entry = self.entry(index)?;
        Some((self.paths.get(entry.path.clone())?, entry.len))
    }
}
