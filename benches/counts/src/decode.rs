//! Events that are decoded from a file, in place and through a ring.

use std::ffi::CString;
use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;

use tinotify::{Event, EventMask, EventRing, Inotify, Wd};

use crate::world;

/// The size of the buffer in bytes.
const BUFFER: usize = 64 * 1024;

/// Writes as many events as fit the buffer. Returns their number.
fn encode(name_len: usize, records: &mut [u8]) -> (usize, usize) {
    let (mut filled, mut events) = (0, 0);
    loop {
        let bytes: Vec<u8> =
            (0..name_len).map(|at| b'a' + ((events * 7 + at) % 26) as u8).collect();
        let name = CString::new(bytes).unwrap();
        let (mask, cookie) = match events % 3 {
            0 => (EventMask::CREATE, 0),
            1 => (EventMask::MODIFY, 0),
            _ => (EventMask::MOVED_TO, events as u32),
        };
        let wd = Wd::from_raw(1 + events as i32 % 100);
        let event = Event::new(wd, mask, cookie, (name_len > 0).then_some(name.as_c_str()));
        let Ok(size) = event.encode(&mut records[filled..]) else { return (filled, events) };
        filled += size;
        events += 1;
    }
}

/// Returns the number of events that fit the buffer.
pub fn events(name_len: usize) -> usize {
    encode(name_len, &mut vec![0; BUFFER]).1
}

/// Returns a file of events, and a reader of that file.
fn file_of_events(name_len: usize) -> (File, Inotify) {
    let mut records = vec![0; BUFFER];
    let (len, _) = encode(name_len, &mut records);
    let path = world::path_for("events");
    let mut file =
        File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(&records[..len]).unwrap();
    let reader = Inotify::from(OwnedFd::from(file.try_clone().unwrap()));
    (file, reader)
}

/// Uses all parts of an event, so that the compiler keeps the code that decodes them.
#[inline(always)]
fn consume(event: &Event<'_>) {
    black_box((event.wd().as_raw(), event.mask().bits(), event.cookie(), event.name()));
}

pub fn decode(name_len: usize, passes: usize) {
    let (mut file, inotify) = file_of_events(name_len);
    let mut buffer = vec![0; BUFFER];
    let mut seen = 0;
    for _ in 0..passes {
        file.rewind().unwrap();
        for event in inotify.read(&mut buffer).unwrap() {
            consume(&event.unwrap());
            seen += 1;
        }
    }
    assert_eq!(seen, passes * events(name_len));
}

pub fn ring(name_len: usize, passes: usize) {
    let (mut file, inotify) = file_of_events(name_len);
    let mut ring = Box::new(EventRing::<{ BUFFER / 16 }>::new());
    let mut seen = 0;
    for _ in 0..passes {
        file.rewind().unwrap();
        inotify.fill(&mut ring).unwrap();
        while let Some(event) = ring.pop() {
            consume(&event.unwrap());
            seen += 1;
        }
    }
    assert_eq!(seen, passes * events(name_len));
}
