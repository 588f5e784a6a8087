//! Both halves of a rename are there once a directory is settled.

use super::*;

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
    let (mut root, host) = (Root::new(c(place)).unwrap(), OneTree::new(&inotify));
    let mut state = State::default();
    let mut linux = Linux::new(&inotify, &mut root, &host, &mut state);
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
                if by_listing { linux.barrier_by_listing(dir) } else { linux.barrier(dir) }
                    .unwrap();
            });
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("{}: by listing {by_listing}: {alone:?}\n", place.display()),
            );
            assert_eq!(alone.settled, 0, "by listing: {by_listing}");
        }
    }
}
