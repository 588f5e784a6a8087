//! Reports of new, removed and oddly named entries, on the real kernel.

mod trees;
mod watching;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use tinotify::{Errno, EventMask, TreeOptions, Watcher};
use trees::disk::{open_dir, sorted, write};
use trees::{Entry, Mirror, NAMES, Note, NoteKind, Random, Scene};
use watching::{Place, Watchdog, kernel_watches};

#[test]
fn mkdir_p_unread_is_reported_once_per_entry_parents_first() {
    let mut tree = Scene::new(|_| ());
    let deepest = tree.at("1/2/3/4/5/6/7/8/9");
    fs::create_dir_all(&deepest).unwrap();
    write(deepest.join("file"));

    let notes = tree.notes();
    let created: Vec<_> =
        notes.iter().filter(|note| note.mask.contains(EventMask::CREATE)).collect();
    let mut expected: Vec<PathBuf> = Path::new("1/2/3/4/5/6/7/8/9/file")
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .map(Path::to_owned)
        .collect();
    expected.reverse();
    let paths: Vec<_> = created.iter().map(|note| note.path.clone()).collect();
    assert_eq!(paths, expected, "{notes:?}");
    assert_eq!(created[0].kind, NoteKind::Reported);
    assert!(created[1..].iter().all(|note| note.kind == NoteKind::Discovered), "{notes:?}");
    notes.iter().for_each(|note| tree.mirror.apply(note));
    tree.check();

    write(deepest.join("later"));
    assert_eq!(
        tree.checked(),
        ["create 1/2/3/4/5/6/7/8/9/later", "written 1/2/3/4/5/6/7/8/9/later"]
    );
}

#[test]
fn entries_created_during_a_read_are_reported_once() {
    let _watchdog = Watchdog::new();
    let mut tree = Scene::new(|_| ());
    let root = tree.root.clone();
    let maker = thread::spawn(move || {
        for number in 0..200 {
            let path = root.join(format!("{number}/a/b/c"));
            fs::create_dir_all(&path).unwrap();
            write(path.join("file"));
            write(path.join("../file"));
        }
    });
    while !maker.is_finished() {
        for note in tree.notes() {
            tree.mirror.apply(&note);
        }
    }
    maker.join().unwrap();
    // The mirror checks that nothing is created twice.
    tree.checked();
    let (dirs, files) = Entry::walk(&tree.root).count();
    assert_eq!((dirs, files), (801, 400));
}

#[test]
fn entries_created_and_removed_unread_leave_no_watch() {
    let mut tree = Scene::new(|_| ());
    for _ in 0..3 {
        fs::create_dir_all(tree.at("a/b/c")).unwrap();
        write(tree.at("a/b/file"));
        fs::remove_dir_all(tree.at("a")).unwrap();
    }
    tree.checked();
    fs::create_dir(tree.at("a")).unwrap();
    assert_eq!(tree.checked(), ["create a/"]);
}

#[test]
fn existing_entries_are_reported_on_request_parents_first() {
    let place = Place::new();
    fs::create_dir_all(place.at("a/b/c")).unwrap();
    write(place.at("a/b/file"));
    write(place.at("file"));
    symlink("a", place.at("link")).unwrap();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch_tree(place.path(), NAMES, TreeOptions::new().report_existing(true)).unwrap();
    let mut mirror = Mirror::empty(false);
    let mut lines = Vec::new();
    while let Some(event) = watcher.try_recv().unwrap() {
        let note = Note::of(&event, place.path());
        mirror.apply(&note);
        lines.push(note.to_string());
    }
    assert_eq!(lines.pop().unwrap(), "established");
    let expected = ["found a/", "found a/b/", "found a/b/c/", "found a/b/file", "found file"];
    assert_eq!(sorted(lines)[..5], expected);
    assert_eq!(mirror.differences(&Entry::walk(place.path())), Vec::<String>::new());
}

