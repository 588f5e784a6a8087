//! The directories of a tree: linked to their parents, found by watch descriptor and by name.
//!
//! A node takes 40 bytes, with its name if that has at most 15 bytes, and at most 7 more in each of the two
//! indexes. A longer name takes 16 bytes and a heap block besides. A path is composed on demand, so renaming
//! a directory changes one node, whatever is beneath it.
//!
//! Measured with 50,000 directories and glibc's heap, each takes 56 bytes of the process's memory, 54
//! of which were requested; where all names have 20 bytes, it takes 103.
//!
//! Invariants: a [`NodeRef`] to a removed node is refused and never means another node; a watch descriptor
//! belongs to at most one node; two children of a node never have the same name.

mod hash;
mod index;
mod key;
mod names;
mod paths;
mod pieces;
#[cfg(test)]
mod tests;

use crate::event::Wd;
use hash::{hash_name, hash_wd};
use index::Index;
use names::{Name, Names};
use pieces::Pieces;

/// Identifies a directory. The numbers of removed directories are reused, with another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeRef {
    id: u32,
    generation: u32,
}

impl NodeRef {
    /// The smallest reference.
    pub const FIRST: Self = ROOT;
}

/// The root, which always exists.
pub(super) const ROOT: NodeRef = NodeRef { id: 0, generation: 0 };

/// Whether a directory is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is known by name, and was not opened yet.
    Named,
    /// It is watched.
    Watched(Wd),
    /// It could not be watched, and will be retried.
    Unwatched,
    /// It is excluded.
    Excluded,
    /// The same directory is watched under another path: a bind mount, or a link to it.
    Alias,
}

/// Whether a watched directory was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// It was listed.
    Done,
    /// It was not listed, since it has no subdirectories.
    Leaf,
    /// It could not be listed or compared, which has been reported.
    Failed,
}

/// No node.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node {
    parent: u32,
    first_child: u32,
    /// The siblings, in a list with two ends. In a vacant node, the next vacant node.
    next: u32,
    previous: u32,
    /// Negative if it is not watched.
    wd: i32,
    /// The generation, above eight bits for the state.
    meta: u32,
    name: Name,
}

const _: () = assert!(size_of::<Node>() == 40);

// The low bits of `meta`.
const UNWATCHED: u32 = 0b11;
const LISTING: u32 = 0b11 << 2;
const NARROWED: u32 = 1 << 4;
const RETRY: u32 = 1 << 5;
const STATE: u32 = 0xFF;

#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Pieces<Node>,
    /// The number of nodes that are not vacant.
    len: usize,
    vacant: u32,
    by_wd: Index,
    by_name: Index,
    names: Names,
    /// Keeps an attacker from choosing names that collide in the index.
    seed: u64,
}

