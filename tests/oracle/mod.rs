//! A simple implementation of the core, which may copy, allocate and index.
//!
//! The tests and the fuzz targets compare the crate with it.

// Each user of this module uses a part of it.
#![allow(dead_code)]

use tinotify::{DecodeErrorKind, Event, EventRing, ExtendError, Rename, RenamePairer};

/// An event as plain data. Its name may have any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub wd: i32,
    pub mask: u32,
    pub cookie: u32,
    pub name: Option<Vec<u8>>,
}

impl Record {
    /// Returns the bytes that the kernel would write. The name field is the name and 1 to 16 NULs, a
    /// multiple of 16 bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut field = self.name.clone().unwrap_or_default();
        if self.name.is_some() {
            field.push(0);
        }
        while !field.len().is_multiple_of(16) {
            field.push(0);
        }
        let mut bytes = Vec::new();
        bytes.extend(self.wd.to_ne_bytes());
        bytes.extend(self.mask.to_ne_bytes());
        bytes.extend(self.cookie.to_ne_bytes());
        bytes.extend((field.len() as u32).to_ne_bytes());
        bytes.extend(field);
        bytes
    }
}

impl From<Event<'_>> for Record {
    fn from(event: Event<'_>) -> Self {
        Self {
            wd: event.wd().as_raw(),
            mask: event.mask().bits(),
            cookie: event.cookie(),
            name: event.name().map(Vec::from),
        }
    }
}

/// The result of decoding a stream: events, and the offset and kind of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    pub events: Vec<Record>,
    pub fault: Option<(usize, DecodeErrorKind)>,
}

/// Decodes these bytes as `Events` should, or as `StrictEvents` should if `strict`.
pub fn decode(bytes: &[u8], strict: bool) -> Decoded {
    let mut events = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match first(&bytes[at..], strict) {
            Ok((event, size)) => {
                events.push(event);
                at += size;
            }
            Err(kind) => return Decoded { events, fault: Some((at, kind)) },
        }
    }
    Decoded { events, fault: None }
}

/// Decodes the first event. Returns it with the size of its record.
fn first(bytes: &[u8], strict: bool) -> Result<(Record, usize), DecodeErrorKind> {
    if bytes.len() < 16 {
        return Err(DecodeErrorKind::HeaderCut { have: bytes.len() });
    }
    let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let len = number(12);
    if len % 16 != 0 || len > 4096 {
        return Err(DecodeErrorKind::BadLen { len });
    }
    let len = len as usize;
    let have = bytes.len() - 16;
    if have < len {
        return Err(DecodeErrorKind::NameCut { len, have });
    }

    let mut name = None;
    if len > 0 {
        let mut bytes = bytes[16..16 + len].to_vec();
        // The padding has at most 16 NULs. More NULs are part of the name.
        let mut padding = 0;
        while padding < 16 && bytes.last() == Some(&0) {
            bytes.pop();
            padding += 1;
        }
        if padding == 0 {
            return Err(DecodeErrorKind::MissingNul);
        }
        let is_no_file_name = bytes.is_empty()
            || bytes == b"."
            || bytes == b".."
            || bytes.contains(&0)
            || bytes.contains(&b'/');
        if strict && is_no_file_name {
            return Err(DecodeErrorKind::BadName);
        }
        name = Some(bytes);
    }
    let record = Record { wd: number(0) as i32, mask: number(4), cookie: number(8), name };
    Ok((record, 16 + len))
}

/// Compares both decoders with [`decode`]: each event, the error, and the offsets and remainders.
pub fn check_decoders(bytes: &[u8]) {
    let mut events = tinotify::Events::new(bytes);
    check_decoder(bytes, false, || (events.next(), events.offset(), events.remainder()));
    let mut events = tinotify::Events::new(bytes).strict();
    check_decoder(bytes, true, || (events.next(), events.offset(), events.remainder()));
}

type Step<'a> = (Option<Result<Event<'a>, tinotify::DecodeError>>, usize, &'a [u8]);

fn check_decoder<'a>(bytes: &'a [u8], strict: bool, mut next: impl FnMut() -> Step<'a>) {
    let expected = decode(bytes, strict);
    let mut at = 0;
    for record in expected.events {
        let (event, offset, remainder) = next();
        at += record.bytes().len();
        assert_eq!(event.map(|event| event.map(Record::from)), Some(Ok(record)));
        assert_eq!((offset, remainder), (at, &bytes[at..]));
    }
    if let Some((offset, kind)) = expected.fault {
        let error = next().0.expect("a fault").expect_err("a fault");
        assert_eq!((at, error.offset(), error.kind()), (offset, offset, kind));
    }
    for _ in 0..2 {
        assert_eq!(next(), (None, at, &bytes[at..]), "after the end");
    }
}

