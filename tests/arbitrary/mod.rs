//! Generates events, streams of events, and damaged streams for quickcheck.

// Each test binary uses a part of this.
#![allow(dead_code)]

use quickcheck::{Arbitrary, Gen, QuickCheck, Testable};

use crate::oracle::Record;

/// Checks a property many times, and a few times under Miri, which is slow.
pub fn holds(property: impl Testable) {
    let (tests, size) = if cfg!(miri) { (5, 50) } else { (1000, 100) };
    QuickCheck::new().rng(Gen::new(size)).tests(tests).quickcheck(property);
}

fn below(g: &mut Gen, end: usize) -> usize {
    usize::arbitrary(g) % end
}

fn one_in(g: &mut Gen, n: usize) -> bool {
    below(g, n) == 0
}

/// Generates a name without NUL, usually short, often of a length at which the padding changes.
fn name(g: &mut Gen) -> Vec<u8> {
    const EDGES: [usize; 10] = [0, 1, 14, 15, 16, 17, 31, 32, 255, 256];
    let len = match below(g, 40) {
        0 if !cfg!(miri) => below(g, 4096),
        1..10 => *g.choose(&EDGES).unwrap(),
        _ => below(g, 48),
    };
    let text = *g.choose(&[&b"name"[..], b"/", b".", "é\u{202e}".as_bytes(), b"\x1b[2J"]).unwrap();
    let text = text.iter().copied().cycle().take(len);
    if bool::arbitrary(g) {
        text.collect()
    } else {
        text.map(|_| u8::arbitrary(g).max(1)).collect()
    }
}

impl Arbitrary for Record {
    fn arbitrary(g: &mut Gen) -> Self {
        let any = one_in(g, 4);
        let (wd, mask, cookie) = if any {
            (i32::arbitrary(g), u32::arbitrary(g), u32::arbitrary(g))
        } else {
            // Few cookies and many renames, so that events are paired.
            let bit = *g.choose(&[6, 6, 7, 7, 0, 1, 8, 9, 13, 14, 15]).unwrap();
            (below(g, 6) as i32 - 1, (1 << bit) | u32::arbitrary(g) & 1 << 30, below(g, 5) as u32)
        };
        let name = if one_in(g, 4) { None } else { Some(name(g)) };
        Self { wd, mask, cookie, name }
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let this = self.clone();
        let parts = (self.wd, self.mask, self.cookie, self.name.clone());
        let shrunk = parts.shrink().map(|(wd, mask, cookie, name)| Self { wd, mask, cookie, name });
        Box::new(shrunk.filter(move |other| {
            *other != this && other.name.as_ref().is_none_or(|name| !name.contains(&0))
        }))
    }
}

/// The records of a valid stream.
#[derive(Clone, Debug)]
pub struct Stream(pub Vec<Record>);

impl Stream {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(Record::bytes).collect()
    }
}

impl Arbitrary for Stream {
    fn arbitrary(g: &mut Gen) -> Self {
        let len = below(g, if cfg!(miri) { 8 } else { 40 });
        Self((0..len).map(|_| Record::arbitrary(g)).collect())
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        Box::new(self.0.shrink().map(Self))
    }
}

/// The bytes of a stream with some damage, or none.
#[derive(Clone, Debug)]
pub struct Damaged(pub Vec<u8>);

impl Arbitrary for Damaged {
    fn arbitrary(g: &mut Gen) -> Self {
        let records = Stream::arbitrary(g).0;
        let mut bytes = Vec::new();
        for record in &records {
            let start = bytes.len();
            bytes.extend(record.bytes());
            let record = &mut bytes[start..];
            let last = record.len() - 1;
            match below(g, 30) {
                // The length, any or a likely one.
                0 => record[12..16].copy_from_slice(&u32::arbitrary(g).to_ne_bytes()),
                1 => {
                    let len = *g.choose(&[16, 32, 256, 272, 1024, 4096, 4112, 15, 17]).unwrap();
                    record[12..16].copy_from_slice(&u32::to_ne_bytes(len));
                }
                // The last byte of the padding, or of the length if there is no name.
                2 => record[last] = u8::arbitrary(g),
                // A NUL somewhere in the name.
                3 if last >= 16 => record[16 + below(g, last - 15)] = 0,
                // NULs from some byte of the name to its end, perhaps more than padding has.
                4 if last >= 16 => record[16 + below(g, last - 15)..].fill(0),
                5 => record[below(g, last + 1)] ^= 1 << below(g, 8),
                _ => {}
            }
        }
        match below(g, 8) {
            0 => bytes.truncate(below(g, bytes.len() + 1)),
            1 => bytes.extend(Vec::<u8>::arbitrary(g)),
            _ => {}
        }
        Self(bytes)
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        // Removes whole cells first, many and then few, so that the headers stay aligned. Shrinks single
        // bytes only in a short stream, because it tries each.
        let bytes = self.0.clone();
        let cells = bytes.len().div_ceil(16);
        let sizes = std::iter::successors(Some(cells / 2), |size| Some(size / 2));
        let cuts = sizes.take_while(|size| *size > 0).flat_map(move |size| {
            (0..cells).step_by(size).map(move |at| (16 * at, 16 * (at + size)))
        });
        let shorter = cuts.map(move |(from, to)| {
            let mut bytes = bytes.clone();
            bytes.drain(from..to.min(bytes.len()));
            Self(bytes)
        });
        let few = if self.0.len() <= 256 { self.0.clone() } else { Vec::new() };
        Box::new(shorter.chain(few.shrink().map(Self)))
    }
}
