//! Halves of renames find each other, and no event is lost on the way.

mod arbitrary;
mod oracle;

use std::ffi::CString;

use arbitrary::{Damaged, Stream, holds};
use oracle::{Moved, Record, check_moves};
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
fn each_event_comes_out_once_and_as_the_naive_window_says() {
    fn property(stream: Stream) {
        let bytes = stream.bytes();
        check_moves::<1>(&bytes);
        check_moves::<2>(&bytes);
        check_moves::<5>(&bytes);
        check_moves::<64>(&bytes);
    }
    holds(property as fn(Stream));
}

#[test]
fn a_damaged_stream_makes_no_difference() {
    holds((|stream| check_moves::<3>(&stream.0)) as fn(Damaged));
}

#[test]
fn halves_are_joined_across_other_events() {
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
fn a_cookie_alone_joins_nothing_that_is_no_half() {
    let mut pairer = RenamePairer::<2>::new();
    assert_eq!(pairer.push(from(1)), None);
    // The end of a watch that carries a cookie, and a new name of another rename.
    let other = event(EventMask::IGNORED, 1);
    assert_eq!(pairer.push(other), Some(Rename::Other(other)));
    assert_eq!(pairer.push(to(2)), Some(Rename::UnpairedTo(to(2))));
    // Neither half, or both: no kernel gives that.
    let both = event(EventMask::MOVE, 1);
    assert_eq!(pairer.push(both), Some(Rename::Other(both)));
    assert_eq!(pairer.len(), 1);
}

#[test]
fn directories_are_joined_as_files_are() {
    let mut pairer = RenamePairer::<1>::default();
    let from = event(EventMask::MOVED_FROM | EventMask::ISDIR, 1);
    let to = event(EventMask::MOVED_TO | EventMask::ISDIR, 1);
    assert_eq!(pairer.push(from), None);
    assert_eq!(pairer.push(to), Some(Rename::Paired { from, to }));
}

#[test]
fn a_new_name_without_an_old_one_comes_at_once() {
    let mut pairer = RenamePairer::<1>::new();
    assert_eq!(pairer.push(to(1)), Some(Rename::UnpairedTo(to(1))));
    // It does not wait for an old one that comes after.
    assert_eq!(pairer.push(from(1)), None);
    assert_eq!(pairer.len(), 1);
}

#[test]
fn a_full_window_gives_its_oldest_back() {
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
fn expire_gives_the_oldest_first_and_then_nothing() {
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
fn of_two_with_one_cookie_the_youngest_is_joined() {
    let mut pairer = RenamePairer::<2>::new();
    let first = Event::new(Wd::from_raw(1), EventMask::MOVED_FROM, 1, Some(c"first"));
    assert_eq!(pairer.push(first), None);
    assert_eq!(pairer.push(from(1)), None);
    assert_eq!(pairer.push(to(1)), Some(Rename::Paired { from: from(1), to: to(1) }));
    assert_eq!(pairer.push(to(1)), Some(Rename::Paired { from: first, to: to(1) }));
}

#[test]
fn an_old_name_too_long_to_be_kept_comes_at_once_and_pushes_nothing_out() {
    let mut pairer = RenamePairer::<1>::new();
    assert_eq!(pairer.push(from(1)), None);
    let name = CString::new(vec![b'n'; 256]).unwrap();
    let long = Event::new(Wd::from_raw(1), EventMask::MOVED_FROM, 2, Some(&name));
    assert_eq!(pairer.push(long), Some(Rename::UnpairedFrom(long)));
    // As a new name it can be of any length.
    let long = Event::new(Wd::from_raw(1), EventMask::MOVED_TO, 1, Some(&name));
    assert_eq!(pairer.push(long), Some(Rename::Paired { from: from(1), to: long }));
}

#[test]
fn a_half_outlives_the_bytes_it_came_from() {
    let mut pairer = RenamePairer::<1>::new();
    {
        let record = Record { wd: 1, mask: 0x40, cookie: 1, name: Some(b"gone".to_vec()) };
        let bytes = record.bytes();
        let event = tinotify::Events::new(&bytes).next().unwrap().unwrap();
        // The answer borrows the bytes; that nothing came is all there is to know.
        assert!(pairer.push(event).is_none());
    }
    let Some(Moved::Renamed(from, _)) = pairer.push(to(1)).map(Moved::from) else {
        panic!("the halves belong together");
    };
    assert_eq!(from.name.as_deref(), Some(&b"gone"[..]));
}

#[test]
fn a_window_can_live_in_a_static() {
    static MOVES: std::sync::Mutex<RenamePairer<4>> = std::sync::Mutex::new(RenamePairer::new());
    assert!(MOVES.lock().unwrap().is_empty());
}
