//! Which calls of a watcher wait, and until when. Signals and filtered events do not change that.

mod watching;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use tinotify::{
    Errno, Error, EventKind, WatchError, WatchEventBuf, WatchMask, WatchOptions, Watcher, wait_for,
    wait_for_batch,
};
use watching::{
    Place, Watchdog, asleep, drained, kinds, touch, unread, unread_of, until, until_asleep,
    watcher_of,
};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;
const LONG_TIMEOUT: Duration = Duration::from_secs(600);
/// Much longer than a call takes, and much shorter than `LONG_TIMEOUT`.
const SHORT: Duration = Duration::from_millis(50);
const TOO_LONG: Duration = Duration::from_secs(20);

/// Waits for an event and returns its kind.
type Wait = fn(&mut Watcher) -> Option<EventKind>;

/// Every call that waits, with a timeout that no test reaches.
const CALLS: [(&str, Wait); 9] = [
    ("recv", |w| Some(w.recv().unwrap().kind())),
    ("recv_timeout", |w| Some(w.recv_timeout(LONG_TIMEOUT).unwrap()?.kind())),
    ("recv_timeout, longest", |w| Some(w.recv_timeout(Duration::MAX).unwrap()?.kind())),
    ("recv_deadline", |w| Some(w.recv_deadline(Instant::now() + LONG_TIMEOUT).unwrap()?.kind())),
    ("recv_batch", |w| Some(w.recv_batch().unwrap().first()?.kind())),
    ("recv_batch_timeout", |w| Some(w.recv_batch_timeout(LONG_TIMEOUT).unwrap().first()?.kind())),
    ("iter", |w| Some(w.iter().next()?.unwrap().kind())),
    ("iter_timeout", |w| Some(w.iter_timeout(Duration::MAX).next()?.unwrap()?.kind())),
    ("try_for_each", |w| {
        w.try_for_each(|event| std::ops::ControlFlow::Break(event.kind())).unwrap()
    }),
];

#[test]
fn each_waiting_call_returns_a_queued_event_at_once() {
    let place = Place::new();
    let mut watcher = watcher_of(&place);
    for (name, wait) in CALLS {
        place.file(name);
        assert_eq!(wait(&mut watcher), Some(EventKind::Create), "{name}");
    }
}

#[test]
fn each_waiting_call_waits_for_an_event() {
    let _watchdog = Watchdog::new();
    for (name, wait) in CALLS {
        let place = Place::new();
        let reader = asleep(watcher_of(&place), wait);
        assert!(!reader.is_finished(), "{name}");
        place.file("new");
        assert_eq!(reader.join().unwrap().0, Some(EventKind::Create), "{name}");
    }
}

#[test]
fn a_timeout_returns_no_event_and_never_early() {
    let place = Place::new();
    let mut watcher = watcher_of(&place);
    let begin = Instant::now();
    assert!(watcher.recv_timeout(SHORT).unwrap().is_none());
    assert!(begin.elapsed() >= SHORT);
    let begin = Instant::now();
    assert!(watcher.recv_deadline(begin + SHORT).unwrap().is_none());
    assert!(begin.elapsed() >= SHORT);
    let begin = Instant::now();
    assert!(watcher.recv_batch_timeout(SHORT).unwrap().is_empty());
    assert!(begin.elapsed() >= SHORT && begin.elapsed() < TOO_LONG);
    // With a zero timeout or a past deadline, a call still reads the queue.
    assert!(watcher.recv_timeout(Duration::ZERO).unwrap().is_none());
    assert!(watcher.recv_deadline(begin).unwrap().is_none());
    place.file("a");
    assert_eq!(watcher.recv_timeout(Duration::ZERO).unwrap().unwrap().name().unwrap(), "a");
    place.file("b");
    assert_eq!(watcher.recv_deadline(begin).unwrap().unwrap().name().unwrap(), "b");
}

#[test]
fn a_zero_timeout_returns_an_event_behind_many_filtered_ones() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::builder().buffer_size(0).build().unwrap();
    watcher.watch_with(&file, ATTRIB, WatchOptions::new().filter(|_| false)).unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    let other = place.file("other");
    drained(&mut watcher);
    watcher.watch_with(&other, ATTRIB, WatchOptions::new().filter(|_| false)).unwrap();
    // Several buffers full of events that no watch accepts.
    for _ in 0..1000 {
        touch(&file);
        touch(&other);
    }
    place.file("new");
    assert_eq!(watcher.recv_timeout(Duration::ZERO).unwrap().unwrap().name().unwrap(), "new");
    assert!(watcher.recv_timeout(Duration::ZERO).unwrap().is_none());
}

