//! The crate once more, written for clarity alone: it copies, allocates and indexes as it likes.
//!
//! The tests and the fuzz targets compare the real code with it.

// Whoever includes this uses the part of it that they need.
#![allow(dead_code)]

use tinotify::{DecodeErrorKind, Event, EventRing, ExtendError, Rename, RenamePairer};

/// An event as plain data. A name may hold anything here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub wd: i32,
    pub mask: u32,
    pub cookie: u32,
    pub name: Option<Vec<u8>>,
}

impl Record {
    /// The bytes that the kernel would give: the name, then 1 to 16 NULs, to a multiple of 16.
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

/// What a decoder makes of a stream: events, and then perhaps a fault at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    pub events: Vec<Record>,
    pub fault: Option<(usize, DecodeErrorKind)>,
}

/// What `Events` should make of these bytes, or `StrictEvents` where `strict`.
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

/// The first event and the size of its record.
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
        // The padding. A seventeenth NUL would be the name's own.
        let mut padding = 0;
        while padding < 16 && bytes.last() == Some(&0) {
            bytes.pop();
            padding += 1;
        }
        if padding == 0 {
            return Err(DecodeErrorKind::MissingNul);
        }
        let no_file = bytes.is_empty()
            || bytes == b"."
            || bytes == b".."
            || bytes.contains(&0)
            || bytes.contains(&b'/');
        if strict && no_file {
            return Err(DecodeErrorKind::BadName);
        }
        name = Some(bytes);
    }
    let record = Record { wd: number(0) as i32, mask: number(4), cookie: number(8), name };
    Ok((record, 16 + len))
}

/// Checks both decoders against [`decode`]: each event, the fault, and what is told on the way.
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
        assert_eq!(next(), (None, at, &bytes[at..]), "the end stays the end");
    }
}

/// Feeds a stream to a ring of `N` cells and takes the events out, as the script says: each byte of
/// it is a step. What is left when it ends is fed and taken in large steps. After each step all that
/// the ring tells is compared with what follows from how many bytes went in and came out.
pub fn check_ring<const N: usize>(ring: &mut EventRing<N>, stream: &[u8], script: &[u8]) {
    ring.clear();
    let mut feed = Feed { ring, stream, taken: 0, given: 0, events: Vec::new(), stopped: false };
    for step in script {
        // From nothing to 588 bytes, the small ones more often.
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
        assert!(feed.pop_one() || feed.taken == stream.len(), "full, and yet nothing comes out");
    }
    while feed.pop_one() {}

    // All that was to come has come.
    let Feed { events, given, .. } = feed;
    let whole = decode(stream, false);
    match (ring.fault().map(|fault| (fault.offset(), fault.kind())), whole.fault) {
        // The rest of a record may still come.
        (None, Some((_, DecodeErrorKind::HeaderCut { .. } | DecodeErrorKind::NameCut { .. }))) => {
            assert_eq!(events, whole.events);
        }
        (Some((offset, DecodeErrorKind::OverCapacity { size })), _) => {
            assert!(size > 16 * N);
            assert_eq!((offset, &events[..]), (given, &whole.events[..events.len()]));
        }
        (told, fault) => {
            assert_eq!(told, fault);
            assert_eq!(events, whole.events);
        }
    }
}

/// A ring that is being fed, and how many bytes of the stream went in and came out as events.
struct Feed<'a, const N: usize> {
    ring: &'a mut EventRing<N>,
    stream: &'a [u8],
    taken: usize,
    given: usize,
    events: Vec<Record>,
    stopped: bool,
}