#[test]
fn a_removed_root_is_reported_and_ends_the_tree() {
    let mut tree = Scene::new(|root| {
        fs::create_dir_all(root.join("a/b")).unwrap();
        write(root.join("a/file"));
    });
    fs::remove_dir_all(&tree.root).unwrap();
    let _watchdog = Watchdog::new();
    let mut lines = tree.lines();
    // A child process that another test starts keeps the root open for a moment.
    while lines.len() < 5 {
        lines.extend(tree.lines());
    }
    assert_eq!(sorted(lines[..3].to_vec()), ["delete a/", "delete a/b/", "delete a/file"]);
    assert_eq!(lines[3..], ["root removed", "ignored"]);
    assert!(tree.watcher.watches().is_empty());
    assert!(kernel_watches(&tree.watcher).is_empty());
    assert!(tree.watcher.unwatch(tree.watch).is_err());
}

#[test]
fn rm_rf_of_the_root_during_its_creation_ends_the_tree() {
    let _watchdog = Watchdog::new();
    for round in 0..20_u64 {
        let place = Place::new();
        let root = place.dir("root");
        let watcher = Watcher::new().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut random = Random::new(round);
                // Not without end, or it could not be removed.
                for _ in 0..300 {
                    let names =
                        (0..=random.below(4)).map(|_| ["a", "b", "c"][random.below(3) as usize]);
                    let path = names.fold(root.clone(), |path, name| path.join(name));
                    // But not the root itself.
                    let _ = fs::create_dir(&path);
                    let _ = fs::write(path.join("file"), "");
                }
            });
            scope.spawn(|| {
                // The tree is set up before, during or after it.
                for _ in 0..round * 100 {
                    thread::yield_now();
                }
                while root.exists() {
                    let _ = fs::remove_dir_all(&root);
                }
            });
            let mut watcher = watcher;
            match watcher.watch_tree(&root, NAMES, TreeOptions::new().report_existing(true)) {
                Ok(_) => {
                    let mut mirror = Mirror::empty(false);
                    let mut last = Vec::new();
                    while last.last() != Some(&NoteKind::Ignored) {
                        let note = Note::of(&watcher.recv().unwrap(), &root);
                        mirror.apply(&note);
                        last.push(note.kind);
                    }
                    assert_eq!(last[last.len() - 2], NoteKind::RootRemoved);
                    assert!(watcher.try_recv().unwrap().is_none());
                }
                Err(error) => assert_eq!(error.errno(), Some(Errno::ENOENT), "{error}"),
            }
            assert!(kernel_watches(&watcher).is_empty());
            assert!(watcher.watches().is_empty());
        });
    }
}

#[test]
fn a_moved_root_is_reported_and_stays_watched() {
    let mut tree = Scene::new(|root| fs::create_dir(root.join("dir")).unwrap());
    fs::rename(&tree.root, tree.outside("moved")).unwrap();
    assert_eq!(tree.lines(), ["root moved"]);
    write(tree.outside("moved/dir/file"));
    assert_eq!(tree.lines(), ["create dir/file", "written dir/file"]);
    fs::rename(tree.outside("moved"), &tree.root).unwrap();
    // Its path leads to it again.
    assert!(tree.lines().is_empty());
    fs::create_dir_all(tree.at("dir/new/inner")).unwrap();
    assert_eq!(tree.lines(), ["create dir/new/", "found dir/new/inner/"]);
    tree.watcher.unwatch(tree.watch).unwrap();
    assert!(kernel_watches(&tree.watcher).is_empty());
}

