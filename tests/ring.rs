//! The ring gives what the decoder gives, however the bytes are cut and whenever events are taken.

mod arbitrary;
mod oracle;

use std::sync::Mutex;

use arbitrary::{Damaged, Stream, holds};
use oracle::{Record, check_ring};
use tinotify::{DecodeErrorKind, EventRing, ExtendError, RECORD_SIZE};

/// A record of so many bytes.
fn record(cookie: u32, size: usize) -> Vec<u8> {
    let name = (size > 16).then(|| vec![b'n'; size - 17]);
    let bytes = Record { wd: 1, mask: 0x100, cookie, name }.bytes();
    assert_eq!(bytes.len(), size);
    bytes
}

fn pop<const N: usize>(ring: &mut EventRing<N>) -> Record {
    ring.pop().unwrap().unwrap().into()
}

/// Miri is slow: it sees some of the cases.
const STEP: usize = if cfg!(miri) { 3 } else { 1 };

/// How far a ring was turned: twice around those of the tests.
fn starts() -> impl Iterator<Item = usize> {
    (1..40).step_by(2 * STEP - 1)
}

/// A ring that holds one event, in the last of this many cells, counted around.
fn turned<const N: usize>(cells: usize) -> EventRing<N> {
    let mut ring = EventRing::new();
    for cookie in 0..cells as u32 {
        // One event stays in the ring throughout, else it would begin at its start again.
        ring.extend(&record(cookie, 16)).unwrap();
        if cookie > 0 {
            assert_eq!(pop(&mut ring).cookie, cookie - 1);
        }
    }
    ring
}

/// Runs a script against rings of several sizes that were turned before.
fn in_rings(stream: &[u8], script: &[u8], cells: u8) {
    let cells = usize::from(cells % 32);
    check_ring(&mut turned::<17>(cells), stream, script);
    check_ring(&mut turned::<23>(cells), stream, script);
    if cfg!(miri) {
        return;
    }
    check_ring(&mut turned::<18>(cells), stream, script);
    check_ring(&mut turned::<64>(cells), stream, script);
    check_ring(&mut EventRing::<257>::new(), stream, script);
}

#[test]
fn events_are_the_same_however_the_bytes_are_cut() {
    fn property(stream: Stream, script: Vec<u8>, cells: u8) {
        in_rings(&stream.bytes(), &script, cells);
    }
    holds(property as fn(Stream, Vec<u8>, u8));
}

#[test]
fn a_damaged_stream_gives_all_before_the_fault_then_the_fault_once() {
    fn property(stream: Damaged, script: Vec<u8>, cells: u8) {
        in_rings(&stream.0, &script, cells);
    }
    holds(property as fn(Damaged, Vec<u8>, u8));
}

#[test]
fn any_bytes_give_what_the_decoder_gives() {
    fn property(stream: Vec<u8>, script: Vec<u8>) {
        in_rings(&stream, &script, 0);
    }
    holds(property as fn(Vec<u8>, Vec<u8>));
}

