//! The boundaries of a tree: links, unreadable directories and, by option, mounts. On the real kernel.

mod support;
mod trees;
mod watching;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, Mode, mkdirat};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use support::{as_plain_user, in_namespace};
use tinotify::{TreeOptions, WatchMask, Watcher};
use trees::disk::{exchange, inodes, open_dir, sorted, watched_inodes, write};
use trees::{Entry, Mirror, NAMES, Note, Scene};
use watching::{Place, Watchdog, kernel_watches};

#[test]
fn nothing_is_watched_through_a_link_inside_the_tree() {
    let mut tree = Scene::new(|root| {
        let outside = root.parent().unwrap().join("outside/dir");
        fs::create_dir(&outside).unwrap();
        symlink(outside, root.join("link")).unwrap();
        symlink(".", root.join("circle")).unwrap();
    });
    tree.check();
    symlink(tree.outside("dir"), tree.at("later")).unwrap();
    assert_eq!(tree.checked(), ["create later"]);
    write(tree.outside("dir/file"));
    assert!(tree.checked().is_empty());
}

#[test]
fn a_link_swapped_in_for_a_directory_during_a_scan_is_not_followed() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let root = place.dir("root");
    let outside = place.dir("outside");
    for dir in [root.join("dir"), outside.clone()] {
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::create_dir(dir.join("c")).unwrap();
    }
    symlink(&outside, root.join("link")).unwrap();
    let beyond = [outside.clone(), outside.join("a"), outside.join("a/b"), outside.join("c")];
    let beyond = inodes(&beyond.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    let check = |watcher: &Watcher| {
        for ino in watched_inodes(watcher) {
            assert!(beyond.binary_search(&ino).is_err(), "it watches what is outside");
        }
    };

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0_u32;
            while !over.load(Ordering::Acquire) {
                exchange(root.join("dir"), root.join("link"));
                // Its events would show that it is watched.
                number += 1;
                write(outside.join(format!("a/beyond-{}", number % 100)));
            }
        });
        for _ in 0..100 {
            let mut watcher = Watcher::new().unwrap();
            let tree = watcher.watch_tree(&root, NAMES, TreeOptions::new()).unwrap();
            for _ in 0..20 {
                check(&watcher);
                let Some(event) = watcher.try_recv().unwrap() else { continue };
                let note = Note::of(&event, &root);
                assert!(!note.to_string().contains("beyond"), "{note:?}");
            }
            watcher.unwatch(tree).unwrap();
            assert!(kernel_watches(&watcher).is_empty());
        }
        over.store(true, Ordering::Release);
    });

    // Also for entries that are created meanwhile.
    let mut watcher = Watcher::new().unwrap();
    watcher.watch_tree(&root, NAMES, TreeOptions::new().report_existing(true)).unwrap();
    let mut mirror = Mirror::empty(false);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..500 {
                let name = format!("new-{}", number % 3);
                let (path, away) = (root.join(&name), root.join(format!("away-{number}")));
                fs::create_dir_all(path.join("a/b")).unwrap();
                fs::rename(&path, &away).unwrap();
                symlink(&outside, &path).unwrap();
                write(path.join(format!("a/beyond-{}", number % 100)));
                fs::remove_file(&path).unwrap();
            }
            over.store(true, Ordering::Release);
        });
        loop {
            let last = over.load(Ordering::Acquire);
            while let Some(event) = watcher.try_recv().unwrap() {
                let note = Note::of(&event, &root);
                assert!(!note.to_string().contains("beyond"), "{note:?}");
                mirror.apply(&note);
            }
            check(&watcher);
            if last {
                break;
            }
        }
    });
    let disk = Entry::walk(&root);
    let differences = mirror.differences(&disk);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(trees::watches_amiss(&watcher, &disk), None);
}

#[test]
fn unreadable_directories_are_reported_and_the_others_are_watched() {
    as_plain_user(|| {
        let permit = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let mask = NAMES | WatchMask::ATTRIB;
        let mut tree = Scene::with(mask, TreeOptions::new(), |root| {
            for path in ["locked/inner", "open/inner", "listed/inner"] {
                fs::create_dir_all(root.join(path)).unwrap();
            }
            permit(&root.join("locked"), 0o000);
            // Only its names can be read.
            permit(&root.join("listed"), 0o444);
        });
        let expected = ["unwatched listed/inner: EACCES", "unwatched locked: EACCES"];
        assert_eq!(sorted(tree.lines()), expected);
        write(tree.at("open/inner/file"));
        assert_eq!(tree.lines(), ["create open/inner/file", "written open/inner/file"]);

        // It becomes unreadable while it is watched.
        let mode = Mode::empty();
        mkdirat(CWD, tree.at("open/new"), mode).unwrap();
        assert_eq!(tree.lines(), ["create open/new/", "unwatched open/new: EACCES"]);
        // No further directory is watched.
        permit(&tree.at("locked"), 0o755);
        permit(&tree.at("open/new"), 0o755);
        let lines = tree.lines();
        assert!(lines.contains(&"found locked/inner/".to_owned()), "{lines:?}");
        write(tree.at("locked/inner/file"));
        write(tree.at("open/new/file"));
        let expected = [
            "create locked/inner/file",
            "written locked/inner/file",
            "create open/new/file",
            "written open/new/file",
        ];
        assert_eq!(tree.lines(), expected);
        permit(&tree.at("listed"), 0o755);
    });
}

