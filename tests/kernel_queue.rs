//! Reading with the real kernel: buffers, rings, the fence, overflows and threads. Checked on Linux 6.18.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod support;

use std::fs::{self, File};
use std::path::Path;
use std::thread;

use quickcheck::QuickCheck;
use support::{OwnedEvent, c, decoded, drain, ev, instance, is_silent, raw_bytes, scratch};
use support::{events_of, skipped, text, watch, watching};
use tinotify::{Errno, Error, EventMask as E, EventRing, FillError, InitFlags, Inotify};
use tinotify::{RECORD_SIZE, WatchMask as W, Wd};

fn create(dir: impl AsRef<Path>, name: &str) {
    File::create(dir.as_ref().join(name)).unwrap();
}

#[test]
fn reading_an_empty_queue_would_block() {
    let inotify = instance();
    let mut buffer = [0; RECORD_SIZE];
    let error = inotify.read(&mut buffer).map(Iterator::count).unwrap_err();
    assert_eq!(error, Error::Read { errno: Errno::EAGAIN, room: RECORD_SIZE });
    assert!(error.is_would_block() && !error.is_interrupted());
    let mut ring = EventRing::<17>::new();
    assert_eq!(inotify.fill(&mut ring), Err(FillError::Read(error)));
    assert!(is_silent(&inotify));
}

#[test]
fn a_buffer_that_is_too_small_is_einval_and_the_event_stays_queued() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    create(&dir, "name");

    for room in [0, 1, 15, 16, 31] {
        let mut buffer = vec![0; room];
        let error = inotify.read(&mut buffer).map(Iterator::count).unwrap_err();
        assert_eq!(error, Error::Read { errno: Errno::EINVAL, room });
        assert!(text(error).contains("272 bytes"));
        assert_eq!(inotify.queued_bytes(), Ok(32), "the event is still queued");
    }
    let mut buffer = [0; 32];
    let bytes = inotify.read(&mut buffer).unwrap().remainder();
    assert_eq!(decoded(bytes), [ev(wd, E::CREATE).name("name")]);
}

#[test]
fn a_read_returns_only_complete_events_that_fit() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    let long = "n".repeat(255);
    for name in ["a", "b", &long, "c"] {
        create(&dir, name);
    }
    // Room for the first two (32 bytes each), and one byte less than the third needs (272 bytes).
    let mut buffer = [0; 64 + 271];
    let bytes = inotify.read(&mut buffer).unwrap().remainder();
    assert_eq!(decoded(bytes), [ev(wd, E::CREATE).name("a"), ev(wd, E::CREATE).name("b")]);
    assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name(&long), ev(wd, E::CREATE).name("c")]);
}

#[test]
fn a_buffer_may_have_any_alignment() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    let mut buffer = [0; RECORD_SIZE + 8];
    for start in 0..8 {
        create(&dir, &start.to_string());
        let bytes = inotify.read(&mut buffer[start..]).unwrap().remainder();
        assert_eq!(decoded(bytes), [ev(wd, E::CREATE).name(start.to_string())]);
    }
}

#[test]
fn queued_bytes_is_the_sum_of_all_record_sizes() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    assert_eq!(inotify.queued_bytes(), Ok(0));
    let mut expected = Vec::new();
    for len in 1..=255 {
        let name = "n".repeat(len);
        create(&dir, &name);
        expected.push(ev(wd, E::CREATE).name(name));
        let sum: usize = expected.iter().map(OwnedEvent::record_size).sum();
        assert_eq!(inotify.queued_bytes(), Ok(sum));
    }
    assert_eq!(events_of(&inotify), expected);
    assert_eq!(inotify.queued_bytes(), Ok(0));
}

#[test]
fn reading_queued_bytes_includes_all_earlier_changes_of_other_threads() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    for round in 0..50 {
        let name = round.to_string();
        thread::scope(|scope| scope.spawn(|| create(&dir, &name)).join().unwrap());
        // No wait and no second read: `events_of` reads up to the fence.
        assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name(&name)]);
    }
}

