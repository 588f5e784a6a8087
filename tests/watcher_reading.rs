//! What the watcher promises of reading: batches, iterators, read delays, and poll(2) and epoll(7).

mod watching;

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use tinotify::{EventKind, NameChange, TreeOptions, WatchMask, Watcher};
use watching::{
    Place, Watchdog, asleep, drained, kinds, names, say, touch, unread, until_asleep, watcher_of,
};

const CREATE: WatchMask = WatchMask::CREATE;
const ATTRIB: WatchMask = WatchMask::ATTRIB;
const LONG_TIMEOUT: Duration = Duration::from_secs(600);
/// Much longer than a call takes, and much shorter than `LONG_TIMEOUT`.
const SHORT: Duration = Duration::from_millis(50);
const TOO_LONG: Duration = Duration::from_secs(20);

#[test]
fn try_recv_and_try_iter_never_wait() {
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
fn a_batch_is_the_rest_of_the_buffer_or_one_read() {
    let place = Place::new();
    let mut watcher = watcher_of(&place);
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
    // The rest of the buffer. The next read is another batch.
    let batch = watcher.recv_batch_timeout(LONG_TIMEOUT).unwrap();
    assert_eq!(batch.iter().map(|e| e.name().unwrap()).collect::<Vec<_>>(), ["e"]);
    assert_eq!(watcher.recv_batch().unwrap()[0].name().unwrap(), "f");
}

#[test]
fn a_small_buffer_loses_no_event() {
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
fn a_second_iterator_continues_after_the_first() {
    let place = Place::new();
    let mut watcher = watcher_of(&place);
    for name in ["a", "b", "c", "d"] {
        place.file(name);
    }
    let first: Vec<_> = watcher.iter().take(2).map(|e| e.unwrap().path().to_owned()).collect();
    assert_eq!(first, [place.at("a"), place.at("b")]);
    let mut rest = Vec::new();
    for event in &mut watcher {
        rest.push(event.unwrap().path().to_owned());
        if rest.len() == 2 {
            break;
        }
    }
    assert_eq!(rest, [place.at("c"), place.at("d")]);
}

#[test]
fn iter_timeout_returns_none_after_each_timeout_and_continues() {
    let place = Place::new();
    let mut watcher = watcher_of(&place);
    let mut events = watcher.iter_timeout(SHORT);
    for name in ["a", "b"] {
        let begin = Instant::now();
        assert!(events.next().unwrap().unwrap().is_none());
        assert!(begin.elapsed() >= SHORT);
        place.file(name);
        assert_eq!(events.next().unwrap().unwrap().unwrap().name().unwrap(), name);
    }
    assert!(events.next().unwrap().unwrap().is_none());
}

#[test]
fn try_iter_empties_the_buffer_and_the_queue() {
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
fn a_read_delay_lets_identical_events_merge() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let delay = Duration::from_secs(2);
    let watcher = Watcher::builder().read_delay(delay).build().unwrap();
    let watch = watcher.watch(&file, ATTRIB).unwrap();
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
    assert_eq!(kinds(&drained(&mut watcher), watch), [], "all hundred merged into one");
}

#[test]
fn a_read_delay_applies_to_each_read_even_if_events_are_queued() {
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
        let (kind, returned) = reader.join().unwrap();
        watcher = returned;
        assert_eq!(kind, EventKind::Attrib);
        assert_eq!(kinds(&drained(&mut watcher), watch), [], "both merged into one");
    }
}

#[test]
fn a_deadline_shortens_a_read_delay() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let watcher = Watcher::builder().read_delay(LONG_TIMEOUT).build().unwrap();
    watcher.watch(&file, ATTRIB).unwrap();
    let time = Duration::from_secs(2);
    let begin = Instant::now();
    let reader = asleep(watcher, move |watcher| {
        let event = watcher.recv_deadline(begin + time).unwrap().map(|event| event.kind());
        (event, begin.elapsed())
    });
    // Late, so that little of the time is left.
    thread::sleep((time * 3 / 4).saturating_sub(begin.elapsed()));
    touch(&file);
    let ((event, took), _) = reader.join().unwrap();
    assert_eq!(event, Some(EventKind::Attrib));
    assert!(took >= time && took < time * 3 / 2, "{took:?}");
}

