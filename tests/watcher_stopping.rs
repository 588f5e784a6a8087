//! What ends the calls of a watcher that wait: a stop handle, and the end of the last watch.

mod watching;

use std::fs;
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use tinotify::{EventKind, StopHandle, StopReason, WatchError, WatchEventBuf, WatchMask, Watcher};
use watching::{Place, Watchdog, asleep, drained};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;
const LONG_TIMEOUT: Duration = Duration::from_secs(600);
const TOO_LONG: Duration = Duration::from_secs(20);

/// The error that ended a waiting call, if any.
type Ended = Option<WatchError>;

type Wait = fn(&mut Watcher) -> Ended;

/// Every call that waits.
const CALLS: [(&str, Wait); 9] = [
    ("recv", |w| w.recv().err()),
    ("recv_timeout", |w| w.recv_timeout(LONG_TIMEOUT).err()),
    ("recv_timeout, longest", |w| w.recv_timeout(Duration::MAX).err()),
    ("recv_deadline", |w| w.recv_deadline(Instant::now() + LONG_TIMEOUT).err()),
    ("recv_batch", |w| w.recv_batch().err()),
    ("recv_batch_timeout", |w| w.recv_batch_timeout(LONG_TIMEOUT).err()),
    ("iter", |w| w.iter().next().map(|item| item.unwrap_err())),
    ("iter_timeout", |w| w.iter_timeout(LONG_TIMEOUT).next().map(|item| item.unwrap_err())),
    ("try_for_each", |w| {
        w.try_for_each(|_| ControlFlow::Break(())).map(|broke| assert!(broke.is_none())).err()
    }),
];

/// Returns the error that a call ends with. Iterators end without an error.
fn expected(name: &str, end: StopReason) -> Ended {
    let is_iterator = ["iter", "iter_timeout", "try_for_each"].contains(&name);
    (!is_iterator).then_some(WatchError::Stopped(end))
}

const STOPPED: WatchError = WatchError::Stopped(StopReason::Requested);

#[test]
fn a_stop_handle_ends_each_waiting_call_in_another_thread() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for (name, wait) in CALLS {
        let watcher = Watcher::new().unwrap();
        watcher.watch(place.path(), CREATE).unwrap();
        let stop = watcher.stop_handle();
        let clone = stop.clone();
        let reader = asleep(watcher, wait);
        assert!(!stop.is_stopped() && !reader.is_finished(), "{name}");
        let begin = Instant::now();
        // From a third thread.
        thread::spawn(move || clone.stop()).join().unwrap();
        let (ended, watcher) = reader.join().unwrap();
        assert!(begin.elapsed() < TOO_LONG, "{name}");
        assert_eq!(ended, expected(name, StopReason::Requested), "{name}");
        assert!(stop.is_stopped() && watcher.is_stopped());
    }
}

#[test]
fn each_waiting_call_returns_at_once_after_a_stop() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    watcher.stop_handle().stop();
    watcher.stop_handle().stop();
    for _ in 0..2 {
        for (name, wait) in CALLS {
            // Even though events are queued.
            place.file(name);
            fs::remove_file(place.at(name)).unwrap();
            assert_eq!(wait(&mut watcher), expected(name, StopReason::Requested), "{name}");
        }
    }
    // Calls that do not wait still return these events.
    assert_eq!(drained(&mut watcher).len(), 2 * CALLS.len());
}

#[test]
fn a_stop_ends_a_read_delay() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let watcher = Watcher::builder().read_delay(LONG_TIMEOUT).path(place.path()).build().unwrap();
    let stop = watcher.stop_handle();
    place.file("a");
    let reader = asleep(watcher, |watcher| watcher.recv().err());
    stop.stop();
    assert_eq!(reader.join().unwrap().0, Some(STOPPED));
}