#[test]
fn an_overflow_is_one_record_after_all_events_that_fit() {
    const NAME: &str = "an_overflow_is_one_record_after_all_events_that_fit";
    // The limit applies to the whole machine, so the test does not lower it.
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events");
    let limit: usize = match limit.as_deref().map(|limit| limit.trim().parse()) {
        Ok(Ok(limit @ 0..=1_000_000)) => limit,
        limit => return skipped(NAME, format_args!("the queue's limit is {limit:?}")),
    };
    let dir = scratch();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let (inotify, wd) = watching(&dir, W::OPEN | W::CLOSE_NOWRITE | W::DELETE);
    let pinned = watch(&inotify, &path, W::DELETE_SELF);

    for _ in 0..limit / 2 + 10 {
        drop(File::open(&path).unwrap());
    }
    // The IGNORED of this watch is lost too.
    inotify.rm_watch(pinned).unwrap();
    fs::remove_file(&path).unwrap();

    let seen = drain(&inotify);
    assert_eq!(seen.len(), limit + 1);
    let (overflow, before) = seen.split_last().unwrap();
    assert_eq!(*overflow, ev(Wd::NONE, E::Q_OVERFLOW));
    assert_eq!(overflow.wd.as_raw(), -1);
    for (at, event) in before.iter().enumerate() {
        let expected = if at % 2 == 0 { E::OPEN } else { E::CLOSE_NOWRITE };
        assert_eq!(*event, ev(wd, expected).name("file"), "event {at} of {limit}");
    }
    // Later events are queued again.
    assert!(is_silent(&inotify));
    drop(File::open(dir.path()).unwrap());
    assert_eq!(
        events_of(&inotify),
        [ev(wd, E::OPEN | E::ISDIR), ev(wd, E::CLOSE_NOWRITE | E::ISDIR)]
    );
    assert_eq!(inotify.rm_watch(pinned), Err(Error::RmWatch(Errno::EINVAL)));
}

#[test]
fn watches_are_added_and_removed_while_another_thread_reads() {
    const WATCHES: usize = 50;
    let dir = scratch();
    let inotify = Inotify::init(InitFlags::empty()).unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut buffer = [0; 2 * RECORD_SIZE];
            let (mut seen, mut ended) = (Vec::new(), 0);
            while ended < WATCHES {
                for event in decoded(inotify.read(&mut buffer).unwrap().remainder()) {
                    ended += usize::from(event.mask == E::IGNORED);
                    seen.push(event);
                }
            }
            seen
        });
        let mut expected = Vec::new();
        for number in 0..WATCHES {
            let path = dir.path().join(number.to_string());
            fs::create_dir(&path).unwrap();
            let wd = watch(&inotify, &path, W::CREATE);
            create(&path, "file");
            inotify.rm_watch(wd).unwrap();
            expected.extend([ev(wd, E::CREATE).name("file"), ev(wd, E::IGNORED)]);
        }
        assert_eq!(reader.join().unwrap(), expected);
    });
}

