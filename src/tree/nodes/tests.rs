//! Compares the arena with a plain map.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::{format, vec};

use super::*;

/// On both sides of the longest name that fits in a node.
const LENGTHS: [usize; 9] = [1, 2, 13, 14, 15, 16, 17, 254, 255];

fn path(nodes: &Nodes, id: NodeRef) -> Vec<u8> {
    let mut path = Vec::new();
    nodes.path(id, &[], &mut path);
    path
}

#[test]
fn a_name_of_any_length_is_found_and_returned_complete() {
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
fn a_path_is_appended_to_what_is_there() {
    let mut nodes = Nodes::new(7);
    let mut at = ROOT;
    let mut expected = String::new();
    for len in [0, 1, 14, 15, 16, 2, 255, 15] {
        if len > 0 {
            let name = "n".repeat(len);
            at = nodes.add(at, name.as_bytes());
            expected += if expected.is_empty() { "" } else { "/" };
            expected += &name;
        }
        for before in ["", "a", "/", "/srv/files/", "/a/path/longer/than/a/short/name/"] {
            let mut path = before.as_bytes().to_vec();
            nodes.push_path(at, &mut path);
            assert_eq!(path, [before, &*expected].concat().as_bytes());
        }
    }
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
fn a_name_of_any_length_is_replaced_by_any_other() {
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
fn the_slots_of_removed_nodes_are_reused() {
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
