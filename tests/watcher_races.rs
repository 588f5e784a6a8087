//! Threads add and remove watches while one thread reads: every event is counted.

mod watching;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tinotify::{EventKind, WatchId, WatchMask, Watcher, Watches};
use watching::{Place, Watchdog, asleep, drained, kernel_watches, unread_of};

const THREADS: u32 = 4;
/// The files of each thread. Their creations and deletions make 100,000 events of the stable watch.
const FILES: u32 = 12_500;
const CHANGES: WatchMask = WatchMask::CREATE.union(WatchMask::DELETE);

/// The watches of the threads: written by them, read by the reader.
#[derive(Default)]
struct Ledger {
    /// Increases with each unwatch and each read.
    clock: AtomicU64,
    /// The time when `unwatch` had returned, for each removed watch.
    removed: Mutex<HashMap<WatchId, u64>>,
    /// The owner of each watch, and the first of the owner's files that it may report.
    added: Mutex<HashMap<WatchId, (u32, u32)>>,
    unwatched: AtomicU32,
}

impl Ledger {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn unwatch(&self, watches: &Watches, watch: WatchId) {
        watches.unwatch(watch).unwrap();
        self.removed.lock().unwrap().insert(watch, self.now());
        self.unwatched.fetch_add(1, Ordering::Relaxed);
    }

    /// Checks an event of a watch that is not the stable one. `called` is the time before the call that
    /// returned it; `next` holds the next event of each watch and thread.
    fn check(
        &self,
        watch: WatchId,
        called: u64,
        owner: u32,
        event: (u32, EventKind),
        next: &mut HashMap<(WatchId, u32), (u32, EventKind)>,
    ) {
        if let Some(removed) = self.removed.lock().unwrap().get(&watch) {
            assert!(*removed > called, "{watch:?} was removed before the call");
        }
        if let Some((added_by, first)) = self.added.lock().unwrap().get(&watch) {
            // From `first` on for files of the owner, and from any file on for those of other threads.
            let is_owner = owner == *added_by;
            let first = if is_owner { (*first, EventKind::Create) } else { event };
            let next = next.entry((watch, owner)).or_insert(first);
            assert_eq!(event, *next, "of thread {owner} for {watch:?}");
            *next = next_event(*next);
        }
    }
}

/// Makes the files of one thread, and adds and removes watches of two directories meanwhile.
fn change_watches(
    me: u32,
    (stable, own): (&Path, &Path),
    watches: &Watches,
    ledger: &Ledger,
    is_full: impl Fn() -> bool,
) {
    let link = own.join("link");
    std::os::unix::fs::symlink(stable, &link).unwrap();
    let mut own_watches: Vec<WatchId> = Vec::new();
    for file in 0..FILES {
        // Prevents an overflow. Only at each eighth file, since the cost of `is_full` grows with the queue.
        while file % 8 == 0 && is_full() {
            thread::sleep(Duration::from_micros(200));
        }
        let name = format!("{me}-{file}");
        match file % 8 {
            0 | 3 => {
                let path = if file % 8 == 0 { stable } else { &link };
                let mut added = ledger.added.lock().unwrap();
                let watch = watches.watch(path, CHANGES).unwrap();
                added.insert(watch, (me, file));
                own_watches.push(watch);
            }
            1 => own_watches.push(watches.watch(own, CHANGES).unwrap()),
            2 => {
                fs::write(own.join(&name), "").unwrap();
                fs::remove_file(own.join(&name)).unwrap();
            }
            5 => watches.set_mask(own_watches[0], CHANGES | WatchMask::ATTRIB).unwrap(),
            6 => ledger
                .unwatch(watches, own_watches.swap_remove((file / 8) as usize % own_watches.len())),
            7 => {
                while own_watches.len() > 1 {
                    ledger.unwatch(watches, own_watches.remove(0));
                }
            }
            _ => {}
        }
        fs::write(stable.join(&name), "").unwrap();
        fs::remove_file(stable.join(&name)).unwrap();
    }
    for watch in own_watches {
        ledger.unwatch(watches, watch);
    }
}

/// Returns the event that a thread causes next.
fn next_event((file, kind): (u32, EventKind)) -> (u32, EventKind) {
    match kind {
        EventKind::Create => (file, EventKind::Delete),
        _ => (file + 1, EventKind::Create),
    }
}