impl<const N: usize> Feed<'_, N> {
    fn held(&self) -> &[u8] {
        &self.stream[self.given..self.taken]
    }

    /// What should come next.
    fn next(&self) -> Option<Result<(Record, usize), DecodeErrorKind>> {
        if self.stopped {
            return None;
        }
        match first(self.held(), false) {
            Err(DecodeErrorKind::NameCut { len, .. }) if 16 + len > 16 * N => {
                Some(Err(DecodeErrorKind::OverCapacity { size: 16 + len }))
            }
            // The rest may still come.
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

    /// As a reader would: asks for room, writes a part of it, and says so.
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
        // Looking between the two changes nothing.
        self.check();
        self.peek();
        self.ring.commit(len);
        self.taken += len;
        self.check();
    }

    fn peek(&mut self) {
        let expected = self.next();
        let offset = self.given;
        match (self.ring.peek(), expected) {
            (Some(Ok(event)), Some(Ok((record, _)))) => assert_eq!(Record::from(event), record),
            (Some(Err(error)), Some(Err(kind))) => {
                assert_eq!((error.offset(), error.kind()), (offset, kind));
            }
            (None, None) => {}
            (got, expected) => panic!("peeked at {got:?}, expected {expected:?}"),
        }
        self.check();
    }

    fn pop(&mut self) {
        self.pop_one();
    }

    /// Whether something came out.
    fn pop_one(&mut self) -> bool {
        let expected = self.next();
        let offset = self.given;
        match (self.ring.pop(), expected) {
            (Some(Ok(event)), Some(Ok((record, size)))) => {
                assert_eq!(Record::from(event), record);
                self.events.push(record);
                self.given += size;
            }
            (Some(Err(error)), Some(Err(kind))) => {
                assert_eq!((error.offset(), error.kind()), (offset, kind));
                self.stopped = true;
            }
            (None, None) => {
                self.check();
                return false;
            }
            (got, expected) => panic!("popped {got:?}, expected {expected:?}"),
        }
        self.check();
        true
    }
}

const MOVED_FROM: u32 = 0x40;
const MOVED_TO: u32 = 0x80;

/// What should become of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    Renamed(Record, Record),
    OnlyFrom(Record),
    OnlyTo(Record),
    Other(Record),
}

impl From<Rename<'_>> for Moved {
    fn from(given: Rename<'_>) -> Self {
        match given {
            Rename::Paired { from, to } => Self::Renamed(from.into(), to.into()),
            Rename::UnpairedFrom(event) => Self::OnlyFrom(event.into()),
            Rename::UnpairedTo(event) => Self::OnlyTo(event.into()),
            Rename::Other(event) => Self::Other(event.into()),
        }
    }
}

/// A window of old names; the oldest first.
pub struct Window {
    pub room: usize,
    pub waiting: Vec<Record>,
}

impl Window {
    pub fn push(&mut self, event: Record) -> Option<Moved> {
        match event.mask & (MOVED_FROM | MOVED_TO) {
            MOVED_FROM if event.name.as_ref().is_some_and(|name| name.len() > 255) => {
                Some(Moved::OnlyFrom(event))
            }
            MOVED_FROM => {
                self.waiting.push(event);
                let too_many = self.waiting.len() > self.room;
                too_many.then(|| Moved::OnlyFrom(self.waiting.remove(0)))
            }
            MOVED_TO => {
                let same = self.waiting.iter().rposition(|from| from.cookie == event.cookie);
                Some(match same {
                    Some(at) => Moved::Renamed(self.waiting.remove(at), event),
                    None => Moved::OnlyTo(event),
                })
            }
            _ => Some(Moved::Other(event)),
        }
    }
}

/// Pushes the events of a stream through a window of `N`, with some given up on the way, and checks
/// that each one that went in comes out once.
pub fn check_moves<const N: usize>(stream: &[u8]) {
    let mut moves = RenamePairer::<N>::new();
    let mut model = Window { room: N, waiting: Vec::new() };
    let (mut pushed, mut came) = (0, 0);
    for event in tinotify::Events::new(stream).map_while(Result::ok) {
        pushed += 1;
        let moved = moves.push(event).map(Moved::from);
        assert_eq!(moved, model.push(event.into()));
        came += match moved {
            None => 0,
            Some(Moved::Renamed(..)) => 2,
            Some(_) => 1,
        };
        // The stream itself says when: an empty queue is like any bit of it.
        if event.wd().as_raw() % 4 == 3 && !model.waiting.is_empty() {
            assert_eq!(moves.expire().map(Record::from), Some(model.waiting.remove(0)));
            came += 1;
        }
        assert_eq!((moves.len(), moves.is_empty()), (model.waiting.len(), pushed == came));
    }
    for record in model.waiting {
        assert_eq!(moves.expire().map(Record::from), Some(record));
        came += 1;
    }
    assert_eq!(moves.expire(), None);
    assert_eq!(came, pushed);
}
