//! The status and listing of directories and their entries.

use super::*;

#[test]
fn a_directory_of_any_size_is_listed_completely() {
    let dir = scratch();
    let mut want = BTreeMap::new();
    for number in 0..1500 {
        let name = format!("{number:0>w$}", w = 4 + number % 200);
        if number % 3 == 0 {
            fs::create_dir(dir.path().join(&name)).unwrap();
        } else if number % 3 == 1 {
            symlink("/", dir.path().join(&name)).unwrap();
        } else {
            fs::write(dir.path().join(&name), "").unwrap();
        }
        want.insert(name.into_bytes(), number % 3 == 0);
    }
    with(Method::Proc, &instance(), dir.path(), |linux| {
        let mut top = linux.open(b"").unwrap();
        // Each time from the start.
        for _ in 0..2 {
            assert_eq!(listed(linux, &mut top), want);
        }
    });
}

#[test]
fn a_status_describes_the_entry_and_not_its_target() {
    let dir = tree();
    let root = dir.path().join("root");
    with(Method::Proc, &instance(), &root, |linux| {
        let a = linux.open(b"a").unwrap();
        for name in ["b", "file", "link"] {
            let want = fs::symlink_metadata(root.join("a").join(name)).unwrap();
            let stat = linux.stat_child(&a, name.as_bytes()).unwrap();
            assert_eq!(stat.is_dir, want.is_dir());
            assert_eq!(stat.ino, want.ino());
            assert_eq!(stat.size, want.size());
            assert_eq!(stat.mtime, (want.mtime(), u32::try_from(want.mtime_nsec()).unwrap()));
            assert_eq!(stat.dev, linux.stat(&a).unwrap().dev);
        }
        let (mut proc, mut state) = (Root::new(c("/proc")).unwrap(), State::default());
        let host = OneTree::new(linux.inotify);
        let other = Linux::new(linux.inotify, &mut proc, &host, &mut state)
            .open(b"")
            .map(|proc| linux.stat(&proc).unwrap().dev);
        assert_ne!(other, Ok(linux.stat(&a).unwrap().dev));
    });
}

#[test]
fn a_leaf_has_no_directories_in_it() {
    let mut leaves = 0;
    for dir in places() {
        fs::create_dir_all(dir.path().join("inner/leaf")).unwrap();
        fs::write(dir.path().join("inner/leaf/file"), "").unwrap();
        fs::hard_link(dir.path().join("inner/leaf/file"), dir.path().join("file")).unwrap();
        with(Method::Proc, &instance(), dir.path(), |linux| {
            let mut leaf = |path: &[u8], name: &[u8]| {
                let dir = linux.open(path).unwrap();
                let stat = linux.stat_child(&dir, name).unwrap();
                if stat.is_dir {
                    let child = linux.open_child(&dir, name).unwrap();
                    assert_eq!(linux.stat(&child), Ok(stat));
                }
                stat.is_leaf
            };
            assert!(!leaf(b"", b"inner"));
            // Two links, but no directory.
            assert!(!leaf(b"", b"file"));
            leaves += usize::from(leaf(b"inner", b"leaf"));
            fs::create_dir(dir.path().join("inner/leaf/more")).unwrap();
            assert!(!leaf(b"inner", b"leaf"));
            fs::remove_dir(dir.path().join("inner/leaf/more")).unwrap();
        });
    }
    // Only if neither place is on a file system that counts subdirectories.
    if leaves == 0 {
        skipped("leaves", "no file system here counts subdirectories");
    }
}

#[test]
fn link_counts_of_unknown_file_systems_are_ignored() {
    // Some directories of procfs have two links.
    let two = |path: &Path| fs::metadata(path).is_ok_and(|status| status.nlink() == 2);
    let found = fs::read_dir("/proc/sys").unwrap().filter_map(Result::ok);
    let mut found = found.map(|entry| entry.path()).chain(["/proc/sys/fs/inotify".into()]);
    let Some(path) = found
        .find(|path| two(path))
        .or_else(|| Path::new("/proc/self/task").exists().then(|| "/proc/self/fd".into()))
    else {
        return skipped("link counts of procfs", "no directory with two links");
    };
    assert!(two(&path), "{}", path.display());
    with(Method::Proc, &instance(), &path, |linux| {
        let top = linux.open(b"").unwrap();
        let stat = linux.stat(&top).unwrap();
        assert!(stat.is_dir && !stat.is_leaf);
    });
}

