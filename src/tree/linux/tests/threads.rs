//! The thread of a tree leaves nothing behind, and all methods work without what is missing.

use super::*;

#[test]
fn no_descriptor_is_kept() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    if !in_child("tree::linux::tests::threads::no_descriptor_is_kept", &[]) {
        return;
    }
    let dir = tree();
    let inotify = instance();
    let before = open();
    for method in METHODS {
        let mut state = method.state();
        with_state(method, &inotify, &dir.path().join("root"), &mut state, |linux| {
            let mut a = linux.open(b"a").unwrap();
            listed(linux, &mut a);
            linux.watch_child(&a, b"b", MASK).unwrap();
            linux.stat_child(&a, b"b").unwrap();
            linux.barrier(&mut a).unwrap();
        });
        assert_eq!(open(), before, "{method:?}");
    }
}

#[test]
fn without_a_free_descriptor_the_error_is_emfile() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !in_child("tree::linux::tests::threads::without_a_free_descriptor_the_error_is_emfile", &[])
    {
        return;
    }
    let dir = tree();
    let inotify = instance();
    let limit = getrlimit(Resource::Nofile);
    for method in METHODS {
        with(method, &inotify, &dir.path().join("root"), |linux| {
            let mut top = linux.open(b"").unwrap();
            let none = Rlimit { current: Some(0), maximum: limit.maximum };
            setrlimit(Resource::Nofile, none).unwrap();
            let errno = Errno::EMFILE;
            assert_eq!(linux.open(b"a").err(), Some(errno));
            assert_eq!(linux.open_child(&top, b"a").err(), Some(errno));
            assert_eq!(linux.list(&mut top, &mut |_, _| panic!()), Err(errno));
            // The methods without a new descriptor go on. A child process needs a pipe.
            let child = method == Method::Child;
            let watched = linux.watch_child(&top, b"a", MASK);
            assert_eq!(watched.err(), child.then_some(errno), "{method:?}");
            assert!(linux.stat_child(&top, b"a").is_ok());
            linux.barrier(&mut top).unwrap();
            setrlimit(Resource::Nofile, limit).unwrap();
            assert!(linux.open(b"a").is_ok());
        });
    }
}

#[test]
fn a_panic_in_the_trees_thread_is_passed_on() {
    let dir = tree();
    let panicked = std::panic::catch_unwind(|| {
        with(Method::OwnThread, &instance(), dir.path(), |_| std::panic::panic_any(7_u8));
    });
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&7_u8));
}

#[test]
fn the_trees_thread_ends_outside_the_tree() {
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
            with(Method::OwnThread, &instance(), dir.path(), |linux| {
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

/// The kernel wakes the joining thread a moment before it drops the ended thread's working directory: about
/// one time in a thousand an unmount comes between. `TINOTIFY_UNMOUNTS` sets how often to try.
#[test]
fn a_tree_can_be_unmounted_as_soon_as_its_calls_have_returned() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    if !in_namespace(
        "tree::linux::tests::threads::a_tree_can_be_unmounted_as_soon_as_its_calls_have_returned",
    ) {
        return;
    }
    let dir = scratch();
    let root = dir.path();
    let tries = std::env::var("TINOTIFY_UNMOUNTS").map_or(200, |text| text.parse().unwrap());
    let mut busy = BTreeMap::new();
    let mut times = |method: &str, work: &mut dyn FnMut() -> Option<crate::Watcher>| {
        for _ in 0..tries {
            mount(c"none", root, c"tmpfs", MountFlags::empty(), None).unwrap();
            fs::create_dir_all(root.join("a/b")).unwrap();
            // The watcher lives until the file system was unmounted.
            let _watcher = work();
            if unmount(root, UnmountFlags::empty()).is_err() {
                *busy.entry(method.to_owned()).or_insert(0) += 1;
                unmount(root, UnmountFlags::DETACH).unwrap();
            }
        }
    };
    for method in METHODS {
        let inotify = instance();
        times(&format!("{method:?}"), &mut || {
            with(method, &inotify, root, |linux| {
                let mut a = linux.open(b"a").unwrap();
                linux.watch(&a, MASK).unwrap();
                linux.watch_child(&a, b"b", MASK).unwrap();
                listed(linux, &mut a);
            });
            None
        });
        times(&format!("{method:?}, after a panic"), &mut || {
            let panicked = std::panic::catch_unwind(|| {
                with(method, &inotify, root, |linux| {
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

/// Runs `work` without a /proc, or with a false one, and passes the path of the true one.
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
fn without_proc_everything_is_watched_the_same() {
    if !in_namespace("tree::linux::tests::threads::without_proc_everything_is_watched_the_same") {
        return;
    }
    let dir = tree();
    let root = dir.path().join("root");
    let want: BTreeSet<_> = ["root/a", "root/a/b"].map(|path| ino(dir.path().join(path))).into();
    // It was unmounted while the tree was watched.
    let mut late = State::default();
    let late_inotify = instance();
    with_state(Method::Proc, &late_inotify, &root, &mut late, |linux| {
        let a = linux.open(b"a").unwrap();
        linux.watch(&a, MASK).unwrap();
    });
    assert_eq!(late.watching.proc_path.works, Some(true));
    let check = |proc: &Path| {
        for threads in [true, false] {
            let (inotify, mut state) = (instance(), State::default());
            state.watching.is_unshare_refused = !threads;
            with_state(Method::Proc, &inotify, &root, &mut state, |linux| {
                let a = linux.open(b"a").unwrap();
                let b = linux.open(b"a/b").unwrap();
                linux.watch(&a, MASK).unwrap();
                let wd = linux.watch_child(&a, b"b", MASK).unwrap();
                assert_eq!(linux.watch(&b, MASK), Ok(wd));
            });
            assert_eq!(state.watching.proc_path.works, Some(false));
            let inos: BTreeSet<_> = watches_in(proc, &inotify).into_values().collect();
            assert_eq!(inos, want);
        }
    };
    with_false_proc(|proc| {
        check(proc);
        with_state(Method::Proc, &late_inotify, &root, &mut State::default(), |linux| {
            assert_eq!(linux.identity(Wd::from_raw(1)), Watched::Unknown);
        });
        with_state(Method::Proc, &late_inotify, &root, &mut late, |linux| {
            let a = linux.open(b"a").unwrap();
            linux.watch(&a, MASK).unwrap();
            linux.watch_child(&a, b"b", MASK).unwrap();
        });
        assert_eq!(late.watching.proc_path.works, Some(false));
        let inos: BTreeSet<_> = watches_in(proc, &late_inotify).into_values().collect();
        assert_eq!(inos, want);
        // Directories in place of links.
        for number in 0..64 {
            fs::create_dir_all(format!("/proc/self/fd/{number}/b")).unwrap();
        }
        check(proc);
    });
}
