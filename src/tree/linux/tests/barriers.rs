//! Behind a barrier, both halves of a rename are queued.

use super::*;

/// How often a half was read without its other half, how often the queue was empty then, and how often the
/// other half was missing behind the barrier.
#[derive(Debug, Default)]
struct Alone {
    seen: u64,
    before_barrier: u64,
    behind_barrier: u64,
}

/// Reads at least `least` bytes, or once, and keeps the halves without their other half. Returns `false` if
/// events were lost.
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

/// Renames files to and fro between directories, in several threads, and counts the renames whose other half
/// is not queued behind a barrier.
fn storm(place: &Path, time: Duration, barrier: impl Fn(&mut Linux<'_>, &mut Dir)) -> Alone {
    const DIRS: usize = 4;
    const THREADS: usize = 2;
    let inotify = instance();
    let (mut root, host) = (Root::new(c(place)).unwrap(), OneTree::new(&inotify));
    let mut state = State::default();
    let mut linux = Linux::new(&inotify, &mut root, &host, &mut state);
    let mut dirs = BTreeMap::new();
    // The kernel queues events for these in between, so that more time passes between the halves.
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
        // The halves without their other half, and their watches.
        let mut pending = BTreeMap::new();
        let mut buffer = vec![0; 1 << 16];
        while begin.elapsed() < time {
            pending.clear();
            let mut whole = take(&inotify, &mut buffer, 0, &mut pending);
            // A read returns all queued events, so the queue was empty behind this half.
            if let Some((&cookie, wd)) = pending.iter().next_back() {
                let dir = dirs.get_mut(wd).unwrap();
                let was_empty = inotify.queued_bytes() == Ok(0);
                barrier(&mut linux, dir);
                whole &= take(&inotify, &mut buffer, inotify.queued_bytes().unwrap(), &mut pending);
                if whole {
                    alone.seen += 1;
                    alone.before_barrier += u64::from(was_empty);
                    alone.behind_barrier += u64::from(pending.contains_key(&cookie));
                }
            }
            // While an overflow record is queued, the kernel queues no other, so events behind it may be
            // missing too.
            while !whole {
                let queued = inotify.queued_bytes().unwrap();
                whole = queued == 0 || take(&inotify, &mut buffer, queued, &mut pending);
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    alone
}

/// Returns the time of the test. The variable sets the seconds.
fn storm_time() -> Duration {
    let seconds = std::env::var("TINOTIFY_STORM").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(1.0))
}

#[test]
fn behind_a_barrier_both_halves_of_each_rename_are_queued() {
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
            assert_eq!(alone.behind_barrier, 0, "by listing: {by_listing}");
        }
    }
}
