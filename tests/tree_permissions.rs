//! Directories that are unreadable for some time: nothing is lost, and nothing wrong is reported.

mod support;
mod trees;
mod watching;

use std::fs;
use std::io::ErrorKind::PermissionDenied;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{as_plain_user, skipped};
use tinotify::{Errno, TreeOptions, UnwatchedReason, WatchMask};
use trees::{Mirror, NAMES, Note, NoteKind, Scene};
use watching::{kernel_watches, overflow};

fn permit(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn write(path: impl AsRef<Path>) {
    fs::write(path, "text").unwrap();
}

/// Returns a tree with a directory for events that make it overflow.
fn noisy(track_files: bool, prepare: impl FnOnce(&Path)) -> Scene {
    let options = TreeOptions::new().track_files(track_files);
    let mut tree = Scene::with(NAMES | WatchMask::ATTRIB, options, |root| {
        fs::create_dir(root.join("noise")).unwrap();
        write(root.join("noise/a"));
        write(root.join("noise/b"));
        prepare(root);
    });
    let mirror = std::mem::replace(&mut tree.mirror, Mirror::empty(false));
    tree.mirror = mirror.with_tracked_files(track_files);
    tree
}

/// Returns the reports, after the mirror applied them, without the `ATTRIB` events of the overflow and of
/// modes.
fn reported(tree: &mut Scene) -> Vec<String> {
    let notes = tree.notes();
    notes.iter().for_each(|note| tree.mirror.apply(note));
    let lines = notes.iter().map(ToString::to_string);
    lines.filter(|line| !line.contains("ATTRIB") && !line.contains("noise")).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

fn says_overflow(notes: &[Note]) -> bool {
    notes.iter().any(|note| matches!(note.kind, NoteKind::Overflow | NoteKind::Resynced))
}

#[test]
fn after_an_overflow_the_entries_of_a_replaced_unreadable_directory_are_gone() {
    as_plain_user(|| {
        // Only the kernel's list of watches shows that the old directory is gone.
        if fs::read_dir("/proc/self/fdinfo").is_err_and(|error| error.kind() == PermissionDenied) {
            let why = "before Linux 5.14 a thread that dropped root alone can't read its watches";
            skipped("a directory replaced by an unreadable one", why);
            return;
        }
        for track_files in [false, true] {
            let mut tree = noisy(track_files, |root| {
                fs::create_dir_all(root.join("p/inner/deep")).unwrap();
                write(root.join("p/file"));
            });
            if !overflow(&tree.at("noise")) {
                return;
            }
            fs::remove_dir_all(tree.at("p")).unwrap();
            fs::create_dir(tree.at("p")).unwrap();
            permit(tree.at("p"), 0o000);
            let lines = reported(&mut tree);
            let gone = |path: &str| lines.contains(&format!("missing {path}"));
            assert!(gone("p/") || gone("p/inner/"), "{lines:?}");
            assert!(lines.contains(&"unwatched p: EACCES".to_owned()), "{lines:?}");
            if track_files {
                assert!(gone("p/") || gone("p/file"), "{lines:?}");
            }
            // The new directory is found once it is readable.
            permit(tree.at("p"), 0o755);
            reported(&mut tree);
            write(tree.at("p/new"));
            assert_eq!(reported(&mut tree), ["create p/new", "written p/new"]);
            tree.check();
        }
    });
}

#[test]
fn an_unreadable_directory_renamed_unread_stays_watched() {
    as_plain_user(|| {
        let mut tree = noisy(false, |root| fs::create_dir_all(root.join("p/inner")).unwrap());
        permit(tree.at("p"), 0o000);
        fs::rename(tree.at("p"), tree.at("q")).unwrap();
        let notes = tree.notes();
        notes.iter().for_each(|note| tree.mirror.apply(note));
        assert!(!notes.iter().any(|note| matches!(note.kind, NoteKind::Unwatched(_))), "{notes:?}");
        assert!(notes.iter().any(|note| note.to_string() == "rename p/ -> q/"), "{notes:?}");
        permit(tree.at("q"), 0o755);
        reported(&mut tree);
        write(tree.at("q/inner/file"));
        assert_eq!(reported(&mut tree), ["create q/inner/file", "written q/inner/file"]);
        tree.check();
    });
}

#[test]
fn a_directory_created_before_its_parent_became_unreadable_is_watched_once_permitted() {
    as_plain_user(|| {
        let mut tree = noisy(false, |root| fs::create_dir(root.join("p")).unwrap());
        fs::create_dir_all(tree.at("p/q/inner")).unwrap();
        permit(tree.at("p"), 0o000);
        reported(&mut tree);
        permit(tree.at("p"), 0o755);
        let lines = reported(&mut tree);
        assert!(lines.contains(&"found p/q/inner/".to_owned()), "{lines:?}");
        write(tree.at("p/q/inner/file"));
        let expected = ["create p/q/inner/file", "written p/q/inner/file"];
        assert_eq!(reported(&mut tree), expected);
        tree.check();
    });
}

#[test]
fn a_directory_that_becomes_readable_is_watched_and_its_entries_are_reported() {
    as_plain_user(|| {
        // No permission, only search, only read.
        for mode in [0o000, 0o111, 0o444] {
            let mut tree = noisy(false, |root| {
                fs::create_dir_all(root.join("p/inner/deep")).unwrap();
                permit(root.join("p"), mode);
            });
            let before = reported(&mut tree);
            assert!(!before.is_empty(), "{mode:o}");
            permit(tree.at("p"), 0o755);
            let lines = reported(&mut tree);
            assert!(lines.contains(&"found p/inner/deep/".to_owned()), "{mode:o}: {lines:?}");
            assert!(lines.iter().any(|line| line.starts_with("watched p")), "{mode:o}: {lines:?}");
            write(tree.at("p/inner/deep/file"));
            let expected = ["create p/inner/deep/file", "written p/inner/deep/file"];
            assert_eq!(reported(&mut tree), expected, "{mode:o}");
            tree.check();
        }
    });
}

#[test]
fn a_directory_unlisted_after_an_overflow_is_compared_once_it_can_be() {
    as_plain_user(|| {
        let mut tree = noisy(true, |root| {
            fs::create_dir_all(root.join("p/old")).unwrap();
            write(root.join("p/gone"));
        });
        if !overflow(&tree.at("noise")) {
            return;
        }
        fs::create_dir_all(tree.at("p/new/inner")).unwrap();
        fs::remove_dir(tree.at("p/old")).unwrap();
        fs::remove_file(tree.at("p/gone")).unwrap();
        permit(tree.at("p"), 0o000);
        let lines = reported(&mut tree);
        assert!(lines.contains(&"unlisted p/: EACCES".to_owned()), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("missing")), "{lines:?}");
        permit(tree.at("p"), 0o755);
        let expected = [
            "found p/new/",
            "found p/new/inner/",
            "missing p/gone",
            "missing p/old/",
            "watched p/",
        ];
        assert_eq!(sorted(reported(&mut tree)), expected);
        write(tree.at("p/new/inner/file"));
        let expected = ["create p/new/inner/file", "written p/new/inner/file"];
        assert_eq!(reported(&mut tree), expected);
        tree.check();
    });
}

#[test]
fn a_root_that_becomes_readable_again_is_compared() {
    as_plain_user(|| {
        let mut tree = noisy(false, |root| fs::create_dir(root.join("old")).unwrap());
        if !overflow(&tree.at("noise")) {
            return;
        }
        fs::create_dir_all(tree.at("new/inner")).unwrap();
        fs::remove_dir(tree.at("old")).unwrap();
        let root = tree.root.clone();
        permit(&root, 0o000);
        let lines = reported(&mut tree);
        assert!(lines.contains(&"unlisted /: EACCES".to_owned()), "{lines:?}");
        permit(&root, 0o755);
        let expected = ["found new/", "found new/inner/", "missing old/"];
        let lines = sorted(reported(&mut tree));
        assert_eq!(lines[..3], expected, "{lines:?}");
        write(tree.at("new/inner/file"));
        assert_eq!(reported(&mut tree), ["create new/inner/file", "written new/inner/file"]);
        tree.check();
    });
}

#[test]
fn a_directory_created_in_an_unreadable_root_is_watched_once_permitted() {
    as_plain_user(|| {
        let mut tree = noisy(false, |_| ());
        fs::create_dir_all(tree.at("new/inner")).unwrap();
        let root = tree.root.clone();
        permit(&root, 0o000);
        let lines = reported(&mut tree);
        assert_eq!(lines[0], "create new/");
        permit(&root, 0o755);
        let lines = reported(&mut tree);
        assert!(lines.contains(&"found new/inner/".to_owned()), "{lines:?}");
        write(tree.at("new/inner/file"));
        assert_eq!(reported(&mut tree), ["create new/inner/file", "written new/inner/file"]);
        tree.check();
    });
}

#[test]
fn a_directory_unreadable_at_an_overflow_keeps_its_watch_and_its_entries() {
    as_plain_user(|| {
        let mut tree = noisy(true, |root| {
            fs::create_dir_all(root.join("p/inner")).unwrap();
            write(root.join("p/file"));
        });
        let watches = kernel_watches(&tree.watcher);
        permit(tree.at("p"), 0o000);
        if !overflow(&tree.at("noise")) {
            return;
        }
        let lines = reported(&mut tree);
        assert!(!lines.iter().any(|line| line.starts_with("missing")), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("unwatched")), "{lines:?}");
        assert_eq!(kernel_watches(&tree.watcher), watches);
        permit(tree.at("p"), 0o755);
        reported(&mut tree);
        write(tree.at("p/inner/new"));
        assert_eq!(reported(&mut tree), ["create p/inner/new", "written p/inner/new"]);
        tree.check();
    });
}

