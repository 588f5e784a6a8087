//! The options and the mask of a tree, on the real kernel.

mod support;
mod trees;
mod watching;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use support::in_namespace;
use tinotify::{
    Errno, OnWatchLimit, TreeOptions, UnwatchedReason, WatchMask, WatchOptions, Watcher,
};
use trees::disk::{inodes, watched_inodes, write};
use trees::{NAMES, Note, NoteKind, Scene, watch_tree};
use watching::{Place, kernel_watches, say};

#[test]
fn directories_below_max_depth_are_not_watched() {
    for depth in 0..4 {
        let mut tree = Scene::with(NAMES, TreeOptions::new().max_depth(depth), |root| {
            fs::create_dir_all(root.join("1/2/3/4/5")).unwrap();
        });
        let dirs = ["", "1", "1/2", "1/2/3"].map(|path| tree.at(path));
        let watched: Vec<&Path> = dirs[..=depth as usize].iter().map(PathBuf::as_path).collect();
        assert_eq!(watched_inodes(&tree.watcher), inodes(&watched), "depth {depth}");

        // Also new directories.
        fs::create_dir_all(tree.at("a/b/c/d/e")).unwrap();
        let lines = tree.lines();
        let expected =
            ["create a/", "found a/b/", "found a/b/c/", "found a/b/c/d/", "found a/b/c/d/e/"];
        assert_eq!(lines, expected[..=depth as usize]);
        assert_eq!(kernel_watches(&tree.watcher).len(), 2 * depth as usize + 1);
    }
}