#[test]
fn a_stable_watch_gets_each_of_100_000_events_while_others_change() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let stable_dir = place.dir("stable");
    let mut watcher = Watcher::new().unwrap();
    let stable = watcher.watch(&stable_dir, CHANGES).unwrap();
    let ledger = Arc::new(Ledger::default());
    // A descriptor of the same instance, which reports the unread bytes.
    let queue = Arc::new(rustix::io::dup(watcher.inotify_fd()).unwrap());
    let writers: Vec<_> = (0..THREADS)
        .map(|me| {
            let (watches, ledger, queue) = (watcher.watches(), ledger.clone(), queue.clone());
            let (stable_dir, own) = (stable_dir.clone(), place.dir(me.to_string()));
            thread::spawn(move || {
                // About 2,000 events of 32 bytes. The kernel keeps 16,384 events.
                let is_full = || unread_of(&*queue) > 64 * 1024;
                change_watches(me, (&stable_dir, &own), &watches, &ledger, is_full);
            })
        })
        .collect();

    // The event that the stable watch must report next, for each thread.
    let mut expected = vec![(0_u32, EventKind::Create); THREADS as usize];
    let mut others = HashMap::new();
    let (mut of_stable, mut of_others) = (0_u32, 0_u32);
    while of_stable < 2 * THREADS * FILES {
        let called = ledger.now();
        let event = watcher.recv().unwrap();
        assert!(!event.is_overflow());
        assert!(!event.is_ignored(), "the end of a removed watch is not reported");
        let watch = event.watch().unwrap();
        let name = event.name().unwrap().to_str().unwrap();
        let (owner, file) = name.split_once('-').unwrap();
        let (owner, file): (u32, u32) = (owner.parse().unwrap(), file.parse().unwrap());
        if watch == stable {
            let next = &mut expected[owner as usize];
            assert_eq!((file, event.kind()), *next, "of thread {owner}");
            *next = next_event(*next);
            of_stable += 1;
            continue;
        }
        of_others += 1;
        ledger.check(watch, called, owner, (file, event.kind()), &mut others);
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(of_stable, 100_000);
    assert!(of_others > 1000, "{of_others}");
    assert!(ledger.unwatched.load(Ordering::Relaxed) > 1000);
    assert!(drained(&mut watcher).is_empty());
    assert_eq!(watcher.watches().list().len(), 1);
    assert_eq!(kernel_watches(&watcher).len(), 1);
    eprintln!("{of_stable} events of the stable watch, {of_others} of others");
}

#[test]
fn adding_and_removing_never_waits_for_the_reader() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let (watches, stop) = (watcher.watches(), watcher.stop_handle());
    // The reader sleeps or reads events of removed watches, while all calls here return.
    let reader = asleep(watcher, |watcher| {
        let mut seen = 0;
        while watcher.recv().is_ok() {
            seen += 1;
        }
        seen
    });
    for i in 0..2000 {
        let watch = watches.watch(place.path(), CHANGES).unwrap();
        let again = watches.watch(place.path(), CHANGES).unwrap();
        watches.set_mask(watch, WatchMask::CREATE).unwrap();
        watches.set_path(again, "/").unwrap();
        assert_eq!(watches.list().len(), 2);
        if i % 2 == 0 {
            watches.unwatch(watch).unwrap();
            watches.unwatch(again).unwrap();
        } else {
            watches.unwatch(again).unwrap();
            watches.unwatch(watch).unwrap();
        }
    }
    stop.stop();
    let (seen, watcher) = reader.join().unwrap();
    assert_eq!(seen, 0);
    assert!(kernel_watches(&watcher).is_empty());
}

/// One thread deletes files and another removes their watches at the same time. Each watch ends either by
/// `unwatch` or with a reported end.
#[test]
fn each_watch_ends_once_if_its_file_is_deleted_at_the_same_time() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    const TURNS: u32 = 2000;
    let deleter_sent = std::sync::mpsc::channel::<std::path::PathBuf>();
    let deleter = thread::spawn(move || {
        for path in deleter_sent.1 {
            fs::remove_file(path).unwrap();
        }
    });
    let (mut by_unwatch, mut by_end) = (0, 0);
    for turn in 0..TURNS {
        let path = place.file(turn.to_string());
        let watch = watcher.watch(&path, WatchMask::DELETE_SELF).unwrap();
        deleter_sent.0.send(path).unwrap();
        for _ in 0..turn % 16 {
            thread::yield_now();
        }
        // Reads the queued events, then removes the watch.
        let before = drained(&mut watcher);
        let ends = before.iter().filter(|event| event.is_ignored()).count();
        match watcher.unwatch(watch) {
            Ok(()) => {
                by_unwatch += 1;
                assert_eq!(ends, 0);
            }
            Err(_) => {
                by_end += 1;
                assert_eq!(ends, 1);
            }
        }
        assert!(drained(&mut watcher).is_empty());
    }
    drop(deleter_sent.0);
    deleter.join().unwrap();
    eprintln!("{by_unwatch} ended by unwatch, {by_end} by the deletion");
    assert_eq!(by_unwatch + by_end, TURNS);
    assert!(drained(&mut watcher).is_empty());
    assert!(watcher.watches().is_empty());
    assert!(kernel_watches(&watcher).is_empty());
}
