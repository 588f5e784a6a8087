//! The directories of a tree, in little memory: linked to their parents, found by descriptor and by
//! name.
//!
//! A node takes 40 bytes, with its name if that has at most 15, and each of the two indexes at most 7
//! more. A longer name takes 16 bytes and a block of the heap beside. A path is composed when somebody
//! asks, so a renamed directory is one changed node, whatever lies beneath.
//!
//! Measured with 50,000 directories and glibc's heap, each takes 56 bytes of the process's memory, 54
//! of which were asked for; where all names have 20 bytes, it takes 103.

mod names;

use alloc::vec::Vec;

use crate::event::Wd;
use names::{Name, Names};

/// A directory. Numbers of removed ones are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(u32);

/// The root, which is there from beginning to end.
pub(super) const ROOT: NodeId = NodeId(0);

/// No node.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node {
    parent: u32,
    first_child: u32,
    /// Siblings, in a list that does not go round; of vacant nodes, the next vacant one.
    next: u32,
    previous: u32,
    /// Negative where it is not watched.
    wd: i32,
    /// What the engine notes of it.
    note: u32,
    name: Name,
}

const _: () = assert!(size_of::<Node>() == 40);

#[derive(Debug)]
pub(super) struct Nodes {
    nodes: Pieces<Node>,
    /// Those that are not vacant.
    len: usize,
    vacant: u32,
    by_wd: Index,
    by_name: Index,
    names: Names,
    /// Makes the names of a hostile user meet each other no more than any others.
    seed: u64,
}

impl Nodes {
    /// With a root that is not watched yet.
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

    fn put(&mut self, name: Name, parent: u32) -> u32 {
        let node =
            Node { parent, first_child: NONE, next: NONE, previous: NONE, wd: -1, note: 0, name };
        self.len = self.len.saturating_add(1);
        if let Some(vacant) = self.get(self.vacant) {
            let (id, next) = (self.vacant, vacant.next);
            if let Some(place) = self.get_mut(id) {
                *place = node;
            }
            self.vacant = next;
            return id;
        }
        self.nodes.push(node)
    }

    /// Adds a subdirectory that is not known yet.
    pub fn add(&mut self, parent: NodeId, name: &[u8]) -> NodeId {
        let name = self.names.add(name);
        let id = self.put(name, parent.0);
        self.link(id);
        NodeId(id)
    }

    /// Puts a node with parent and name into its parent's list, and the index.
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

    /// Removes a directory that has no subdirectories any more.
    pub fn remove(&mut self, id: NodeId) {
        self.set_wd(id, None);
        self.unlink(id.0);
        if let Some(node) = self.nodes.get_mut(id.0) {
            let vacant = Node {
                parent: NONE,
                first_child: NONE,
                next: self.vacant,
                previous: NONE,
                wd: -1,
                note: 0,
                name: Name::EMPTY,
            };
            self.names.remove(core::mem::replace(node, vacant).name);
            self.vacant = id.0;
            self.len = self.len.saturating_sub(1);
        }
    }

    /// Moves a directory with all beneath it to another place, which has to be free.
    pub fn relink(&mut self, id: NodeId, parent: NodeId, name: &[u8]) {
        self.unlink(id.0);
        if let Some(node) = self.nodes.get_mut(id.0) {
            node.parent = parent.0;
            self.names.remove(core::mem::replace(&mut node.name, Name::EMPTY));
            node.name = self.names.add(name);
        }
        self.link(id.0);
    }

