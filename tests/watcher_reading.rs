//! What the watcher promises of reading: which call waits how, and how long.

mod watching;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use tinotify::{EventKind, NameChange, WatchMask, WatchOptions, Watcher};
use watching::{
    Place, Watchdog, asleep, drained, kinds, names, touch, unread, unread_of, until, until_asleep,
};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;
const FAR: Duration = Duration::from_secs(600);
/// Long beside what a call takes, short beside `FAR`.
const SHORT: Duration = Duration::from_millis(50);
const MUCH: Duration = Duration::from_secs(20);

fn watching_dir(place: &Place) -> Watcher {
    let watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    watcher
}

/// Waits, and says what came.
type Wait = fn(&mut Watcher) -> Option<EventKind>;

/// Each way of waiting, with all the time it needs.
const WAYS: [(&str, Wait); 9] = [
    ("recv", |w| Some(w.recv().unwrap().kind())),
    ("recv_timeout", |w| Some(w.recv_timeout(FAR).unwrap()?.kind())),
    ("recv_timeout, no end", |w| Some(w.recv_timeout(Duration::MAX).unwrap()?.kind())),
    ("recv_deadline", |w| Some(w.recv_deadline(Instant::now() + FAR).unwrap()?.kind())),
    ("recv_batch", |w| Some(w.recv_batch().unwrap().first()?.kind())),
    ("recv_batch_timeout", |w| Some(w.recv_batch_timeout(FAR).unwrap().first()?.kind())),
    ("iter", |w| Some(w.iter().next()?.unwrap().kind())),
    ("iter_timeout", |w| Some(w.iter_timeout(Duration::MAX).next()?.unwrap()?.kind())),
    ("try_for_each", |w| {
        w.try_for_each(|event| std::ops::ControlFlow::Break(event.kind())).unwrap()
    }),
];

#[test]
fn each_waiting_call_gives_an_event_that_is_there_at_once() {
    let place = Place::new();
    let mut watcher = watching_dir(&place);
    for (name, wait) in WAYS {
        place.file(name);
        assert_eq!(wait(&mut watcher), Some(EventKind::Create), "{name}");
    }
}

#[test]
fn each_waiting_call_waits_for_an_event() {
    let _watchdog = Watchdog::new();
    for (name, wait) in WAYS {
        let place = Place::new();
        let reader = asleep(watching_dir(&place), wait);
        assert!(!reader.is_finished(), "{name}");
        place.file("new");
        assert_eq!(reader.join().unwrap().0, Some(EventKind::Create), "{name}");
    }
}

#[test]
fn try_next_and_drain_never_wait() {
    let place = Place::new();
    for blocking in [false, true] {
        let mut watcher = Watcher::builder().blocking(blocking).path(place.path()).build().unwrap();
        assert!(watcher.try_recv().unwrap().is_none());
        assert!(watcher.try_iter().next().is_none());
        place.file(blocking.to_string());
        assert!(watcher.try_recv().unwrap().is_some());
        let rest = drained(&mut watcher);
        assert_eq!(rest.last().unwrap().kind(), EventKind::CloseWrite);
        assert!(watcher.try_recv().unwrap().is_none());
    }
}

#[test]
fn a_timeout_ends_without_an_event_and_not_before_its_time() {
    let place = Place::new();
    let mut watcher = watching_dir(&place);
    let begin = Instant::now();
    assert!(watcher.recv_timeout(SHORT).unwrap().is_none());
    assert!(begin.elapsed() >= SHORT);
    let begin = Instant::now();
    assert!(watcher.recv_deadline(begin + SHORT).unwrap().is_none());
    assert!(begin.elapsed() >= SHORT);
    let begin = Instant::now();
    assert!(watcher.recv_batch_timeout(SHORT).unwrap().is_empty());
    assert!(begin.elapsed() >= SHORT && begin.elapsed() < MUCH);
    // No time at all is a look, and a time that has passed too.
    assert!(watcher.recv_timeout(Duration::ZERO).unwrap().is_none());
    assert!(watcher.recv_deadline(begin).unwrap().is_none());
    place.file("a");
    assert_eq!(watcher.recv_timeout(Duration::ZERO).unwrap().unwrap().name().unwrap(), "a");
    place.file("b");
    assert_eq!(watcher.recv_deadline(begin).unwrap().unwrap().name().unwrap(), "b");
}

#[test]
fn a_time_that_is_over_hides_nothing_that_was_queued() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::builder().buffer_size(0).build().unwrap();
    watcher.watch_with(&file, ATTRIB, WatchOptions::new().filter(|_| false)).unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    let other = place.file("other");
    drained(&mut watcher);
    watcher.watch_with(&other, ATTRIB, WatchOptions::new().filter(|_| false)).unwrap();
    // Several buffers full of what is for nobody.
    for _ in 0..1000 {
        touch(&file);
        touch(&other);
    }
    place.file("new");
    assert_eq!(watcher.recv_timeout(Duration::ZERO).unwrap().unwrap().name().unwrap(), "new");
    assert!(watcher.recv_timeout(Duration::ZERO).unwrap().is_none());
}