#[test]
fn an_invalid_root_is_an_error_and_leaves_no_watch() {
    let place = Place::new();
    let file = place.file("file");
    let watcher = Watcher::new().unwrap();
    for (path, errno) in [(file, Errno::ENOTDIR), (place.at("missing"), Errno::ENOENT)] {
        let error = watcher.watch_tree(&path, NAMES, TreeOptions::new()).unwrap_err();
        assert_eq!(error.errno(), Some(errno), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    assert!(watcher.watches().is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}

#[test]
fn paths_longer_than_path_max_are_watched_and_reported() {
    let name = |level: usize| format!("{level:0>255}");
    let descend = |mut dir: OwnedFd, levels: std::ops::Range<usize>| {
        for level in levels {
            mkdirat(&dir, name(level), Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            dir = openat(&dir, name(level), flags, Mode::empty()).unwrap();
        }
        dir
    };
    // Some exist at set-up, with paths to just beyond 4,096 bytes; the others are created later.
    let mut dir = None;
    let mut tree = Scene::new(|root| dir = Some(descend(open_dir(root), 0..17)));
    tree.check();
    let dir = descend(dir.unwrap(), 17..24);
    tree.checked();
    mkdirat(&dir, "deepest", Mode::RWXU).unwrap();
    let lines = tree.checked();
    let path: String = (0..24).map(|level| name(level) + "/").collect();
    assert_eq!(lines, [format!("create {path}deepest/")]);
    // Also after an ancestor was renamed.
    fs::rename(tree.at(name(0)), tree.at("short")).unwrap();
    mkdirat(&dir, "deeper", Mode::RWXU).unwrap();
    assert_eq!(tree.checked().len(), 2);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let deeper = openat(&dir, "deeper", flags, Mode::empty()).unwrap();
    mkdirat(&deeper, "last", Mode::RWXU).unwrap();
    let path: String = (1..24).map(|level| name(level) + "/").collect();
    assert_eq!(tree.checked(), [format!("create short/{path}deeper/last/")]);
}

#[test]
fn a_path_of_each_length_around_path_max_is_reported() {
    let mut tree = Scene::new(|_| ());
    // Paths of two components each, with the root: 4,080 to 4,110 bytes at the third level and deeper.
    let mut path = tree.root.clone();
    let mut dir = open_dir(&tree.root);
    while path.as_os_str().len() < 3_900 {
        let name = "x".repeat(150);
        mkdirat(&dir, &name, Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        dir = openat(&dir, &name, flags, Mode::empty()).unwrap();
        path.push(name);
    }
    tree.checked();
    let rest = 4_096 - path.as_os_str().len() - 1;
    for len in rest - 10..rest + 10 {
        let name = "y".repeat(len);
        mkdirat(&dir, &name, Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let child = openat(&dir, &name, flags, Mode::empty()).unwrap();
        assert_eq!(tree.checked().len(), 1);
        mkdirat(&child, "z", Mode::RWXU).unwrap();
        let lines = tree.checked();
        assert!(lines.len() == 1 && lines[0].ends_with("y/z/"), "{len}: {lines:?}");
    }
}

#[test]
fn names_of_any_bytes_are_reported_unchanged() {
    use std::ffi::OsStr;
    let names: [&[u8]; 6] = [b"\xFF\xFE", b"new\nline", b"\xC3\x28", b" ", b"a\\b", b"*?[x]{y}"];
    let mut tree = Scene::new(|root| {
        for name in names {
            fs::create_dir_all(root.join(OsStr::from_bytes(name))).unwrap();
        }
    });
    for name in names {
        let (dir, inner) = (tree.at(OsStr::from_bytes(name)), OsStr::from_bytes(name));
        fs::create_dir(dir.join(inner)).unwrap();
        write(dir.join(inner).join(inner));
        let notes = tree.notes();
        let path = Path::new(inner).join(inner);
        assert_eq!(notes[0].path, path);
        assert_eq!(notes[1].path, path.join(inner));
        notes.iter().for_each(|note| tree.mirror.apply(note));
        let renamed = tree.at("plain");
        fs::rename(&dir, &renamed).unwrap();
        fs::rename(&renamed, &dir).unwrap();
        assert_eq!(tree.checked().len(), 2);
    }
}
