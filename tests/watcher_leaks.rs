//! A watcher leaks no descriptors, threads or memory. The only test of its process, so that it can count.

mod watching;

use std::fs;
use std::time::Duration;

use tinotify::{WatchEventBuf, WatchMask, WatchOptions, Watcher, wait_for};
use watching::{Place, drained};

/// Counts the entries of a directory in /proc/self.
fn count(of: &str) -> usize {
    fs::read_dir(format!("/proc/self/{of}")).unwrap().count()
}

/// Makes and drops watchers in many ways, including errors.
fn use_watchers(place: &Place) {
    let file = place.file("file");
    let missing = place.at("missing");
    let mask = WatchMask::ALL_EVENTS;

    // Watchers that fail to start.
    assert!(Watcher::builder().path(place.path()).path(&missing).build().is_err());
    let kept_open = Watcher::builder().close_on_drop(false);
    assert!(kept_open.path(place.path()).path(&missing).build().is_err());
    assert!(wait_for(&missing, mask, None).is_err());
    // `wait_for`, without and with an event.
    assert!(wait_for(place.path(), mask, Some(Duration::ZERO)).unwrap().is_none());
    let waiter = std::thread::spawn({
        let path = place.path().to_owned();
        move || wait_for(path, WatchMask::CREATE, None).unwrap().unwrap()
    });
    while !waiter.is_finished() {
        place.file("a");
        fs::remove_file(place.at("a")).unwrap();
    }
    waiter.join().unwrap();

    // A watcher with every kind of watch, dropped while it is in use.
    let mut watcher = Watcher::builder().inheritable(true).blocking(true).build().unwrap();
    let (watches, stop) = (watcher.watches(), watcher.stop_handle());
    let options = || WatchOptions::new().alias("it").filter(|_| true);
    let watch = watcher.watch_with(&file, mask, options()).unwrap();
    assert!(watcher.watch_with(&file, mask, options()).is_err());
    assert!(watcher.watch(&missing, mask).is_err());
    let name = watcher.watch_name(missing.join("deeper"), mask).unwrap();
    watcher.watch(place.path(), mask | WatchMask::ONESHOT).unwrap();
    fs::write(&file, "text").unwrap();
    let kept = watcher.recv().unwrap().to_buf();
    watcher.unwatch(watch).unwrap();
    let reader = std::thread::spawn(move || {
        while watcher.recv().is_ok() {}
        drained(&mut watcher)
    });
    watches.unwatch(name).unwrap();
    stop.stop();
    reader.join().unwrap();
    drop((watches, stop));
    assert_eq!(kept.path(), file);

    // Closed watchers, without and with a handle left.
    Watcher::new().unwrap().close().unwrap();
    let watcher = Watcher::new().unwrap();
    let handle = watcher.watches();
    watcher.close().unwrap();
    drop(handle);
}

#[test]
fn nothing_leaks() {
    let place = Place::new();
    use_watchers(&place);
    let (fds, threads) = (count("fd"), count("task"));
    for _ in 0..50 {
        use_watchers(&place);
    }
    assert_eq!(count("fd"), fds);
    // A joined thread can remain in /proc for a moment, in the first count too.
    watching::until(|| count("task") <= threads);
    removed_watches_with_unread_events_use_no_memory(&place);
}

/// Returns the resident memory of this process in kB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn removed_watches_with_unread_events_use_no_memory(place: &Place) {
    let mut watcher = Watcher::new().unwrap();
    let pairs = |count: u32| {
        for _ in 0..count {
            let watch = watcher.watch(place.path(), WatchMask::CREATE).unwrap();
            watcher.unwatch(watch).unwrap();
        }
    };
    pairs(20_000);
    let before = resident();
    pairs(300_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 4096, "{grown} kB for 300,000 removed watches");
    // The queue holds only their IGNORED, which is not reported.
    assert!(drained(&mut watcher).iter().all(WatchEventBuf::is_overflow));
}
