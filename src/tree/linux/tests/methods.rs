//! Each method watches the directory that was opened.

use super::*;

#[test]
fn each_method_watches_the_opened_directory() {
    let dir = tree();
    let root = dir.path().join("root");
    for method in METHODS {
        let inotify = instance();
        let (top, a, b) = with(method, &inotify, &root, |linux| {
            let top = linux.open(b"").unwrap();
            let a = linux.open_child(&top, b"a").unwrap();
            let wds = (
                linux.watch(&top, MASK).unwrap(),
                linux.watch_child(&top, b"a", MASK).unwrap(),
                linux.watch_child(&a, b"b", MASK).unwrap(),
            );
            // The same inode returns the same watch descriptor, by whatever path.
            let b = linux.open(b"a/b").unwrap();
            assert_eq!(linux.watch(&b, MASK), Ok(wds.2));
            assert_eq!(linux.watch(&a, MASK), Ok(wds.1));
            assert_eq!(linux.watch_child(&top, b"a", MASK), Ok(wds.1));
            wds
        });
        let want = [(top, ino(&root)), (a, ino(root.join("a"))), (b, ino(root.join("a/b")))];
        assert_eq!(watches(&inotify), want.into(), "{method:?}");
    }
}

#[test]
fn a_watch_keeps_the_mask_it_had() {
    let dir = tree();
    for method in METHODS {
        let inotify = instance();
        let wd = support::watch(&inotify, dir.path().join("root/a"), WatchMask::ATTRIB);
        with(method, &inotify, &dir.path().join("root"), |linux| {
            let top = linux.open(b"").unwrap();
            assert_eq!(linux.watch_child(&top, b"a", MASK), Ok(wd));
        });
        fs::set_permissions(dir.path().join("root/a"), PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(drain(&inotify), [support::ev(wd, EventMask::ATTRIB | EventMask::ISDIR)]);
    }
}

#[test]
fn only_directories_are_watched() {
    let dir = tree();
    for method in METHODS {
        let inotify = instance();
        with(method, &inotify, &dir.path().join("root"), |linux| {
            let a = linux.open(b"a").unwrap();
            for name in [&b"file"[..], b"link"] {
                assert_eq!(linux.watch_child(&a, name, MASK), Err(Errno::ENOTDIR), "{method:?}");
                assert_eq!(linux.open_child(&a, name).err(), Some(Errno::ENOTDIR));
                assert!(!linux.stat_child(&a, name).unwrap().is_dir);
            }
            assert_eq!(linux.watch_child(&a, b"none", MASK), Err(Errno::ENOENT));
            assert_eq!(linux.open_child(&a, b"none").err(), Some(Errno::ENOENT));
            assert_eq!(linux.stat_child(&a, b"none"), Err(Errno::ENOENT));
        });
        assert!(watches(&inotify).is_empty(), "{method:?}");
    }
}

#[test]
fn no_link_beneath_the_root_is_followed() {
    let dir = tree();
    let inotify = instance();
    for openat2 in [true, false] {
        let mut state = State::default();
        state.resolver.has_openat2 = openat2;
        with_state(Method::Proc, &inotify, &dir.path().join("root"), &mut state, |linux| {
            assert!(linux.open(b"a/b/c").is_ok());
            for path in [&b"a/link"[..], b"a/link/b", b"a/link/b/c"] {
                let errno = linux.open(path).err();
                assert!(matches!(errno, Some(Errno::ELOOP | Errno::ENOTDIR)), "{errno:?}");
            }
        });
        if state.resolver.has_openat2 != openat2 {
            skipped("openat2", "this kernel has none");
        }
    }
}

#[test]
fn links_to_directories_are_followed_if_the_option_is_set() {
    for method in METHODS {
        let (dir, inotify) = (tree(), instance());
        let (root, outside) = (dir.path().join("root"), ino(dir.path().join("outside")));
        symlink("file", root.join("a/to-file")).unwrap();
        symlink("nowhere", root.join("a/dangling")).unwrap();
        symlink("loop", root.join("a/loop")).unwrap();
        let mut state = method.state();
        state.resolver.links = Links::Follow;
        state.watching.links = Links::Follow;
        with_state(method, &inotify, &root, &mut state, |linux| {
            let mut a = linux.open(b"a").unwrap();
            let stat = linux.stat_child(&a, b"link").unwrap();
            assert_eq!((stat.is_dir, stat.is_link, stat.ino), (true, true, outside));
            for name in ["to-file", "dangling", "loop"] {
                let stat = linux.stat_child(&a, name.as_bytes()).unwrap();
                let own = ino(root.join("a").join(name));
                assert_eq!((stat.is_dir, stat.is_link, stat.ino), (false, true, own));
                assert!(linux.watch_child(&a, name.as_bytes(), MASK).is_err(), "{method:?} {name}");
                assert!(linux.open_child(&a, name.as_bytes()).is_err());
            }
            let dirs = listed(linux, &mut a).into_iter().filter(|(_, is_dir)| *is_dir);
            assert_eq!(dirs.map(|(name, _)| name).collect::<Vec<_>>(), [&b"b"[..], b"link"]);
            let wd = linux.watch_child(&a, b"link", MASK).unwrap();
            assert_eq!(watches(&inotify)[&wd], outside, "{method:?}");
            let opened = linux.open_child(&a, b"link").unwrap();
            assert_eq!(linux.watch(&opened, MASK), Ok(wd));
            let opened = linux.open(b"a/link").unwrap();
            assert_eq!(linux.watch(&opened, MASK), Ok(wd));
            let beneath = linux.open(b"a/link/b").unwrap();
            let wd = linux.watch(&beneath, MASK).unwrap();
            assert_eq!(watches(&inotify)[&wd], ino(dir.path().join("outside/b")));
        });
    }
}

#[test]
fn the_root_may_be_reached_through_links() {
    let dir = tree();
    symlink("root", dir.path().join("method")).unwrap();
    for method in METHODS {
        let inotify = instance();
        with(method, &inotify, &dir.path().join("method"), |linux| {
            let top = linux.open(b"").unwrap();
            linux.watch(&top, MASK).unwrap();
            linux.watch_child(&top, b"a", MASK).unwrap();
            let b = linux.open(b"a/b").unwrap();
            linux.watch(&b, MASK).unwrap();
        });
        let inos: BTreeSet<_> = watches(&inotify).into_values().collect();
        let want = ["root", "root/a", "root/a/b"].map(|path| ino(dir.path().join(path)));
        assert_eq!(inos, want.into(), "{method:?}");
    }
}

#[test]
fn a_name_leads_to_an_entry_and_no_further() {
    let dir = tree();
    for method in METHODS {
        let inotify = instance();
        with(method, &inotify, &dir.path().join("root"), |linux| {
            let a = linux.open(b"a").unwrap();
            for name in [&b""[..], b".", b"..", b"/", b"b/c", b"../..", b"/tmp", b"b\0", b"\0"] {
                assert_eq!(linux.watch_child(&a, name, MASK), Err(Errno::EINVAL));
                assert_eq!(linux.open_child(&a, name).err(), Some(Errno::EINVAL));
                assert_eq!(linux.stat_child(&a, name), Err(Errno::EINVAL));
            }
        });
        assert!(watches(&inotify).is_empty(), "{method:?}");
    }
    for openat2 in [true, false] {
        let mut state = State::default();
        state.resolver.has_openat2 = openat2;
        with_state(Method::Proc, &instance(), &dir.path().join("root"), &mut state, |linux| {
            for path in [&b".."[..], b"../outside", b"a/../../outside", b"/tmp", b"a\0"] {
                assert!(linux.open(path).is_err(), "{}", path.escape_ascii());
            }
        });
    }
}

#[test]
fn a_directory_is_the_same_wherever_it_is_moved() {
    for method in METHODS {
        let dir = tree();
        let root = dir.path().join("root");
        let inotify = instance();
        with(method, &inotify, &root, |linux| {
            let mut a = linux.open(b"a").unwrap();
            fs::rename(root.join("a"), dir.path().join("away")).unwrap();
            fs::create_dir_all(root.join("a/b")).unwrap();
            linux.watch(&a, MASK).unwrap();
            linux.watch_child(&a, b"b", MASK).unwrap();
            assert_eq!(listed(linux, &mut a).len(), 3);
        });
        let inos: BTreeSet<_> = watches(&inotify).into_values().collect();
        assert_eq!(inos, ["away", "away/b"].map(|path| ino(dir.path().join(path))).into());
    }
}

/// Creates nested directories with names of these lengths, and returns the path.
fn deep(root: &Path, lens: &[usize]) -> Vec<u8> {
    use rustix::fs::{Mode, OFlags, open, openat};
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut fd = open(root, flags, Mode::empty()).unwrap();
    let mut names = Vec::new();
    for &len in lens {
        let name = "d".repeat(len);
        mkdirat(&fd, &name, Mode::RWXU).unwrap();
        fd = openat(&fd, &name, flags, Mode::empty()).unwrap();
        names.push(name.into_bytes());
    }
    names.join(&b'/')
}

#[test]
fn no_path_is_too_long() {
    // Paths of 4,093 to 4,095 bytes, one with a slash just behind that, and a much longer one.
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for end in [253, 254, 255] {
        // Fifteen names of 255 bytes with a slash each take 3,840.
        chains.push([vec![255; 15], vec![end]].concat());
    }
    chains.push([vec![255; 16], vec![1]].concat());
    chains.push(vec![200; 60]);
    for lens in chains {
        let dir = scratch();
        let path = deep(dir.path(), &lens);
        for method in METHODS {
            for openat2 in [true, false] {
                let inotify = instance();
                let mut state = method.state();
                state.resolver.has_openat2 = openat2;
                with_state(method, &inotify, dir.path(), &mut state, |linux| {
                    let last = linux.open(&path).unwrap();
                    let wd = linux.watch(&last, MASK).unwrap();
                    let above = path.len() - lens.last().unwrap() - 1;
                    let mut above = linux.open(&path[..above]).unwrap();
                    let name = path.rsplit(|&byte| byte == b'/').next().unwrap();
                    assert_eq!(linux.watch_child(&above, name, MASK), Ok(wd), "{method:?}");
                    assert_eq!(listed(linux, &mut above), [(name.to_vec(), true)].into());
                    let stat = linux.stat_child(&above, name).unwrap();
                    assert_eq!(stat, linux.stat(&last).unwrap());
                    assert!(stat.is_dir);
                    let wrong = [&path[..path.len() - 1], b"x"].concat();
                    assert_eq!(linux.open(&wrong).err(), Some(Errno::ENOENT));
                });
                let inos: Vec<_> = watches(&inotify).into_values().collect();
                assert_eq!(inos.len(), 1);
            }
        }
    }
}

#[test]
fn a_name_too_long_is_an_error() {
    let dir = scratch();
    for len in [256, 4095, 4096, 5000, 10000] {
        for method in METHODS {
            with(method, &instance(), dir.path(), |linux| {
                let name = vec![b'x'; len];
                let top = linux.open(b"").unwrap();
                let errno = Some(Errno::ENAMETOOLONG);
                assert_eq!(linux.open(&name).err(), errno);
                assert_eq!(linux.open_child(&top, &name).err(), errno);
                assert_eq!(linux.watch_child(&top, &name, MASK).err(), errno);
                assert_eq!(linux.stat_child(&top, &name).err(), errno);
            });
        }
    }
}

quickcheck::quickcheck! {
    fn the_pieces_of_a_path_join_to_the_path(lens: Vec<u16>) -> bool {
        let names: Vec<_> = lens.iter().map(|len| vec![b'x'; usize::from(*len % 4096)]).collect();
        let path = names.join(&b'/');
        let mut pieces = Vec::new();
        let mut rest = Some(&path[..]);
        while let Some(path) = rest {
            let Ok((piece, more)) = split_path(path) else { return false };
            assert!(piece.len() <= MAX_PATH);
            pieces.push(piece);
            rest = more;
        }
        pieces.join(&b'/') == path
    }
}

#[test]
fn names_are_bytes() {
    let names: [&[u8]; 7] =
        [b"\xFF\xFE", b"\xC3", b"new\nline", b" ", b"-rf", b"...", "é\u{202e}".as_bytes()];
    for method in METHODS {
        let dir = scratch();
        let inotify = instance();
        with(method, &inotify, dir.path(), |linux| {
            let mut top = linux.open(b"").unwrap();
            for name in names {
                fs::create_dir(dir.path().join(OsStr::from_bytes(name))).unwrap();
                let child = linux.open_child(&top, name).unwrap();
                let wd = linux.watch_child(&top, name, MASK).unwrap();
                assert_eq!(linux.watch(&child, MASK), Ok(wd));
            }
            assert_eq!(listed(linux, &mut top), names.map(|name| (name.to_vec(), true)).into());
        });
        assert_eq!(watches(&inotify).len(), names.len());
    }
}

#[test]
fn a_watch_that_others_need_is_not_ended() {
    let dir = tree();
    let (path, inotify) = (c(dir.path().join("root")), instance());
    let (mut root, host) = (Root::new(path).unwrap(), OneTree::new(&inotify));
    let mut state = State::default();
    let mut linux = Linux::new(&inotify, &mut root, &host, &mut state);
    let top = linux.open(b"").unwrap();
    let wds = [linux.watch(&top, MASK).unwrap(), linux.watch_child(&top, b"a", MASK).unwrap()];
    host.shared.lock().unwrap().insert(wds[0]);
    for wd in wds {
        linux.unwatch(wd);
        // A second call does no harm.
        linux.unwatch(wd);
    }
    assert!(watches(&inotify).keys().eq([&wds[0]]));
}

#[test]
fn a_relative_root_is_found_from_a_thread_of_its_own() {
    if !in_child(
        "tree::linux::tests::methods::a_relative_root_is_found_from_a_thread_of_its_own",
        &[],
    ) {
        return;
    }
    let dir = tree();
    std::env::set_current_dir(dir.path()).unwrap();
    for method in METHODS {
        let inotify = instance();
        with(method, &inotify, Path::new("root"), |linux| {
            for _ in 0..2 {
                let a = linux.open(b"a").unwrap();
                let wd = linux.watch_child(&a, b"b", MASK).unwrap();
                let b = linux.open(b"a/b").unwrap();
                assert_eq!(linux.watch(&b, MASK), Ok(wd), "{method:?}");
            }
        });
        assert_eq!(std::env::current_dir().unwrap(), dir.path().canonicalize().unwrap());
    }
}

#[test]
fn the_kernels_list_shows_the_inode_of_a_watch() {
    let dir = tree();
    let root = dir.path().join("root");
    let inotify = instance();
    with(Method::Proc, &inotify, &root, |linux| {
        assert_eq!(linux.identity(Wd::from_raw(1)), Watched::Unknown, "an empty list");
        let a = linux.open(b"a").unwrap();
        let wds = [linux.watch(&a, MASK).unwrap(), linux.watch_child(&a, b"b", MASK).unwrap()];
        assert_eq!(linux.identity(wds[0]), Watched::Inode(ino(root.join("a"))));
        assert_eq!(linux.identity(wds[1]), Watched::Inode(ino(root.join("a/b"))));
        let mut all = BTreeMap::new();
        watch_list::list(&inotify, &mut |wd, ino| assert_eq!(all.insert(wd, ino), None)).unwrap();
        assert_eq!(all, watches(&inotify));
        linux.unwatch(wds[1]);
        assert_eq!(linux.identity(wds[1]), Watched::Ended);
        assert_eq!(linux.identity(Wd::NONE), Watched::Ended);
    });
}

#[test]
fn a_long_list_of_watches_is_searched_to_its_end() {
    // For measurements. The user's limit of watches applies.
    let many = std::env::var("TINOTIFY_WATCHES").map_or(2000, |text| text.parse().unwrap());
    let dir = scratch();
    let inotify = instance();
    with(Method::OwnThread, &inotify, dir.path(), |linux| {
        let top = linux.open(b"").unwrap();
        let wds: Vec<_> = (0..many)
            .map(|number: u32| {
                let name = std::format!("{number}");
                fs::create_dir(dir.path().join(&name)).unwrap();
                linux.watch_child(&top, name.as_bytes(), MASK).unwrap()
            })
            .collect();
        for at in [0, wds.len() / 2, wds.len() - 1] {
            let begin = Instant::now();
            let found = linux.identity(wds[at]);
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("watch {at} of {many}: looked up in {:?}\n", begin.elapsed()),
            );
            assert_eq!(found, Watched::Inode(ino(dir.path().join(std::format!("{at}")))));
        }
    });
}
