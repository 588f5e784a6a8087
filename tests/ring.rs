//! The ring returns the same events as the decoder, with any chunks and any order of writes and pops.

mod arbitrary;
mod oracle;

use std::sync::Mutex;

use arbitrary::{Damaged, Stream, holds};
use oracle::{Record, check_ring};
use tinotify::{DecodeErrorKind, EventRing, ExtendError, RECORD_SIZE};

/// Returns a record of `size` bytes.
fn record(cookie: u32, size: usize) -> Vec<u8> {
    let name = (size > 16).then(|| vec![b'n'; size - 17]);
    let bytes = Record { wd: 1, mask: 0x100, cookie, name }.bytes();
    assert_eq!(bytes.len(), size);
    bytes
}

fn pop<const N: usize>(ring: &mut EventRing<N>) -> Record {
    ring.pop().unwrap().unwrap().into()
}

/// Miri is slow, so it runs only some of the cases.
const STEP: usize = if cfg!(miri) { 3 } else { 1 };

/// Returns the cells by which rings are rotated: twice around the rings of the tests.
fn starts() -> impl Iterator<Item = usize> {
    (1..40).step_by(2 * STEP - 1)
}

/// Returns a ring with one event, in the last of this many cells, counted around the ring.
fn rotated<const N: usize>(cells: usize) -> EventRing<N> {
    let mut ring = EventRing::new();
    for cookie in 0..cells as u32 {
        // One event always stays in the ring. An empty ring would start at its first cell again.
        ring.extend(&record(cookie, 16)).unwrap();
        if cookie > 0 {
            assert_eq!(pop(&mut ring).cookie, cookie - 1);
        }
    }
    ring
}

/// Runs a script with rings of several sizes, rotated by some cells.
fn check_rings(stream: &[u8], script: &[u8], cells: u8) {
    let cells = usize::from(cells % 32);
    check_ring(&mut rotated::<17>(cells), stream, script);
    check_ring(&mut rotated::<23>(cells), stream, script);
    if cfg!(miri) {
        return;
    }
    check_ring(&mut rotated::<18>(cells), stream, script);
    check_ring(&mut rotated::<64>(cells), stream, script);
    check_ring(&mut EventRing::<257>::new(), stream, script);
}

#[test]
fn the_size_of_the_chunks_does_not_change_the_events() {
    fn property(stream: Stream, script: Vec<u8>, cells: u8) {
        check_rings(&stream.bytes(), &script, cells);
    }
    holds(property as fn(Stream, Vec<u8>, u8));
}

#[test]
fn a_damaged_stream_has_all_events_before_the_error_and_the_error_once() {
    fn property(stream: Damaged, script: Vec<u8>, cells: u8) {
        check_rings(&stream.0, &script, cells);
    }
    holds(property as fn(Damaged, Vec<u8>, u8));
}

#[test]
fn any_bytes_have_the_same_events_as_in_the_decoder() {
    fn property(stream: Vec<u8>, script: Vec<u8>) {
        check_rings(&stream, &script, 0);
    }
    holds(property as fn(Vec<u8>, Vec<u8>));
}