    pub fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let hash = self.hash(parent.0, name);
        let is_it = |id| {
            self.get(id)
                .is_some_and(|node| node.parent == parent.0 && self.names.get(&node.name) == name)
        };
        self.by_name.find(hash, is_it).map(NodeId)
    }

    pub fn by_wd(&self, wd: Wd) -> Option<NodeId> {
        let wd = wd.as_raw();
        self.by_wd
            .find(hash_wd(wd), |id| self.get(id).is_some_and(|node| node.wd == wd))
            .map(NodeId)
    }

    pub fn wd(&self, id: NodeId) -> Option<Wd> {
        self.get(id.0).filter(|node| node.wd >= 0).map(|node| Wd::from_raw(node.wd))
    }

    /// A descriptor has one node at most: who had it has it no more.
    pub fn set_wd(&mut self, id: NodeId, wd: Option<Wd>) {
        if let Some(owner) = wd.and_then(|wd| self.by_wd(wd)) {
            self.change_wd(owner.0, -1);
        }
        self.change_wd(id.0, wd.map_or(-1, Wd::as_raw));
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

    pub fn note(&self, id: NodeId) -> u32 {
        self.get(id.0).map_or(0, |node| node.note)
    }

    pub fn set_note(&mut self, id: NodeId, note: u32) {
        if let Some(node) = self.get_mut(id.0) {
            node.note = note;
        }
    }

    /// `None` for the root.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.get(id.0).map(|node| node.parent).filter(|&parent| parent != NONE).map(NodeId)
    }

    pub fn name(&self, id: NodeId) -> &[u8] {
        self.get(id.0).map_or(&[], |node| self.names.get(&node.name))
    }

    pub fn first_child(&self, id: NodeId) -> Option<NodeId> {
        self.get(id.0).map(|node| node.first_child).filter(|&child| child != NONE).map(NodeId)
    }

    /// Where one comes to next from `at` on the way through all of `top`, parents first.
    pub fn after(&self, top: NodeId, at: NodeId) -> Option<NodeId> {
        self.first_child(at).or_else(|| self.past(top, at))
    }

    /// The same, without what is beneath `at`.
    pub fn past(&self, top: NodeId, at: NodeId) -> Option<NodeId> {
        let mut at = at.0;
        while at != top.0 {
            let node = self.get(at)?;
            if node.next != NONE {
                return Some(NodeId(node.next));
            }
            at = node.parent;
        }
        None
    }

    /// Whether `id` is `top` or beneath it.
    pub fn is_within(&self, id: NodeId, top: NodeId) -> bool {
        self.ancestors(id).any(|at| at == top)
    }

    /// The number of steps from the root.
    pub fn depth(&self, id: NodeId) -> u32 {
        self.ancestors(id).skip(1).fold(0, |depth: u32, _| depth.saturating_add(1))
    }

    fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        core::iter::successors(Some(id), |&at| self.parent(at))
    }

    /// Puts the path of a directory, and of a name in it, in place of what `path` holds.
    pub fn path(&self, id: NodeId, name: &[u8], path: &mut Vec<u8>) {
        path.clear();
        let len = self
            .ancestors(id)
            .fold(name.len(), |len, at| len.saturating_add(self.name(at).len()).saturating_add(1));
        path.resize(len, b'/');
        // From the end, for that is where the way begins; the root's own name is empty.
        let mut end = len;
        let mut put = |name: &[u8]| {
            let start = end.saturating_sub(name.len());
            if let Some(place) = path.get_mut(start..end) {
                place.copy_from_slice(name);
            }
            end = start.saturating_sub(1);
            start
        };
        let mut start = put(name);
        for at in self.ancestors(id) {
            if at != ROOT {
                start = put(self.name(at));
            }
        }
        // What is counted for the root, and the slash in front of no name.
        path.drain(..start);
        if name.is_empty() && path.last() == Some(&b'/') {
            path.pop();
        }
    }

    fn hash_of(&self, id: u32) -> u32 {
        self.get(id).map_or(0, |node| self.hash(node.parent, self.names.get(&node.name)))
    }

    fn hash(&self, parent: u32, name: &[u8]) -> u32 {
        let mut hash = mix(self.seed, u64::from(parent));
        let mut chunks = name.chunks_exact(8);
        for chunk in &mut chunks {
            hash = mix(hash, chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
        let rest = chunks.remainder();
        let last = rest.iter().fold(rest.len() as u64, |word, &byte| word << 8 | u64::from(byte));
        (mix(hash, last) >> 32) as u32
    }
}

/// In a piece.
const PIECE: usize = 512;

/// A list that only grows, in pieces, so that growing neither copies nor doubles it.
#[derive(Debug)]
struct Pieces<T> {
    pieces: Vec<Vec<T>>,
}

impl<T> Pieces<T> {
    const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    fn get(&self, id: u32) -> Option<&T> {
        self.pieces.get(id as usize / PIECE)?.get(id as usize % PIECE)
    }

    fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        self.pieces.get_mut(id as usize / PIECE)?.get_mut(id as usize % PIECE)
    }

    /// Gives its number.
    fn push(&mut self, item: T) -> u32 {
        if self.pieces.last().is_none_or(|piece| piece.len() == PIECE) {
            self.pieces.push(Vec::with_capacity(PIECE));
        }
        let full = self.pieces.len().saturating_sub(1).saturating_mul(PIECE);
        let Some(piece) = self.pieces.last_mut() else { return NONE };
        piece.push(item);
        // Memory ends long before four thousand million of them.
        full.saturating_add(piece.len()).saturating_sub(1) as u32
    }
}

