//! Which files a directory is known to hold: for ever in snapshot mode, else only as long as events
//! of before its listing may still come.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::kernel::Stat;
use super::nodes::NodeId;

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// As it was when it was last looked at; `None` if something happened to it since.
    pub stat: Option<Stat>,
    /// The pass in which it was last seen.
    pub pass: u32,
}

/// The files of one directory.
#[derive(Debug)]
pub(super) struct Window {
    pub files: BTreeMap<Box<[u8]>, Known>,
    /// Where in the stream the events begin that are surely later than the listing.
    until: u64,
    /// Its listing is still to come.
    waits: bool,
}

#[derive(Debug)]
pub(super) struct Files {
    of: BTreeMap<NodeId, Window>,
    /// Those whose end is known, the first first.
    ends: VecDeque<(u64, NodeId)>,
    /// Those that were listed since the last fence.
    open: Vec<NodeId>,
    /// Whether they are known for ever.
    keep: bool,
}

/// Of a listing whose end in the stream is not known yet.
const OPEN: u64 = u64::MAX;

impl Files {
    pub const fn new(keep: bool) -> Self {
        Self { of: BTreeMap::new(), ends: VecDeque::new(), open: Vec::new(), keep }
    }

    pub fn has(&self, dir: NodeId) -> bool {
        self.of.contains_key(&dir)
    }

    pub fn get_mut(&mut self, dir: NodeId) -> Option<&mut Window> {
        self.of.get_mut(&dir)
    }

    /// A directory is being listed.
    pub fn open(&mut self, dir: NodeId) -> &mut Window {
        self.open.push(dir);
        let new = Window { files: BTreeMap::new(), until: OPEN, waits: false };
        let window = self.of.entry(dir).or_insert(new);
        window.until = OPEN;
        window.waits = false;
        window
    }

    /// A directory will be listed later, and what events tell until then is not to be told again.
    pub fn wait(&mut self, dir: NodeId) {
        self.open(dir).waits = true;
    }

    pub fn forget(&mut self, dir: NodeId) {
        if self.of.remove(&dir).is_some() {
            self.open.retain(|&other| other != dir);
            self.ends.retain(|&(_, other)| other != dir);
        }
    }

    /// All is out of date.
    pub fn forget_all(&mut self) {
        if !self.keep {
            self.of.clear();
            self.ends.clear();
            self.open.clear();
        }
    }

    /// Whether no listing has an end to come.
    pub fn rest(&self) -> bool {
        self.ends.is_empty()
    }

    pub fn wants_fence(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whatever was listed was listed before `end`.
    pub fn fence(&mut self, end: u64) {
        for dir in self.open.drain(..) {
            if let Some(window) = self.of.get_mut(&dir).filter(|window| !window.waits) {
                window.until = end;
                self.ends.push_back((end, dir));
            }
        }
    }

    /// All events before `at` have come.
    pub fn passed(&mut self, at: u64) {
        while let Some(&(end, dir)) = self.ends.front().filter(|(end, _)| *end <= at) {
            self.ends.pop_front();
            // It may have been listed again since.
            if !self.keep && self.of.get(&dir).is_some_and(|window| window.until == end) {
                self.of.remove(&dir);
            }
        }
    }

    /// Whether an event of a directory at `at` may be older than its listing.
    pub fn is_in_doubt(&self, dir: NodeId, at: u64) -> bool {
        self.of.get(&dir).is_some_and(|window| at < window.until)
    }
}
