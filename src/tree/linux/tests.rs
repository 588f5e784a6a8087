//! Against the kernel of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::vec::Vec;

use rustix::fs::{CWD, RenameFlags, mkdirat, renameat_with};
use tempfile::TempDir;

use super::*;
use crate::flags::EventMask;

#[path = "../../../tests/support/mod.rs"]
mod support;
use support::{
    as_plain_user, c, drain, in_child, in_namespace, instance, is_root, is_silent, scratch, skipped,
};

const MASK: WatchMask = WatchMask::CREATE.union(WatchMask::DELETE).union(WatchMask::MOVE);

/// How directories are named to inotify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    OwnThread,
    Proc,
    ThreadForEach,
    ChildForEach,
}

const WAYS: [Way; 4] = [Way::OwnThread, Way::Proc, Way::ThreadForEach, Way::ChildForEach];

impl Way {
    /// Has nothing but that way used.
    fn state(self) -> State {
        let mut state = State::default();
        state.ways.proc = (self != Self::Proc).then_some(false);
        state.ways.threads = self == Self::ThreadForEach;
        state
    }

    fn run<T: Send>(
        self,
        linux: &mut Linux<'_>,
        mut work: impl FnMut(&mut Linux<'_>) -> T + Send,
    ) -> T {
        if self == Self::OwnThread {
            linux.on_own_thread(|linux| {
                assert!(linux.working.is_some());
                work(linux)
            })
        } else {
            work(linux)
        }
    }
}

/// Runs `work` for the tree at `root`, in that way.
fn with<T: Send>(
    way: Way,
    inotify: &Inotify,
    root: &Path,
    work: impl FnMut(&mut Linux<'_>) -> T + Send,
) -> T {
    let mut state = way.state();
    with_state(way, inotify, root, &mut state, work)
}

fn with_state<T: Send>(
    way: Way,
    inotify: &Inotify,
    root: &Path,
    state: &mut State,
    work: impl FnMut(&mut Linux<'_>) -> T + Send,
) -> T {
    let root = c(root);
    let mut linux = Linux::new(inotify, &root, &|_| false, state);
    way.run(&mut linux, work)
}

/// Each watch, and its inode, from a directory that is a /proc.
fn watches_in(proc: &Path, inotify: &Inotify) -> BTreeMap<Wd, u64> {
    let path = proc.join("self/fdinfo").join(inotify.as_raw().to_string());
    let text = fs::read_to_string(path).unwrap();
    let field = |line: &str, name: &str, radix| {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(name)).unwrap();
        u64::from_str_radix(value, radix).unwrap()
    };
    text.lines()
        .filter(|line| line.starts_with("inotify "))
        .map(|line| {
            // Decimal in Linux before 3.17 only.
            let wd = i32::try_from(field(line, "wd:", 16)).unwrap();
            (Wd::from_raw(wd), field(line, "ino:", 16))
        })
        .collect()
}

fn watches(inotify: &Inotify) -> BTreeMap<Wd, u64> {
    watches_in(Path::new("/proc"), inotify)
}

fn ino(path: impl AsRef<Path>) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

/// Who may be followed, or not: a tree, and something outside.
fn tree() -> TempDir {
    let dir = scratch();
    fs::create_dir_all(dir.path().join("root/a/b/c")).unwrap();
    fs::create_dir_all(dir.path().join("outside/b/c")).unwrap();
    fs::write(dir.path().join("root/a/file"), "text").unwrap();
    symlink("../../outside", dir.path().join("root/a/link")).unwrap();
    dir
}

fn listed(linux: &mut Linux<'_>, dir: &mut Dir) -> BTreeMap<Vec<u8>, bool> {
    let mut all = BTreeMap::new();
    let each = &mut |name: &[u8], is_dir| {
        assert_eq!(all.insert(name.to_vec(), is_dir), None, "given once");
    };
    linux.list(dir, each).unwrap();
    all
}

#[test]
fn each_way_watches_what_was_opened() {
    let dir = tree();
    let root = dir.path().join("root");
    for way in WAYS {
        let inotify = instance();
        let (top, a, b) = with(way, &inotify, &root, |linux| {
            let top = linux.open(b"").unwrap();
            let a = linux.open_child(&top, b"a").unwrap();
            let wds = (
                linux.watch(&top, MASK).unwrap(),
                linux.watch_child(&top, b"a", MASK).unwrap(),
                linux.watch_child(&a, b"b", MASK).unwrap(),
            );
            // The same inode is told by the same descriptor, however it is reached.
            let b = linux.open(b"a/b").unwrap();
            assert_eq!(linux.watch(&b, MASK), Ok(wds.2));
            assert_eq!(linux.watch(&a, MASK), Ok(wds.1));
            assert_eq!(linux.watch_child(&top, b"a", MASK), Ok(wds.1));
            wds
        });
        let want = [(top, ino(&root)), (a, ino(root.join("a"))), (b, ino(root.join("a/b")))];
        assert_eq!(watches(&inotify), want.into(), "{way:?}");
    }
}

#[test]
fn what_a_watch_asked_for_stays() {
    let dir = tree();
    for way in WAYS {
        let inotify = instance();
        let wd = support::watch(&inotify, dir.path().join("root/a"), WatchMask::ATTRIB);
        with(way, &inotify, &dir.path().join("root"), |linux| {
            let top = linux.open(b"").unwrap();
            assert_eq!(linux.watch_child(&top, b"a", MASK), Ok(wd));
        });
        fs::set_permissions(dir.path().join("root/a"), PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(drain(&inotify), [support::ev(wd, EventMask::ATTRIB | EventMask::ISDIR)]);
    }
}

#[test]
fn what_is_no_directory_is_not_watched() {
    let dir = tree();
    for way in WAYS {
        let inotify = instance();
        with(way, &inotify, &dir.path().join("root"), |linux| {
            let a = linux.open(b"a").unwrap();
            for name in [&b"file"[..], b"link"] {
                assert_eq!(linux.watch_child(&a, name, MASK), Err(Errno::ENOTDIR), "{way:?}");
                assert_eq!(linux.open_child(&a, name).err(), Some(Errno::ENOTDIR));
                assert!(!linux.stat_child(&a, name).unwrap().is_dir);
            }
            assert_eq!(linux.watch_child(&a, b"none", MASK), Err(Errno::ENOENT));
            assert_eq!(linux.open_child(&a, b"none").err(), Some(Errno::ENOENT));
            assert_eq!(linux.stat_child(&a, b"none"), Err(Errno::ENOENT));
        });
        assert!(watches(&inotify).is_empty(), "{way:?}");
    }
}

#[test]
fn no_link_beneath_the_root_is_followed() {
    let dir = tree();
    let inotify = instance();
    for openat2 in [true, false] {
        let mut state = State::default();
        state.ways.openat2 = openat2;
        with_state(Way::Proc, &inotify, &dir.path().join("root"), &mut state, |linux| {
            assert!(linux.open(b"a/b/c").is_ok());
            for path in [&b"a/link"[..], b"a/link/b", b"a/link/b/c"] {
                let errno = linux.open(path).err();
                assert!(matches!(errno, Some(Errno::ELOOP | Errno::ENOTDIR)), "{errno:?}");
            }
        });
        if state.ways.openat2 != openat2 {
            skipped("openat2", "this kernel has none");
        }
    }
}

#[test]
fn the_root_may_be_reached_through_links() {
    let dir = tree();
    symlink("root", dir.path().join("way")).unwrap();
    for way in WAYS {
        let inotify = instance();
        with(way, &inotify, &dir.path().join("way"), |linux| {
            let top = linux.open(b"").unwrap();
            linux.watch(&top, MASK).unwrap();
            linux.watch_child(&top, b"a", MASK).unwrap();
            let b = linux.open(b"a/b").unwrap();
            linux.watch(&b, MASK).unwrap();
        });
        let inos: BTreeSet<_> = watches(&inotify).into_values().collect();
        let want = ["root", "root/a", "root/a/b"].map(|path| ino(dir.path().join(path)));
        assert_eq!(inos, want.into(), "{way:?}");
    }
}

#[test]
fn a_name_leads_to_an_entry_and_no_further() {
    let dir = tree();
    for way in WAYS {
        let inotify = instance();
        with(way, &inotify, &dir.path().join("root"), |linux| {
            let a = linux.open(b"a").unwrap();
            for name in [&b""[..], b".", b"..", b"/", b"b/c", b"../..", b"/tmp", b"b\0", b"\0"] {
                assert_eq!(linux.watch_child(&a, name, MASK), Err(Errno::EINVAL));
                assert_eq!(linux.open_child(&a, name).err(), Some(Errno::EINVAL));
                assert_eq!(linux.stat_child(&a, name), Err(Errno::EINVAL));
            }
        });
        assert!(watches(&inotify).is_empty(), "{way:?}");
    }
    for openat2 in [true, false] {
        let mut state = State::default();
        state.ways.openat2 = openat2;
        with_state(Way::Proc, &instance(), &dir.path().join("root"), &mut state, |linux| {
            for path in [&b".."[..], b"../outside", b"a/../../outside", b"/tmp", b"a\0"] {
                assert!(linux.open(path).is_err(), "{}", path.escape_ascii());
            }
        });
    }
}

#[test]
fn a_child_for_each_call_is_seen_by_nobody() {
    if !in_child("tree::linux::tests::a_child_for_each_call_is_seen_by_nobody", &[]) {
        return;
    }
    let signalled = std::sync::Arc::new(AtomicBool::new(false));
    #[cfg(feature = "cli")]
    signal_hook::flag::register(signal_hook::consts::SIGCHLD, signalled.clone()).unwrap();
    let before = std::env::current_dir().unwrap();
    let dir = tree();
    let inotify = instance();
    with(Way::ChildForEach, &inotify, dir.path(), |linux| {
        let top = linux.open(b"root").unwrap();
        linux.watch_child(&top, b"a", MASK).unwrap();
        assert_eq!(linux.watch_child(&top, b"none", MASK), Err(Errno::ENOENT));
    });
    assert!(!signalled.load(Ordering::Relaxed));
    assert_eq!(std::env::current_dir().unwrap(), before);
    let task = rustix::thread::gettid().as_raw_nonzero();
    let children = fs::read_to_string(std::format!("/proc/self/task/{task}/children"));
    assert_eq!(children.unwrap_or_default(), "");
    assert_eq!(watches(&inotify).len(), 1);
}

/// Runs `work` while `one` and `other` change places, again and again, and tells how often they did.
fn swapping<T>(one: &Path, other: &Path, work: impl FnOnce(&AtomicU64) -> T) -> T {
    let (done, turns) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
                turns.fetch_add(1, Ordering::Relaxed);
            }
        });
        let result = work(&turns);
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// How often to look, at least; more for whoever wants to be surer.
fn races() -> u64 {
    std::env::var("TINOTIFY_RACES").map_or(1000, |text| text.parse().unwrap())
}

/// Runs `look` until the swapper had many turns, and both answers came, or no time is left.
fn look_often(turns: &AtomicU64, mut look: impl FnMut() -> bool) -> (u64, u64) {
    let (mut yes, mut no) = (0, 0);
    let begin = Instant::now();
    while begin.elapsed() < support::DEADLINE {
        *if look() { &mut yes } else { &mut no } += 1;
        let many = turns.load(Ordering::Relaxed) > 3000 && yes + no >= races();
        if many && yes > 20 && no > 20 {
            break;
        }
    }
    (yes, no)
}

#[test]
fn a_link_swapped_in_for_the_last_name_is_never_followed() {
    for way in WAYS {
        let dir = tree();
        let root = dir.path().join("root");
        let evil = dir.path().join("evil");
        symlink("../../outside/b", &evil).unwrap();
        let outside = ino(dir.path().join("outside/b"));
        let inotify = instance();
        let (yes, no) = swapping(&root.join("a/b"), &evil, |turns| {
            with(way, &inotify, &root, |linux| {
                let a = linux.open(b"a").unwrap();
                look_often(turns, || {
                    if let Ok(b) = linux.open(b"a/b") {
                        assert_ne!(linux.stat(&b).unwrap().ino, outside);
                    }
                    if let Ok(b) = linux.open_child(&a, b"b") {
                        assert_ne!(linux.stat(&b).unwrap().ino, outside);
                    }
                    linux.watch_child(&a, b"b", MASK).is_ok()
                })
            })
        });
        assert!(yes > 0 && no > 0, "{way:?}: {yes} {no}");
        assert!(!watches(&inotify).values().any(|&ino| ino == outside), "{way:?}");
    }
}

#[test]
fn a_link_swapped_in_for_an_inner_name_is_never_followed() {
    for way in WAYS {
        for openat2 in [true, false] {
            let dir = tree();
            let root = dir.path().join("root");
            let evil = dir.path().join("evil");
            symlink("../outside", &evil).unwrap();
            let outside = ["b", "b/c"].map(|path| ino(dir.path().join("outside").join(path)));
            let inotify = instance();
            let mut state = way.state();
            state.ways.openat2 = openat2;
            let (yes, no) = swapping(&root.join("a"), &evil, |turns| {
                with_state(way, &inotify, &root, &mut state, |linux| {
                    let kept = loop {
                        if let Ok(kept) = linux.open(b"a/b") {
                            break kept;
                        }
                    };
                    look_often(turns, || {
                        // Held open, it is the same wherever its path leads now.
                        linux.watch(&kept, MASK).unwrap();
                        linux.watch_child(&kept, b"c", MASK).unwrap();
                        let Ok(b) = linux.open(b"a/b") else { return false };
                        linux.watch(&b, MASK).unwrap();
                        linux.watch_child(&b, b"c", MASK).unwrap();
                        true
                    })
                })
            });
            assert!(yes > 0 && no > 0, "{way:?}: {yes} {no}");
            let inos: Vec<_> = watches(&inotify).into_values().collect();
            assert_eq!(inos.len(), 2, "{way:?}");
            assert!(!outside.iter().any(|outside| inos.contains(outside)), "{way:?}");
        }
    }
}

#[test]
fn a_directory_is_the_same_wherever_it_is_moved() {
    for way in WAYS {
        let dir = tree();
        let root = dir.path().join("root");
        let inotify = instance();
        with(way, &inotify, &root, |linux| {
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

/// Makes directories in each other, from names of that many bytes, and gives their path.
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
    // 4,093 to 4,095 bytes, a slash just behind that, and much more.
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for end in [253, 254, 255] {
        // Fifteen of 255 and a slash each are 3,840.
        chains.push([vec![255; 15], vec![end]].concat());
    }
    chains.push([vec![255; 16], vec![1]].concat());
    chains.push(vec![200; 60]);
    for lens in chains {
        let dir = scratch();
        let path = deep(dir.path(), &lens);
        for way in WAYS {
            for openat2 in [true, false] {
                let inotify = instance();
                let mut state = way.state();
                state.ways.openat2 = openat2;
                with_state(way, &inotify, dir.path(), &mut state, |linux| {
                    let last = linux.open(&path).unwrap();
                    let wd = linux.watch(&last, MASK).unwrap();
                    let above = path.len() - lens.last().unwrap() - 1;
                    let mut above = linux.open(&path[..above]).unwrap();
                    let name = path.rsplit(|&byte| byte == b'/').next().unwrap();
                    assert_eq!(linux.watch_child(&above, name, MASK), Ok(wd), "{way:?}");
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
        for way in WAYS {
            with(way, &instance(), dir.path(), |linux| {
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
    fn pieces_of_a_path_make_the_path(lens: Vec<u16>) -> bool {
        let names: Vec<_> = lens.iter().map(|len| vec![b'x'; usize::from(*len % 4096)]).collect();
        let path = names.join(&b'/');
        let mut pieces = Vec::new();
        let mut rest = Some(&path[..]);
        while let Some(path) = rest {
            let Ok((piece, more)) = split_path(path) else { return false };
            assert!(piece.len() <= PATH);
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
    for way in WAYS {
        let dir = scratch();
        let inotify = instance();
        with(way, &inotify, dir.path(), |linux| {
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
fn a_directory_of_any_size_is_listed_whole() {
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
    with(Way::Proc, &instance(), dir.path(), |linux| {
        let mut top = linux.open(b"").unwrap();
        // Each time from the start.
        for _ in 0..2 {
            assert_eq!(listed(linux, &mut top), want);
        }
    });
}

#[test]
fn status_is_that_of_the_entry() {
    let dir = tree();
    let root = dir.path().join("root");
    with(Way::Proc, &instance(), &root, |linux| {
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
        let other = Linux::new(linux.inotify, c"/proc", &|_| false, &mut State::default())
            .open(b"")
            .map(|proc| linux.stat(&proc).unwrap().dev);
        assert_ne!(other, Ok(linux.stat(&a).unwrap().dev));
    });
}

/// Where there is room for tests, on different file systems.
fn places() -> Vec<TempDir> {
    let shm = tempfile::tempdir_in("/dev/shm");
    if let Err(error) = &shm {
        skipped("on /dev/shm", error);
    }
    [Some(scratch()), shm.ok()].into_iter().flatten().collect()
}

#[test]
fn a_leaf_has_no_directories_in_it() {
    let mut leaves = 0;
    for dir in places() {
        fs::create_dir_all(dir.path().join("inner/leaf")).unwrap();
        fs::write(dir.path().join("inner/leaf/file"), "").unwrap();
        fs::hard_link(dir.path().join("inner/leaf/file"), dir.path().join("file")).unwrap();
        with(Way::Proc, &instance(), dir.path(), |linux| {
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
    // Only where neither place is of a file system that is known to count.
    if leaves == 0 {
        skipped("leaves", "no file system here counts subdirectories");
    }
}

#[test]
fn link_counts_of_unknown_file_systems_are_not_believed() {
    // procfs gives some directories two links.
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
    with(Way::Proc, &instance(), &path, |linux| {
        let top = linux.open(b"").unwrap();
        let stat = linux.stat(&top).unwrap();
        assert!(stat.is_dir && !stat.is_leaf);
    });
}

#[test]
fn looking_makes_no_events_but_listing_does() {
    let dir = tree();
    let root = dir.path().join("root");
    for way in WAYS {
        let inotify = instance();
        with(way, &inotify, &root, |linux| {
            let top = linux.open(b"").unwrap();
            linux.watch(&top, WatchMask::ALL_EVENTS).unwrap();
            let wd = linux.watch_child(&top, b"a", WatchMask::ALL_EVENTS).unwrap();
            let mut a = linux.open_child(&top, b"a").unwrap();
            linux.watch(&a, WatchMask::ALL_EVENTS).unwrap();
            linux.stat(&a).unwrap();
            linux.stat_child(&top, b"a").unwrap();
            linux.settle(&mut a).unwrap();
            drop(linux.open(b"a/b").unwrap());
            assert!(is_silent(&inotify), "{way:?}");
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
fn no_descriptor_is_kept() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    if !in_child("tree::linux::tests::no_descriptor_is_kept", &[]) {
        return;
    }
    let dir = tree();
    let inotify = instance();
    let before = open();
    for way in WAYS {
        let mut state = way.state();
        with_state(way, &inotify, &dir.path().join("root"), &mut state, |linux| {
            let mut a = linux.open(b"a").unwrap();
            listed(linux, &mut a);
            linux.watch_child(&a, b"b", MASK).unwrap();
            linux.stat_child(&a, b"b").unwrap();
            linux.settle(&mut a).unwrap();
        });
        assert_eq!(open(), before, "{way:?}");
    }
}

#[test]
fn a_watch_that_others_need_is_left() {
    let dir = tree();
    let (root, inotify) = (c(dir.path().join("root")), instance());
    let mut state = State::default();
    let kept = std::sync::Mutex::new(Wd::NONE);
    let shared = |wd| *kept.lock().unwrap() == wd;
    let mut linux = Linux::new(&inotify, &root, &shared, &mut state);
    let top = linux.open(b"").unwrap();
    let wds = [linux.watch(&top, MASK).unwrap(), linux.watch_child(&top, b"a", MASK).unwrap()];
    *kept.lock().unwrap() = wds[0];
    for wd in wds {
        linux.unwatch(wd);
        // Once more does no harm.
        linux.unwatch(wd);
    }
    assert!(watches(&inotify).keys().eq([&wds[0]]));
}

#[test]
fn what_may_not_be_read_is_an_error_and_no_more() {
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
    for way in WAYS {
        as_plain_user(|| {
            with(way, &instance(), &root, |linux| {
                let a = linux.open(b"a").unwrap();
                // To be searched, not read: what is inside may be watched.
                let mut b = linux.open_child(&a, b"b").unwrap();
                let errno = Errno::EACCES;
                assert_eq!(linux.watch_child(&a, b"b", MASK), Err(errno), "{way:?}");
                assert_eq!(linux.watch(&b, MASK), Err(errno));
                assert_eq!(linux.list(&mut b, &mut |_, _| panic!()), Err(errno));
                assert!(linux.watch_child(&b, b"c", MASK).is_ok(), "{way:?}");
                assert!(linux.stat(&b).unwrap().is_dir);
                linux.settle(&mut b).unwrap();
            });
        });
    }
    mode("a/b", 0o444);
    for way in WAYS {
        as_plain_user(|| {
            with(way, &instance(), &root, |linux| {
                let a = linux.open(b"a").unwrap();
                // To be read, not searched.
                let mut b = linux.open_child(&a, b"b").unwrap();
                let wd = linux.watch_child(&a, b"b", MASK).unwrap();
                let errno = Errno::EACCES;
                if way == Way::Proc {
                    assert_eq!(linux.watch(&b, MASK), Ok(wd));
                    assert_eq!(listed(linux, &mut b), [(b"c".to_vec(), true)].into());
                } else {
                    // Only /proc leads to it once more.
                    assert_eq!(linux.watch(&b, MASK), Err(errno), "{way:?}");
                    assert_eq!(linux.list(&mut b, &mut |_, _| panic!()), Err(errno));
                }
                assert_eq!(linux.watch_child(&b, b"c", MASK), Err(errno), "{way:?}");
                assert_eq!(linux.open_child(&b, b"c").err(), Some(errno));
                assert_eq!(linux.stat_child(&b, b"c"), Err(errno));
            });
        });
    }
    mode("a/b", 0o755);
}

#[test]
fn without_descriptors_left_the_error_says_so() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !in_child("tree::linux::tests::without_descriptors_left_the_error_says_so", &[]) {
        return;
    }
    let dir = tree();
    let inotify = instance();
    let limit = getrlimit(Resource::Nofile);
    for way in WAYS {
        with(way, &inotify, &dir.path().join("root"), |linux| {
            let mut top = linux.open(b"").unwrap();
            let none = Rlimit { current: Some(0), maximum: limit.maximum };
            setrlimit(Resource::Nofile, none).unwrap();
            let errno = Errno::EMFILE;
            assert_eq!(linux.open(b"a").err(), Some(errno));
            assert_eq!(linux.open_child(&top, b"a").err(), Some(errno));
            assert_eq!(linux.list(&mut top, &mut |_, _| panic!()), Err(errno));
            // What needs none goes on. A child answers through one.
            let child = way == Way::ChildForEach;
            let watched = linux.watch_child(&top, b"a", MASK);
            assert_eq!(watched.err(), child.then_some(errno), "{way:?}");
            assert!(linux.stat_child(&top, b"a").is_ok());
            linux.settle(&mut top).unwrap();
            setrlimit(Resource::Nofile, limit).unwrap();
            assert!(linux.open(b"a").is_ok());
        });
    }
}

#[test]
fn a_relative_root_is_found_from_a_thread_of_its_own() {
    if !in_child("tree::linux::tests::a_relative_root_is_found_from_a_thread_of_its_own", &[]) {
        return;
    }
    let dir = tree();
    std::env::set_current_dir(dir.path()).unwrap();
    for way in WAYS {
        let inotify = instance();
        with(way, &inotify, Path::new("root"), |linux| {
            for _ in 0..2 {
                let a = linux.open(b"a").unwrap();
                let wd = linux.watch_child(&a, b"b", MASK).unwrap();
                let b = linux.open(b"a/b").unwrap();
                assert_eq!(linux.watch(&b, MASK), Ok(wd), "{way:?}");
            }
        });
        assert_eq!(std::env::current_dir().unwrap(), dir.path().canonicalize().unwrap());
    }
}

#[test]
fn a_panic_in_the_own_thread_is_passed_on() {
    let dir = tree();
    let panicked = std::panic::catch_unwind(|| {
        with(Way::OwnThread, &instance(), dir.path(), |_| std::panic::panic_any(7_u8));
    });
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&7_u8));
}

#[test]
fn the_own_thread_ends_outside_of_the_tree() {
    use std::cell::RefCell;
    use std::path::PathBuf;
    use std::sync::mpsc::{Sender, channel};
    /// Sends the working directory that a thread has when it ends.
    struct AtEnd(Sender<PathBuf>);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            self.0.send(std::env::current_dir().unwrap()).unwrap();
        }
    }
    thread_local!(static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) });
    let dir = tree();
    let (sender, ends) = channel();
    for panics in [false, true] {
        let ended = std::panic::catch_unwind(|| {
            with(Way::OwnThread, &instance(), dir.path(), |linux| {
                AT_END.set(Some(AtEnd(sender.clone())));
                let top = linux.open(b"").unwrap();
                linux.watch(&top, MASK).unwrap();
                if panics {
                    std::panic::resume_unwind(Box::new(()));
                }
            });
        });
        assert_eq!(ended.is_err(), panics);
        assert_eq!(ends.recv().unwrap(), Path::new("/"));
    }
}

/// The kernel wakes whoever joins a thread a moment before it drops the thread's working directory:
/// about one time in a thousand an unmount comes between. `TINOTIFY_UNMOUNTS` sets how often to try.
#[test]
fn a_tree_can_be_unmounted_as_soon_as_its_calls_have_returned() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    if !in_namespace(
        "tree::linux::tests::a_tree_can_be_unmounted_as_soon_as_its_calls_have_returned",
    ) {
        return;
    }
    let dir = scratch();
    let root = dir.path();
    let tries = std::env::var("TINOTIFY_UNMOUNTS").map_or(200, |text| text.parse().unwrap());
    let mut busy = BTreeMap::new();
    let mut times = |way: &str, work: &mut dyn FnMut() -> Option<crate::Watcher>| {
        for _ in 0..tries {
            mount(c"none", root, c"tmpfs", MountFlags::empty(), None).unwrap();
            fs::create_dir_all(root.join("a/b")).unwrap();
            // A watcher is not dropped before the file system is unmounted.
            let _watcher = work();
            if unmount(root, UnmountFlags::empty()).is_err() {
                *busy.entry(way.to_owned()).or_insert(0) += 1;
                unmount(root, UnmountFlags::DETACH).unwrap();
            }
        }
    };
    for way in WAYS {
        let inotify = instance();
        times(&format!("{way:?}"), &mut || {
            with(way, &inotify, root, |linux| {
                let mut a = linux.open(b"a").unwrap();
                linux.watch(&a, MASK).unwrap();
                linux.watch_child(&a, b"b", MASK).unwrap();
                listed(linux, &mut a);
            });
            None
        });
        times(&format!("{way:?}, after a panic"), &mut || {
            let panicked = std::panic::catch_unwind(|| {
                with(way, &inotify, root, |linux| {
                    let a = linux.open(b"a").unwrap();
                    linux.watch_child(&a, b"b", MASK).unwrap();
                    std::panic::resume_unwind(Box::new(()));
                });
            });
            assert!(panicked.is_err());
            None
        });
    }
    times("a watcher", &mut || {
        let watcher = crate::Watcher::new().unwrap();
        watcher.watch_tree(root, MASK, crate::TreeOptions::new()).unwrap();
        Some(watcher)
    });
    assert_eq!(busy, BTreeMap::new(), "of {tries} each");
}

/// Runs `work` with nothing, or a lie, at /proc, and hands it the true one.
fn with_false_proc(work: impl FnOnce(&Path)) {
    use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, unmount};
    let kept = scratch();
    mount_bind_recursive("/proc", kept.path()).unwrap();
    mount(c"none", c"/proc", c"tmpfs", MountFlags::empty(), None).unwrap();
    work(kept.path());
    unmount("/proc", UnmountFlags::DETACH).unwrap();
    unmount(kept.path(), UnmountFlags::DETACH).unwrap();
}

#[test]
fn without_a_proc_all_is_watched_the_same() {
    if !in_namespace("tree::linux::tests::without_a_proc_all_is_watched_the_same") {
        return;
    }
    let dir = tree();
    let root = dir.path().join("root");
    let want: BTreeSet<_> = ["root/a", "root/a/b"].map(|path| ino(dir.path().join(path))).into();
    // It went while the tree was watched.
    let mut late = State::default();
    let late_inotify = instance();
    with_state(Way::Proc, &late_inotify, &root, &mut late, |linux| {
        let a = linux.open(b"a").unwrap();
        linux.watch(&a, MASK).unwrap();
    });
    assert_eq!(late.ways.proc, Some(true));
    let check = |proc: &Path| {
        for threads in [true, false] {
            let (inotify, mut state) = (instance(), State::default());
            state.ways.threads = threads;
            with_state(Way::Proc, &inotify, &root, &mut state, |linux| {
                let a = linux.open(b"a").unwrap();
                let b = linux.open(b"a/b").unwrap();
                linux.watch(&a, MASK).unwrap();
                let wd = linux.watch_child(&a, b"b", MASK).unwrap();
                assert_eq!(linux.watch(&b, MASK), Ok(wd));
            });
            assert_eq!(state.ways.proc, Some(false));
            let inos: BTreeSet<_> = watches_in(proc, &inotify).into_values().collect();
            assert_eq!(inos, want);
        }
    };
    with_false_proc(|proc| {
        check(proc);
        with_state(Way::Proc, &late_inotify, &root, &mut late, |linux| {
            let a = linux.open(b"a").unwrap();
            linux.watch(&a, MASK).unwrap();
            linux.watch_child(&a, b"b", MASK).unwrap();
        });
        assert_eq!(late.ways.proc, Some(false));
        let inos: BTreeSet<_> = watches_in(proc, &late_inotify).into_values().collect();
        assert_eq!(inos, want);
        // Directories where links should be.
        for number in 0..64 {
            fs::create_dir_all(format!("/proc/self/fd/{number}/b")).unwrap();
        }
        check(proc);
    });
}

/// How often a half was read without its other half, how often the queue was still empty then, and how
/// often the other half was not there after settling.
#[derive(Debug, Default)]
struct Alone {
    seen: u64,
    unsettled: u64,
    settled: u64,
}

/// Reads at least that many bytes, or what one read gives, and keeps the halves that are alone. False
/// where events were lost.
fn take(
    inotify: &Inotify,
    buffer: &mut [u8],
    mut least: usize,
    pending: &mut BTreeMap<u32, Wd>,
) -> bool {
    let mut whole = true;
    loop {
        let Ok(events) = inotify.read(buffer) else { return whole };
        least = least.saturating_sub(events.remainder().len());
        for event in events.map(Result::unwrap) {
            if event.is_overflow() {
                whole = false;
            } else if event.mask().contains(EventMask::MOVED_FROM) {
                pending.insert(event.cookie(), event.wd());
            } else {
                pending.remove(&event.cookie());
            }
        }
        if least == 0 {
            return whole;
        }
    }
}

/// Renames files to and fro between directories, in several threads, and looks whether the other half
/// of each rename is in the queue once the directory is settled.
fn storm(place: &Path, time: Duration, settle: impl Fn(&mut Linux<'_>, &mut Dir)) -> Alone {
    const DIRS: usize = 4;
    const THREADS: usize = 2;
    let inotify = instance();
    let path = c(place);
    let mut state = State::default();
    let mut linux = Linux::new(&inotify, &path, &|_| false, &mut state);
    let mut dirs = BTreeMap::new();
    // These are told in between, so that there is more time between the halves.
    let others: Vec<_> = (0..16).map(|_| instance()).collect();
    for number in 0..DIRS {
        let name = number.to_string();
        fs::create_dir(place.join(&name)).unwrap();
        let dir = linux.open(name.as_bytes()).unwrap();
        let mask = WatchMask::MOVED_FROM | WatchMask::MOVED_TO;
        dirs.insert(linux.watch(&dir, mask).unwrap(), dir);
        for other in &others {
            support::watch(other, place.join(&name), mask);
        }
    }
    let done = AtomicBool::new(false);
    let mut alone = Alone::default();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let done = &done;
            scope.spawn(move || {
                let mut at = thread % DIRS;
                let file = |dir: usize| place.join(dir.to_string()).join(format!("file{thread}"));
                fs::write(file(at), "").unwrap();
                while !done.load(Ordering::Relaxed) {
                    let to = (at + 1 + thread) % DIRS;
                    fs::rename(file(at), file(to)).unwrap();
                    at = to;
                }
            });
        }
        let begin = Instant::now();
        // Halves whose other half has not come, and where they are.
        let mut pending = BTreeMap::new();
        let mut buffer = vec![0; 1 << 16];
        while begin.elapsed() < time {
            pending.clear();
            let mut whole = take(&inotify, &mut buffer, 0, &mut pending);
            // A read gives all there is, so the queue was empty behind this half.
            if let Some((&cookie, wd)) = pending.iter().next_back() {
                let dir = dirs.get_mut(wd).unwrap();
                let was_empty = inotify.queued_bytes() == Ok(0);
                settle(&mut linux, dir);
                whole &= take(&inotify, &mut buffer, inotify.queued_bytes().unwrap(), &mut pending);
                if whole {
                    alone.seen += 1;
                    alone.unsettled += u64::from(was_empty);
                    alone.settled += u64::from(pending.contains_key(&cookie));
                }
            }
            // While the kernel's note of a loss is queued, it makes no other: what is queued behind it
            // may have holes, too.
            while !whole {
                let queued = inotify.queued_bytes().unwrap();
                whole = queued == 0 || take(&inotify, &mut buffer, queued, &mut pending);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    alone
}

/// Seconds, unless somebody wants to be surer.
fn storm_time() -> Duration {
    let seconds = std::env::var("TINOTIFY_STORM").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(1.0))
}

#[test]
fn a_settled_directory_has_both_halves_of_each_rename_in_the_queue() {
    for dir in places() {
        for (number, by_listing) in [false, true].into_iter().enumerate() {
            let place = dir.path().join(number.to_string());
            fs::create_dir(&place).unwrap();
            let alone = storm(&place, storm_time(), |linux, dir| {
                if by_listing { linux.settle_by_listing(dir) } else { linux.settle(dir) }.unwrap();
            });
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("{}: by listing {by_listing}: {alone:?}\n", place.display()),
            );
            assert_eq!(alone.settled, 0, "by listing: {by_listing}");
        }
    }
}