#[test]
fn a_storm_of_filtered_events_makes_no_deadline_later() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let other = place.file("other");
    let over = Arc::new(AtomicBool::new(false));
    let mut watcher = Watcher::builder().buffer_size(0).build().unwrap();
    // Slower than the storm, so that the queue is never found empty.
    let options = WatchOptions::new().filter(|_| {
        thread::sleep(Duration::from_micros(20));
        false
    });
    // The kernel gives them; a filter, a mask and a removed watch refuse them.
    watcher.watch_with(&file, ATTRIB, options).unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    let gone = watcher.watch(place.path(), ATTRIB).unwrap();
    watcher.unwatch(gone).unwrap();
    let queue = rustix::io::dup(watcher.inotify_fd()).unwrap();
    let storm = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut made = 0_u64;
            while !over.load(Ordering::Relaxed) {
                // Always some, and never too many.
                if unread_of(&queue) < 64 * 1024 {
                    for _ in 0..100 {
                        touch(&file);
                        touch(&other);
                        made += 2;
                    }
                }
            }
            made
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
    over.store(true, Ordering::Relaxed);
    assert!(storm.join().unwrap() > 1000);
}

#[test]
fn a_batch_is_what_one_read_gives_and_the_rest_of_the_buffer_first() {
    let place = Place::new();
    let mut watcher = watching_dir(&place);
    for name in ["a", "b", "c"] {
        place.file(name);
    }
    let batch = watcher.recv_batch().unwrap();
    assert_eq!(batch.iter().map(|e| e.name().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(!watcher.has_buffered());

    place.file("d");
    place.file("e");
    assert_eq!(watcher.recv().unwrap().name().unwrap(), "d");
    place.file("f");
    // What is in the buffer; the next read is another batch.
    let batch = watcher.recv_batch_timeout(FAR).unwrap();
    assert_eq!(batch.iter().map(|e| e.name().unwrap()).collect::<Vec<_>>(), ["e"]);
    assert_eq!(watcher.recv_batch().unwrap()[0].name().unwrap(), "f");
}

#[test]
fn a_small_buffer_loses_nothing() {
    let place = Place::new();
    let mut watcher = Watcher::builder().buffer_size(0).build().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    let all: Vec<String> = (0..100).map(|i| format!("{i:0>255}")).collect();
    for name in &all {
        place.file(name);
    }
    let mut seen = Vec::new();
    let mut batches = 0;
    loop {
        let batch = watcher.recv_batch_timeout(Duration::ZERO).unwrap();
        if batch.is_empty() {
            break;
        }
        batches += 1;
        seen.extend(batch.iter().map(|e| e.name().unwrap().to_str().unwrap().to_owned()));
    }
    assert_eq!(seen, all);
    assert!(batches > 5, "{batches} reads");
}

#[test]
fn the_iterator_gives_one_event_after_another_and_can_be_taken_up_again() {
    let place = Place::new();
    let mut watcher = watching_dir(&place);
    for name in ["a", "b", "c", "d"] {
        place.file(name);
    }
    let first: Vec<_> = watcher.iter().take(2).map(|e| e.unwrap().path()).collect();
    assert_eq!(first, [place.at("a"), place.at("b")]);
    let mut rest = Vec::new();
    for event in &mut watcher {
        rest.push(event.unwrap().path());
        if rest.len() == 2 {
            break;
        }
    }
    assert_eq!(rest, [place.at("c"), place.at("d")]);
}

#[test]
fn ticks_give_none_when_nothing_comes_and_go_on() {
    let place = Place::new();
    let mut watcher = watching_dir(&place);
    let mut ticks = watcher.iter_timeout(SHORT);
    for name in ["a", "b"] {
        let begin = Instant::now();
        assert!(ticks.next().unwrap().unwrap().is_none());
        assert!(begin.elapsed() >= SHORT);
        place.file(name);
        assert_eq!(ticks.next().unwrap().unwrap().unwrap().name().unwrap(), name);
    }
    assert!(ticks.next().unwrap().unwrap().is_none());
}

#[test]
fn drain_takes_all_from_buffer_and_queue_and_ends() {
    let place = Place::new();
    let mut watcher = Watcher::builder().buffer_size(4112).build().unwrap();
    let watch = watcher.watch(place.path(), CREATE).unwrap();
    for i in 0..1000 {
        place.file(i.to_string());
    }
    let first = watcher.recv().unwrap().to_buf();
    assert!(watcher.has_buffered() && unread(&watcher) > 0);
    let mut events = vec![first];
    events.extend(drained(&mut watcher));
    assert_eq!(names(&events, watch), (0..1000).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(unread(&watcher), 0);
    assert!(!watcher.has_buffered());
}

#[test]
fn a_read_delay_lets_like_events_merge() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let delay = Duration::from_secs(2);
    let watcher = Watcher::builder().read_delay(delay).build().unwrap();
    let watch = watcher.watch(&file, ATTRIB).unwrap();
    let look = watcher.watches();
    let reader = asleep(watcher, |watcher| {
        let begin = Instant::now();
        let kind = watcher.recv().unwrap().kind();
        (kind, begin.elapsed())
    });
    for _ in 0..100 {
        touch(&file);
    }
    let ((kind, took), mut watcher) = reader.join().unwrap();
    assert_eq!(kind, EventKind::Attrib);
    assert!(took >= delay, "{took:?}");
    assert_eq!(kinds(&drained(&mut watcher), watch), [], "all hundred in one");
    drop(look);
}

#[test]
fn a_read_delay_holds_for_each_read_though_events_wait_already() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let delay = Duration::from_secs(2);
    let mut watcher = Watcher::builder().read_delay(delay).build().unwrap();
    let watch = watcher.watch(&file, ATTRIB).unwrap();
    for _ in 0..2 {
        touch(&file);
        let reader = asleep(watcher, |watcher| watcher.recv().unwrap().kind());
        touch(&file);
        let (kind, back) = reader.join().unwrap();
        watcher = back;
        assert_eq!(kind, EventKind::Attrib);
        assert_eq!(kinds(&drained(&mut watcher), watch), [], "both in one");
    }
}

#[test]
fn a_read_delay_is_cut_short_by_a_deadline() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let watcher = Watcher::builder().read_delay(FAR).build().unwrap();
    watcher.watch(&file, ATTRIB).unwrap();
    let time = Duration::from_secs(2);
    let begin = Instant::now();
    let reader = asleep(watcher, move |watcher| {
        let event = watcher.recv_deadline(begin + time).unwrap().map(|event| event.kind());
        (event, begin.elapsed())
    });
    // Late, so that what is left is much less than the time.
    thread::sleep((time * 3 / 4).saturating_sub(begin.elapsed()));
    touch(&file);
    let ((event, took), _) = reader.join().unwrap();
    assert_eq!(event, Some(EventKind::Attrib));
    assert!(took >= time && took < time * 3 / 2, "{took:?}");
}

