//! The backend keeps the contract of notify's `Watcher`. notify's own tests are not repeated here.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use notify::{Config, ErrorKind, RecursiveMode, Watcher as _, WatcherKind};
use support::{Backend, DATA, FILE, FOLDER, FROM, NO_FILE, NO_FOLDER, TO, Watched, scratch};

fn is_not_found(result: notify::Result<()>) -> bool {
    matches!(result, Err(notify::Error { kind: ErrorKind::WatchNotFound, .. }))
}

#[test]
fn it_is_the_kind_of_the_inotify_backend() {
    assert_eq!(Backend::kind(), WatcherKind::Inotify);
}

#[test]
fn a_missing_path_is_not_found_and_is_named() {
    let root = scratch();
    let missing = root.path().join("missing");
    let mut watched = Watched::new(Config::default());
    for mode in [RecursiveMode::Recursive, RecursiveMode::NonRecursive] {
        let error = watched.watcher.watch(&missing, mode).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::PathNotFound), "{error}");
        assert_eq!(error.paths, std::slice::from_ref(&missing));
        assert!(is_not_found(watched.watcher.unwatch(&missing)));
    }
}

#[test]
fn a_file_is_watched_alone_whatever_the_mode() {
    let root = scratch();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for mode in [RecursiveMode::Recursive, RecursiveMode::NonRecursive] {
        let mut watched = Watched::new(Config::default());
        watched.watcher.watch(&file, mode).unwrap();
        fs::write(root.path().join("other"), "").unwrap();
        fs::remove_file(&file).unwrap();
        watched.wait(NO_FILE, &file);
        assert!(watched.paths().iter().all(|path| *path == file), "{:?}", watched.seen);
        fs::write(&file, "").unwrap();
    }
}

#[test]
fn a_directory_is_watched_without_those_beneath_it() {
    let root = scratch();
    let mut watched = Watched::new(Config::default());
    watched.directory(root.path());
    fs::create_dir_all(root.path().join("a/b")).unwrap();
    watched.settle(root.path());
    assert_eq!(watched.count(FOLDER, root.path().join("a")), 1);
    assert_eq!(watched.count(FOLDER, root.path().join("a/b")), 0);
}

#[test]
fn a_removed_path_is_no_longer_watched() {
    let root = scratch();
    for mode in [RecursiveMode::Recursive, RecursiveMode::NonRecursive] {
        let directory = root.path().join("directory");
        fs::create_dir(&directory).unwrap();
        let mut watched = Watched::new(Config::default());
        watched.watcher.watch(&directory, mode).unwrap();
        fs::remove_dir(&directory).unwrap();
        assert_eq!(watched.wait(NO_FOLDER, &directory), 1);
        watched.directory(root.path());
        watched.settle(root.path());
        assert!(is_not_found(watched.watcher.unwatch(&directory)));
    }
}

#[test]
fn two_links_of_a_file_are_two_watches() {
    let root = scratch();
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    fs::write(&first, "").unwrap();
    fs::hard_link(&first, &second).unwrap();
    let mut watched = Watched::new(Config::default());
    watched.directory(&first);
    watched.directory(&second);
    fs::remove_file(&first).unwrap();
    fs::remove_file(&second).unwrap();
    watched.wait(NO_FILE, &first);
    watched.wait(NO_FILE, &second);
}

#[test]
fn a_moved_root_is_reported_as_the_first_half_of_a_rename() {
    let root = scratch();
    let old = root.path().join("old");
    for mode in [RecursiveMode::Recursive, RecursiveMode::NonRecursive] {
        fs::create_dir(&old).unwrap();
        let mut watched = Watched::new(Config::default());
        watched.watcher.watch(&old, mode).unwrap();
        fs::rename(&old, root.path().join("new")).unwrap();
        assert_eq!(watched.wait(FROM, &old), 1);
        fs::create_dir(root.path().join("new/a")).unwrap();
        watched.wait(FOLDER, old.join("a"));
        fs::remove_dir_all(root.path().join("new")).unwrap();
        watched.wait(NO_FOLDER, &old);
        assert_eq!(watched.count(FROM, &old), 1);
    }
}

#[test]
fn watching_a_path_again_replaces_the_watch() {
    let root = scratch();
    fs::create_dir(root.path().join("a")).unwrap();
    let mut watched = Watched::tree(root.path());
    watched.directory(root.path());
    fs::write(root.path().join("a/unseen"), "").unwrap();
    fs::write(root.path().join("seen"), "").unwrap();
    watched.settle(root.path());
    assert_eq!(watched.count(FILE, root.path().join("seen")), 1);
    assert_eq!(watched.count(FILE, root.path().join("a/unseen")), 0);
    watched.watcher.unwatch(root.path()).unwrap();
    assert!(is_not_found(watched.watcher.unwatch(root.path())));
}