#[test]
fn filtered_events_do_not_delay_a_deadline() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let other = place.file("other");
    let is_over = Arc::new(AtomicBool::new(false));
    let mut watcher = Watcher::builder().buffer_size(0).build().unwrap();
    // Slower than the storm, so that the queue is never found empty.
    let options = WatchOptions::new().filter(|_| {
        thread::sleep(Duration::from_micros(20));
        false
    });
    // The kernel queues all of these events: a filter, a mask or a removed watch discards them.
    watcher.watch_with(&file, ATTRIB, options).unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    let removed = watcher.watch(place.path(), ATTRIB).unwrap();
    watcher.unwatch(removed).unwrap();
    let queue = rustix::io::dup(watcher.inotify_fd()).unwrap();
    let storm = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let mut changes = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                // Keeps the queue filled, without an overflow.
                if unread_of(&queue) < 64 * 1024 {
                    for _ in 0..100 {
                        touch(&file);
                        touch(&other);
                        changes += 2;
                    }
                }
            }
            changes
        }
    });
    until(|| unread(&watcher) > 64 * 1024);
    let time = Duration::from_millis(300);
    for _ in 0..3 {
        let begin = Instant::now();
        assert!(watcher.recv_timeout(time).unwrap().is_none());
        assert!(begin.elapsed() >= time, "{:?}", begin.elapsed());
        assert!(begin.elapsed() < time * 4, "{:?}", begin.elapsed());
        let begin = Instant::now();
        assert!(watcher.recv_batch_timeout(time).unwrap().is_empty());
        assert!(begin.elapsed() < time * 4, "{:?}", begin.elapsed());
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(storm.join().unwrap() > 1000);
}

/// The number of signals in all tests.
static SIGNALS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_signal(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Makes SIGUSR1 interrupt system calls, without a restart.
fn interrupt_calls() {
    let handler = SigHandler::Handler(count_signal);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    #[allow(unsafe_code)]
    // SAFETY: the handler adds to an atomic number, which is safe in a signal handler.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
}

/// Sends signals to this thread while `run` runs, and counts them in `sent`.
fn under_signals<T>(sent: &Arc<AtomicU32>, run: impl FnOnce() -> T) -> T {
    interrupt_calls();
    let is_over = Arc::new(AtomicBool::new(false));
    // `pthread_t` is a number in glibc and a pointer in musl.
    let me = pthread_self() as usize;
    let sender = thread::spawn({
        let (is_over, sent) = (Arc::clone(&is_over), Arc::clone(sent));
        move || {
            while !is_over.load(Ordering::Acquire) {
                pthread_kill(me as Pthread, Signal::SIGUSR1).unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(100));
            }
        }
    });
    let result = run();
    is_over.store(true, Ordering::Release);
    sender.join().unwrap();
    result
}

#[test]
fn a_signal_neither_shortens_nor_delays_a_timeout() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for blocking in [false, true] {
        let mut watcher = Watcher::builder().blocking(blocking).path(place.path()).build().unwrap();
        let time = Duration::from_millis(300);
        let sent = Arc::default();
        let took = under_signals(&sent, || {
            let begin = Instant::now();
            assert!(watcher.recv_timeout(time).unwrap().is_none());
            let took = begin.elapsed();
            assert!(watcher.recv_batch_timeout(time).unwrap().is_empty());
            assert!(watcher.iter_timeout(time).next().unwrap().unwrap().is_none());
            took
        });
        assert!(took >= time && took < time * 4, "{took:?}");
        assert!(sent.load(Ordering::Relaxed) > 100);
    }
    assert!(SIGNALS.load(Ordering::Relaxed) > 100);
}

#[test]
fn each_waiting_call_continues_after_signals() {
    let _watchdog = Watchdog::new();
    for (name, wait) in CALLS {
        let place = Place::new();
        let sent: Arc<AtomicU32> = Arc::default();
        let counted = Arc::clone(&sent);
        let wait = move |watcher: &mut Watcher| under_signals(&counted, || wait(watcher));
        let reader = asleep(watcher_of(&place), wait);
        until(|| sent.load(Ordering::Relaxed) > 20);
        assert!(!reader.is_finished(), "{name}");
        place.file("new");
        assert_eq!(reader.join().unwrap().0, Some(EventKind::Create), "{name}");
    }
}