#[test]
fn two_readers_get_each_event_once() {
    const FILES: usize = 500;
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    for number in 0..FILES {
        create(&dir, &number.to_string());
    }
    let read_all = || {
        let mut seen = Vec::new();
        let mut buffer = [0; 64];
        while let Ok(events) = inotify.read(&mut buffer) {
            seen.extend(decoded(events.remainder()));
        }
        seen
    };
    let mut seen = thread::scope(|scope| {
        let other = scope.spawn(read_all);
        let mut seen = read_all();
        seen.extend(other.join().unwrap());
        seen
    });
    let number = |event: &OwnedEvent| {
        let name = event.name.as_deref().unwrap();
        std::str::from_utf8(name).unwrap().parse::<usize>().unwrap()
    };
    seen.sort_by_key(number);
    let expected: Vec<_> =
        (0..FILES).map(|number| ev(wd, E::CREATE).name(number.to_string())).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_ring_can_be_filled_while_it_has_events_until_it_is_full() {
    let dir = scratch();
    let (inotify, wd) = watching(&dir, W::CREATE);
    let long = "n".repeat(255);
    for name in ["a", "b", &long, "c"] {
        create(&dir, name);
    }
    // 17 cells: the event with the long name needs all of them.
    let mut ring = EventRing::<17>::new();
    assert_eq!(inotify.fill(&mut ring), Ok(64));
    assert_eq!((ring.len(), ring.free()), (2, 272 - 64));
    let pop = |ring: &mut EventRing<17>, name: &str| {
        assert_eq!(OwnedEvent::from(ring.pop().unwrap().unwrap()), ev(wd, E::CREATE).name(name));
    };
    for name in ["a", "b"] {
        assert_eq!(inotify.fill(&mut ring), Err(FillError::Full));
        assert_eq!(inotify.queued_bytes(), Ok(272 + 32), "events that do not fit stay queued");
        pop(&mut ring, name);
    }
    assert_eq!(inotify.fill(&mut ring), Ok(272));
    assert_eq!((ring.len(), ring.free()), (1, 0));
    assert_eq!(inotify.fill(&mut ring), Err(FillError::Full));
    pop(&mut ring, &long);
    assert_eq!(inotify.fill(&mut ring), Ok(32));
    create(&dir, "d");
    assert_eq!(inotify.fill(&mut ring), Ok(32));
    assert_eq!(ring.len(), 2);
    pop(&mut ring, "c");
    pop(&mut ring, "d");
    assert!(ring.is_empty() && is_silent(&inotify));
}

#[test]
fn filling_a_full_ring_is_full_even_if_nothing_is_queued() {
    let dir = scratch();
    let (inotify, _) = watching(&dir, W::CREATE);
    create(&dir, &"n".repeat(255));
    let mut ring = EventRing::<17>::new();
    assert_eq!(inotify.fill(&mut ring), Ok(272));
    assert_eq!(inotify.fill(&mut ring), Err(FillError::Full));
}

/// Makes some changes in `dir`, the same for all instances.
fn change(dir: &Path, changes: &[(u8, u8)]) {
    // Names for all sizes of records, several of each size, so that renames and removals find files.
    let path = |number: u8| dir.join(format!("{number:03}").repeat(1 + usize::from(number % 85)));
    for &(what, number) in changes {
        let (this, other) = (path(number), path(what));
        // Each of these may fail because the file does not exist.
        match what % 6 {
            0 => drop(fs::create_dir(&this)),
            1 => drop(fs::rename(&other, &this)),
            2 => drop(fs::remove_file(&this)),
            3 => drop(fs::read(&this)),
            _ => drop(fs::write(&this, "text")),
        }
    }
}

/// Reads all events through a ring. `pops` determines the number of events between two fills.
fn through_a_ring<const N: usize>(inotify: &Inotify, pops: &[u8]) -> Vec<OwnedEvent> {
    let mut ring = EventRing::<N>::new();
    let mut seen = Vec::new();
    let mut pops = pops.iter().cycle();
    loop {
        let held = ring.len();
        match inotify.fill(&mut ring) {
            Ok(taken) => assert!(taken > 0 && ring.len() > held),
            Err(FillError::Full) => assert!(held > 0, "an empty ring is full"),
            Err(FillError::Read(error)) if error.is_would_block() && ring.is_empty() => {
                return seen;
            }
            Err(FillError::Read(error)) if error.is_would_block() => {}
            Err(error) => panic!("{error}"),
        }
        for _ in 0..=pops.next().map_or(0, |pops| pops % 4) {
            seen.extend(ring.pop().map(|event| OwnedEvent::from(event.unwrap())));
        }
    }
}

#[test]
fn a_ring_of_any_size_returns_the_same_events_as_plain_reads() {
    fn same(changes: Vec<(u8, u8)>, pops: Vec<u8>) {
        let dir = scratch();
        let instances = [(); 5].map(|()| watching(&dir, W::ALL_EVENTS).0);
        change(dir.path(), &changes);

        let expected = drain(&instances[0]);
        assert_eq!(through_a_ring::<17>(&instances[1], &pops), expected);
        assert_eq!(through_a_ring::<18>(&instances[2], &pops), expected);
        assert_eq!(through_a_ring::<64>(&instances[3], &pops), expected);
        assert_eq!(through_a_ring::<1024>(&instances[4], &pops), expected);
    }
    QuickCheck::new().tests(60).quickcheck(same as fn(Vec<(u8, u8)>, Vec<u8>));
}

#[test]
fn a_buffer_of_any_size_reads_the_same_bytes() {
    fn same(changes: Vec<(u8, u8)>, sizes: Vec<u16>) {
        let dir = scratch();
        let [all, pieces] = [(); 2].map(|()| watching(&dir, W::ALL_EVENTS).0);
        change(dir.path(), &changes);

        let expected = raw_bytes(&all);
        decoded(&expected);
        let mut sizes = sizes.iter().cycle();
        let mut bytes = Vec::new();
        loop {
            let size = RECORD_SIZE + usize::from(sizes.next().map_or(0, |size| size % 600));
            match pieces.read(&mut vec![0xFF; size]) {
                Ok(events) => bytes.extend_from_slice(events.remainder()),
                Err(error) if error.is_would_block() => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(bytes, expected);
    }
    QuickCheck::new().tests(60).quickcheck(same as fn(Vec<(u8, u8)>, Vec<u16>));
}

#[test]
fn an_instance_can_be_shared_and_sent() {
    fn is_both<T: Send + Sync>(_: &T) {}
    let inotify = instance();
    is_both(&inotify);
    assert!(inotify.add_watch(&c("/"), W::DELETE_SELF).is_ok());
}