#[test]
fn watching_a_path_again_as_before_loses_nothing() {
    let root = scratch();
    let mut watched = Watched::tree(root.path());
    for number in 0..200 {
        let file = root.path().join(number.to_string());
        fs::write(&file, "").unwrap();
        watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
        assert_eq!(watched.wait(FILE, &file), 1);
    }
}

#[test]
fn a_replaced_file_can_be_watched_again() {
    let root = scratch();
    let (file, new) = (root.path().join("file"), root.path().join("new"));
    fs::write(&file, "").unwrap();
    let mut watched = Watched::new(Config::default());
    for _ in 0..50 {
        watched.directory(&file);
        fs::write(&new, "").unwrap();
        fs::rename(&new, &file).unwrap();
        watched.directory(&file);
        watched.seen.clear();
        fs::write(&file, "text").unwrap();
        watched.wait(DATA, &file);
    }
}

#[test]
fn a_directory_can_be_taken_out_of_a_tree() {
    let root = scratch();
    let child = root.path().join("child");
    fs::create_dir_all(child.join("grandchild")).unwrap();
    let mut watched = Watched::tree(root.path());
    watched.watcher.unwatch(&child).unwrap();
    assert!(is_not_found(watched.watcher.unwatch(&child)));
    fs::write(child.join("unseen"), "").unwrap();
    fs::write(child.join("grandchild/unseen"), "").unwrap();
    watched.settle(root.path());
    assert_eq!(watched.paths().iter().filter(|path| path.ends_with("unseen")).count(), 0);

    watched.directory(&child);
    fs::write(child.join("seen"), "").unwrap();
    assert_eq!(watched.wait(FILE, child.join("seen")), 1);
    fs::remove_dir_all(&child).unwrap();
    watched.wait(NO_FOLDER, &child);
}

#[test]
fn watches_that_overlap_report_each_event_once() {
    let root = scratch();
    let child = root.path().join("child");
    fs::create_dir(&child).unwrap();
    let (file, deep) = (child.join("file"), child.join("deep"));
    for child_first in [true, false] {
        let mut watched = Watched::new(Config::default());
        let mut paths = [root.path(), &child];
        if child_first {
            paths.reverse();
        }
        for path in paths {
            watched.watcher.watch(path, RecursiveMode::Recursive).unwrap();
        }
        fs::create_dir(&deep).unwrap();
        watched.wait(FOLDER, &deep);
        fs::write(deep.join("file"), "").unwrap();
        fs::rename(deep.join("file"), root.path().join("file")).unwrap();
        fs::rename(root.path().join("file"), &file).unwrap();
        fs::remove_file(&file).unwrap();
        watched.wait_for_renames(2);
        fs::remove_dir(&deep).unwrap();
        watched.wait(NO_FOLDER, &deep);
        watched.settle(root.path());
        watched.settle(&child);
        let count = |kind, path: &Path| watched.count(kind, path);
        assert_eq!(count(FOLDER, &deep), 1, "{child_first}");
        assert_eq!(count(FILE, &deep.join("file")), 1, "{child_first}");
        assert_eq!(count(FROM, &deep.join("file")), 1, "{child_first}");
        assert_eq!(count(TO, &root.path().join("file")), 1, "{child_first}");
        assert_eq!(count(FROM, &root.path().join("file")), 1, "{child_first}");
        assert_eq!(count(TO, &file), 1, "{child_first}");
        assert_eq!(count(NO_FILE, &file), 1, "{child_first}");
        let middle = root.path().join("file");
        let mut renames = watched.both();
        renames.sort();
        let expected = [[deep.join("file"), middle.clone()], [middle, file.clone()]];
        assert_eq!(renames, expected, "{child_first}");
    }
}

#[test]
fn a_rename_between_two_trees_is_one() {
    let (first, second) = (scratch(), scratch());
    let (from, to) = (first.path().join("from"), second.path().join("to"));
    fs::write(&from, "").unwrap();
    let mut watched = Watched::tree(first.path());
    watched.watcher.watch(second.path(), RecursiveMode::Recursive).unwrap();
    fs::rename(&from, &to).unwrap();
    watched.wait_for_renames(1);
    assert_eq!(watched.both(), [[from, to]]);
}

#[test]
fn a_directory_that_takes_the_place_of_a_watched_one_is_reported() {
    let root = scratch();
    let child = root.path().join("parent/child");
    fs::create_dir_all(&child).unwrap();
    let mut watched = Watched::new(Config::default());
    watched.directory(&child);
    watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
    fs::rename(root.path().join("parent"), root.path().join("old")).unwrap();
    fs::create_dir_all(&child).unwrap();
    watched.wait(FOLDER, &child);
    fs::write(child.join("file"), "").unwrap();
    assert_eq!(watched.wait(FILE, child.join("file")), 1);
}

