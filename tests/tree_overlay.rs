//! Trees on overlayfs, where the link count of a directory may be that of a layer. On the real kernel.

mod support;
mod watching;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use support::{in_namespace, skipped};
use tinotify::{EventKind, TreeOptions, WatchId, WatchMask, Watcher};
use watching::Place;

/// Directories of the lower layers, of the upper one, and those that are removed and created on the overlay.
const LOWEST: [&str; 8] = [
    "lowest/sub/leaf",
    "both_lower/of_lowest/leaf",
    "merged_empty_above/sub",
    "merged_empty_below",
    "hidden/sub",
    "emptied/sub",
    "replaced/old/older",
    "all/of_lowest",
];
const LOWER: [&str; 5] =
    ["lower/sub/leaf", "both_lower", "hidden_by_lower/sub", "all/of_lower", "leaf_of_lower"];
const UPPER: [&str; 4] =
    ["upper/sub/leaf", "merged_empty_above", "merged_empty_below/sub", "all/of_upper"];

fn create(layer: &Path, directories: &[&str]) {
    for directory in directories {
        fs::create_dir_all(layer.join(directory)).unwrap();
    }
}

/// Mounts an overlay of three layers. Returns `None` if that is not possible here.
fn overlay(place: &Place, test: &str) -> Option<PathBuf> {
    let [lowest, lower, upper, work, at] =
        ["lowest", "lower", "upper", "work", "mounted"].map(|name| place.dir(name));
    create(&lowest, &LOWEST);
    create(&lower, &LOWER);
    create(&upper, &UPPER);
    let options = format!(
        "userxattr,lowerdir={}:{},upperdir={},workdir={}",
        lower.display(),
        lowest.display(),
        upper.display(),
        work.display()
    );
    let options = CString::new(options).unwrap();
    if let Err(error) = mount("overlay", &at, "overlay", MountFlags::empty(), options.as_c_str()) {
        skipped(test, format_args!("overlayfs can't be mounted: {error}"));
        return None;
    }
    // Whiteouts, and opaque directories.
    fs::remove_dir_all(at.join("hidden")).unwrap();
    fs::remove_dir(at.join("emptied/sub")).unwrap();
    fs::remove_dir_all(at.join("replaced")).unwrap();
    create(&at, &["replaced/new/newer"]);
    fs::remove_dir_all(at.join("hidden_by_lower")).unwrap();
    create(&at, &["hidden_by_lower"]);
    Some(at)
}

/// Returns all directories of a tree on the disk.
fn on_disk(root: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::from([root.to_owned()]);
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                all.insert(entry.path());
                open.push(entry.path());
            }
        }
    }
    all
}

/// Returns all directories that a tree watches.
fn watched(watcher: &Watcher, tree: WatchId) -> BTreeSet<PathBuf> {
    let all = watcher.watches().tree_directories(tree).unwrap();
    all.into_iter().filter(|dir| dir.wd.is_some()).map(|dir| dir.path).collect()
}

#[test]
fn each_directory_of_an_overlay_is_watched_whatever_layers_it_is_in() {
    let test = "each_directory_of_an_overlay_is_watched_whatever_layers_it_is_in";
    if !in_namespace(test) {
        return;
    }
    let place = Place::new();
    let Some(root) = overlay(&place, test) else { return };
    let disk = on_disk(&root);
    assert!(disk.contains(&root.join("both_lower/of_lowest/leaf")), "{disk:?}");
    assert!(disk.contains(&root.join("replaced/new/newer")), "{disk:?}");
    let mut watcher = Watcher::new().unwrap();
    let tree = watcher.watch_tree(&root, WatchMask::CREATE, TreeOptions::new()).unwrap();
    assert_eq!(watched(&watcher, tree), disk);
    watcher.try_iter().for_each(drop);

    // In each directory, which is copied to the upper layer by that, and in the new directory.
    for dir in &disk {
        fs::create_dir(dir.join("later")).unwrap();
        let event = watcher.try_recv().unwrap().expect("the new directory");
        assert_eq!((event.kind(), event.path()), (EventKind::Create, &*dir.join("later")));
        fs::write(dir.join("later/file"), "").unwrap();
        let event = watcher.try_recv().unwrap().expect("a file in the new directory");
        assert_eq!((event.kind(), event.path()), (EventKind::Create, &*dir.join("later/file")));
    }
    assert_eq!(watched(&watcher, tree), on_disk(&root));
}

#[test]
fn a_tree_on_an_overlay_is_compared_after_an_overflow() {
    let test = "a_tree_on_an_overlay_is_compared_after_an_overflow";
    if !in_namespace(test) {
        return;
    }
    let place = Place::new();
    let Some(root) = overlay(&place, test) else { return };
    let mut watcher = Watcher::new().unwrap();
    let tree = watcher.watch_tree(&root, WatchMask::CREATE, TreeOptions::new()).unwrap();
    watcher.try_iter().for_each(drop);

    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 100_000 {
        return skipped(test, format_args!("fs.inotify.max_queued_events is {limit}"));
    }
    for number in 0..=limit {
        let name = root.join(["one", "two"][number % 2]);
        fs::write(&name, "").unwrap();
        fs::remove_file(&name).unwrap();
    }
    for dir in on_disk(&root) {
        fs::create_dir_all(dir.join("later/deeper")).unwrap();
    }
    watcher.try_iter().for_each(drop);
    assert_eq!(watched(&watcher, tree), on_disk(&root));
}
