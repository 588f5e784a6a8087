//! The events of a rename are paired, and no event is lost.

mod arbitrary;
mod oracle;

use std::ffi::CString;

use arbitrary::{Damaged, Stream, holds};
use oracle::{OwnedRename, Record, check_rename_pairs};
use tinotify::{Event, EventMask, Rename, RenamePairer, Wd};

fn event(mask: EventMask, cookie: u32) -> Event<'static> {
    Event::new(Wd::from_raw(1), mask, cookie, Some(c"name"))
}

fn from(cookie: u32) -> Event<'static> {
    event(EventMask::MOVED_FROM, cookie)
}

fn to(cookie: u32) -> Event<'static> {
    event(EventMask::MOVED_TO, cookie)
}

#[test]
fn each_event_is_returned_once_and_as_by_the_simple_pairer() {
    fn property(stream: Stream) {
        let bytes = stream.bytes();
        check_rename_pairs::<1>(&bytes);
        check_rename_pairs::<2>(&bytes);
        check_rename_pairs::<5>(&bytes);
        check_rename_pairs::<64>(&bytes);
    }
    holds(property as fn(Stream));
}

#[test]
fn events_of_a_damaged_stream_are_returned_once() {
    holds((|stream| check_rename_pairs::<3>(&stream.0)) as fn(Damaged));
}

#[test]
fn events_of_a_rename_are_paired_across_other_events() {
    let mut pairer = RenamePairer::<2>::new();
    assert_eq!(pairer.push(from(1)), None);
    let other = event(EventMask::CREATE, 0);
    assert_eq!(pairer.push(other), Some(Rename::Other(other)));
    assert_eq!(pairer.push(from(2)), None);
    assert_eq!(pairer.push(to(1)), Some(Rename::Paired { from: from(1), to: to(1) }));
    assert_eq!(pairer.push(to(2)), Some(Rename::Paired { from: from(2), to: to(2) }));
    assert!(pairer.is_empty());
}

#[test]
fn only_renames_are_paired_by_cookie() {
    let mut pairer = RenamePairer::<2>::new();
    assert_eq!(pairer.push(from(1)), None);
    // An IGNORED with a cookie, and a MOVED_TO of another rename.
    let other = event(EventMask::IGNORED, 1);
    assert_eq!(pairer.push(other), Some(Rename::Other(other)));
    assert_eq!(pairer.push(to(2)), Some(Rename::UnpairedTo(to(2))));
    // MOVED_FROM and MOVED_TO in one event, which no kernel reports.
    let both = event(EventMask::MOVE, 1);
    assert_eq!(pairer.push(both), Some(Rename::Other(both)));
    assert_eq!(pairer.len(), 1);
}

#[test]
fn directories_are_paired_like_files() {
    let mut pairer = RenamePairer::<1>::default();
    let from = event(EventMask::MOVED_FROM | EventMask::ISDIR, 1);
    let to = event(EventMask::MOVED_TO | EventMask::ISDIR, 1);
    assert_eq!(pairer.push(from), None);
    assert_eq!(pairer.push(to), Some(Rename::Paired { from, to }));
}

#[test]
fn an_unpaired_moved_to_is_returned_at_once() {
    let mut pairer = RenamePairer::<1>::new();
    assert_eq!(pairer.push(to(1)), Some(Rename::UnpairedTo(to(1))));
    // It is not paired with a later MOVED_FROM.
    assert_eq!(pairer.push(from(1)), None);
    assert_eq!(pairer.len(), 1);
}

#[test]
fn a_full_window_returns_its_oldest_event() {
    let mut pairer = RenamePairer::<2>::new();
    assert_eq!(pairer.push(from(1)), None);
    assert_eq!(pairer.len(), 1);
    assert_eq!(pairer.push(from(2)), None);
    assert_eq!(pairer.push(from(3)), Some(Rename::UnpairedFrom(from(1))));
    assert_eq!(pairer.len(), 2);
    assert_eq!(pairer.push(to(1)), Some(Rename::UnpairedTo(to(1))));
    assert_eq!(pairer.push(to(3)), Some(Rename::Paired { from: from(3), to: to(3) }));
}

#[test]
fn expire_returns_the_oldest_event_first_and_then_none() {
    let mut pairer = RenamePairer::<4>::new();
    for cookie in 1..=3 {
        assert_eq!(pairer.push(from(cookie)), None);
    }
    for cookie in 1..=3 {
        assert_eq!(pairer.expire(), Some(from(cookie)));
    }
    assert_eq!(pairer.expire(), None);
    assert!(pairer.is_empty());
    assert_eq!(pairer.push(to(1)), Some(Rename::UnpairedTo(to(1))));
}

#[test]
fn of_two_events_with_the_same_cookie_the_newest_is_paired() {
    let mut pairer = RenamePairer::<2>::new();
    let first = Event::new(Wd::from_raw(1), EventMask::MOVED_FROM, 1, Some(c"first"));
    assert_eq!(pairer.push(first), None);
    assert_eq!(pairer.push(from(1)), None);
    assert_eq!(pairer.push(to(1)), Some(Rename::Paired { from: from(1), to: to(1) }));
    assert_eq!(pairer.push(to(1)), Some(Rename::Paired { from: first, to: to(1) }));
}

#[test]
fn a_moved_from_with_a_long_name_is_returned_at_once_and_pushes_no_event_out() {
    let mut pairer = RenamePairer::<1>::new();
    assert_eq!(pairer.push(from(1)), None);
    let name = CString::new(vec![b'n'; 256]).unwrap();
    let long = Event::new(Wd::from_raw(1), EventMask::MOVED_FROM, 2, Some(&name));
    assert_eq!(pairer.push(long), Some(Rename::UnpairedFrom(long)));
    // A MOVED_TO can have a name of any length.
    let long = Event::new(Wd::from_raw(1), EventMask::MOVED_TO, 1, Some(&name));
    assert_eq!(pairer.push(long), Some(Rename::Paired { from: from(1), to: long }));
}

#[test]
fn a_waiting_event_outlives_its_buffer() {
    let mut pairer = RenamePairer::<1>::new();
    {
        let record = Record { wd: 1, mask: 0x40, cookie: 1, name: Some(b"gone".to_vec()) };
        let bytes = record.bytes();
        let event = tinotify::Events::new(&bytes).next().unwrap().unwrap();
        // The result borrows the bytes, so it can't be kept.
        assert!(pairer.push(event).is_none());
    }
    let Some(OwnedRename::Paired(from, _)) = pairer.push(to(1)).map(OwnedRename::from) else {
        panic!("the events have the same cookie");
    };
    assert_eq!(from.name.as_deref(), Some(&b"gone"[..]));
}

#[test]
fn a_pairer_can_be_a_static() {
    static PAIRER: std::sync::Mutex<RenamePairer<4>> = std::sync::Mutex::new(RenamePairer::new());
    assert!(PAIRER.lock().unwrap().is_empty());
}
