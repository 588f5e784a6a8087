//! A directory that is swapped in on the path is never watched.

use super::*;

/// Runs `work` while `one` and `other` are exchanged again and again. Counts the exchanges.
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

/// Returns the least number of attempts. The variable sets another number.
fn races() -> u64 {
    std::env::var("TINOTIFY_RACES").map_or(1000, |text| text.parse().unwrap())
}

/// Runs `attempt` until there were many exchanges and both results came, or until the deadline.
fn try_often(turns: &AtomicU64, mut attempt: impl FnMut() -> bool) -> (u64, u64) {
    let (mut yes, mut no) = (0, 0);
    let begin = Instant::now();
    while begin.elapsed() < support::DEADLINE {
        *if attempt() { &mut yes } else { &mut no } += 1;
        let many = turns.load(Ordering::Relaxed) > 3000 && yes + no >= races();
        if many && yes > 20 && no > 20 {
            break;
        }
    }
    (yes, no)
}

#[test]
fn a_link_swapped_in_for_the_last_name_is_never_followed() {
    for method in METHODS {
        let dir = tree();
        let root = dir.path().join("root");
        let evil = dir.path().join("evil");
        symlink("../../outside/b", &evil).unwrap();
        let outside = ino(dir.path().join("outside/b"));
        let inotify = instance();
        let (yes, no) = swapping(&root.join("a/b"), &evil, |turns| {
            with(method, &inotify, &root, |linux| {
                let a = linux.open(b"a").unwrap();
                try_often(turns, || {
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
        assert!(yes > 0 && no > 0, "{method:?}: {yes} {no}");
        assert!(!watches(&inotify).values().any(|&ino| ino == outside), "{method:?}");
    }
}

#[test]
fn a_link_swapped_in_for_an_inner_name_is_never_followed() {
    for method in METHODS {
        for openat2 in [true, false] {
            let dir = tree();
            let root = dir.path().join("root");
            let evil = dir.path().join("evil");
            symlink("../outside", &evil).unwrap();
            let outside = ["b", "b/c"].map(|path| ino(dir.path().join("outside").join(path)));
            let inotify = instance();
            let mut state = method.state();
            state.resolver.has_openat2 = openat2;
            let (yes, no) = swapping(&root.join("a"), &evil, |turns| {
                with_state(method, &inotify, &root, &mut state, |linux| {
                    let kept = loop {
                        if let Ok(kept) = linux.open(b"a/b") {
                            break kept;
                        }
                    };
                    try_often(turns, || {
                        // An open directory is the same wherever its path leads now.
                        linux.watch(&kept, MASK).unwrap();
                        linux.watch_child(&kept, b"c", MASK).unwrap();
                        let Ok(b) = linux.open(b"a/b") else { return false };
                        linux.watch(&b, MASK).unwrap();
                        linux.watch_child(&b, b"c", MASK).unwrap();
                        true
                    })
                })
            });
            assert!(yes > 0 && no > 0, "{method:?}: {yes} {no}");
            let inos: Vec<_> = watches(&inotify).into_values().collect();
            assert_eq!(inos.len(), 2, "{method:?}");
            assert!(!outside.iter().any(|outside| inos.contains(outside)), "{method:?}");
        }
    }
}
