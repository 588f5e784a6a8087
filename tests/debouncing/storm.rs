//! Random acts in a real directory that a tree watches.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use quickcheck::{Gen, QuickCheck};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tinotify::debounce::{Change, Debouncer};
use tinotify::{TreeOptions, Watcher};

use super::QUIET;
use super::replay::Replay;
use super::world::{Act, Node, Nodes, World};
use crate::watching::Place;

/// Returns the path on disk of a simulated path.
fn on_disk(place: &Place, path: &Path) -> PathBuf {
    place.at(path.strip_prefix("/").unwrap())
}

/// Repeats on disk an act of the simulated file system.
fn act(place: &Place, world: &World, act: Act) {
    let at = |at| on_disk(place, &world.path(at));
    match act {
        Act::Write(path) => fs::write(at(path), "text").unwrap(),
        Act::Touch(path) => crate::watching::touch(at(path)),
        Act::MakeDir(path) => fs::create_dir(at(path)).unwrap(),
        Act::Remove(path) if at(path).is_dir() => fs::remove_dir_all(at(path)).unwrap(),
        Act::Remove(path) => fs::remove_file(at(path)).unwrap(),
        Act::Rename(from, to) => fs::rename(at(from), at(to)).unwrap(),
        Act::Exchange(a, b) => {
            renameat_with(CWD, at(a), CWD, at(b), RenameFlags::EXCHANGE).unwrap();
        }
        Act::MoveIn(path, is_dir) => {
            let outside = place.at("outside");
            if is_dir {
                fs::create_dir(&outside).unwrap();
                if world.nodes.contains_key(&world.path(path).join("b")) {
                    fs::write(outside.join("b"), "text").unwrap();
                }
            } else {
                fs::write(&outside, "text").unwrap();
            }
            fs::rename(outside, at(path)).unwrap();
        }
        Act::MoveOut(path) => {
            let out = tempfile::tempdir_in(place.path()).unwrap();
            fs::rename(at(path), out.path().join("x")).unwrap();
        }
    }
}

/// Lists the files on disk.
fn walk(dir: &Path, nodes: &mut Nodes) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_dir = path.is_dir();
        nodes.insert(path.clone(), Node { is_dir, content: 0, touched: false });
        if is_dir {
            walk(&path, nodes);
        }
    }
}

fn names(nodes: &Nodes) -> Vec<(PathBuf, bool)> {
    nodes.iter().map(|(path, node)| (path.clone(), node.is_dir)).collect()
}

/// A program that keeps a list of names from the groups.
struct Program {
    watcher: Watcher,
    debouncer: Debouncer,
    replay: Replay,
    log: Vec<String>,
}

impl Program {
    /// Reads all events, and pushes them with this time.
    fn read(&mut self, now: Instant) {
        while let Some(event) = self.watcher.try_recv().unwrap() {
            self.log.push(event.to_string());
            self.debouncer.push(event.to_buf(), now);
        }
    }

    fn pop(&mut self, now: Instant) {
        while let Some(group) = self.debouncer.pop(now) {
            self.log.push(format!("    {group}"));
            if group.change() != Change::Event {
                // Fails if an earlier event has already reported a new directory.
                let _ = self.replay.apply(&group, &Nodes::new());
            }
        }
    }
}

fn holds(before: Vec<Act>, acts: Vec<(u8, Act)>) -> Result<bool, String> {
    let place = Place::new();
    let root = place.dir("r");
    let mut world = World::new(true);
    for one in before {
        if !world.act(one).is_empty() {
            act(&place, &world, one);
        }
    }
    let watcher = Watcher::new().unwrap();
    watcher.watch_tree(&root, Watcher::CHANGES, TreeOptions::new()).unwrap();
    let mut replay = Replay { nodes: Nodes::new() };
    walk(&root, &mut replay.nodes);
    let debouncer = Debouncer::new(QUIET).max_delay(3 * QUIET);
    let mut program = Program { watcher, debouncer, replay, log: Vec::new() };
    let mut now = Instant::now();
    for (pause, one) in acts {
        if world.act(one).is_empty() {
            continue;
        }
        program.log.push(format!("{one:?}"));
        act(&place, &world, one);
        if pause % 2 == 0 {
            now += QUIET / 4 * u32::from(pause % 8);
            program.read(now);
            program.pop(now);
        }
    }
    program.read(now);
    program.pop(now + QUIET);
    let (actual, mut expected) = (names(&program.replay.nodes), Nodes::new());
    walk(&root, &mut expected);
    let expected = names(&expected);
    if actual != expected {
        let log = program.log.join("\n");
        return Err(format!("is {actual:?}\nexpected {expected:?}\n{log}"));
    }
    assert!(program.debouncer.is_empty());
    Ok(true)
}

#[test]
fn groups_of_a_real_tree_lead_to_the_files_on_disk() {
    let tests = std::env::var("TINOTIFY_DEBOUNCE_STORMS").map_or(150, |runs| runs.parse().unwrap());
    let mut check = QuickCheck::new().rng(Gen::new(40)).tests(tests).max_tests(tests);
    check.quickcheck(holds as fn(Vec<Act>, Vec<(u8, Act)>) -> Result<bool, String>);
}