#[test]
fn a_stop_handle_stops_only_its_own_watcher_and_outlives_it() {
    let place = Place::new();
    let mut other = Watcher::builder().path(place.path()).build().unwrap();
    let watcher = Watcher::new().unwrap();
    let stop = watcher.stop_handle();
    let watches = watcher.watches();
    drop(watcher);
    stop.stop();
    assert!(stop.is_stopped() && !other.is_stopped());
    place.file("a");
    assert_eq!(other.recv().unwrap().kind(), EventKind::Create);
    // A handle whose watcher is gone returns an error.
    assert_eq!(watches.watch(place.path(), CREATE), Err(WatchError::Closed));
}

#[test]
fn handles_can_be_sent_to_any_thread() {
    fn assert_send_and_sync<T: Send + Sync + 'static>() {}
    assert_send_and_sync::<StopHandle>();
    assert_send_and_sync::<tinotify::Watches>();
    assert_send_and_sync::<WatchError>();
    assert_send_and_sync::<WatchEventBuf>();
    fn assert_send<T: Send + 'static>() {}
    assert_send::<Watcher>();
}

fn watcher_that_stops_without_watches() -> Watcher {
    Watcher::builder().stop_without_watches(true).build().unwrap()
}

#[test]
fn stop_without_watches_ends_reading_after_the_last_event() {
    let _watchdog = Watchdog::new();
    for (name, wait) in CALLS {
        let place = Place::new();
        let mut watcher = watcher_that_stops_without_watches();
        assert_eq!(
            wait(&mut watcher),
            expected(name, StopReason::NoWatches),
            "{name}: no watch yet"
        );
        let file = place.file("file");
        watcher.watch(&file, WatchMask::DELETE_SELF).unwrap();
        let other = watcher.watch(place.path(), ATTRIB).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(watcher.recv().unwrap().kind(), EventKind::DeleteSelf);
        assert_eq!(watcher.recv().unwrap().kind(), EventKind::Ignored);
        assert!(
            watcher.recv_timeout(Duration::ZERO).unwrap().is_none(),
            "{name}: one watch is left"
        );
        watcher.unwatch(other).unwrap();
        assert_eq!(wait(&mut watcher), expected(name, StopReason::NoWatches), "{name}");
        // Reading continues with a new watch.
        watcher.watch(place.path(), CREATE).unwrap();
        place.file("new");
        assert_eq!(watcher.recv().unwrap().kind(), EventKind::Create);
    }
}

#[test]
fn stop_without_watches_ends_a_wait_when_another_thread_removes_the_last_watch() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for (name, wait) in CALLS {
        let watcher = watcher_that_stops_without_watches();
        let last = watcher.watch(place.path(), CREATE).unwrap();
        let other = watcher.watch(place.path(), ATTRIB).unwrap();
        let watches = watcher.watches();
        let reader = asleep(watcher, wait);
        watches.unwatch(other).unwrap();
        watches.unwatch(last).unwrap();
        assert_eq!(reader.join().unwrap().0, expected(name, StopReason::NoWatches), "{name}");
    }
}

#[test]
fn stop_without_watches_ends_reading_after_a_one_shot() {
    let place = Place::new();
    let mut watcher = watcher_that_stops_without_watches();
    watcher.watch(place.path(), CREATE | WatchMask::ONESHOT).unwrap();
    place.file("a");
    let kinds: Vec<EventKind> = watcher.iter().map(|event| event.unwrap().kind()).collect();
    assert_eq!(kinds, [EventKind::Create, EventKind::Ignored]);
}

#[test]
fn try_iter_ends_without_an_error_if_no_watch_is_left() {
    let place = Place::new();
    let mut watcher = watcher_that_stops_without_watches();
    assert!(watcher.try_iter().next().is_none());
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    assert!(watcher.try_iter().next().is_none());
    watcher.unwatch(watch).unwrap();
    assert!(watcher.try_iter().next().is_none());
}

#[test]
fn a_watcher_without_watches_waits_by_default() {
    let mut watcher = Watcher::new().unwrap();
    let begin = Instant::now();
    assert!(watcher.recv_timeout(Duration::from_millis(50)).unwrap().is_none());
    assert!(begin.elapsed() >= Duration::from_millis(50));
}
