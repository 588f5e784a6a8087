//! Tests the contract of notify's `Watcher`. notify's own tests are not repeated here.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use notify::{Config, ErrorKind, RecursiveMode, Watcher as _, WatcherKind};
use support::{
    Backend, DATA, FILE_CREATED, FILE_REMOVED, FOLDER_CREATED, FOLDER_REMOVED, FROM, TO, Watched,
    scratch,
};

fn is_not_found(result: notify::Result<()>) -> bool {
    matches!(result, Err(notify::Error { kind: ErrorKind::WatchNotFound, .. }))
}

#[test]
fn its_kind_is_inotify() {
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
fn a_file_is_watched_alone_in_both_modes() {
    let root = scratch();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for mode in [RecursiveMode::Recursive, RecursiveMode::NonRecursive] {
        let mut watched = Watched::new(Config::default());
        watched.watcher.watch(&file, mode).unwrap();
        fs::write(root.path().join("other"), "").unwrap();
        fs::remove_file(&file).unwrap();
        watched.wait(FILE_REMOVED, &file);
        assert!(watched.paths().iter().all(|path| *path == file), "{:?}", watched.seen);
        fs::write(&file, "").unwrap();
    }
}

#[test]
fn a_directory_is_watched_without_its_subdirectories() {
    let root = scratch();
    let mut watched = Watched::new(Config::default());
    watched.directory(root.path());
    fs::create_dir_all(root.path().join("a/b")).unwrap();
    watched.settle(root.path());
    assert_eq!(watched.count(FOLDER_CREATED, root.path().join("a")), 1);
    assert_eq!(watched.count(FOLDER_CREATED, root.path().join("a/b")), 0);
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
        assert_eq!(watched.wait(FOLDER_REMOVED, &directory), 1);
        watched.directory(root.path());
        watched.settle(root.path());
        assert!(is_not_found(watched.watcher.unwatch(&directory)));
    }
}

#[test]
fn two_hard_links_of_a_file_are_two_watches() {
    let root = scratch();
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    fs::write(&first, "").unwrap();
    fs::hard_link(&first, &second).unwrap();
    let mut watched = Watched::new(Config::default());
    watched.directory(&first);
    watched.directory(&second);
    fs::remove_file(&first).unwrap();
    fs::remove_file(&second).unwrap();
    watched.wait(FILE_REMOVED, &first);
    watched.wait(FILE_REMOVED, &second);
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
        watched.wait(FOLDER_CREATED, old.join("a"));
        fs::remove_dir_all(root.path().join("new")).unwrap();
        watched.wait(FOLDER_REMOVED, &old);
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
    assert_eq!(watched.count(FILE_CREATED, root.path().join("seen")), 1);
    assert_eq!(watched.count(FILE_CREATED, root.path().join("a/unseen")), 0);
    watched.watcher.unwatch(root.path()).unwrap();
    assert!(is_not_found(watched.watcher.unwatch(root.path())));
}

