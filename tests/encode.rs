//! The encoder writes what the kernel writes, and the decoder reads it back.

mod arbitrary;
mod oracle;

use std::ffi::CString;

use arbitrary::{Damaged, Stream, holds};
use tinotify::{EncodeError, Event, EventMask, Events, MAX_RECORD_SIZE, RECORD_SIZE, Wd};

fn named(name: &CString) -> Event<'_> {
    Event::new(Wd::from_raw(1), EventMask::CREATE, 0, Some(name))
}

fn name(len: usize) -> CString {
    CString::new(vec![b'n'; len]).unwrap()
}

#[test]
fn encoding_and_decoding_returns_the_same_events() {
    fn property(stream: Stream) {
        let mut bytes = Vec::new();
        let names: Vec<_> = stream
            .0
            .iter()
            .map(|record| record.name.clone().map(|name| CString::new(name).unwrap()))
            .collect();
        let events: Vec<_> = stream
            .0
            .iter()
            .zip(&names)
            .map(|(record, name)| {
                let mask = EventMask::from_bits_retain(record.mask);
                Event::new(Wd::from_raw(record.wd), mask, record.cookie, name.as_deref())
            })
            .collect();
        for event in &events {
            let mut buffer = [0xaa; MAX_RECORD_SIZE];
            let size = event.encode(&mut buffer).unwrap();
            bytes.extend(&buffer[..size]);
        }
        assert_eq!(bytes, stream.bytes(), "the simple encoder");
        assert!(Events::new(&bytes).eq(events.into_iter().map(Ok)));
    }
    holds(property as fn(Stream));
}

#[test]
fn decoding_and_encoding_writes_the_same_bytes() {
    fn property(stream: Damaged) {
        let mut events = Events::new(&stream.0);
        let mut at = 0;
        while let Some(Ok(event)) = events.next() {
            let mut buffer = [0xaa; MAX_RECORD_SIZE];
            let size = event.encode(&mut buffer).unwrap();
            assert_eq!(event.encoded_len(), size);
            assert_eq!(buffer[..size], stream.0[at..events.offset()]);
            at = events.offset();
        }
    }
    holds(property as fn(Damaged));
}

#[test]
fn a_record_is_a_multiple_of_16_bytes() {
    let nameless = Event::new(Wd::NONE, EventMask::Q_OVERFLOW, 0, None);
    assert_eq!(nameless.encoded_len(), 16);
    let sizes = [(0, 32), (1, 32), (15, 32), (16, 48), (31, 48), (32, 64), (255, RECORD_SIZE)];
    for (len, size) in sizes {
        assert_eq!(named(&name(len)).encoded_len(), size, "a name of {len} bytes");
    }
    assert_eq!(named(&name(4095)).encoded_len(), MAX_RECORD_SIZE);
}

#[test]
fn a_buffer_of_encoded_len_is_enough_and_one_byte_less_is_not() {
    for len in [0, 1, 15, 16, 255, 4095] {
        let name = name(len);
        let event = named(&name);
        let size = event.encoded_len();
        let mut buffer = vec![0xaa; size];
        assert_eq!(event.encode(&mut buffer), Ok(size));
        for have in [0, 15, 16, size - 1] {
            let mut buffer = vec![0xaa; have];
            assert_eq!(event.encode(&mut buffer), Err(EncodeError::NoRoom { size, have }));
            assert_eq!(buffer, vec![0xaa; have], "nothing was written");
        }
    }
}

#[test]
fn bytes_after_the_record_are_unchanged() {
    let mut buffer = [0xaa; 64];
    assert_eq!(named(&name(3)).encode(&mut buffer), Ok(32));
    assert_eq!(buffer[16..32], *b"nnn\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(buffer[32..], [0xaa; 32]);
}

#[test]
fn a_name_of_more_than_4095_bytes_is_refused() {
    for len in [4096, 4097, if cfg!(miri) { 5000 } else { 70_000 }] {
        let mut buffer = vec![0xaa; len + 100];
        assert_eq!(named(&name(len)).encode(&mut buffer), Err(EncodeError::NameTooLong { len }));
        assert_eq!(buffer, vec![0xaa; len + 100], "nothing was written");
        // The error does not depend on the buffer.
        assert_eq!(named(&name(len)).encode(&mut []), Err(EncodeError::NameTooLong { len }));
    }
}

#[test]
fn errors_name_the_sizes() {
    let text = EncodeError::NoRoom { size: 48, have: 31 }.to_string();
    assert!(text.contains("48") && text.contains("31"), "{text}");
    let text = EncodeError::NameTooLong { len: 5000 }.to_string();
    assert!(text.contains("5000") && text.contains("4095"), "{text}");
}