/// The two halves of a product, one upon the other.
fn mix(a: u64, b: u64) -> u64 {
    let product =
        u128::from(a ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(u128::from(b ^ 0xC2B2_AE3D_27D4_EB4F));
    (product >> 64) as u64 ^ product as u64
}

/// Descriptors come one after the other; this puts each far from the last (Fibonacci hashing).
const fn hash_wd(wd: i32) -> u32 {
    (wd as u32).wrapping_mul(0x9E37_79B1)
}

/// Finds nodes by hash: open addressing, linear probing, no tombstones.
#[derive(Debug, Default)]
struct Index {
    slots: Vec<u32>,
    len: usize,
}

impl Index {
    /// Where a hash would be at home.
    fn home(&self, hash: u32) -> usize {
        ((hash as u64).wrapping_mul(self.slots.len() as u64) >> 32) as usize
    }

    const fn next(&self, slot: usize) -> usize {
        let next = slot.wrapping_add(1);
        if next < self.slots.len() { next } else { 0 }
    }

    fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mut slot = self.home(hash);
        loop {
            match self.slots.get(slot) {
                None | Some(&NONE) => return None,
                Some(&id) if is_it(id) => return Some(id),
                Some(_) => slot = self.next(slot),
            }
        }
    }

    fn insert(&mut self, id: u32, hash: impl Fn(u32) -> u32) {
        // Seven eighths at most, and then half as many again.
        if self.len.saturating_mul(8) >= self.slots.len().saturating_mul(7) {
            let more = (self.slots.len() / 2).max(8);
            let slots = self.slots.len().saturating_add(more);
            let old = core::mem::replace(&mut self.slots, alloc::vec![NONE; slots]);
            for id in old.into_iter().filter(|&id| id != NONE) {
                self.place(id, hash(id));
            }
        }
        self.place(id, hash(id));
        self.len = self.len.saturating_add(1);
    }

    fn place(&mut self, id: u32, hash: u32) {
        let mut slot = self.home(hash);
        while self.slots.get(slot).is_some_and(|&other| other != NONE) {
            slot = self.next(slot);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = id;
        }
    }

    fn remove(&mut self, hash_of_it: u32, id: u32, hash: impl Fn(u32) -> u32) {
        let mut hole = self.home(hash_of_it);
        loop {
            match self.slots.get(hole) {
                None | Some(&NONE) => return,
                Some(&other) if other == id => break,
                Some(_) => hole = self.next(hole),
            }
        }
        self.len = self.len.saturating_sub(1);
        // Those behind it move up, if that brings them no nearer than home.
        let mut slot = self.next(hole);
        while let Some(&other) = self.slots.get(slot).filter(|&&other| other != NONE) {
            let home = self.home(hash(other));
            let stays = if hole <= slot {
                hole < home && home <= slot
            } else {
                hole < home || home <= slot
            };
            if !stays {
                if let Some(place) = self.slots.get_mut(hole) {
                    *place = other;
                }
                hole = slot;
            }
            slot = self.next(slot);
        }
        if let Some(place) = self.slots.get_mut(hole) {
            *place = NONE;
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::{format, vec};

    use super::*;

    /// On both sides of what fits in a node.
    const LENGTHS: [usize; 9] = [1, 2, 13, 14, 15, 16, 17, 254, 255];

    fn path(nodes: &Nodes, id: NodeId) -> Vec<u8> {
        let mut path = Vec::new();
        nodes.path(id, &[], &mut path);
        path
    }

    #[test]
    fn a_name_of_any_length_is_found_and_comes_whole() {
        let mut nodes = Nodes::new(7);
        let names = (0..=255).map(|len| vec![b'n'; len]);
        let all: Vec<_> = names.map(|name| (nodes.add(ROOT, &name), name)).collect();
        for (id, name) in &all {
            assert_eq!(nodes.name(*id), name);
            assert_eq!(nodes.child(ROOT, name), Some(*id));
            assert_eq!(path(&nodes, *id), *name);
        }
        assert_eq!(nodes.child(ROOT, &[b'n'; 256]), None);
    }

    #[test]
    fn a_name_may_hold_any_bytes() {
        let mut nodes = Nodes::new(7);
        for len in LENGTHS {
            for byte in [0, 1, LENGTHS.len() as u8, 0x7f, 0xfe, 0xff] {
                let name = vec![byte; len];
                let id = nodes.add(ROOT, &name);
                assert_eq!(nodes.name(id), name);
                assert_eq!(nodes.child(ROOT, &name), Some(id));
            }
        }
    }

    #[test]
    fn a_directory_is_renamed_from_any_length_to_any() {
        let mut nodes = Nodes::new(7);
        let id = nodes.add(ROOT, b"old");
        let below = nodes.add(id, b"a name that is long");
        let mut old = b"old".to_vec();
        for (from, to) in LENGTHS.into_iter().flat_map(|from| LENGTHS.map(|to| (from, to))) {
            for new in [vec![b'f'; from], vec![b't'; to]] {
                nodes.relink(id, ROOT, &new);
                assert_eq!(nodes.child(ROOT, &old), None);
                assert_eq!(nodes.child(ROOT, &new), Some(id));
                assert_eq!(path(&nodes, below), [&new[..], b"/a name that is long"].concat());
                old = new;
            }
        }
        assert_eq!(nodes.names.slots(), 2);
    }

    #[test]
    fn what_is_removed_leaves_its_place_to_others() {
        let mut nodes = Nodes::new(7);
        for round in 0..3 {
            let name = |i: u32| format!("a long name, number {}", i + round).into_bytes();
            let all: Vec<_> = (0..2_000).map(|i| nodes.add(ROOT, &name(i))).collect();
            for (&id, i) in all.iter().zip(0..) {
                assert_eq!(nodes.child(ROOT, &name(i)), Some(id));
                assert_eq!(nodes.name(id), name(i));
            }
            for &id in &all {
                nodes.remove(id);
            }
            assert_eq!(nodes.len(), 1);
            assert_eq!(nodes.names.slots(), 2_000);
        }
    }

    quickcheck::quickcheck! {
        fn whatever_is_done_the_tree_is_as_a_plain_one(steps: Vec<(u8, usize, usize, usize)>) -> bool {
            is_as_a_plain_one(steps)
        }
    }

    fn is_as_a_plain_one(steps: Vec<(u8, usize, usize, usize)>) -> bool {
        let mut nodes = Nodes::new(7);
        let mut plain = BTreeMap::new();
        let mut most_long = 0;
        for (what, one, other, name) in steps {
            let pick = |plain: &BTreeMap<_, _>, which| {
                let all: Vec<_> = [ROOT].into_iter().chain(plain.keys().copied()).collect();
                all[which % all.len()]
            };
            let name = vec![b'a' + what % 3; LENGTHS[name % LENGTHS.len()]];
            let (id, parent) = (pick(&plain, one), pick(&plain, other));
            let free = nodes.child(parent, &name).is_none();
            match what % 4 {
                0 | 1 if free => {
                    let id = nodes.add(parent, &name);
                    assert_eq!(plain.insert(id, (parent, name)), None);
                }
                2 if id != ROOT && nodes.first_child(id).is_none() => {
                    nodes.remove(id);
                    plain.remove(&id);
                }
                3 if free && id != ROOT && !nodes.is_within(parent, id) => {
                    nodes.relink(id, parent, &name);
                    plain.insert(id, (parent, name));
                }
                _ => {}
            }
            let long = plain.values().filter(|(_, name)| name.len() > 15).count();
            most_long = most_long.max(long);
        }

        let all = core::iter::successors(Some(ROOT), |&id| nodes.after(ROOT, id)).skip(1);
        let mut seen: Vec<_> = all.collect();
        seen.sort_unstable();
        seen.iter().eq(plain.keys())
            && nodes.len() == plain.len() + 1
            && nodes.names.slots() == most_long
            && plain.iter().all(|(&id, (parent, name))| {
                let mut want = name.clone();
                let mut at = *parent;
                while let Some((parent, name)) = plain.get(&at) {
                    want = [name, &b"/"[..], &want].concat();
                    at = *parent;
                }
                nodes.name(id) == name
                    && nodes.child(*parent, name) == Some(id)
                    && path(&nodes, id) == want
            })
    }
}
