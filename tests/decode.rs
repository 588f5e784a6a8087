//! Decoding any bytes returns events, or an error with its offset and reason. Also tests the accessors of
//! events.

mod arbitrary;
mod oracle;

use std::ffi::CString;

use arbitrary::{Damaged, Stream, holds};
use oracle::{Record, check_decoders, decode};
use tinotify::{
    DecodeError, DecodeErrorKind, Escaped, Event, EventBuf, EventKind, EventMask, Events, Wd,
};

/// Returns a record with this `len` in its header and this name field, which may have another length.
fn raw(len: u32, field: &[u8]) -> Vec<u8> {
    let mut bytes = Record { wd: 1, mask: 0x100, cookie: 0, name: None }.bytes();
    bytes[12..].copy_from_slice(&len.to_ne_bytes());
    bytes.extend(field);
    bytes
}

fn named(name: &[u8]) -> Vec<u8> {
    Record { wd: 1, mask: 0x100, cookie: 0, name: Some(name.to_vec()) }.bytes()
}

/// Decodes a record after a valid one with both decoders. Returns its name, or the kind of the error.
fn both(record: &[u8]) -> [Result<Option<Vec<u8>>, DecodeErrorKind>; 2] {
    let bytes = [&named(b"before")[..], record].concat();
    let result = |event: Result<Event<'_>, DecodeError>| match event {
        Ok(event) => Ok(event.name().map(Vec::from)),
        Err(error) => {
            assert_eq!(error.offset(), 32);
            Err(error.kind())
        }
    };
    let mut plain = Events::new(&bytes);
    let mut strict = Events::new(&bytes).strict();
    for events in [&mut plain as &mut dyn Iterator<Item = _>, &mut strict] {
        assert_eq!(events.next().unwrap().unwrap().name(), Some(&b"before"[..]));
    }
    let results = [result(plain.next().unwrap()), result(strict.next().unwrap())];
    assert!(plain.next().is_none() && strict.next().is_none());
    results
}

fn same(kind: DecodeErrorKind) -> [Result<Option<Vec<u8>>, DecodeErrorKind>; 2] {
    [Err(kind), Err(kind)]
}

fn bad_name(name: &[u8]) -> [Result<Option<Vec<u8>>, DecodeErrorKind>; 2] {
    [Ok(Some(name.to_vec())), Err(DecodeErrorKind::BadName)]
}

// The table in the documentation of `decode`, row by row.

#[test]
fn unknown_bits_and_any_wd_and_cookie_are_kept() {
    for (wd, mask, cookie) in [(-1, u32::MAX, u32::MAX), (i32::MIN, 0, 0), (i32::MAX, 0x1000, 7)] {
        let bytes = Record { wd, mask, cookie, name: None }.bytes();
        for event in [Events::new(&bytes).next(), Events::new(&bytes).strict().next()] {
            let event = event.unwrap().unwrap();
            assert_eq!((event.wd().as_raw(), event.mask().bits()), (wd, mask));
            assert_eq!((event.cookie(), event.name()), (cookie, None));
        }
    }
}

#[test]
fn an_incomplete_header_is_an_error_with_its_size() {
    for have in 1..16 {
        let bytes = &named(b"name")[..have];
        assert_eq!(both(bytes), same(DecodeErrorKind::HeaderCut { have }));
    }
}

#[test]
fn an_invalid_len_is_an_error() {
    let field = [0; 8192];
    for len in [1, 15, 17, 24, 4095, 4097, 4112, 8192, 0x8000_0000, u32::MAX, u32::MAX - 15] {
        assert_eq!(both(&raw(len, &field)), same(DecodeErrorKind::BadLen { len }));
        // The error does not depend on the bytes after the header.
        assert_eq!(both(&raw(len, &[])), same(DecodeErrorKind::BadLen { len }));
    }
}

#[test]
fn an_incomplete_name_is_an_error_with_its_size() {
    for len in [16, 32, 4096] {
        for have in [0, 1, 15, len - 1] {
            let error = DecodeErrorKind::NameCut { len, have };
            assert_eq!(both(&raw(len as u32, &vec![0; have])), same(error));
        }
    }
}

#[test]
fn a_name_without_its_nul_is_an_error() {
    for len in [16, 32, 256, 4096] {
        let mut field = vec![b'n'; len];
        assert_eq!(both(&raw(len as u32, &field)), same(DecodeErrorKind::MissingNul));
        // A NUL before the last byte does not end the field.
        field[0] = 0;
        field[len - 2] = 0;
        assert_eq!(both(&raw(len as u32, &field)), same(DecodeErrorKind::MissingNul));
    }
}