#[test]
fn watching_a_path_again_in_the_same_mode_loses_nothing() {
    let root = scratch();
    let mut watched = Watched::tree(root.path());
    for number in 0..200 {
        let file = root.path().join(number.to_string());
        fs::write(&file, "").unwrap();
        watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
        assert_eq!(watched.wait(FILE_CREATED, &file), 1);
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
fn a_directory_can_be_excluded_from_a_tree() {
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
    assert_eq!(watched.wait(FILE_CREATED, child.join("seen")), 1);
    fs::remove_dir_all(&child).unwrap();
    watched.wait(FOLDER_REMOVED, &child);
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
        watched.wait(FOLDER_CREATED, &deep);
        fs::write(deep.join("file"), "").unwrap();
        fs::rename(deep.join("file"), root.path().join("file")).unwrap();
        fs::rename(root.path().join("file"), &file).unwrap();
        fs::remove_file(&file).unwrap();
        watched.wait_for_renames(2);
        fs::remove_dir(&deep).unwrap();
        watched.wait(FOLDER_REMOVED, &deep);
        watched.settle(root.path());
        watched.settle(&child);
        let count = |kind, path: &Path| watched.count(kind, path);
        assert_eq!(count(FOLDER_CREATED, &deep), 1, "{child_first}");
        assert_eq!(count(FILE_CREATED, &deep.join("file")), 1, "{child_first}");
        assert_eq!(count(FROM, &deep.join("file")), 1, "{child_first}");
        assert_eq!(count(TO, &root.path().join("file")), 1, "{child_first}");
        assert_eq!(count(FROM, &root.path().join("file")), 1, "{child_first}");
        assert_eq!(count(TO, &file), 1, "{child_first}");
        assert_eq!(count(FILE_REMOVED, &file), 1, "{child_first}");
        let middle = root.path().join("file");
        let mut renames = watched.both();
        renames.sort();
        let expected = [[deep.join("file"), middle.clone()], [middle, file.clone()]];
        assert_eq!(renames, expected, "{child_first}");
    }
}

#[test]
fn a_rename_between_two_trees_is_one_rename() {
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
fn a_directory_that_replaces_a_watched_one_is_reported() {
    let root = scratch();
    let child = root.path().join("parent/child");
    fs::create_dir_all(&child).unwrap();
    let mut watched = Watched::new(Config::default());
    watched.directory(&child);
    watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
    fs::rename(root.path().join("parent"), root.path().join("old")).unwrap();
    fs::create_dir_all(&child).unwrap();
    watched.wait(FOLDER_CREATED, &child);
    fs::write(child.join("file"), "").unwrap();
    assert_eq!(watched.wait(FILE_CREATED, child.join("file")), 1);
}

#[test]
fn an_exchange_of_two_directories_is_two_renames() {
    let root = scratch();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    fs::create_dir_all(a.join("in_a")).unwrap();
    fs::create_dir_all(b.join("in_b")).unwrap();
    let mut watched = Watched::tree(root.path());
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).unwrap();
    fs::write(b.join("in_a/file"), "").unwrap();
    watched.wait(FILE_CREATED, b.join("in_a/file"));
    let mut renames = watched.both();
    renames.sort();
    assert_eq!(renames, [[a.clone(), b.clone()], [b, a]]);
    let mut trackers: Vec<_> = watched.seen.iter().filter_map(|event| event.tracker()).collect();
    trackers.sort_unstable();
    trackers.dedup();
    assert_eq!(trackers.len(), 2);
}

#[test]
fn links_are_followed_unless_the_configuration_disables_it() {
    for follow in [true, false] {
        let (root, outside) = (scratch(), scratch());
        let link = root.path().join("link");
        symlink(outside.path(), &link).unwrap();
        let mut watched = Watched::new(Config::default().with_follow_symlinks(follow));
        watched.watcher.watch(root.path(), RecursiveMode::Recursive).unwrap();
        fs::write(outside.path().join("file"), "").unwrap();
        watched.settle(root.path());
        assert_eq!(watched.count(FILE_CREATED, link.join("file")), usize::from(follow));
        // The link can be watched in addition to the tree, and is followed then.
        watched.directory(&link);
        fs::write(outside.path().join("other"), "").unwrap();
        assert_eq!(watched.wait(FILE_CREATED, link.join("other")), 1);
    }
}

#[test]
fn a_link_to_its_own_tree_is_no_error() {
    let root = scratch();
    symlink(".", root.path().join("loop")).unwrap();
    let mut watched = Watched::tree(root.path());
    fs::create_dir(root.path().join("a")).unwrap();
    watched.settle(root.path());
    assert_eq!(watched.count(FOLDER_CREATED, root.path().join("a")), 1);
}

#[test]
fn an_unreadable_directory_is_an_error_and_its_siblings_are_watched() {
    use std::os::unix::fs::PermissionsExt;
    let root = scratch();
    let (unreadable, readable) = (root.path().join("unreadable"), root.path().join("readable"));
    fs::create_dir(&unreadable).unwrap();
    fs::create_dir(&readable).unwrap();
    fs::set_permissions(&unreadable, PermissionsExt::from_mode(0o000)).unwrap();
    let is_root = fs::read_dir(&unreadable).is_ok();
    let mut watched = Watched::tree(root.path());
    fs::set_permissions(&unreadable, PermissionsExt::from_mode(0o755)).unwrap();
    if is_root {
        eprintln!("SKIPPED: root may read every directory");
        return;
    }
    let errors = std::iter::from_fn(|| watched.events.recv().ok()).filter_map(Result::err);
    assert_eq!({ errors }.next().unwrap().paths, [unreadable]);
    fs::write(readable.join("file"), "").unwrap();
    watched.wait(FILE_CREATED, readable.join("file"));
}

#[test]
fn the_handler_is_dropped_with_the_watcher() {
    let root = scratch();
    let mut watched = Watched::tree(root.path());
    fs::write(root.path().join("file"), "").unwrap();
    watched.wait(FILE_CREATED, root.path().join("file"));
    let Watched { watcher, events, .. } = watched;
    drop(watcher);
    while events.recv().is_ok() {}
}

#[test]
fn configure_accepts_every_option_that_linux_supports() {
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
        assert!(watched.seen.iter().all(|event| event.kind == FILE_CREATED), "{:?}", watched.seen);
        assert!(watched.watcher.configure(only(EventKindMask::REMOVE)).unwrap());
        fs::write(root.path().join("second"), "text").unwrap();
        fs::remove_file(root.path().join("second")).unwrap();
        watched.wait(FILE_REMOVED, root.path().join("second"));
        assert_eq!(watched.count(FILE_CREATED, root.path().join("second")), 0);
    }

    #[test]
    fn renames_alone_can_be_selected() {
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
    fn writes_in_new_directories_are_reported_without_create_events() {
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
        watched.wait(FOLDER_CREATED, relative.join("a"));
        fs::write(relative.join("a/file"), "").unwrap();
        watched.wait(FILE_CREATED, relative.join("a/file"));
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
            assert_eq!(watched.count(FILE_CREATED, link.join("unseen")), 0, "{link_first}");
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
        watched.wait(FILE_REMOVED, &link);
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