#[test]
fn max_depth_holds_for_directories_renamed_up_or_down() {
    let mut tree = Scene::with(NAMES, TreeOptions::new().max_depth(1), |root| {
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::create_dir(root.join("d")).unwrap();
    });
    let watched = |tree: &Scene, paths: &[&str]| {
        let paths: Vec<PathBuf> = paths.iter().map(|path| tree.at(path)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        assert_eq!(watched_inodes(&tree.watcher), inodes(&paths));
    };
    watched(&tree, &["", "a", "d"]);
    fs::rename(tree.at("a/b"), tree.at("b")).unwrap();
    tree.lines();
    watched(&tree, &["", "a", "b", "d"]);
    fs::rename(tree.at("d"), tree.at("a/d")).unwrap();
    tree.lines();
    watched(&tree, &["", "a", "b"]);
    write(tree.at("a/d/file"));
    assert!(tree.lines().is_empty());
    write(tree.at("b/file"));
    assert_eq!(tree.lines(), ["create b/file", "written b/file"]);
}

/// Changes a tree without the directories `target` and `.git`, and checks which directories are watched at
/// the end.
fn without_target_and_git(options: TreeOptions) {
    let mut tree = Scene::with(NAMES, options, |root| {
        for path in ["target/debug", "sub/target/debug", "sub/.git/objects", "targets/x"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
    });
    fs::create_dir_all(tree.at("new/target/debug")).unwrap();
    write(tree.at("new/target/debug/file"));
    write(tree.at("target/debug/file"));
    assert_eq!(tree.lines(), ["create new/", "found new/target/"]);
    let watched = ["", "sub", "targets", "targets/x", "new"].map(|path| tree.at(path));
    let watched: Vec<&Path> = watched.iter().map(PathBuf::as_path).collect();
    assert_eq!(watched_inodes(&tree.watcher), inodes(&watched));
}

#[test]
fn an_excluded_directory_is_reported_but_not_entered() {
    without_target_and_git(
        TreeOptions::new().exclude(|path| path.ends_with("target") || path.ends_with(".git")),
    );
}

#[test]
fn exclude_gets_the_path_beneath_the_root() {
    let mut tree =
        Scene::with(NAMES, TreeOptions::new().exclude(|path| path == Path::new("a/b")), |root| {
            fs::create_dir_all(root.join("a/b/a/b")).unwrap();
            fs::create_dir_all(root.join("c/a/b")).unwrap();
        });
    let watched = ["", "a", "c", "c/a", "c/a/b"].map(|path| tree.at(path));
    let watched: Vec<&Path> = watched.iter().map(PathBuf::as_path).collect();
    assert_eq!(watched_inodes(&tree.watcher), inodes(&watched));
    assert!(tree.lines().is_empty());
}

#[cfg(feature = "glob")]
#[test]
fn a_directory_excluded_by_a_glob_is_not_entered() {
    let options = TreeOptions::new().exclude_glob("target").unwrap().exclude_glob(".git").unwrap();
    without_target_and_git(options);
    without_target_and_git(TreeOptions::new().exclude_glob("{target,.git}").unwrap());
    assert!(TreeOptions::new().exclude_glob("{").is_err());
}

/// Sets the limit of watches of this user namespace, which counts like the machine's.
fn limit_watches(test: &str, limit: usize) -> bool {
    let written = fs::write("/proc/sys/user/max_inotify_watches", limit.to_string());
    if let Err(error) = &written {
        say(format_args!("SKIPPED: {test}: user.max_inotify_watches can't be set: {error}"));
    }
    written.is_ok()
}

fn ten_directories(root: &Path) {
    for number in 0..3 {
        fs::create_dir_all(root.join(format!("{number}/a/b"))).unwrap();
    }
}

#[test]
fn at_the_limit_of_watches_a_tree_fails_and_leaves_no_watch() {
    const NAME: &str = "at_the_limit_of_watches_a_tree_fails_and_leaves_no_watch";
    if !in_namespace(NAME) || !limit_watches(NAME, 9) {
        return;
    }
    let place = Place::new();
    ten_directories(place.path());
    let watcher = Watcher::new().unwrap();
    for options in [TreeOptions::new(), TreeOptions::new().on_watch_limit(OnWatchLimit::Fail)] {
        let error = watcher.watch_tree(place.path(), NAMES, options).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::ENOSPC), "{error}");
        assert!(error.to_string().contains("fs.inotify.max_user_watches"), "{error}");
        assert!(kernel_watches(&watcher).is_empty());
        assert!(watcher.watches().is_empty());
    }
    // With one directory less the set-up succeeds. Later failures are reported.
    fs::remove_dir(place.at("0/a/b")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    watch_tree(&mut watcher, place.path(), NAMES, TreeOptions::new());
    assert!(watcher.try_recv().unwrap().is_none());
    fs::create_dir(place.at("new")).unwrap();
    let mut lines = Vec::new();
    while let Some(event) = watcher.try_recv().unwrap() {
        lines.push(Note::of(&event, place.path()).to_string());
    }
    assert_eq!(lines, ["create new/", "unwatched new: ENOSPC"]);
}

#[test]
fn at_the_limit_of_watches_a_partial_tree_reports_what_is_unwatched() {
    const NAME: &str = "at_the_limit_of_watches_a_partial_tree_reports_what_is_unwatched";
    if !in_namespace(NAME) || !limit_watches(NAME, 6) {
        return;
    }
    let options = TreeOptions::new().on_watch_limit(OnWatchLimit::Partial);
    let mut tree = Scene::with(NAMES, options, ten_directories);
    let notes = tree.notes();
    assert_eq!(kernel_watches(&tree.watcher).len(), 6);
    assert!(!notes.is_empty());
    for note in &notes {
        assert_eq!(
            note.kind,
            NoteKind::Unwatched(UnwatchedReason::Failed(Errno::ENOSPC)),
            "{notes:?}"
        );
    }
    // No other directory is unwatched, except beneath a reported one.
    let watched = watched_inodes(&tree.watcher);
    for path in ["0", "0/a", "0/a/b", "1", "1/a", "1/a/b", "2", "2/a", "2/a/b"].map(Path::new) {
        let ino = fs::metadata(tree.at(path)).unwrap().ino();
        let lacks = path.ancestors().any(|above| notes.iter().any(|note| note.path == above));
        assert_eq!(watched.binary_search(&ino).is_err(), lacks, "{path:?} of {notes:?}");
    }
    write(tree.at("file"));
    assert_eq!(tree.lines(), ["create file", "written file"]);
}

#[test]
fn an_alias_and_a_filter_apply_to_the_whole_tree() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let watch = WatchOptions::new().alias("home").filter(|event| !event.is_dir());
    let options = TreeOptions::new().watch(watch);
    let tree = watch_tree(&mut watcher, place.path(), NAMES, options);
    assert_eq!(watcher.watches().with_alias("home").unwrap(), tree);
    let mut lines = Vec::new();
    let mut read = |watcher: &mut Watcher| {
        while let Some(event) = watcher.try_recv().unwrap() {
            assert_eq!(event.alias().unwrap(), "home");
            assert_eq!(event.watch(), Some(tree));
            lines.push(Note::of(&event, place.path()).to_string());
        }
    };
    // Directories that the filter hides are watched nevertheless.
    fs::create_dir_all(place.at("a/b")).unwrap();
    write(place.at("a/b/one"));
    read(&mut watcher);
    write(place.at("a/b/two"));
    fs::rename(place.at("a"), place.at("c")).unwrap();
    write(place.at("c/b/three"));
    read(&mut watcher);
    let lines: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.starts_with("written")).collect();
    assert_eq!(lines, ["found a/b/one", "create a/b/two", "create c/b/three"]);
    let again = TreeOptions::new().watch(WatchOptions::new().alias("home"));
    assert!(watcher.watch_tree(place.path(), NAMES, again).is_err());
    watcher.unwatch_alias("home").unwrap();
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn only_events_of_the_mask_are_reported() {
    let mut tree = Scene::with(WatchMask::CLOSE_WRITE, TreeOptions::new(), |_| ());
    fs::create_dir_all(tree.at("a/b")).unwrap();
    assert!(tree.lines().is_empty());
    fs::rename(tree.at("a"), tree.at("c")).unwrap();
    write(tree.at("c/b/file"));
    fs::rename(tree.at("c/b/file"), tree.at("file")).unwrap();
    fs::remove_file(tree.at("file")).unwrap();
    assert_eq!(tree.lines(), ["written c/b/file"]);
}

#[test]
fn a_file_in_a_new_directory_is_reported_for_close_write() {
    for mask in [WatchMask::CLOSE_WRITE, WatchMask::MODIFY, WatchMask::MOVED_TO] {
        let mut tree = Scene::with(mask, TreeOptions::new(), |_| ());
        fs::create_dir_all(tree.at("a/b")).unwrap();
        write(tree.at("a/b/file"));
        fs::hard_link(tree.at("a/b/file"), tree.at("a/b/link")).unwrap();
        let mut lines = tree.lines();
        lines.retain(|line| !line.ends_with('/'));
        lines.sort();
        assert_eq!(lines, ["found a/b/file", "found a/b/link"], "{mask}");
    }
    for mask in [WatchMask::DELETE, WatchMask::ATTRIB, WatchMask::MOVED_FROM] {
        let mut tree = Scene::with(mask, TreeOptions::new(), |_| ());
        fs::create_dir_all(tree.at("a/b")).unwrap();
        write(tree.at("a/b/file"));
        assert!(tree.lines().is_empty(), "{mask}");
    }
}