#[test]
fn a_nul_inside_a_name_is_refused_only_by_the_strict_decoder() {
    assert_eq!(both(&raw(16, b"a\0b\0\0\0\0\0\0\0\0\0\0\0\0\0")), bad_name(b"a\0b"));
    // More padding than a kernel writes: all NULs except the last 16 are part of the name.
    let field = [&b"a"[..], &[0; 31]].concat();
    assert_eq!(both(&raw(32, &field)), bad_name(&field[..16]));
    assert_eq!(both(&raw(32, &[0; 32])), bad_name(&[0; 16]));
    // A name of 16 bytes has a padding of 16 NULs.
    assert_eq!(both(&named(&[b'n'; 16])), [Ok(Some(vec![b'n'; 16])), Ok(Some(vec![b'n'; 16]))]);

    let bytes = raw(16, b"a\0b\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(Events::new(&bytes).next().unwrap().unwrap().name_cstr(), None);
}

#[test]
fn an_empty_name_is_refused_only_by_the_strict_decoder() {
    assert_eq!(both(&raw(16, &[0; 16])), bad_name(b""));
    assert_eq!(both(&raw(0, &[])), [Ok(None), Ok(None)]);
}

#[test]
fn a_name_that_is_no_file_name_is_refused_only_by_the_strict_decoder() {
    for name in [&b"/"[..], b"a/b", b"/etc/passwd", b".", b".."] {
        assert_eq!(both(&named(name)), bad_name(name));
    }
    for name in [&b"..."[..], b".a", b"..a", b"a.", b" ", b"\n", b"\xff"] {
        assert_eq!(both(&named(name)), [Ok(Some(name.to_vec())), Ok(Some(name.to_vec()))]);
    }
}

// Any bytes.

#[test]
fn names_of_all_lengths_are_decoded() {
    let lens =
        if cfg!(miri) { [0, 1, 14, 15, 16, 17, 255, 4095].to_vec() } else { (0..4096).collect() };
    for len in lens {
        let bytes = named(&vec![b'n'; len]);
        assert_eq!(bytes.len() % 16, 0);
        let mut events = Events::new(&bytes);
        assert_eq!(events.next().unwrap().unwrap().name().map(<[u8]>::len), Some(len));
        assert!(events.next().is_none());
    }
}

#[test]
fn any_bytes_are_decoded_as_by_the_simple_decoder() {
    holds((|bytes| check_decoders(&bytes)) as fn(Vec<u8>));
}

#[test]
fn a_damaged_stream_is_decoded_as_by_the_simple_decoder() {
    holds((|stream| check_decoders(&stream.0)) as fn(Damaged));
}

#[test]
fn a_stream_is_decoded_as_by_the_simple_decoder() {
    holds((|stream| check_decoders(&stream.bytes())) as fn(Stream));
}

#[test]
fn each_prefix_of_a_stream_has_the_events_before_its_end() {
    let bytes = [named(b"a"), raw(0, &[]), named(&[b'n'; 255]), named(b"b")].concat();
    for cut in (0..=bytes.len()).step_by(if cfg!(miri) { 13 } else { 1 }) {
        check_decoders(&bytes[..cut]);
    }
}

#[test]
fn the_buffer_needs_no_alignment() {
    let record = named(b"name");
    for shift in 0..16 {
        let bytes = [&vec![0xff; shift], &record[..]].concat();
        assert_eq!(Events::new(&bytes[shift..]).next(), Events::new(&record).next());
    }
}

#[test]
fn an_empty_buffer_has_no_events() {
    let mut events = Events::new(&[]);
    assert_eq!((events.offset(), events.remainder()), (0, &[][..]));
    assert_eq!((events.size_hint(), events.next()), ((0, Some(0)), None));
}

#[test]
fn size_hint_is_right_at_each_step() {
    fn property(stream: Damaged) {
        let events = Events::new(&stream.0);
        // Both iterators, each to its end.
        let mut plain = events.clone();
        let mut strict = events.strict();
        loop {
            let (least, most) = plain.size_hint();
            let left = plain.clone().count();
            assert!(least <= left && left <= most.unwrap(), "{least} {left} {most:?}");
            let (least, most) = strict.size_hint();
            let left = strict.clone().count();
            assert!(least <= left && left <= most.unwrap(), "{least} {left} {most:?}");
            if plain.next().is_none() & strict.next().is_none() {
                break;
            }
        }
    }
    holds(property as fn(Damaged));

    // The upper bound is close for many events without a name.
    let bytes = [vec![0; 160], vec![0]].concat();
    assert_eq!(Events::new(&bytes).size_hint(), (1, Some(11)));
    assert_eq!(Events::new(&bytes).count(), 11);
}

#[test]
fn the_remainder_after_an_error_can_be_decoded() {
    let invalid = raw(5, &[]);
    let bytes = [&named(b"a")[..], &invalid, &named(b"b")].concat();
    let mut events = Events::new(&bytes);
    assert_eq!((&mut events).filter(Result::is_ok).count(), 1);
    assert_eq!((events.offset(), events.remainder()), (32, &bytes[32..]));
    let mut rest = Events::new(&events.remainder()[16..]);
    assert_eq!(rest.next().unwrap().unwrap().name(), Some(&b"b"[..]));
}

#[test]
fn errors_name_the_offset_and_the_reason() {
    let name = [&[0; 16][..], &raw(16, &[b'n'; 16])].concat();
    let errors = [
        (decode_error(&[0; 20], false), "4"),
        (decode_error(&[&[0; 16][..], &raw(32, &[0; 7])].concat(), false), "7 of 32 bytes"),
        (decode_error(&[&[0; 16][..], &raw(99, &[])].concat(), false), "99"),
        (decode_error(&name, false), "NUL"),
        (decode_error(&[&[0; 16][..], &named(b"..")].concat(), true), "`..`"),
    ];
    for (error, why) in errors {
        let text = error.to_string();
        assert!(text.contains("byte 16: ") && text.contains(why), "{text}");
    }
}

fn decode_error(bytes: &[u8], strict: bool) -> DecodeError {
    let events = Events::new(bytes);
    let error = if strict {
        events.strict().find_map(Result::err)
    } else {
        events.clone().find_map(Result::err)
    };
    error.expect("an error")
}

// The accessors of an event.

#[test]
fn each_bit_has_a_kind() {
    let kinds = [
        (0, EventKind::Access),
        (1, EventKind::Modify),
        (2, EventKind::Attrib),
        (3, EventKind::CloseWrite),
        (4, EventKind::CloseNoWrite),
        (5, EventKind::Open),
        (6, EventKind::MovedFrom),
        (7, EventKind::MovedTo),
        (8, EventKind::Create),
        (9, EventKind::Delete),
        (10, EventKind::DeleteSelf),
        (11, EventKind::MoveSelf),
        (13, EventKind::Unmount),
        (14, EventKind::Overflow),
        (15, EventKind::Ignored),
    ];
    let event = |mask| Event::new(Wd::from_raw(1), EventMask::from_bits_retain(mask), 0, None);
    for bit in 0..32 {
        let known = kinds.iter().find(|(of, _)| *of == bit).map(|(_, kind)| *kind);
        assert_eq!(event(1 << bit).kind(), known.unwrap_or(EventKind::Other), "bit {bit}");
        assert_eq!(event(1 << bit).is_dir(), bit == 30);
        assert_eq!(event(1 << bit).is_overflow(), bit == 14);
        assert_eq!(event(1 << bit).is_ignored(), bit == 15);
        // Bits that are no event do not change the kind.
        for other in [12, 16, 23, 30, 31] {
            let kind = known.unwrap_or(EventKind::Other);
            assert_eq!(event(1 << bit | 1 << other).kind(), kind, "bits {bit} and {other}");
        }
    }
    assert_eq!(event(0).kind(), EventKind::Other);

    // Of two bits, unmount, overflow and ignored go before the others, and then the lower bit.
    for (first, (a, kind)) in kinds.iter().enumerate() {
        for (b, second) in &kinds[first + 1..] {
            let kind = if *a < 13 && *b >= 13 { second } else { kind };
            assert_eq!(event(1 << a | 1 << b).kind(), *kind, "bits {a} and {b}");
        }
    }
}

/// Checks all forms in which an event can be printed.
fn assert_no_control_characters(event: Event<'_>) {
    let mut texts = vec![event.to_string(), format!("{event:?}"), format!("{event:#?}")];
    if let Ok(kept) = EventBuf::try_from(event) {
        texts.extend([kept.to_string(), format!("{kept:?}")]);
    }
    for text in texts {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn control_characters_are_never_printed() {
    // ASCII control characters, the bytes 0x80 to 0x9f, and the characters with these code points.
    let bytes: Vec<u8> = (1..0x20).chain(0x7f..=0x9f).collect();
    let characters: String = ('\u{80}'..='\u{9f}').collect();
    for name in [&bytes[..], characters.as_bytes()] {
        let bytes = named(name);
        assert_no_control_characters(Events::new(&bytes).next().unwrap().unwrap());
    }
}

#[test]
fn no_event_from_any_bytes_prints_control_characters() {
    fn property(stream: Damaged, name: Vec<u8>) {
        let bytes = [named(&name), stream.0].concat();
        let most = if cfg!(miri) { 1 } else { usize::MAX };
        let events = Events::new(&bytes).map_while(Result::ok);
        events.take(most).for_each(assert_no_control_characters);
    }
    holds(property as fn(Damaged, Vec<u8>));
}

#[test]
fn characters_that_change_the_direction_or_are_invisible_are_escaped() {
    let hidden = [
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202b}',
        '\u{202c}',
        '\u{202d}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2067}',
        '\u{2068}',
        '\u{2069}',
        '\u{feff}',
        '\u{fff9}',
        '\u{e0001}',
        '\u{e0041}',
        '\u{a0}',
        '\u{3000}',
        '\u{e000}',
        '\u{10ffff}',
    ];
    for hidden in hidden {
        let text = format!("a{hidden}b");
        let shown = format!("a\\u{{{:x}}}b", u32::from(hidden));
        assert_eq!(Escaped(text.as_bytes()).to_string(), shown);
    }
}

#[test]
fn quotes_in_a_name_are_escaped() {
    let name = c"\" \\ '";
    let event = Event::new(Wd::from_raw(2), EventMask::MOVED_TO, 7, Some(name));
    assert_eq!(event.to_string(), r#"wd 2 MOVED_TO cookie 7 "\" \\ \'""#);
    assert_eq!(format!("{event:?}"), r#"Event { wd 2 MOVED_TO cookie 7 "\" \\ \'" }"#);
}

#[test]
fn names_in_other_scripts_are_unchanged() {
    for name in ["früh.txt", "файл", "文件", "ملف", "🦀", "a b"] {
        assert_eq!(Escaped(name.as_bytes()).to_string(), name);
    }
}

#[test]
fn different_names_are_escaped_differently() {
    fn property(a: Vec<u8>, b: Vec<u8>) {
        assert_eq!(a == b, Escaped(&a).to_string() == Escaped(&b).to_string());
    }
    holds(property as fn(Vec<u8>, Vec<u8>));
    // A name that has the text of an escape differs from the escaped byte.
    assert_ne!(Escaped(br"\n").to_string(), Escaped(b"\n").to_string());
    assert_ne!(Escaped(br"\xff").to_string(), Escaped(b"\xff").to_string());
}

#[test]
fn an_event_buf_takes_a_name_of_255_bytes_and_refuses_one_of_256() {
    for len in [0, 1, 254, 255] {
        let name = CString::new(vec![b'n'; len]).unwrap();
        let event = Event::new(Wd::from_raw(1), EventMask::DELETE, 9, Some(&name));
        let kept = EventBuf::try_from(event).unwrap();
        assert_eq!(kept.as_event(), event);
        assert_eq!(
            (kept.to_string(), format!("{kept:?}")),
            (event.to_string(), format!("{event:?}"))
        );
    }
    let nameless = Event::new(Wd::NONE, EventMask::Q_OVERFLOW, 0, None);
    assert_eq!(EventBuf::try_from(nameless).unwrap().as_event().name(), None);
    for len in [256, 257, 4095] {
        let name = CString::new(vec![b'n'; len]).unwrap();
        let event = Event::new(Wd::from_raw(1), EventMask::DELETE, 9, Some(&name));
        let error = EventBuf::try_from(event).unwrap_err();
        assert_eq!(error.len, len);
        assert!(error.to_string().contains(&len.to_string()));
    }
}

#[test]
fn an_event_buf_returns_the_same_event() {
    fn property(stream: Stream) {
        let bytes = stream.bytes();
        for event in Events::new(&bytes) {
            let event = event.unwrap();
            match EventBuf::try_from(event) {
                Ok(kept) => assert_eq!(kept.as_event(), event),
                Err(error) => assert_eq!(event.name().map(<[u8]>::len), Some(error.len)),
            }
        }
    }
    holds(property as fn(Stream));
}

#[test]
fn name_cstr_returns_the_name_as_a_c_string() {
    let bytes = [named(b"name"), named(&[b'n'; 16]), raw(0, &[])].concat();
    let names: Vec<_> = Events::new(&bytes).map(|event| event.unwrap().name_cstr()).collect();
    assert_eq!(names, [Some(c"name"), Some(c"nnnnnnnnnnnnnnnn"), None]);
}

#[cfg(all(feature = "std", unix))]
#[test]
fn name_os_returns_the_name_as_an_os_string() {
    use std::os::unix::ffi::OsStrExt;

    let bytes = [named(b"\xff"), raw(0, &[])].concat();
    let names: Vec<_> = Events::new(&bytes).map(|event| event.unwrap().name_os()).collect();
    assert_eq!(names, [Some(std::ffi::OsStr::from_bytes(b"\xff")), None]);
}

#[test]
fn the_simple_decoder_decodes_what_the_simple_encoder_writes() {
    fn property(stream: Stream) {
        let decoded = decode(&stream.bytes(), false);
        assert_eq!((decoded.events, decoded.fault), (stream.0, None));
    }
    holds(property as fn(Stream));
}