#[test]
fn an_exchange_beneath_a_directory_that_becomes_unreadable_reports_no_overflow() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    as_plain_user(|| {
        let mut tree = noisy(false, |root| {
            fs::create_dir_all(root.join("p/a/in-a")).unwrap();
            fs::create_dir_all(root.join("p/b/in-b")).unwrap();
        });
        renameat_with(CWD, tree.at("p/a"), CWD, tree.at("p/b"), RenameFlags::EXCHANGE).unwrap();
        permit(tree.at("p"), 0o000);
        let notes = tree.notes();
        notes.iter().for_each(|note| tree.mirror.apply(note));
        assert!(!says_overflow(&notes), "{notes:?}");
        permit(tree.at("p"), 0o755);
        let notes = tree.notes();
        notes.iter().for_each(|note| tree.mirror.apply(note));
        assert!(!says_overflow(&notes), "{notes:?}");
        write(tree.at("p/a/in-b/file"));
        assert_eq!(reported(&mut tree), ["create p/a/in-b/file", "written p/a/in-b/file"]);
        tree.check();
    });
}

#[test]
fn each_unwatched_directory_is_reported_once_with_its_reason() {
    as_plain_user(|| {
        let mut tree = noisy(false, |root| {
            for name in ["p", "q"] {
                fs::create_dir(root.join(name)).unwrap();
                permit(root.join(name), 0o000);
            }
        });
        let why = UnwatchedReason::Failed(Errno::EACCES);
        let notes = tree.notes();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes.iter().all(|note| note.kind == NoteKind::Unwatched(why)), "{notes:?}");
        // Retries report nothing while nothing changes.
        for round in 0..100 {
            write(tree.at(format!("file-{round}")));
            let lines = reported(&mut tree);
            assert_eq!(lines.len(), 2, "{lines:?}");
        }
        for name in ["p", "q"] {
            permit(tree.at(name), 0o755);
        }
        assert_eq!(sorted(reported(&mut tree)), ["watched p/", "watched q/"]);
        tree.check();
    });
}