/// Feeds a stream to a ring of `N` cells and pops the events. Each byte of the script is one step; the rest
/// of the stream is fed and popped in large steps. After each step, compares the state of the ring with
/// the numbers of bytes that went in and came out.
pub fn check_ring<const N: usize>(ring: &mut EventRing<N>, stream: &[u8], script: &[u8]) {
    ring.clear();
    let mut feed = Feed { ring, stream, taken: 0, popped: 0, events: Vec::new(), stopped: false };
    for step in script {
        // From 0 to 588 bytes, more often small.
        let size = usize::from(step / 6).pow(2) / 3;
        match step % 6 {
            0 | 1 => feed.extend(size),
            2 => feed.write(size),
            3 => feed.peek(),
            4 => feed.pop(),
            _ => while feed.pop_one() {},
        }
    }
    while feed.taken < stream.len() && !feed.stopped {
        feed.extend(usize::MAX);
        assert!(feed.pop_one() || feed.taken == stream.len(), "the ring is full, but has no event");
    }
    while feed.pop_one() {}

    // All events have been popped.
    let Feed { events, popped, .. } = feed;
    let whole = decode(stream, false);
    match (ring.fault().map(|fault| (fault.offset(), fault.kind())), whole.fault) {
        // The record is incomplete, which is no error for a ring.
        (None, Some((_, DecodeErrorKind::HeaderCut { .. } | DecodeErrorKind::NameCut { .. }))) => {
            assert_eq!(events, whole.events);
        }
        (Some((offset, DecodeErrorKind::OverCapacity { size })), _) => {
            assert!(size > 16 * N);
            assert_eq!((offset, &events[..]), (popped, &whole.events[..events.len()]));
        }
        (actual, expected) => {
            assert_eq!(actual, expected);
            assert_eq!(events, whole.events);
        }
    }
}

/// A ring, and the numbers of bytes of the stream that went in and came out.
struct Feed<'a, const N: usize> {
    ring: &'a mut EventRing<N>,
    stream: &'a [u8],
    taken: usize,
    popped: usize,
    events: Vec<Record>,
    stopped: bool,
}

impl<const N: usize> Feed<'_, N> {
    fn held(&self) -> &[u8] {
        &self.stream[self.popped..self.taken]
    }

    /// Returns the expected result of the next pop.
    fn next(&self) -> Option<Result<(Record, usize), DecodeErrorKind>> {
        if self.stopped {
            return None;
        }
        match first(self.held(), false) {
            Err(DecodeErrorKind::NameCut { len, .. }) if 16 + len > 16 * N => {
                Some(Err(DecodeErrorKind::OverCapacity { size: 16 + len }))
            }
            // The record is incomplete.
            Err(DecodeErrorKind::HeaderCut { .. } | DecodeErrorKind::NameCut { .. }) => None,
            next => Some(next),
        }
    }

    fn check(&self) {
        let held = self.held();
        let whole = if self.stopped { 0 } else { decode(held, false).events.len() };
        assert_eq!(self.ring.capacity(), 16 * N);
        assert_eq!(self.ring.free(), 16 * N - held.len());
        assert_eq!(self.ring.len(), whole);
        assert_eq!(self.ring.is_empty(), self.next().is_none());
        assert_eq!(self.ring.fault().is_some(), self.stopped);
    }

    fn extend(&mut self, size: usize) {
        let offered = &self.stream[self.taken..];
        let offered = &offered[..size.min(offered.len())];
        let room = 16 * N - self.held().len();
        let result = self.ring.extend(offered);
        if self.stopped {
            assert!(matches!(result, Err(ExtendError::Stopped(_))));
        } else if offered.len() > room {
            assert_eq!(result, Err(ExtendError::Full { taken: room }));
            self.taken += room;
        } else {
            assert_eq!(result, Ok(()));
            self.taken += offered.len();
        }
        self.check();
    }

    /// Writes through `spare` and `commit`, as a reader does.
    fn write(&mut self, size: usize) {
        let room = 16 * N - self.held().len();
        let spare = self.ring.spare(size);
        if self.stopped {
            assert_eq!(spare.len(), 0);
        } else {
            assert!((size.min(room)..=room).contains(&spare.len()));
            assert_eq!(spare.is_empty(), room == 0);
        }
        let len = size.min(spare.len()).min(self.stream.len() - self.taken);
        spare[..len].copy_from_slice(&self.stream[self.taken..][..len]);
        // Methods between `spare` and `commit` have no effect on them.
        self.check();
        self.peek();
        self.ring.commit(len);
        self.taken += len;
        self.check();
    }

    fn peek(&mut self) {
        let expected = self.next();
        let offset = self.popped;
        match (self.ring.peek(), expected) {
            (Some(Ok(event)), Some(Ok((record, _)))) => assert_eq!(Record::from(event), record),
            (Some(Err(error)), Some(Err(kind))) => {
                assert_eq!((error.offset(), error.kind()), (offset, kind));
            }
            (None, None) => {}
            (actual, expected) => panic!("peeked {actual:?}, expected {expected:?}"),
        }
        self.check();
    }

    fn pop(&mut self) {
        self.pop_one();
    }

    /// Pops one event or error. Returns `false` if the ring has none.
    fn pop_one(&mut self) -> bool {
        let expected = self.next();
        let offset = self.popped;
        match (self.ring.pop(), expected) {
            (Some(Ok(event)), Some(Ok((record, size)))) => {
                assert_eq!(Record::from(event), record);
                self.events.push(record);
                self.popped += size;
            }
            (Some(Err(error)), Some(Err(kind))) => {
                assert_eq!((error.offset(), error.kind()), (offset, kind));
                self.stopped = true;
            }
            (None, None) => {
                self.check();
                return false;
            }
            (actual, expected) => panic!("popped {actual:?}, expected {expected:?}"),
        }
        self.check();
        true
    }
}