#[test]
fn each_single_cut_gives_the_same_events() {
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
            let mut ring = turned::<20>(start);
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
fn a_ring_goes_on_after_it_brought_a_wrapped_event_together() {
    // Each place where the ring wraps within the event, and room is taken and given once more after.
    for start in starts() {
        let mut ring = turned::<17>(start);
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
fn a_name_without_its_nul_is_told_wherever_the_ring_wraps() {
    for start in starts() {
        let mut ring = turned::<17>(start);
        let mut faulty = record(88, 64);
        faulty[63] = b'n';
        ring.extend(&faulty).unwrap();
        assert_eq!(pop(&mut ring).cookie, start as u32 - 1);

        assert!(!ring.is_empty());
        let peeked = ring.peek().expect("a fault").unwrap_err();
        let error = ring.pop().expect("a fault").unwrap_err();
        assert_eq!(peeked, error);
        assert_eq!((error.offset(), error.kind()), (16 * start, DecodeErrorKind::MissingNul));
    }
}

#[test]
fn a_fault_is_told_once_and_then_bytes_are_refused_until_clear() {
    let mut ring = EventRing::<17>::new();
    let mut bytes = record(1, 32);
    bytes.extend(record(2, 16));
    bytes[32 + 12..32 + 16].copy_from_slice(&5_u32.to_ne_bytes());
    bytes.extend(record(3, 16));
    ring.extend(&bytes).unwrap();

    assert_eq!((ring.len(), ring.fault()), (1, None));
    assert_eq!(pop(&mut ring).cookie, 1);
    assert!(!ring.is_empty(), "an error is still to be told");
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
fn a_record_larger_than_the_ring_is_told_as_soon_as_its_header_is_there() {
    let mut ring = EventRing::<17>::new();
    ring.extend(&record(1, 16)).unwrap();
    ring.extend(&record(2, 1040)[..16]).unwrap();
    assert_eq!(pop(&mut ring).cookie, 1);
    let error = ring.pop().unwrap().unwrap_err();
    assert_eq!((error.offset(), error.kind()), (16, DecodeErrorKind::OverCapacity { size: 1040 }));

    // The same record fits into a ring of 65 cells, and does not into one of 64.
    let mut ring = EventRing::<65>::new();
    ring.extend(&record(3, 1040)).unwrap();
    assert_eq!((ring.free(), pop(&mut ring).cookie), (0, 3));
    let mut ring = EventRing::<64>::new();
    assert_eq!(ring.extend(&record(3, 1040)), Err(ExtendError::Full { taken: 1024 }));
    assert!(ring.pop().unwrap().is_err());
}

#[test]
fn full_says_how_much_was_taken_and_loses_nothing() {
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
fn spare_gives_what_is_wanted_in_one_piece_or_all_that_is_free() {
    for start in starts() {
        for want in [0, 1, 16, 100, 271, 272, usize::MAX].into_iter().step_by(STEP) {
            let mut ring = turned::<18>(start);
            let free = ring.free();
            assert_eq!(free, 17 * 16);
            let len = ring.spare(want).len();
            assert!((want.min(free)..=free).contains(&len), "{start} {want} {len}");
            assert!(len > 0);
            // Asking takes nothing, and loses nothing.
            assert_eq!((ring.free(), ring.len()), (free, 1));
            assert_eq!(pop(&mut ring).cookie, start as u32 - 1);
        }
    }
}

#[test]
fn commit_counts_no_more_than_spare_had() {
    for start in starts() {
        let mut ring = turned::<18>(start);
        let free = ring.free();
        let spare = ring.spare(1);
        spare.fill(0);
        let lent = spare.len();
        ring.commit(usize::MAX);
        assert_eq!(ring.free(), free - lent, "{start}");
        // Zeros are records too: a header without a name.
        assert_eq!(ring.len(), 1 + lent / 16);
    }
}

#[test]
fn commit_without_spare_counts_nothing() {
    let mut ring = EventRing::<17>::new();
    ring.commit(16);
    assert_eq!(ring.free(), ring.capacity());
    assert_eq!(ring.pop(), None);
}

#[test]
fn an_event_taken_between_spare_and_commit_changes_neither() {
    for start in starts() {
        let mut ring = turned::<20>(start);
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
fn a_ring_can_live_in_a_static() {
    static RING: Mutex<EventRing<17>> = Mutex::new(EventRing::new());
    let mut ring = RING.lock().unwrap();
    ring.extend(&record(1, 272)).unwrap();
    assert_eq!(pop(&mut ring).name.map(|name| name.len()), Some(255));
}

#[test]
fn debug_shows_numbers_and_no_bytes() {
    let mut ring = EventRing::<17>::default();
    ring.extend(&record(1, 32)).unwrap();
    assert_eq!(format!("{ring:?}"), "EventRing { len: 1, free: 240, fault: None, .. }");
}

#[test]
fn errors_say_what_to_do() {
    let full = ExtendError::Full { taken: 5 }.to_string();
    assert!(full.contains('5') && full.contains("pop"), "{full}");
    let mut ring = EventRing::<17>::new();
    ring.extend(&[0xff; 16]).unwrap();
    ring.pop().unwrap().unwrap_err();
    let stopped = ring.extend(&[0]).unwrap_err().to_string();
    assert!(stopped.contains("clear") && stopped.contains("byte 0"), "{stopped}");
}