impl Nodes {
    /// Creates the root, not watched yet.
    pub fn new(seed: u64) -> Self {
        let mut nodes = Self {
            nodes: Pieces::new(),
            len: 0,
            vacant: NONE,
            by_wd: Index::default(),
            by_name: Index::default(),
            names: Names::new(),
            seed,
        };
        nodes.put(Name::EMPTY, NONE);
        nodes
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    fn get(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id)
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    fn node(&self, node: NodeRef) -> Option<&Node> {
        self.get(node.id).filter(|found| found.meta >> 8 == node.generation)
    }

    fn node_mut(&mut self, node: NodeRef) -> Option<&mut Node> {
        self.get_mut(node.id).filter(|found| found.meta >> 8 == node.generation)
    }

    fn reference(&self, id: u32) -> Option<NodeRef> {
        self.get(id).map(|node| NodeRef { id, generation: node.meta >> 8 })
    }

    /// Returns `true` if the node was not removed.
    pub fn exists(&self, node: NodeRef) -> bool {
        self.node(node).is_some()
    }

    fn put(&mut self, name: Name, parent: u32) -> u32 {
        let mut node =
            Node { parent, first_child: NONE, next: NONE, previous: NONE, wd: -1, meta: 0, name };
        self.len = self.len.saturating_add(1);
        if let Some(vacant) = self.get(self.vacant) {
            let (id, next) = (self.vacant, vacant.next);
            node.meta = vacant.meta & !STATE;
            if let Some(place) = self.get_mut(id) {
                *place = node;
            }
            self.vacant = next;
            return id;
        }
        self.nodes.push(node)
    }

    /// Adds a directory.
    pub fn add(&mut self, parent: NodeRef, name: &[u8]) -> NodeRef {
        let name = self.names.add(name);
        let id = self.put(name, parent.id);
        self.link(id);
        self.reference(id).unwrap_or(ROOT)
    }

    /// Adds a node to its parent's list and to the index.
    fn link(&mut self, id: u32) {
        let Some(parent) = self.get(id).map(|node| node.parent) else { return };
        let Some(first) =
            self.get_mut(parent).map(|node| core::mem::replace(&mut node.first_child, id))
        else {
            return;
        };
        if let Some(next) = self.get_mut(first) {
            next.previous = id;
        }
        if let Some(node) = self.get_mut(id) {
            node.next = first;
            node.previous = NONE;
        }
        let mut index = core::mem::take(&mut self.by_name);
        index.insert(id, |id| self.hash_of(id));
        self.by_name = index;
    }

    fn unlink(&mut self, id: u32) {
        let hash = self.hash_of(id);
        let mut index = core::mem::take(&mut self.by_name);
        index.remove(hash, id, |id| self.hash_of(id));
        self.by_name = index;
        let Some(&Node { parent, next, previous, .. }) = self.get(id) else { return };
        if let Some(next) = self.get_mut(next) {
            next.previous = previous;
        }
        match self.get_mut(previous) {
            Some(previous) => previous.next = next,
            None => {
                if let Some(parent) = self.get_mut(parent) {
                    parent.first_child = next;
                }
            }
        }
    }

    /// Removes a directory without subdirectories.
    pub fn remove(&mut self, node: NodeRef) {
        if !self.exists(node) {
            return;
        }
        self.change_wd(node.id, -1);
        self.unlink(node.id);
        let vacant = self.vacant;
        if let Some(place) = self.nodes.get_mut(node.id) {
            let vacant = Node {
                parent: NONE,
                first_child: NONE,
                next: vacant,
                previous: NONE,
                wd: -1,
                meta: node.generation.wrapping_add(1) << 8,
                name: Name::EMPTY,
            };
            self.names.remove(core::mem::replace(place, vacant).name);
            self.vacant = node.id;
            self.len = self.len.saturating_sub(1);
        }
    }

    /// Moves a directory, with everything beneath it, to another path, which has to be free.
    pub fn relink(&mut self, node: NodeRef, parent: NodeRef, name: &[u8]) {
        self.unlink(node.id);
        if let Some(node) = self.nodes.get_mut(node.id) {
            node.parent = parent.id;
            self.names.remove(core::mem::replace(&mut node.name, Name::EMPTY));
            node.name = self.names.add(name);
        }
        self.link(node.id);
    }

    /// Exchanges two directories, neither of which is beneath the other.
    pub fn exchange(&mut self, one: NodeRef, other: NodeRef) {
        self.unlink(one.id);
        self.unlink(other.id);
        let mut take = |id: u32| {
            let node = self.nodes.get_mut(id)?;
            Some((node.parent, core::mem::replace(&mut node.name, Name::EMPTY)))
        };
        let (first, second) = (take(one.id), take(other.id));
        let mut give = |id: u32, place: Option<(u32, Name)>| {
            if let (Some(node), Some((parent, name))) = (self.nodes.get_mut(id), place) {
                (node.parent, node.name) = (parent, name);
            }
        };
        give(one.id, second);
        give(other.id, first);
        self.link(one.id);
        self.link(other.id);
    }

    pub fn child(&self, parent: NodeRef, name: &[u8]) -> Option<NodeRef> {
        self.node(parent)?;
        let hash = self.hash(parent.id, name);
        let is_it = |id| {
            self.get(id)
                .is_some_and(|node| node.parent == parent.id && self.names.get(&node.name) == name)
        };
        self.by_name.find(hash, is_it).and_then(|id| self.reference(id))
    }

    pub fn by_wd(&self, wd: Wd) -> Option<NodeRef> {
        let wd = wd.as_raw();
        let is_it = |id| self.get(id).is_some_and(|node| node.wd == wd);
        self.by_wd.find(hash_wd(wd), is_it).and_then(|id| self.reference(id))
    }

    pub fn wd(&self, node: NodeRef) -> Option<Wd> {
        self.node(node).filter(|node| node.wd >= 0).map(|node| Wd::from_raw(node.wd))
    }

    /// Returns the state, `Named` for a removed node.
    pub fn state(&self, node: NodeRef) -> State {
        let Some(node) = self.node(node) else { return State::Named };
        if node.wd >= 0 {
            return State::Watched(Wd::from_raw(node.wd));
        }
        match node.meta & UNWATCHED {
            1 => State::Unwatched,
            2 => State::Excluded,
            3 => State::Alias,
            _ => State::Named,
        }
    }

    pub fn set_state(&mut self, node: NodeRef, state: State) {
        let (wd, kind) = match state {
            State::Watched(wd) => (wd.as_raw(), 0),
            State::Named => (-1, 0),
            State::Unwatched => (-1, 1),
            State::Excluded => (-1, 2),
            State::Alias => (-1, 3),
        };
        if !self.exists(node) {
            return;
        }
        if let State::Watched(wd) = state {
            if let Some(owner) = self.by_wd(wd).filter(|owner| *owner != node) {
                self.change_wd(owner.id, -1);
            }
        }
        self.change_wd(node.id, wd);
        self.set_bits(node, UNWATCHED, kind);
    }

    fn change_wd(&mut self, id: u32, wd: i32) {
        let mut index = core::mem::take(&mut self.by_wd);
        let hash = |nodes: &Self, id| nodes.get(id).map_or(0, |node| hash_wd(node.wd));
        if self.get(id).is_some_and(|node| node.wd >= 0) {
            index.remove(hash(self, id), id, |id| hash(self, id));
        }
        if let Some(node) = self.get_mut(id) {
            node.wd = wd;
            if wd >= 0 {
                index.insert(id, |id| hash(self, id));
            }
        }
        self.by_wd = index;
    }

    pub fn listing(&self, node: NodeRef) -> Listing {
        match self.node(node).map_or(0, |node| node.meta & LISTING) >> 2 {
            1 => Listing::Leaf,
            2 => Listing::Failed,
            _ => Listing::Done,
        }
    }

    pub fn set_listing(&mut self, node: NodeRef, listing: Listing) {
        let bits = match listing {
            Listing::Done => 0,
            Listing::Leaf => 1,
            Listing::Failed => 2,
        };
        self.set_bits(node, LISTING, bits << 2);
    }

    /// Returns `true` while the directory is watched without the events that a listing causes.
    pub fn is_narrowed(&self, node: NodeRef) -> bool {
        self.node(node).is_some_and(|node| node.meta & NARROWED != 0)
    }

    pub fn set_narrowed(&mut self, node: NodeRef, narrowed: bool) {
        self.set_bits(node, NARROWED, if narrowed { NARROWED } else { 0 });
    }

    /// Returns `true` if a changed permission may help something at or beneath the node.
    pub fn has_retry(&self, node: NodeRef) -> bool {
        self.node(node).is_some_and(|node| node.meta & RETRY != 0)
    }

    /// Marks a node and all its ancestors for retries.
    pub fn mark_retry(&mut self, node: NodeRef) {
        let mut at = Some(node);
        while let Some(node) = at.filter(|node| !self.has_retry(*node)) {
            self.set_bits(node, RETRY, RETRY);
            at = self.parent(node);
        }
    }

    pub fn clear_retry(&mut self, node: NodeRef) {
        self.set_bits(node, RETRY, 0);
    }

    fn set_bits(&mut self, node: NodeRef, mask: u32, bits: u32) {
        if let Some(node) = self.node_mut(node) {
            node.meta = node.meta & !mask | bits;
        }
    }

    /// Returns the parent, `None` for the root.
    pub fn parent(&self, node: NodeRef) -> Option<NodeRef> {
        self.node(node).and_then(|node| self.reference(node.parent))
    }

    pub fn name(&self, node: NodeRef) -> &[u8] {
        self.node(node).map_or(&[], |node| self.names.get(&node.name))
    }

    pub fn first_child(&self, node: NodeRef) -> Option<NodeRef> {
        self.node(node).and_then(|node| self.reference(node.first_child))
    }

    /// Returns the next child of the same parent.
    pub fn sibling(&self, node: NodeRef) -> Option<NodeRef> {
        self.node(node).and_then(|node| self.reference(node.next))
    }

    /// Returns the node after `at` on a walk through all of `top`, parents first.
    pub fn after(&self, top: NodeRef, at: NodeRef) -> Option<NodeRef> {
        self.first_child(at).or_else(|| self.past(top, at))
    }

    /// Returns the node after `at` and everything beneath it, on the same walk.
    pub fn past(&self, top: NodeRef, at: NodeRef) -> Option<NodeRef> {
        let mut at = at.id;
        while at != top.id {
            let node = self.get(at)?;
            if node.next != NONE {
                return self.reference(node.next);
            }
            at = node.parent;
        }
        None
    }

    /// Returns `true` if the node is `top` or beneath it.
    pub fn is_within(&self, node: NodeRef, top: NodeRef) -> bool {
        self.ancestors(node).any(|at| at == top)
    }

    /// Returns the number of steps from the root.
    pub fn depth(&self, node: NodeRef) -> u32 {
        self.ancestors(node).skip(1).fold(0, |depth: u32, _| depth.saturating_add(1))
    }

    /// Returns the node and its ancestors, upwards.
    pub fn ancestors(&self, node: NodeRef) -> impl Iterator<Item = NodeRef> {
        core::iter::successors(Some(node), |&at| self.parent(at))
    }

    fn hash_of(&self, id: u32) -> u32 {
        self.get(id).map_or(0, |node| self.hash(node.parent, self.names.get(&node.name)))
    }

    fn hash(&self, parent: u32, name: &[u8]) -> u32 {
        hash_name(self.seed, parent, name)
    }
}
