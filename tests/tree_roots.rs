//! A tree follows its root or reports that it was moved, and keeps no file system busy.

mod support;
mod trees;
mod watching;

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use support::{in_child, in_namespace};
use tinotify::{TreeChange, TreeOptions, WatchMask, Watcher};
use trees::{NAMES, Note, Scene, established};
use watching::{Place, Watchdog, kernel_watches, overflow};

fn write(path: impl AsRef<Path>) {
    fs::write(path, "text").unwrap();
}

/// Returns the reports of the only tree, with this root.
fn lines(watcher: &mut Watcher, root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(event) = watcher.try_recv().unwrap() {
        lines.push(Note::of(&event, root).to_string());
    }
    lines
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

/// Creates a directory, one in it, and a file in that, one after another.
fn grow(tree: &mut Scene, at: &Path) {
    let beneath = at.file_name().unwrap().to_str().unwrap().to_owned();
    fs::create_dir_all(at.join("inner")).unwrap();
    let expected = [format!("create {beneath}/"), format!("found {beneath}/inner/")];
    assert_eq!(tree.lines(), expected);
    write(at.join("inner/file"));
    let path = format!("{beneath}/inner/file");
    assert_eq!(tree.lines(), [format!("create {path}"), format!("written {path}")]);
}

// ---- Relative roots.

#[test]
fn a_relative_root_stays_watched_when_its_parent_is_moved() {
    if !in_child("a_relative_root_stays_watched_when_its_parent_is_moved", &["env"]) {
        return;
    }
    let place = Place::new();
    fs::create_dir_all(place.at("above/top/sub")).unwrap();
    std::env::set_current_dir(place.at("above/top")).unwrap();
    for (root, base) in [(".", "."), ("sub", "sub"), ("../top/sub", "sub")] {
        let mut watcher = Watcher::new().unwrap();
        let watch = watcher.watch_tree(root, NAMES, TreeOptions::new()).unwrap();
        established(&mut watcher, watch);
        fs::rename(place.at("above"), place.at("above2")).unwrap();
        if root != "../top/sub" {
            fs::rename("../top", "../top2").unwrap();
        }
        assert!(lines(&mut watcher, Path::new(root)).is_empty(), "{root}");
        fs::create_dir_all(Path::new(base).join("new/inner")).unwrap();
        let expected = ["create new/", "found new/inner/"];
        assert_eq!(lines(&mut watcher, Path::new(root)), expected, "{root}");
        write(Path::new(base).join("new/inner/file"));
        let expected = ["create new/inner/file", "written new/inner/file"];
        assert_eq!(lines(&mut watcher, Path::new(root)), expected, "{root}");
        fs::remove_dir_all(Path::new(base).join("new")).unwrap();
        let _ = fs::rename("../top2", "../top");
        fs::rename(place.at("above2"), place.at("above")).unwrap();
    }
    std::env::set_current_dir("/").unwrap();
}

#[test]
fn a_relative_root_begins_at_the_working_directory_of_the_call() {
    if !in_child("a_relative_root_begins_at_the_working_directory_of_the_call", &["env"]) {
        return;
    }
    let place = Place::new();
    fs::create_dir_all(place.at("one/tree")).unwrap();
    fs::create_dir_all(place.at("two/tree")).unwrap();
    std::env::set_current_dir(place.at("one")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch_tree("tree", NAMES, TreeOptions::new()).unwrap();
    established(&mut watcher, watch);
    std::env::set_current_dir(place.at("two")).unwrap();
    fs::create_dir_all(place.at("one/tree/new/inner")).unwrap();
    fs::create_dir_all(place.at("two/tree/other")).unwrap();
    let root = Path::new("tree");
    assert_eq!(lines(&mut watcher, root), ["create new/", "found new/inner/"]);
    if overflow_in(&place.at("one/tree")) {
        fs::create_dir(place.at("one/tree/later")).unwrap();
        let lines = lines(&mut watcher, root);
        assert!(lines.contains(&"found later/".to_owned()), "{:?}", lines.last());
        assert!(!lines.iter().any(|line| line.contains("other")));
    }
    // A new path begins at the working directory of its own call.
    fs::rename(place.at("one/tree"), place.at("two/tree2")).unwrap();
    assert_eq!(lines(&mut watcher, root), ["root moved"]);
    watcher.watches().set_path(watch, "tree2").unwrap();
    std::env::set_current_dir("/").unwrap();
    let root = Path::new("tree2");
    lines(&mut watcher, root);
    fs::create_dir_all(place.at("two/tree2/last/inner")).unwrap();
    assert_eq!(lines(&mut watcher, root), ["create last/", "found last/inner/"]);
}

/// Makes a tree with a mask of names overflow.
fn overflow_in(root: &Path) -> bool {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    if limit.trim().parse::<u32>().unwrap() > 500_000 {
        // It writes a message.
        return overflow(root);
    }
    for _ in 0..limit.trim().parse::<u32>().unwrap() / 2 + 2 {
        write(root.join("noise"));
        fs::remove_file(root.join("noise")).unwrap();
    }
    true
}

// ---- Absolute roots.

#[test]
fn a_renamed_root_is_reported_and_its_known_directories_stay_watched() {
    let mut tree = Scene::new(|root| fs::create_dir_all(root.join("dir/deep")).unwrap());
    let moved = tree.outside("moved");
    fs::rename(&tree.root, &moved).unwrap();
    assert_eq!(tree.lines(), ["root moved"]);
    write(moved.join("dir/deep/file"));
    assert_eq!(tree.lines(), ["create dir/deep/file", "written dir/deep/file"]);
    fs::create_dir_all(moved.join("dir/new/inner")).unwrap();
    assert_eq!(tree.lines(), ["create dir/new/", "unwatched dir/new: RootMoved"]);
    fs::rename(moved.join("dir/deep"), moved.join("deep")).unwrap();
    assert_eq!(tree.lines(), ["rename dir/deep/ -> deep/"]);
    write(moved.join("deep/file2"));
    assert_eq!(tree.lines(), ["create deep/file2", "written deep/file2"]);
}

#[test]
fn a_root_moved_with_its_parent_is_reported_at_the_next_scan() {
    let place = Place::new();
    let root = place.at("above/further/root");
    fs::create_dir_all(root.join("dir")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    let watch = watcher.watch_tree(&root, NAMES, TreeOptions::new()).unwrap();
    established(&mut watcher, watch);
    fs::rename(place.at("above"), place.at("elsewhere")).unwrap();
    let moved = place.at("elsewhere/further/root");
    write(moved.join("dir/file"));
    assert_eq!(lines(&mut watcher, &root), ["create dir/file", "written dir/file"]);
    fs::create_dir_all(moved.join("dir/new/inner")).unwrap();
    let said = lines(&mut watcher, &root);
    let expected = ["create dir/new/", "root moved", "unwatched dir/new: RootMoved"];
    assert_eq!(sorted(said), expected);
    // It is reported once.
    fs::create_dir_all(moved.join("dir/new2/inner")).unwrap();
    let expected = ["create dir/new2/", "unwatched dir/new2: RootMoved"];
    assert_eq!(lines(&mut watcher, &root), expected);
}

#[test]
fn a_new_path_reports_everything_missed_while_the_root_was_away() {
    let mut tree = Scene::new(|root| fs::create_dir(root.join("dir")).unwrap());
    let moved = tree.outside("moved");
    fs::rename(&tree.root, &moved).unwrap();
    fs::create_dir_all(moved.join("dir/new/inner")).unwrap();
    fs::create_dir_all(moved.join("new2/inner")).unwrap();
    let reported = sorted(tree.lines());
    let expected = [
        "create dir/new/",
        "create new2/",
        "root moved",
        "unwatched dir/new: RootMoved",
        "unwatched new2: RootMoved",
    ];
    assert_eq!(reported, expected);
    tree.watcher.watches().set_path(tree.watch, &moved).unwrap();
    tree.root = moved.clone();
    let reported = sorted(tree.lines());
    let expected =
        ["found dir/new/inner/", "found new2/inner/", "watched dir/new/", "watched new2/"];
    assert_eq!(reported, expected);
    assert_eq!(trees::watches_amiss(&tree.watcher, &trees::Entry::walk(&moved)), None);
    grow(&mut tree, &moved.join("more"));
}

/// No kernel event accompanies it, so only `set_path` wakes the reader.
#[test]
fn a_new_path_wakes_a_waiting_reader() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::new(|_| ());
    let moved = tree.outside("moved");
    fs::rename(&tree.root, &moved).unwrap();
    fs::create_dir_all(moved.join("new/inner")).unwrap();
    tree.lines();
    let (watches, watch) = (tree.watcher.watches(), tree.watch);
    let (placed, at) = (tree, moved.join("new"));
    let reader = watching::asleep(placed.watcher, move |watcher| {
        let event = watcher.recv().unwrap();
        (event.tree_change() == Some(TreeChange::Watched), event.path().to_owned())
    });
    watches.set_path(watch, &moved).unwrap();
    assert_eq!(reader.join().unwrap().0, (true, at));
}

#[test]
fn a_root_watched_for_move_self_reports_no_move_that_did_not_happen() {
    let mask = NAMES | WatchMask::MOVE_SELF;
    let mut tree = Scene::with(mask, TreeOptions::new(), |_| ());
    let moved = tree.outside("moved");
    fs::rename(&tree.root, &moved).unwrap();
    let lines = tree.lines();
    assert!(lines.contains(&"root moved".to_owned()), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
    tree.watcher.watches().set_path(tree.watch, &moved).unwrap();
    tree.root = moved.clone();
    assert!(tree.lines().is_empty());
    grow(&mut tree, &moved.join("new"));
}

#[test]
fn another_directory_at_the_path_of_the_root_is_not_followed() {
    let mut tree = Scene::new(|root| fs::create_dir(root.join("dir")).unwrap());
    let moved = tree.outside("moved");
    fs::rename(&tree.root, &moved).unwrap();
    fs::create_dir_all(tree.at("dir/other")).unwrap();
    assert_eq!(tree.lines(), ["root moved"]);
    write(tree.at("dir/file"));
    fs::create_dir_all(moved.join("dir/new/inner")).unwrap();
    assert_eq!(tree.lines(), ["create dir/new/", "unwatched dir/new: RootMoved"]);
    let inodes: Vec<u64> = kernel_watches(&tree.watcher).values().map(|watch| watch.ino).collect();
    let other = trees::Entry::walk(&tree.root).inodes();
    assert!(!inodes.iter().any(|ino| other.contains(ino)));
}

// ---- Held roots.

#[test]
fn a_held_root_is_followed_wherever_it_is_moved() {
    let options = TreeOptions::new().hold_root(true);
    let mut tree = Scene::with(NAMES, options, |root| fs::create_dir(root.join("dir")).unwrap());
    let moved = tree.outside("moved");
    fs::rename(&tree.root, &moved).unwrap();
    assert_eq!(tree.lines(), ["root moved"]);
    grow(&mut tree, &moved.join("new"));
    // Reported again only if it was back at its path meanwhile, as far as is known.
    fs::rename(&moved, tree.outside("moved2")).unwrap();
    assert!(tree.lines().is_empty());
    let moved = tree.outside("moved2");
    grow(&mut tree, &moved.join("new2"));
    tree.watcher.watches().set_path(tree.watch, &moved).unwrap();
    tree.root = moved.clone();
    assert!(tree.lines().is_empty());
    grow(&mut tree, &moved.join("new3"));
    fs::rename(&moved, tree.outside("moved3")).unwrap();
    assert_eq!(tree.lines(), ["root moved"]);
    tree.watcher.unwatch(tree.watch).unwrap();
    assert!(kernel_watches(&tree.watcher).is_empty());
}

#[test]
fn a_held_root_is_compared_after_an_overflow_wherever_it_is() {
    let options = TreeOptions::new().hold_root(true);
    let mut tree = Scene::with(NAMES, options, |_| ());
    let moved = tree.outside("moved");
    fs::rename(&tree.root, &moved).unwrap();
    if !overflow_in(&moved) {
        return;
    }
    fs::create_dir_all(moved.join("new/inner")).unwrap();
    let lines = tree.lines();
    let after = lines.iter().position(|line| line == "overflow").unwrap();
    assert!(lines.contains(&"root moved".to_owned()), "{:?}", &lines[after..]);
    assert!(lines[after..].contains(&"found new/inner/".to_owned()), "{:?}", &lines[after..]);
    grow(&mut tree, &moved.join("new2"));
}

// ---- File systems.

fn mount_tmpfs(at: &Path) {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), None).unwrap();
}

#[test]
fn a_tree_can_be_unmounted_as_soon_as_it_is_watched() {
    if !in_namespace("a_tree_can_be_unmounted_as_soon_as_it_is_watched") {
        return;
    }
    let place = Place::new();
    let root = place.dir("root");
    for round in 0..40 {
        mount_tmpfs(&root);
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        let mut watcher = Watcher::new().unwrap();
        let options =
            TreeOptions::new().report_existing(round % 2 == 0).track_files(round % 3 == 0);
        watcher.watch_tree(&root, NAMES, options).unwrap();
        unmount(&root, UnmountFlags::empty()).unwrap();
        let lines = lines(&mut watcher, &root);
        assert_eq!(lines[lines.len() - 2..], ["root unmounted", "ignored"], "{round}: {lines:?}");
    }
    // A held root keeps its file system busy until the tree is unwatched.
    mount_tmpfs(&root);
    let watcher = Watcher::new().unwrap();
    let watch = watcher.watch_tree(&root, NAMES, TreeOptions::new().hold_root(true)).unwrap();
    assert_eq!(unmount(&root, UnmountFlags::empty()), Err(rustix::io::Errno::BUSY));
    watcher.unwatch(watch).unwrap();
    unmount(&root, UnmountFlags::empty()).unwrap();
}

#[test]
fn after_an_unmount_the_directories_beneath_are_reported_and_watched() {
    if !in_namespace("after_an_unmount_the_directories_beneath_are_reported_and_watched") {
        return;
    }
    for kind in ["tmpfs", "bind"] {
        let mut tree = Scene::new(|root| {
            fs::create_dir_all(root.join("a/mount/beneath")).unwrap();
            let other: PathBuf = root.parent().unwrap().join("outside/other");
            fs::create_dir(&other).unwrap();
            match kind {
                "bind" => mount_bind(&other, root.join("a/mount")).unwrap(),
                _ => mount_tmpfs(&root.join("a/mount")),
            }
            fs::create_dir(root.join("a/mount/inner")).unwrap();
        });
        tree.check();
        write(tree.at("a/mount/inner/file"));
        let expected = ["create a/mount/inner/file", "written a/mount/inner/file"];
        assert_eq!(tree.checked(), expected, "{kind}");
        unmount(tree.at("a/mount"), UnmountFlags::empty()).unwrap();
        if kind == "bind" {
            // The directory that was bound still exists, so no watch has ended and no event comes. The next
            // scan of everything finds it.
            if overflow_in(&tree.at("a")) {
                let lines = tree.checked();
                let after = lines.iter().position(|line| line == "overflow").unwrap();
                let expected =
                    ["missing a/mount/", "found a/mount/", "found a/mount/beneath/", "resynced"];
                assert_eq!(lines[after + 1..], expected);
            }
            continue;
        }
        let lines = tree.checked();
        assert!(lines.contains(&"found a/mount/beneath/".to_owned()), "{kind}: {lines:?}");
        write(tree.at("a/mount/beneath/file"));
        let expected = ["create a/mount/beneath/file", "written a/mount/beneath/file"];
        assert_eq!(tree.checked(), expected, "{kind}");
    }
}

#[test]
fn a_directory_shown_twice_by_a_bind_mount_is_reported_before_established() {
    if !in_namespace("a_directory_shown_twice_by_a_bind_mount_is_reported_before_established") {
        return;
    }
    for existing in [false, true] {
        let place = Place::new();
        fs::create_dir(place.at("a")).unwrap();
        fs::create_dir(place.at("b")).unwrap();
        mount_bind(place.at("a"), place.at("b")).unwrap();
        let mut watcher = Watcher::new().unwrap();
        let options = TreeOptions::new().report_existing(existing);
        let watch = watcher.watch_tree(place.path(), NAMES, options).unwrap();
        let before = established(&mut watcher, watch);
        let mut before: Vec<String> = before.iter().map(ToString::to_string).collect();
        assert!(before.pop().unwrap_or_default().ends_with(": WatchedElsewhere"), "{existing}");
        let expected: &[&str] = if existing { &["found a/", "found b/"] } else { &[] };
        assert_eq!(sorted(before), expected, "{existing}");
        assert!(lines(&mut watcher, place.path()).is_empty(), "{existing}");
    }
}