#[test]
fn two_directories_that_change_places_are_two_renames() {
    let root = scratch();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    fs::create_dir_all(a.join("in_a")).unwrap();
    fs::create_dir_all(b.join("in_b")).unwrap();
    let mut watched = Watched::tree(root.path());
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
    fs::write(b.join("in_a/file"), "").unwrap();
    watched.wait(FILE, b.join("in_a/file"));
    let mut renames = watched.both();
    renames.sort();
    assert_eq!(renames, [[a.clone(), b.clone()], [b, a]]);
    let mut trackers: Vec<_> = watched.seen.iter().filter_map(|event| event.tracker()).collect();
    trackers.sort_unstable();
    trackers.dedup();
    assert_eq!(trackers.len(), 2);
}

#[test]
fn links_are_followed_unless_the_configuration_forbids_it() {
    for follow in [true, false] {
        let (root, outside) = (scratch(), scratch());
        let link = root.path().join("link");
        symlink(outside.path(), &link).unwrap();
        let mut watched = Watched::new(Config::default().with_follow_symlinks(follow));
        watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
        fs::write(outside.path().join("file"), "").unwrap();
        watched.settle(root.path());
        assert_eq!(watched.count(FILE, link.join("file")), usize::from(follow));
        // The link itself can be watched beside the tree, and is followed then.
        watched.directory(&link);
        fs::write(outside.path().join("other"), "").unwrap();
        assert_eq!(watched.wait(FILE, link.join("other")), 1);
    }
}

#[test]
fn a_link_to_its_own_tree_is_no_loop() {
    let root = scratch();
    symlink(".", root.path().join("loop")).unwrap();
    let mut watched = Watched::tree(root.path());
    fs::create_dir(root.path().join("a")).unwrap();
    watched.settle(root.path());
    assert_eq!(watched.count(FOLDER, root.path().join("a")), 1);
}

#[test]
fn a_directory_without_permission_is_an_error_and_its_siblings_are_watched() {
    use std::os::unix::fs::PermissionsExt;
    let root = scratch();
    let (barred, open) = (root.path().join("barred"), root.path().join("open"));
    fs::create_dir(&barred).unwrap();
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&barred, PermissionsExt::from_mode(0o000)).unwrap();
    let is_root = fs::read_dir(&barred).is_ok();
    let mut watched = Watched::tree(root.path());
    fs::set_permissions(&barred, PermissionsExt::from_mode(0o755)).unwrap();
    if is_root {
        eprintln!("SKIPPED: permissions say nothing to root");
        return;
    }
    let errors = std::iter::from_fn(|| watched.events.recv().ok()).filter_map(Result::err);
    assert_eq!({ errors }.next().unwrap().paths, [barred]);
    fs::write(open.join("file"), "").unwrap();
    watched.wait(FILE, open.join("file"));
}

#[test]
fn the_handler_is_dropped_with_the_watcher() {
    let root = scratch();
    let mut watched = Watched::tree(root.path());
    fs::write(root.path().join("file"), "").unwrap();
    watched.wait(FILE, root.path().join("file"));
    let Watched { watcher, events, .. } = watched;
    drop(watcher);
    while events.recv().is_ok() {}
}

#[test]
fn the_watcher_is_configured_at_run_time_as_far_as_linux_has_options() {
    let mut watched = Watched::new(Config::default());
    assert!(watched.watcher.configure(Config::default().with_compare_contents(true)).unwrap());
    assert!(!watched.watcher.configure(Config::default().with_follow_symlinks(false)).unwrap());
}

#[cfg(not(feature = "notify-9"))]
#[test]
fn paths_are_added_and_removed_together() {
    let (first, second) = (scratch(), scratch());
    let mut watched = Watched::tree(first.path());
    let mut paths = watched.watcher.paths_mut();
    paths.remove(first.path()).unwrap();
    paths.add(second.path(), RecursiveMode::Recursive).unwrap();
    assert!(is_not_found(paths.remove(first.path())));
    paths.commit().unwrap();
    fs::write(first.path().join("unseen"), "").unwrap();
    watched.settle(second.path());
    assert!(watched.paths().iter().all(|path| path.starts_with(second.path())));
}

#[cfg(feature = "notify-9")]
mod notify_9 {
    use notify::event::EventKindMask;
    use notify::{PathOp, WatchPathConfig};

    use super::*;

    fn only(kinds: EventKindMask) -> Config {
        Config::default().with_event_kinds(kinds)
    }

    fn link_itself() -> WatchPathConfig {
        WatchPathConfig::new(RecursiveMode::NonRecursive).with_dereference_symlinks(false)
    }