#[test]
fn calls_that_do_not_wait_ignore_signals() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    for blocking in [false, true] {
        let mut watcher = Watcher::builder().blocking(blocking).build().unwrap();
        let watch = watcher.watch(&file, ATTRIB).unwrap();
        let sent = Arc::default();
        under_signals(&sent, || {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(500) {
                assert!(watcher.try_recv().unwrap().is_none());
                touch(&file);
                assert_eq!(kinds(&drained(&mut watcher), watch), [EventKind::Attrib]);
                watcher.watches().set_mask(watch, ATTRIB).unwrap();
            }
        });
        assert!(sent.load(Ordering::Relaxed) > 100);
    }
}

#[test]
fn a_signal_does_not_shorten_a_read_delay() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let delay = Duration::from_secs(1);
    let watcher = Watcher::builder().read_delay(delay).build().unwrap();
    watcher.watch(&file, ATTRIB).unwrap();
    let reader = asleep(watcher, move |watcher| {
        under_signals(&Arc::default(), || {
            let begin = Instant::now();
            watcher.recv().unwrap();
            begin.elapsed()
        })
    });
    touch(&file);
    let (took, _) = reader.join().unwrap();
    assert!(took >= delay, "{took:?}");
}

#[test]
fn watches_can_be_added_and_removed_while_another_thread_waits() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (one, two) = (place.dir("one"), place.dir("two"));
    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let clone = watches.clone();
    let reader = asleep(watcher, |watcher| watcher.recv().unwrap().to_buf());
    let first = watches.watch(&one, CREATE).unwrap();
    let second = watches.watch(&two, CREATE).unwrap();
    assert_eq!(clone.list().len(), 2);
    clone.unwatch(first).unwrap();
    // This event wakes the reader, but its watch is removed.
    fs::write(one.join("a"), "").unwrap();
    fs::write(two.join("b"), "").unwrap();
    let (event, mut watcher) = reader.join().unwrap();
    assert_eq!((event.watch(), event.path()), (Some(second), &*two.join("b")));

    // A second watch of an inode, added while the reader sleeps.
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        sender.send(rustix::thread::gettid()).unwrap();
        let first = watcher.recv().unwrap().to_buf();
        [first, watcher.recv().unwrap().to_buf()]
    });
    until_asleep(receiver.recv().unwrap());
    let third = watches.watch(&two, CREATE).unwrap();
    fs::write(two.join("c"), "").unwrap();
    let [one, other] = reader.join().unwrap();
    assert_eq!((one.watch(), other.watch()), (Some(second), Some(third)));
}

#[test]
fn wait_for_returns_the_first_matching_event() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    for timeout in [None, Some(LONG_TIMEOUT), Some(Duration::MAX)] {
        let path = place.path().to_owned();
        let (sender, receiver) = std::sync::mpsc::channel();
        let waiter = thread::spawn(move || {
            sender.send(rustix::thread::gettid()).unwrap();
            wait_for(path, WatchMask::DELETE, timeout)
        });
        receiver.recv().unwrap();
        // The watch may not exist yet, so this repeats until it reports an event.
        while !waiter.is_finished() {
            place.file("a");
            fs::remove_file(place.at("a")).unwrap();
        }
        let event = waiter.join().unwrap().unwrap().unwrap();
        assert_eq!((event.kind(), event.path()), (EventKind::Delete, &*place.at("a")));
    }
}

#[test]
fn wait_for_batch_returns_the_events_of_one_read() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let path = place.path().to_owned();
    let waiter = thread::spawn(move || wait_for_batch(path, WatchMask::DELETE, Some(LONG_TIMEOUT)));
    while !waiter.is_finished() {
        place.file("a");
        fs::remove_file(place.at("a")).unwrap();
    }
    let batch = waiter.join().unwrap().unwrap();
    assert!(!batch.is_empty());
    let is_deletion = |event: &WatchEventBuf| event.path() == place.at("a") && !event.is_ignored();
    assert!(batch.iter().all(is_deletion), "{batch:?}");

    let batch = wait_for_batch(place.path(), CREATE, Some(Duration::ZERO)).unwrap();
    assert!(batch.is_empty());
}

#[test]
fn wait_for_returns_none_after_its_timeout() {
    let place = Place::new();
    for time in [Duration::ZERO, Duration::from_millis(50)] {
        let begin = Instant::now();
        assert!(wait_for(place.path(), CREATE, Some(time)).unwrap().is_none());
        assert!(begin.elapsed() >= time && begin.elapsed() < TOO_LONG);
    }
    let error = wait_for(place.at("none"), CREATE, None).unwrap_err();
    let expected = Error::AddWatch(Errno::ENOENT);
    assert_eq!(error, WatchError::Path { path: place.at("none"), error: expected });
}