#[test]
fn calls_that_do_not_wait_know_no_read_delay() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::builder().read_delay(FAR).build().unwrap();
    watcher.watch(&file, ATTRIB).unwrap();
    let begin = Instant::now();
    touch(&file);
    assert!(watcher.try_recv().unwrap().is_some());
    touch(&file);
    assert_eq!(drained(&mut watcher).len(), 1);
    assert!(begin.elapsed() < MUCH);
}

#[test]
fn has_buffered_tells_of_events_that_poll_does_not_show() {
    let place = Place::new();
    let mut watcher = watching_dir(&place);
    assert!(!watcher.has_buffered());
    place.file("a");
    place.file("b");
    assert!(!watcher.has_buffered(), "in the kernel still");
    assert!(is_readable(&watcher));
    watcher.try_recv().unwrap().unwrap();
    assert!(watcher.has_buffered());
    assert!(!is_readable(&watcher));
    watcher.try_recv().unwrap().unwrap();
    assert!(!watcher.has_buffered());

    // One event of two watches is two.
    watcher.watch(place.path(), CREATE).unwrap();
    drained(&mut watcher);
    place.file("c");
    watcher.try_recv().unwrap().unwrap();
    assert!(watcher.has_buffered() && !is_readable(&watcher));
    watcher.try_recv().unwrap().unwrap();
    assert!(!watcher.has_buffered());
}

#[test]
fn has_buffered_tells_of_what_became_of_a_name_too() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let name = watcher.watch_name(place.at("file"), WatchMask::MODIFY).unwrap();
    let dir = watcher.watch(place.path(), CREATE).unwrap();
    place.file("file");
    assert_eq!(watcher.try_recv().unwrap().unwrap().watch(), Some(dir));
    // Whoever asks poll(2) now hears nothing, so the watcher has to say it.
    assert!(!is_readable(&watcher));
    assert!(watcher.has_buffered());
    let event = watcher.try_recv().unwrap().unwrap();
    assert_eq!((event.watch(), event.name_change()), (Some(name), Some(NameChange::Appeared)));
}

fn is_readable(watcher: &Watcher) -> bool {
    let mut polls = [PollFd::new(watcher, PollFlags::IN)];
    poll(&mut polls, Some(&Timespec::default())).unwrap() == 1
}