#[test]
fn two_chunks_cut_anywhere_have_the_same_events() {
    let mut bytes = record(1, 32);
    bytes.extend(record(2, 16));
    bytes.extend(record(3, 48));
    for cut in 0..=bytes.len() {
        let mut ring = EventRing::<17>::new();
        ring.extend(&bytes[..cut]).unwrap();
        assert_eq!(ring.len(), [32, 48, 96].iter().filter(|end| **end <= cut).count());
        ring.extend(&bytes[cut..]).unwrap();
        assert_eq!((1..=3).map(|_| pop(&mut ring).cookie).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(ring.pop().is_none());
    }
}

#[test]
fn an_event_is_lent_in_one_piece_wherever_the_ring_wraps() {
    let sizes = if cfg!(miri) { &[16, 48, 272][..] } else { &[16, 32, 48, 64, 128, 256, 272] };
    for start in starts() {
        for size in sizes {
            let mut ring = rotated::<20>(start);
            ring.extend(&record(88, *size)).unwrap();
            assert_eq!(pop(&mut ring).cookie, start as u32 - 1);
            let expected: Record = Record { wd: 1, mask: 0x100, cookie: 88, name: None };
            for peeked in [true, false] {
                let event = if peeked { ring.peek() } else { ring.pop() };
                let event = event.unwrap().unwrap();
                let len = event.name().map(<[u8]>::len);
                assert_eq!(len, (*size > 16).then(|| size - 17));
                assert!(event.name().unwrap_or_default().iter().all(|byte| *byte == b'n'));
                assert_eq!(Record { name: None, ..event.into() }, expected);
            }
        }
    }
}

#[test]
fn a_ring_works_after_it_has_moved_a_wrapped_event() {
    // The ring wraps at each cell of the event, and is then filled and emptied again.
    for start in starts() {
        let mut ring = rotated::<17>(start);
        ring.extend(&record(500, 256)).unwrap();
        assert_eq!(ring.free(), 0);
        assert_eq!(pop(&mut ring).cookie, start as u32 - 1);
        assert_eq!(ring.peek().unwrap().unwrap().cookie(), 500);
        ring.extend(&record(501, 16)).unwrap();
        assert_eq!(ring.extend(&[0]), Err(ExtendError::Full { taken: 0 }));
        assert_eq!((pop(&mut ring).cookie, pop(&mut ring).cookie), (500, 501));
        ring.extend(&record(502, 272)).unwrap();
        assert_eq!(pop(&mut ring).cookie, 502);
        assert!(ring.is_empty());
    }
}

#[test]
fn a_name_without_its_nul_is_an_error_wherever_the_ring_wraps() {
    for start in starts() {
        let mut ring = rotated::<17>(start);
        let mut invalid = record(88, 64);
        invalid[63] = b'n';
        ring.extend(&invalid).unwrap();
        assert_eq!(pop(&mut ring).cookie, start as u32 - 1);

        assert!(!ring.is_empty());
        let peeked = ring.peek().expect("a fault").unwrap_err();
        let error = ring.pop().expect("a fault").unwrap_err();
        assert_eq!(peeked, error);
        assert_eq!((error.offset(), error.kind()), (16 * start, DecodeErrorKind::MissingNul));
    }
}

#[test]
fn an_error_is_returned_once_and_then_bytes_are_refused_until_clear() {
    let mut ring = EventRing::<17>::new();
    let mut bytes = record(1, 32);
    bytes.extend(record(2, 16));
    bytes[32 + 12..32 + 16].copy_from_slice(&5_u32.to_ne_bytes());
    bytes.extend(record(3, 16));
    ring.extend(&bytes).unwrap();

    assert_eq!((ring.len(), ring.fault()), (1, None));
    assert_eq!(pop(&mut ring).cookie, 1);
    assert!(!ring.is_empty(), "the error is pending");
    assert_eq!(ring.fault(), None);
    let error = ring.pop().unwrap().unwrap_err();
    assert_eq!((error.offset(), error.kind()), (32, DecodeErrorKind::BadLen { len: 5 }));

    for _ in 0..2 {
        assert_eq!(ring.pop(), None);
        assert_eq!(ring.peek(), None);
        assert_eq!((ring.len(), ring.is_empty(), ring.fault()), (0, true, Some(error)));
        assert_eq!(ring.extend(&record(4, 16)), Err(ExtendError::Stopped(error)));
        assert_eq!(ring.spare(1).len(), 0);
        ring.commit(16);
    }

    ring.clear();
    assert_eq!((ring.free(), ring.fault()), (ring.capacity(), None));
    ring.extend(&record(5, 32)).unwrap();
    assert_eq!(pop(&mut ring).cookie, 5);
    // Offsets are those of the new stream.
    ring.extend(&[0xff; 16]).unwrap();
    assert_eq!(ring.pop().unwrap().unwrap_err().offset(), 32);
}

#[test]
fn a_record_larger_than_the_ring_is_an_error_after_its_header() {
    let mut ring = EventRing::<17>::new();
    ring.extend(&record(1, 16)).unwrap();
    ring.extend(&record(2, 1040)[..16]).unwrap();
    assert_eq!(pop(&mut ring).cookie, 1);
    let error = ring.pop().unwrap().unwrap_err();
    assert_eq!((error.offset(), error.kind()), (16, DecodeErrorKind::OverCapacity { size: 1040 }));

    // The same record fits a ring of 65 cells, but not one of 64.
    let mut ring = EventRing::<65>::new();
    ring.extend(&record(3, 1040)).unwrap();
    assert_eq!((ring.free(), pop(&mut ring).cookie), (0, 3));
    let mut ring = EventRing::<64>::new();
    assert_eq!(ring.extend(&record(3, 1040)), Err(ExtendError::Full { taken: 1024 }));
    assert!(ring.pop().unwrap().is_err());
}

#[test]
fn full_returns_the_number_of_bytes_taken_and_loses_none() {
    let mut ring = EventRing::<17>::new();
    let bytes: Vec<_> = (0..10).flat_map(|cookie| record(cookie, 32)).collect();
    assert_eq!(ring.extend(&bytes), Err(ExtendError::Full { taken: RECORD_SIZE }));
    // Eight events and the header of the ninth.
    assert_eq!((ring.len(), ring.free()), (8, 0));
    assert_eq!(ring.extend(&bytes[272..]), Err(ExtendError::Full { taken: 0 }));
    assert_eq!(ring.extend(&[]), Ok(()));
    assert_eq!(pop(&mut ring).cookie, 0);
    assert_eq!(ring.free(), 32);
    assert_eq!(ring.extend(&bytes[272..]), Err(ExtendError::Full { taken: 32 }));
    assert_eq!((1..9).map(|_| pop(&mut ring).cookie).collect::<Vec<_>>(), Vec::from_iter(1..9));
    ring.extend(&bytes[304..]).unwrap();
    assert_eq!(pop(&mut ring).cookie, 9);
    assert!(ring.is_empty());
}

#[test]
fn spare_lends_the_wanted_size_in_one_piece_or_all_free_space() {
    for start in starts() {
        for want in [0, 1, 16, 100, 271, 272, usize::MAX].into_iter().step_by(STEP) {
            let mut ring = rotated::<18>(start);
            let free = ring.free();
            assert_eq!(free, 17 * 16);
            let len = ring.spare(want).len();
            assert!((want.min(free)..=free).contains(&len), "{start} {want} {len}");
            assert!(len > 0);
            // `spare` alone changes nothing.
            assert_eq!((ring.free(), ring.len()), (free, 1));
            assert_eq!(pop(&mut ring).cookie, start as u32 - 1);
        }
    }
}

#[test]
fn commit_is_limited_to_the_size_of_spare() {
    for start in starts() {
        let mut ring = rotated::<18>(start);
        let free = ring.free();
        let spare = ring.spare(1);
        spare.fill(0);
        let lent = spare.len();
        ring.commit(usize::MAX);
        assert_eq!(ring.free(), free - lent, "{start}");
        // 16 zeros are a valid record without a name.
        assert_eq!(ring.len(), 1 + lent / 16);
    }
}

#[test]
fn commit_without_spare_has_no_effect() {
    let mut ring = EventRing::<17>::new();
    ring.commit(16);
    assert_eq!(ring.free(), ring.capacity());
    assert_eq!(ring.pop(), None);
}

#[test]
fn a_pop_between_spare_and_commit_has_no_effect_on_them() {
    for start in starts() {
        let mut ring = rotated::<20>(start);
        ring.extend(&record(88, 256)).unwrap();
        let spare = ring.spare(16);
        spare[..16].copy_from_slice(&record(99, 16));
        assert_eq!(pop(&mut ring).cookie, start as u32 - 1);
        assert_eq!(pop(&mut ring).cookie, 88);
        ring.commit(16);
        assert_eq!(pop(&mut ring).cookie, 99);
        assert!(ring.is_empty());
    }
}

#[test]
fn a_ring_can_be_a_static() {
    static RING: Mutex<EventRing<17>> = Mutex::new(EventRing::new());
    let mut ring = RING.lock().unwrap();
    ring.extend(&record(1, 272)).unwrap();
    assert_eq!(pop(&mut ring).name.map(|name| name.len()), Some(255));
}

#[test]
fn debug_prints_numbers_and_no_bytes() {
    let mut ring = EventRing::<17>::default();
    ring.extend(&record(1, 32)).unwrap();
    assert_eq!(format!("{ring:?}"), "EventRing { len: 1, free: 240, fault: None, .. }");
}

#[test]
fn errors_name_the_remedy() {
    let full = ExtendError::Full { taken: 5 }.to_string();
    assert!(full.contains('5') && full.contains("pop"), "{full}");
    let mut ring = EventRing::<17>::new();
    ring.extend(&[0xff; 16]).unwrap();
    ring.pop().unwrap().unwrap_err();
    let stopped = ring.extend(&[0]).unwrap_err().to_string();
    assert!(stopped.contains("clear") && stopped.contains("byte 0"), "{stopped}");
}
