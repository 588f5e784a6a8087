//! Reports after an overflow. And a tree causes no events itself. On the real kernel.

mod trees;
mod watching;

use std::fs;

use tinotify::{TreeOptions, WatchMask, Watcher};
use trees::disk::{sorted, write};
use trees::{Mirror, NAMES, Note, Scene, watch_tree};
use watching::{Place, Watchdog, overflow};

const NOISE: &str = "noise";

/// Changes a tree with directories and files in all ways while events are lost.
fn lose_events(track_files: bool) -> Option<Vec<String>> {
    let options = TreeOptions::new().track_files(track_files);
    let mut tree = Scene::with(NAMES | WatchMask::ATTRIB, options, |root| {
        for path in [NOISE, "gone/inner", "renamed/inner", "kept"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["kept/gone-file", "kept/changed-file", "kept/same-file", "gone/inner/file"] {
            write(root.join(path));
        }
        write(root.join(NOISE).join("a"));
        write(root.join(NOISE).join("b"));
    });
    let mirror = std::mem::replace(&mut tree.mirror, Mirror::empty(false));
    tree.mirror = mirror.with_tracked_files(track_files);
    if !overflow(&tree.at(NOISE)) {
        return None;
    }
    fs::remove_dir_all(tree.at("gone")).unwrap();
    fs::rename(tree.at("renamed"), tree.at("kept/renamed")).unwrap();
    fs::create_dir_all(tree.at("new/inner")).unwrap();
    write(tree.at("new/inner/file"));
    write(tree.at("kept/new-file"));
    fs::remove_file(tree.at("kept/gone-file")).unwrap();
    fs::write(tree.at("kept/changed-file"), "more text").unwrap();

    let lines = tree.checked();
    let lost = lines.iter().position(|line| line == "overflow").expect("an overflow");
    assert_eq!(lines.last().unwrap(), "resynced");
    assert_eq!(tree.mirror.overflows, 1);

    // From there on as usual.
    write(tree.at("kept/renamed/inner/later"));
    write(tree.at("new/inner/later"));
    let reported = tree.checked();
    let expected = [
        "create kept/renamed/inner/later",
        "written kept/renamed/inner/later",
        "create new/inner/later",
        "written new/inner/later",
    ];
    assert_eq!(
        reported.into_iter().filter(|line| !line.contains("ATTRIB")).collect::<Vec<_>>(),
        expected
    );
    Some(sorted(lines[lost + 1..lines.len() - 1].to_vec()))
}

/// A listing opens, reads and closes a directory.
#[test]
fn the_scans_of_a_tree_are_not_reported_and_end() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::with(WatchMask::ALL_EVENTS, TreeOptions::new(), |root| {
        for dir in 0..3_000 {
            fs::create_dir_all(root.join(format!("{dir}/inner"))).unwrap();
        }
        fs::create_dir(root.join(NOISE)).unwrap();
    });
    assert_eq!(tree.lines(), [""; 0]);
    if !overflow(&tree.at(NOISE)) {
        return;
    }
    let lines = tree.lines();
    let lost = |line: &&String| *line == "overflow";
    assert_eq!(lines.iter().filter(lost).count(), 1, "{:?}", &lines[lines.len() - 10..]);
    assert_eq!(lines.last().unwrap(), "resynced");
    // The events of others are still reported.
    fs::read_dir(tree.at("17/inner")).unwrap().for_each(drop);
    let reported = tree.lines();
    assert!(
        reported.iter().any(|line| line.contains("OPEN") && line.contains("17/inner")),
        "{reported:?}"
    );
}

#[test]
fn after_an_overflow_changed_directories_are_reported() {
    let Some(lines) = lose_events(false) else { return };
    // Files in new directories are reported, since they are all new.
    let expected = [
        "found new/",
        "found new/inner/",
        "found new/inner/file",
        "missing gone/",
        "rename renamed/ -> kept/renamed/",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn after_an_overflow_changed_tracked_files_are_reported() {
    let Some(lines) = lose_events(true) else { return };
    // The files for the overflow may have changed too, after their reported events.
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.contains(NOISE)).collect();
    let expected = [
        "changed kept/changed-file",
        "found kept/new-file",
        "found new/",
        "found new/inner/",
        "found new/inner/file",
        "missing gone/",
        "missing kept/gone-file",
        "rename renamed/ -> kept/renamed/",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_overflow_is_reported_once_and_each_tree_resynchronises() {
    let place = Place::new();
    let trees = ["one", "two"].map(|name| place.dir(name));
    let noise = place.dir(NOISE);
    let mut watcher = Watcher::new().unwrap();
    let watches =
        trees.each_ref().map(|tree| watch_tree(&mut watcher, tree, NAMES, TreeOptions::new()));
    watcher.watch(&noise, WatchMask::ATTRIB).unwrap();
    if !overflow(&noise) {
        return;
    }
    for tree in &trees {
        fs::create_dir(tree.join("new")).unwrap();
    }
    let (mut overflows, mut reported) = (0, Vec::new());
    while let Some(event) = watcher.try_recv().unwrap() {
        overflows += u32::from(event.is_overflow());
        let Some(index) = watches.iter().position(|watch| event.watch() == Some(*watch)) else {
            continue;
        };
        reported.push((index, Note::of(&event, &trees[index]).to_string()));
    }
    reported.sort_unstable();
    let expected = [(0, "found new/"), (0, "resynced"), (1, "found new/"), (1, "resynced")];
    assert_eq!(reported, expected.map(|(index, line)| (index, line.to_owned())));
    assert_eq!(overflows, 1);
}