#[test]
fn poll_shows_what_is_queued() {
    let place = Place::new();
    let mut watcher = watching_dir(&place);
    assert!(!is_readable(&watcher));
    place.file("a");
    assert!(is_readable(&watcher));
    assert_eq!(drained(&mut watcher).len(), 1);
    assert!(!is_readable(&watcher));
}

#[test]
fn edge_triggered_epoll_loses_nothing_if_one_drains() {
    let place = Place::new();
    let mut watcher = Watcher::builder().buffer_size(4112).build().unwrap();
    watcher.watch(place.path(), CREATE).unwrap();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&epoll, &watcher, epoll::EventData::new_u64(1), flags).unwrap();
    let edges = || {
        let mut events = Vec::with_capacity(4);
        epoll::wait(
            &epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&Timespec::default()),
        )
        .unwrap();
        events.len()
    };
    assert_eq!(edges(), 0);
    for round in 0..3 {
        for i in 0..500 {
            place.file(format!("{round} {i}"));
        }
        assert_eq!(edges(), 1);
        // More than one read's worth, so that who stops early is told nothing more.
        let mut seen = 0;
        while watcher.try_recv().unwrap().is_some() {
            seen += 1;
        }
        assert_eq!(seen, 500);
        assert_eq!(edges(), 0);
    }
}

extern "C" fn count_signal(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}
/// Those of all tests.
static SIGNALS: AtomicU32 = AtomicU32::new(0);

/// Has SIGUSR1 interrupt system calls, which are not restarted.
fn interrupt_calls() {
    let handler = SigHandler::Handler(count_signal);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    #[allow(unsafe_code)]
    // SAFETY: the handler adds to an atomic number, which is safe in a signal handler.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
}

/// Sends signals to this thread, and counts them, as long as `run` runs.
fn under_signals<T>(sent: &Arc<AtomicU32>, run: impl FnOnce() -> T) -> T {
    interrupt_calls();
    let over = Arc::new(AtomicBool::new(false));
    // A number for glibc, a pointer for musl.
    let me = pthread_self() as usize;
    let sender = thread::spawn({
        let (over, sent) = (Arc::clone(&over), Arc::clone(sent));
        move || {
            while !over.load(Ordering::Acquire) {
                pthread_kill(me as Pthread, Signal::SIGUSR1).unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_micros(100));
            }
        }
    });
    let result = run();
    over.store(true, Ordering::Release);
    sender.join().unwrap();
    result
}

#[test]
fn a_signal_makes_no_call_return_early_and_no_deadline_later() {
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
fn each_waiting_call_goes_on_through_signals_until_its_event() {
    let _watchdog = Watchdog::new();
    for (name, wait) in WAYS {
        let place = Place::new();
        let sent: Arc<AtomicU32> = Arc::default();
        let counted = Arc::clone(&sent);
        let wait = move |watcher: &mut Watcher| under_signals(&counted, || wait(watcher));
        let reader = asleep(watching_dir(&place), wait);
        until(|| sent.load(Ordering::Relaxed) > 20);
        assert!(!reader.is_finished(), "{name}");
        place.file("new");
        assert_eq!(reader.join().unwrap().0, Some(EventKind::Create), "{name}");
    }
}

#[test]
fn a_signal_harms_no_call_that_does_not_wait() {
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
fn a_signal_cuts_no_read_delay_short() {
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
fn watches_can_come_and_go_while_another_thread_waits() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (one, two) = (place.dir("one"), place.dir("two"));
    let watcher = Watcher::new().unwrap();
    let watches = watcher.watches();
    let also = watches.clone();
    let reader = asleep(watcher, |watcher| watcher.recv().unwrap().to_buf());
    let first = watches.watch(&one, CREATE).unwrap();
    let second = watches.watch(&two, CREATE).unwrap();
    assert_eq!(also.list().len(), 2);
    also.unwatch(first).unwrap();
    // Nobody's any more, though it wakes the reader.
    fs::write(one.join("a"), "").unwrap();
    fs::write(two.join("b"), "").unwrap();
    let (event, mut watcher) = reader.join().unwrap();
    assert_eq!((event.watch(), event.path()), (Some(second), two.join("b")));

    // Added to an inode that is watched already, while the reader sleeps.
    let tell = std::sync::mpsc::channel();
    let reader = thread::spawn(move || {
        tell.0.send(rustix::thread::gettid()).unwrap();
        let first = watcher.recv().unwrap().to_buf();
        [first, watcher.recv().unwrap().to_buf()]
    });
    until_asleep(tell.1.recv().unwrap());
    let third = watches.watch(&two, CREATE).unwrap();
    fs::write(two.join("c"), "").unwrap();
    let [one, other] = reader.join().unwrap();
    assert_eq!((one.watch(), other.watch()), (Some(second), Some(third)));
}