fn mount_tmpfs(at: &Path) {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), None).unwrap();
}

#[test]
fn a_mount_inside_is_part_of_the_tree_until_it_is_unmounted() {
    if !in_namespace("a_mount_inside_is_part_of_the_tree_until_it_is_unmounted") {
        return;
    }
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("sub/beneath")).unwrap();
        mount_tmpfs(&root.join("sub"));
        fs::create_dir(root.join("sub/inner")).unwrap();
    });
    tree.check();
    write(tree.at("sub/inner/file"));
    assert_eq!(tree.checked(), ["create sub/inner/file", "written sub/inner/file"]);

    // A watch does not keep a file system busy.
    unmount(tree.at("sub"), UnmountFlags::empty()).unwrap();
    let lines = tree.checked();
    assert!(lines.contains(&"found sub/beneath/".to_owned()), "{lines:?}");
    write(tree.at("sub/beneath/file"));
    assert_eq!(tree.checked(), ["create sub/beneath/file", "written sub/beneath/file"]);
}

#[test]
fn a_later_mount_hides_no_change_beneath_or_beside_it() {
    if !in_namespace("a_later_mount_hides_no_change_beneath_or_beside_it") {
        return;
    }
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("sub/beneath")).unwrap();
        fs::create_dir(root.join("beside")).unwrap();
    });
    let beneath = open_dir(&tree.at("sub/beneath"));
    mount_tmpfs(&tree.at("sub"));
    fs::create_dir_all(tree.at("sub/new/inner")).unwrap();
    fs::create_dir_all(tree.at("beside/new/inner")).unwrap();
    mkdirat(&beneath, "hidden", Mode::RWXU).unwrap();
    let lines = tree.lines();
    for expected in ["create beside/new/", "found beside/new/inner/", "create sub/beneath/hidden/"]
    {
        assert!(lines.contains(&expected.to_owned()), "{lines:?}");
    }
    unmount(tree.at("sub"), UnmountFlags::empty()).unwrap();
    tree.lines();
    fs::create_dir_all(tree.at("sub/beneath/later/inner")).unwrap();
    let expected = ["create sub/beneath/later/", "found sub/beneath/later/inner/"];
    assert_eq!(tree.lines(), expected);
}

#[test]
fn a_bind_mount_inside_is_reported_and_watched_under_one_path() {
    if !in_namespace("a_bind_mount_inside_is_reported_and_watched_under_one_path") {
        return;
    }
    let mut tree = Scene::new(|root| {
        fs::create_dir(root.join("a")).unwrap();
        fs::create_dir(root.join("b")).unwrap();
        mount_bind(root.join("a"), root.join("b")).unwrap();
    });
    let lines = tree.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("unwatched "), "{lines:?}");
    assert_eq!(watched_inodes(&tree.watcher), inodes(&[&tree.root, &tree.at("a")]));
    write(tree.at("a/file"));
    let lines = tree.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].ends_with("/file"), "{lines:?}");
}

#[test]
fn with_same_file_system_mounts_are_excluded() {
    if !in_namespace("with_same_file_system_mounts_are_excluded") {
        return;
    }
    let options = TreeOptions::new().same_file_system(true);
    let mut tree = Scene::with(NAMES, options, |root| {
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir_all(root.join("same")).unwrap();
        mount_tmpfs(&root.join("sub"));
        fs::create_dir(root.join("sub/inner")).unwrap();
    });
    tree.lines();
    assert_eq!(watched_inodes(&tree.watcher), inodes(&[&tree.root, &tree.at("same")]));
    write(tree.at("sub/inner/file"));
    fs::create_dir(tree.at("sub/new")).unwrap();
    assert!(tree.lines().is_empty());
    fs::create_dir(tree.at("same/new")).unwrap();
    assert_eq!(tree.lines(), ["create same/new/"]);
}

#[test]
fn an_unmounted_root_is_reported_and_ends_the_tree() {
    if !in_namespace("an_unmounted_root_is_reported_and_ends_the_tree") {
        return;
    }
    let mut tree = Scene::new(|root| {
        mount_tmpfs(root);
        fs::create_dir_all(root.join("a/b")).unwrap();
    });
    unmount(&tree.root, UnmountFlags::empty()).unwrap();
    let lines = tree.lines();
    assert_eq!(lines[lines.len() - 2..], ["root unmounted", "ignored"], "{lines:?}");
    assert!(tree.watcher.watches().is_empty());
    assert!(kernel_watches(&tree.watcher).is_empty());
}