const MOVED_FROM: u32 = 0x40;
const MOVED_TO: u32 = 0x80;

/// A [`Rename`] that owns its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedRename {
    Paired(Record, Record),
    UnpairedFrom(Record),
    UnpairedTo(Record),
    Other(Record),
}

impl From<Rename<'_>> for OwnedRename {
    fn from(rename: Rename<'_>) -> Self {
        match rename {
            Rename::Paired { from, to } => Self::Paired(from.into(), to.into()),
            Rename::UnpairedFrom(event) => Self::UnpairedFrom(event.into()),
            Rename::UnpairedTo(event) => Self::UnpairedTo(event.into()),
            Rename::Other(event) => Self::Other(event.into()),
        }
    }
}

/// A simple implementation of [`RenamePairer`].
pub struct SimplePairer {
    pub capacity: usize,
    /// The oldest first.
    pub waiting: Vec<Record>,
}

impl SimplePairer {
    pub fn push(&mut self, event: Record) -> Option<OwnedRename> {
        match event.mask & (MOVED_FROM | MOVED_TO) {
            MOVED_FROM if event.name.as_ref().is_some_and(|name| name.len() > 255) => {
                Some(OwnedRename::UnpairedFrom(event))
            }
            MOVED_FROM => {
                self.waiting.push(event);
                let is_over = self.waiting.len() > self.capacity;
                is_over.then(|| OwnedRename::UnpairedFrom(self.waiting.remove(0)))
            }
            MOVED_TO => {
                let same = self.waiting.iter().rposition(|from| from.cookie == event.cookie);
                Some(match same {
                    Some(at) => OwnedRename::Paired(self.waiting.remove(at), event),
                    None => OwnedRename::UnpairedTo(event),
                })
            }
            _ => Some(OwnedRename::Other(event)),
        }
    }
}

/// Pushes the events of a stream into a pairer of `N`, and expires some. Compares each result with the
/// simple pairer, and checks that each event is returned once.
pub fn check_rename_pairs<const N: usize>(stream: &[u8]) {
    let mut pairer = RenamePairer::<N>::new();
    let mut model = SimplePairer { capacity: N, waiting: Vec::new() };
    let (mut pushed, mut returned) = (0, 0);
    for event in tinotify::Events::new(stream).map_while(Result::ok) {
        pushed += 1;
        let rename = pairer.push(event).map(OwnedRename::from);
        assert_eq!(rename, model.push(event.into()));
        returned += match rename {
            None => 0,
            Some(OwnedRename::Paired(..)) => 2,
            Some(_) => 1,
        };
        // The stream determines when an event expires.
        if event.wd().as_raw() % 4 == 3 && !model.waiting.is_empty() {
            assert_eq!(pairer.expire().map(Record::from), Some(model.waiting.remove(0)));
            returned += 1;
        }
        let is_empty = pushed == returned;
        assert_eq!((pairer.len(), pairer.is_empty()), (model.waiting.len(), is_empty));
    }
    for record in model.waiting {
        assert_eq!(pairer.expire().map(Record::from), Some(record));
        returned += 1;
    }
    assert_eq!(pairer.expire(), None);
    assert_eq!(returned, pushed);
}
