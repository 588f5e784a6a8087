//! Nothing leaks: descriptors and threads counted, in a process of their own, one test alone.

mod watching;

use std::fs;
use std::time::Duration;

use tinotify::{WatchMask, WatchOptions, Watcher, wait_for};
use watching::{Place, drained};

fn count(of: &str) -> usize {
    fs::read_dir(format!("/proc/self/{of}")).unwrap().count()
}

/// What may go wrong or right with a watcher, from its beginning to its end.
fn lives(place: &Place) {
    let file = place.file("file");
    let none = place.at("none");
    let mask = WatchMask::ALL_EVENTS;

    // Begun in vain.
    assert!(Watcher::builder().path(place.path()).path(&none).build().is_err());
    assert!(wait_for(&none, mask, None).is_err());
    // One call.
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

    // With everything, dropped in the middle of it.
    let mut watcher = Watcher::builder().inheritable(true).blocking(true).build().unwrap();
    let (watches, stopper) = (watcher.watches(), watcher.stop_handle());
    let options = || WatchOptions::new().alias("it").filter(|_| true);
    let watch = watcher.watch_with(&file, mask, options()).unwrap();
    assert!(watcher.watch_with(&file, mask, options()).is_err());
    assert!(watcher.watch(&none, mask).is_err());
    let name = watcher.watch_name(none.join("deeper"), mask).unwrap();
    watcher.watch(place.path(), mask | WatchMask::ONESHOT).unwrap();
    fs::write(&file, "text").unwrap();
    let kept = watcher.recv().unwrap().to_buf();
    watcher.unwatch(watch).unwrap();
    let reader = std::thread::spawn(move || {
        while watcher.recv().is_ok() {}
        drained(&mut watcher)
    });
    watches.unwatch(name).unwrap();
    stopper.stop();
    reader.join().unwrap();
    drop((watches, stopper));
    assert_eq!(kept.path(), file);

    // Closed, with and without a handle left.
    Watcher::new().unwrap().close().unwrap();
    let watcher = Watcher::new().unwrap();
    let handle = watcher.watches();
    watcher.close().unwrap();
    drop(handle);
}

#[test]
fn nothing_leaks() {
    let place = Place::new();
    lives(&place);
    let (fds, threads) = (count("fd"), count("task"));
    for _ in 0..50 {
        lives(&place);
    }
    assert_eq!(count("fd"), fds);
    // A thread that was joined may be seen for a moment still: before, too.
    watching::until(|| count("task") <= threads);
}