    #[test]
    fn the_kinds_of_events_are_chosen_at_run_time() {
        let root = scratch();
        let mut watched = Watched::new(only(EventKindMask::CREATE));
        watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
        fs::write(root.path().join("first"), "text").unwrap();
        watched.settle(root.path());
        assert!(watched.seen.iter().all(|event| event.kind == FILE), "{:?}", watched.seen);
        assert!(watched.watcher.configure(only(EventKindMask::REMOVE)).unwrap());
        fs::write(root.path().join("second"), "text").unwrap();
        fs::remove_file(root.path().join("second")).unwrap();
        watched.wait(NO_FILE, root.path().join("second"));
        assert_eq!(watched.count(FILE, root.path().join("second")), 0);
    }

    #[test]
    fn renames_are_reported_to_those_who_want_nothing_else() {
        let root = scratch();
        let (old, new) = (root.path().join("old"), root.path().join("new"));
        fs::write(&old, "").unwrap();
        for mode in [RecursiveMode::Recursive, RecursiveMode::NonRecursive] {
            let mut watched = Watched::new(only(EventKindMask::MODIFY_NAME));
            watched.watcher.watch(root.path(), mode).unwrap();
            fs::rename(&old, &new).unwrap();
            watched.wait(TO, &new);
            fs::rename(&new, &old).unwrap();
        }
    }

    #[test]
    fn what_is_written_in_new_directories_is_reported_without_their_creation() {
        let root = scratch();
        let deep = root.path().join("1/2/3");
        for _ in 0..20 {
            let mut watched = Watched::new(only(EventKindMask::MODIFY_DATA));
            watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
            fs::create_dir_all(&deep).unwrap();
            fs::write(deep.join("file"), "text").unwrap();
            watched.wait(DATA, deep.join("file"));
            assert!(watched.paths().iter().all(|path| *path == deep.join("file")));
            fs::remove_dir_all(root.path().join("1")).unwrap();
        }
    }

    #[test]
    fn a_relative_path_is_reported_relative() {
        let root = tempfile::tempdir_in(".").unwrap();
        let relative = Path::new(root.path().file_name().unwrap());
        let mut watched = Watched::tree(relative);
        fs::create_dir(relative.join("a")).unwrap();
        watched.wait(FOLDER, relative.join("a"));
        fs::write(relative.join("a/file"), "").unwrap();
        watched.wait(FILE, relative.join("a/file"));
        let paths = watched.watcher.watched_paths().unwrap();
        assert_eq!(paths, [(relative.to_owned(), RecursiveMode::Recursive)]);
    }

    #[test]
    fn a_link_that_is_watched_itself_is_not_followed() {
        for link_first in [true, false] {
            let (root, outside) = (scratch(), scratch());
            let link = root.path().join("link");
            symlink(outside.path(), &link).unwrap();
            let mut watched = Watched::new(Config::default());
            if !link_first {
                watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
            }
            watched.watcher.watch_with(&link, link_itself()).unwrap();
            if link_first {
                watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
            }
            fs::write(outside.path().join("unseen"), "").unwrap();
            watched.settle(root.path());
            assert_eq!(watched.count(FILE, link.join("unseen")), 0, "{link_first}");
            fs::remove_file(&link).unwrap();
            watched.settle(root.path());
            assert!(watched.paths().contains(&link));
        }
    }

    #[test]
    fn a_link_that_leads_nowhere_can_be_watched_itself() {
        let root = scratch();
        let link = root.path().join("link");
        symlink("missing", &link).unwrap();
        let mut watched = Watched::new(Config::default());
        let error = watched.watcher.watch(&link, RecursiveMode::NonRecursive).unwrap_err();
        assert!(matches!(error.kind, ErrorKind::PathNotFound));
        watched.watcher.watch_with(&link, link_itself()).unwrap();
        fs::remove_file(&link).unwrap();
        watched.wait(NO_FILE, &link);
    }

    #[test]
    fn paths_are_updated_until_one_fails() {
        let (first, second) = (scratch(), scratch());
        let missing = first.path().join("missing");
        let mut watched = Watched::new(Config::default());
        let error = watched
            .watcher
            .update_paths(vec![
                PathOp::watch_recursive(first.path()),
                PathOp::watch_recursive(&missing),
                PathOp::watch_recursive(second.path()),
            ])
            .unwrap_err();
        assert_eq!(error.origin.unwrap().as_path(), missing);
        assert_eq!(error.remaining.len(), 1);
        fs::write(second.path().join("unseen"), "").unwrap();
        watched.settle(first.path());
        assert!(watched.paths().iter().all(|path| path.starts_with(first.path())));
    }
}