#[test]
fn calls_that_do_not_wait_ignore_the_read_delay() {
    let place = Place::new();
    let file = place.file("file");
    let mut watcher = Watcher::builder().read_delay(LONG_TIMEOUT).build().unwrap();
    watcher.watch(&file, ATTRIB).unwrap();
    let begin = Instant::now();
    touch(&file);
    assert!(watcher.try_recv().unwrap().is_some());
    touch(&file);
    assert_eq!(drained(&mut watcher).len(), 1);
    assert!(begin.elapsed() < TOO_LONG);
}

#[test]
fn a_read_delay_does_not_keep_back_a_rename_out_of_a_tree() {
    let _watchdog = Watchdog::new();
    let (place, elsewhere) = (Place::new(), Place::new());
    let file = place.file("file");
    let mut watcher = Watcher::builder().read_delay(SHORT).build().unwrap();
    watcher.watch_tree(place.path(), WatchMask::MOVE, TreeOptions::new()).unwrap();
    fs::rename(&file, elsewhere.at("file")).unwrap();
    while watcher.recv().unwrap().kind() != EventKind::MovedFrom {}
}

/// Returns the number of read(2) calls of this thread. `None` if the kernel does not count them
/// (`CONFIG_TASK_IO_ACCOUNTING`).
fn reads() -> Option<u64> {
    let text = fs::read_to_string("/proc/thread-self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("syscr: ")).map(|count| count.parse().unwrap())
}

#[test]
fn an_event_that_is_waited_for_takes_one_read() {
    const EVENTS: u64 = 100;
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = watcher_of(&place);
    let (sender, receiver) = mpsc::channel();
    let reader = thread::spawn(move || {
        sender.send(rustix::thread::gettid()).unwrap();
        let before = reads();
        for _ in 0..EVENTS {
            watcher.recv().unwrap();
        }
        Some(reads()? - before?)
    });
    let thread = receiver.recv().unwrap();
    for i in 0..EVENTS {
        until_asleep(thread);
        place.file(i.to_string());
    }
    match reader.join().unwrap() {
        // The counting reads too.
        Some(reads) => assert!(reads < EVENTS + 10, "{reads} reads"),
        None => say("SKIPPED: an_event_that_is_waited_for_takes_one_read: no /proc/thread-self/io"),
    }
}

#[test]
fn has_buffered_reports_events_that_poll_does_not_show() {
    let place = Place::new();
    let mut watcher = watcher_of(&place);
    assert!(!watcher.has_buffered());
    place.file("a");
    place.file("b");
    assert!(!watcher.has_buffered(), "still in the kernel's queue");
    assert!(is_readable(&watcher));
    watcher.try_recv().unwrap().unwrap();
    assert!(watcher.has_buffered());
    assert!(!is_readable(&watcher));
    watcher.try_recv().unwrap().unwrap();
    assert!(!watcher.has_buffered());

    // One event of the kernel is delivered to each of two watches.
    watcher.watch(place.path(), CREATE).unwrap();
    drained(&mut watcher);
    place.file("c");
    watcher.try_recv().unwrap().unwrap();
    assert!(watcher.has_buffered() && !is_readable(&watcher));
    watcher.try_recv().unwrap().unwrap();
    assert!(!watcher.has_buffered());
}

#[test]
fn has_buffered_reports_a_pending_name_change() {
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    let name = watcher.watch_name(place.at("file"), WatchMask::MODIFY).unwrap();
    let dir = watcher.watch(place.path(), CREATE).unwrap();
    place.file("file");
    assert_eq!(watcher.try_recv().unwrap().unwrap().watch(), Some(dir));
    // poll(2) shows nothing now, so `has_buffered` must return `true`.
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
fn poll_shows_queued_events() {
    let place = Place::new();
    let mut watcher = watcher_of(&place);
    assert!(!is_readable(&watcher));
    place.file("a");
    assert!(is_readable(&watcher));
    assert_eq!(drained(&mut watcher).len(), 1);
    assert!(!is_readable(&watcher));
}

#[test]
fn edge_triggered_epoll_misses_nothing_if_each_edge_is_drained() {
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
        // This takes more than one read. A loop that stopped early would get no further edge.
        let mut seen = 0;
        while watcher.try_recv().unwrap().is_some() {
            seen += 1;
        }
        assert_eq!(seen, 500);
        assert_eq!(edges(), 0);
    }
}
