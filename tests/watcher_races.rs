//! The watcher under threads that add and remove watches while one reads: every event counted.

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
/// A creation and a deletion each: 100,000 events for the watch that stays.
const FILES: u32 = 12_500;
const NAMES: WatchMask = WatchMask::CREATE.union(WatchMask::DELETE);

/// What is known of the watches of the threads: written by them, read by the reader.
#[derive(Default)]
struct Ledger {
    /// Counts up with each unwatch and each read.
    clock: AtomicU64,
    /// When a watch was gone: its unwatch had returned.
    gone: Mutex<HashMap<WatchId, u64>>,
    /// Whose a watch is, and the first of its owner's files that it may hear of.
    born: Mutex<HashMap<WatchId, (u32, u32)>>,
    unwatched: AtomicU32,
}

impl Ledger {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn unwatch(&self, watches: &Watches, watch: WatchId) {
        watches.unwatch(watch).unwrap();
        self.gone.lock().unwrap().insert(watch, self.now());
        self.unwatched.fetch_add(1, Ordering::Relaxed);
    }
}

/// The files of one thread, with watches that come and go on their directory and on others.
fn come_and_go(
    me: u32,
    (stable, own): (&Path, &Path),
    watches: &Watches,
    ledger: &Ledger,
    full: impl Fn() -> bool,
) {
    let link = own.join("link");
    std::os::unix::fs::symlink(stable, &link).unwrap();
    let mut held: Vec<WatchId> = Vec::new();
    for file in 0..FILES {
        // Never so much unread that the queue could overflow. Asking costs as much as is unread.
        while file % 8 == 0 && full() {
            thread::sleep(Duration::from_micros(200));
        }
        let name = format!("{me}-{file}");
        match file % 8 {
            0 | 3 => {
                let path = if file % 8 == 0 { stable } else { &link };
                let mut born = ledger.born.lock().unwrap();
                let watch = watches.watch(path, NAMES).unwrap();
                born.insert(watch, (me, file));
                held.push(watch);
            }
            1 => held.push(watches.watch(own, NAMES).unwrap()),
            2 => {
                fs::write(own.join(&name), "").unwrap();
                fs::remove_file(own.join(&name)).unwrap();
            }
            5 => watches.set_mask(held[0], NAMES | WatchMask::ATTRIB).unwrap(),
            6 => ledger.unwatch(watches, held.swap_remove((file / 8) as usize % held.len())),
            7 => {
                while held.len() > 1 {
                    ledger.unwatch(watches, held.remove(0));
                }
            }
            _ => {}
        }
        fs::write(stable.join(&name), "").unwrap();
        fs::remove_file(stable.join(&name)).unwrap();
    }
    for watch in held {
        ledger.unwatch(watches, watch);
    }
}

/// What a thread does after that.
fn after((file, kind): (u32, EventKind)) -> (u32, EventKind) {
    match kind {
        EventKind::Create => (file, EventKind::Delete),
        _ => (file + 1, EventKind::Create),
    }
}

#[test]
fn a_stable_watch_gets_each_of_100_000_events_while_others_come_and_go() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let stable_dir = place.dir("stable");
    let mut watcher = Watcher::new().unwrap();
    let stable = watcher.watch(&stable_dir, NAMES).unwrap();
    let ledger = Arc::new(Ledger::default());
    // A descriptor of the same instance, to ask how much is unread.
    let queue = Arc::new(rustix::io::dup(watcher.inotify_fd()).unwrap());
    let writers: Vec<_> = (0..THREADS)
        .map(|me| {
            let (watches, ledger, queue) = (watcher.watches(), ledger.clone(), queue.clone());
            let (stable_dir, own) = (stable_dir.clone(), place.dir(me.to_string()));
            thread::spawn(move || {
                // 32 bytes an event, so some 2,000 of the 16,384 that the kernel keeps.
                let full = || unread_of(&*queue) > 64 * 1024;
                come_and_go(me, (&stable_dir, &own), &watches, &ledger, full);
            })
        })
        .collect();

    // What the stable watch should hear next of each thread.
    let mut expected = vec![(0_u32, EventKind::Create); THREADS as usize];
    let mut others = HashMap::new();
    let (mut of_stable, mut of_others) = (0_u32, 0_u32);
    while of_stable < 2 * THREADS * FILES {
        let asked = ledger.now();
        let event = watcher.recv().unwrap();
        assert!(!event.is_overflow());
        assert!(!event.is_ignored(), "of one's own removals nobody hears");
        let watch = event.watch().unwrap();
        let name = event.name().unwrap().to_str().unwrap();
        let (owner, file) = name.split_once('-').unwrap();
        let (owner, file): (u32, u32) = (owner.parse().unwrap(), file.parse().unwrap());
        if watch == stable {
            let next = &mut expected[owner as usize];
            assert_eq!((file, event.kind()), *next, "of thread {owner}");
            *next = after(*next);
            of_stable += 1;
            continue;
        }
        of_others += 1;
        if let Some(gone) = ledger.gone.lock().unwrap().get(&watch) {
            assert!(*gone > asked, "{watch:?} was gone when the event was asked for");
        }
        if let Some((born_of, first)) = ledger.born.lock().unwrap().get(&watch) {
            // From its first file on if it is its own thread's, and none left out of anybody's.
            let next = others.entry((watch, owner)).or_insert(match owner == *born_of {
                true => (*first, EventKind::Create),
                false => (file, event.kind()),
            });
            assert_eq!((file, event.kind()), *next, "of thread {owner} for {watch:?}");
            *next = after(*next);
        }
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
    eprintln!("{of_stable} events of the stable watch, {of_others} of those that came and went");
}

#[test]
fn removing_and_adding_never_waits_for_the_reader() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    let (watches, stopper) = (watcher.watches(), watcher.stop_handle());
    // The reader sleeps, or reads what is nobody's; here all calls go through in the meantime.
    let reader = asleep(watcher, |watcher| {
        let mut seen = 0;
        while watcher.recv().is_ok() {
            seen += 1;
        }
        seen
    });
    for i in 0..2000 {
        let watch = watches.watch(place.path(), NAMES).unwrap();
        let again = watches.watch(place.path(), NAMES).unwrap();
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
    stopper.stop();
    let (seen, watcher) = reader.join().unwrap();
    assert_eq!(seen, 0);
    assert!(kernel_watches(&watcher).is_empty());
}

/// Files that are deleted and watches that are removed at the same time, by different threads: each
/// watch ends once, either by `unwatch` or by being told.
#[test]
fn each_watch_ends_once_though_its_file_is_deleted_at_the_same_time() {
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
        // Read what is there, then remove.
        let before = drained(&mut watcher);
        let told = before.iter().filter(|event| event.is_ignored()).count();
        match watcher.unwatch(watch) {
            Ok(()) => {
                by_unwatch += 1;
                assert_eq!(told, 0);
            }
            Err(_) => {
                by_end += 1;
                assert_eq!(told, 1);
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