#[test]
fn a_listing_causes_events_and_a_stat_does_not() {
    let dir = tree();
    let root = dir.path().join("root");
    for method in METHODS {
        let inotify = instance();
        with(method, &inotify, &root, |linux| {
            let top = linux.open(b"").unwrap();
            linux.watch(&top, WatchMask::ALL_EVENTS).unwrap();
            let wd = linux.watch_child(&top, b"a", WatchMask::ALL_EVENTS).unwrap();
            let mut a = linux.open_child(&top, b"a").unwrap();
            linux.watch(&a, WatchMask::ALL_EVENTS).unwrap();
            linux.stat(&a).unwrap();
            linux.stat_child(&top, b"a").unwrap();
            linux.barrier(&mut a).unwrap();
            drop(linux.open(b"a/b").unwrap());
            assert!(is_silent(&inotify), "{method:?}");
            listed(linux, &mut a);
            let own = drain(&inotify).into_iter().filter(|event| event.wd == wd);
            let own: Vec<_> = own.filter(|event| event.name.is_none()).collect();
            let events = [EventMask::OPEN, EventMask::ACCESS, EventMask::CLOSE_NOWRITE];
            let want = events.map(|mask| support::ev(wd, mask | EventMask::ISDIR));
            let mut own: Vec<_> = own.into_iter().collect();
            own.dedup();
            assert_eq!(own, want);
        });
    }
}

#[test]
fn a_directory_without_permission_is_an_error_and_nothing_else() {
    let dir = tree();
    let root = dir.path().join("root");
    let mode = |path: &str, mode| {
        fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    };
    if is_root() {
        let nobody = Some(rustix::fs::Uid::from_raw(65534));
        for path in ["", "a", "a/b", "a/b/c"] {
            rustix::fs::chown(root.join(path), nobody, None).unwrap();
        }
    }
    mode("a/b", 0o311);
    fs::create_dir(root.join("seen")).ok();
    for method in METHODS {
        as_plain_user(|| {
            with(method, &instance(), &root, |linux| {
                let a = linux.open(b"a").unwrap();
                // It may be searched but not read: its entries can be watched.
                let mut b = linux.open_child(&a, b"b").unwrap();
                let errno = Errno::EACCES;
                assert_eq!(linux.watch_child(&a, b"b", MASK), Err(errno), "{method:?}");
                assert_eq!(linux.watch(&b, MASK), Err(errno));
                assert_eq!(linux.list(&mut b, &mut |_, _| panic!()), Err(errno));
                assert!(linux.watch_child(&b, b"c", MASK).is_ok(), "{method:?}");
                assert!(linux.stat(&b).unwrap().is_dir);
                linux.barrier(&mut b).unwrap();
            });
        });
    }
    mode("a/b", 0o444);
    for method in METHODS {
        as_plain_user(|| {
            with(method, &instance(), &root, |linux| {
                let a = linux.open(b"a").unwrap();
                // It may be read but not searched.
                let mut b = linux.open_child(&a, b"b").unwrap();
                let wd = linux.watch_child(&a, b"b", MASK).unwrap();
                let errno = Errno::EACCES;
                if method == Method::Proc {
                    assert_eq!(linux.watch(&b, MASK), Ok(wd));
                    assert_eq!(listed(linux, &mut b), [(b"c".to_vec(), true)].into());
                } else {
                    // Only /proc leads to it.
                    assert_eq!(linux.watch(&b, MASK), Err(errno), "{method:?}");
                    assert_eq!(linux.list(&mut b, &mut |_, _| panic!()), Err(errno));
                }
                assert_eq!(linux.watch_child(&b, b"c", MASK), Err(errno), "{method:?}");
                assert_eq!(linux.open_child(&b, b"c").err(), Some(errno));
                assert_eq!(linux.stat_child(&b, b"c"), Err(errno));
            });
        });
    }
    mode("a/b", 0o755);
}
