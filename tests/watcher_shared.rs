//! Several threads can read one watcher: each event goes to one of them, and none is lost.

mod watching;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tinotify::{SharedWatcher, StopReason, WatchError, WatchMask, WatchOptions, Watcher};
use watching::{Place, Watchdog};

const STOPPED: WatchError = WatchError::Stopped(StopReason::Requested);
const FAR: Duration = Duration::from_secs(600);

fn shared(place: &Place) -> SharedWatcher {
    let watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), WatchMask::CREATE).unwrap();
    SharedWatcher::new(watcher)
}

#[test]
fn each_event_goes_to_one_thread() {
    const THREADS: usize = 4;
    const FILES: usize = 2000;
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let watcher = shared(&place);
    let received = AtomicUsize::new(0);
    let all = thread::scope(|scope| {
        let readers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (watcher, received) = (watcher.clone(), &received);
                scope.spawn(move || {
                    let mut names = Vec::new();
                    loop {
                        // Every way of waiting, and threads that do not wait.
                        let event = match (thread + names.len()) % 4 {
                            0 => watcher.recv().map(Some),
                            1 => watcher.recv_timeout(FAR),
                            2 => watcher.recv_deadline(Instant::now() + Duration::from_micros(50)),
                            _ => watcher.try_recv(),
                        };
                        match event {
                            Ok(None) => thread::yield_now(),
                            Ok(Some(event)) => {
                                names.push(event.name().unwrap().to_owned());
                                if received.fetch_add(1, Ordering::SeqCst) + 1 == FILES {
                                    watcher.stop_handle().stop();
                                }
                            }
                            Err(error) => {
                                assert_eq!(error, STOPPED);
                                return names;
                            }
                        }
                    }
                })
            })
            .collect();
        for file in 0..FILES {
            place.file(file.to_string());
        }
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(all.len(), FILES);
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), FILES);
}

#[test]
fn a_limit_is_kept_while_another_thread_waits() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let watcher = shared(&place);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| watcher.recv());
        while watcher.try_recv().unwrap().is_some() {}
        assert_eq!(watcher.recv_timeout(Duration::ZERO), Ok(None));
        assert_eq!(watcher.recv_timeout(Duration::from_millis(1)), Ok(None));
        assert_eq!(watcher.recv_deadline(Instant::now()), Ok(None));
        watcher.stop_handle().stop();
        assert_eq!(waiting.join().unwrap(), Err(STOPPED));
    });
}

#[test]
fn a_stop_ends_every_wait() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let watcher = shared(&place);
    let (ended, all) = mpsc::channel();
    for _ in 0..4 {
        let (watcher, ended) = (watcher.clone(), ended.clone());
        thread::spawn(move || ended.send(watcher.recv()));
    }
    watcher.stop_handle().stop();
    for _ in 0..4 {
        assert_eq!(all.recv().unwrap(), Err(STOPPED));
    }
}

#[test]
fn a_filter_that_panics_leaves_the_watcher_to_the_other_threads() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let watcher = SharedWatcher::from(Watcher::new().unwrap());
    let filter = |event: &tinotify::Event<'_>| {
        assert_ne!(event.name(), Some(&b"bad"[..]), "as the test asks");
        true
    };
    let options = WatchOptions::new().filter(filter);
    watcher.watches().watch_with(place.path(), WatchMask::CREATE, options).unwrap();
    place.file("bad");
    place.file("good");
    let other = watcher.clone();
    thread::spawn(move || other.recv()).join().unwrap_err();
    assert_eq!(watcher.recv().unwrap().path(), place.at("good"));
}

#[test]
fn the_watcher_comes_back_from_its_last_handle_with_what_is_buffered() {
    let place = Place::new();
    let watcher = shared(&place);
    place.file("a");
    place.file("b");
    assert_eq!(watcher.recv().unwrap().path(), place.at("a"));
    let other = watcher.clone();
    let watcher = watcher.try_into_inner().unwrap_err();
    drop(other);
    let mut watcher = watcher.try_into_inner().unwrap();
    assert_eq!(watcher.recv().unwrap().path(), place.at("b"));
}

#[test]
fn a_handle_may_be_kept_beside_what_events_change() {
    // A program with both in one struct, and a method that needs all of it.
    struct Program {
        watcher: Arc<SharedWatcher>,
        handled: usize,
    }
    impl Program {
        fn handle(&mut self) {
            self.handled += 1;
        }

        fn turn(&mut self) {
            while let Ok(Some(_)) = self.watcher.try_recv() {
                self.handle();
            }
        }
    }
    let place = Place::new();
    let mut program = Program { watcher: Arc::new(shared(&place)), handled: 0 };
    place.file("a");
    place.file("b");
    program.turn();
    assert_eq!(program.handled, 2);
}
