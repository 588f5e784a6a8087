//! Decodes the records of getdents64(2), and any other bytes without a panic.

use core::iter::FusedIterator;

/// The offset of the name in `struct linux_dirent64`: behind `d_ino` and `d_off` (8 bytes each), `d_reclen`
/// (2) and `d_type` (1).
const NAME: usize = 19;
const POSITION: usize = 8;
const RECLEN: usize = 16;
const TYPE: usize = 18;

const DT_UNKNOWN: u8 = 0;
const DT_DIR: u8 = 4;
const DT_LNK: u8 = 10;

/// An entry of a directory, or `.` or `..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    /// Whether it is a directory; `None` if the file system does not say.
    pub(super) is_dir: Option<bool>,
    /// Whether it is known to be a symbolic link.
    pub(super) is_link: bool,
}

/// The bytes are not a record, or the name is not a valid one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The entries in a buffer. Ends after an error, where the bytes are not an entry.
#[derive(Clone, Debug)]
pub(super) struct Entries<'a> {
    bytes: &'a [u8],
    /// The position behind the last entry that was returned.
    position: u64,
}

impl<'a> Entries<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Returns `true` if no entry can follow in the directory: the position behind the last entry is the
    /// highest one. File systems set that at the end so that an entry that is created later is not read either
    /// (ext4, btrfs, tmpfs; Linux 6.18). Of others, another read shows the end.
    pub(super) const fn is_end(&self) -> bool {
        const HIGHEST: u64 = i64::MAX as u64;
        const HIGHEST_OF_32_BITS: u64 = i32::MAX as u64;
        matches!(self.position, HIGHEST | HIGHEST_OF_32_BITS)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let split = split(self.bytes);
        let position = self.bytes.get(POSITION..).and_then(<[u8]>::first_chunk);
        self.position = position.map_or(0, |position| u64::from_ne_bytes(*position));
        self.bytes = split.map_or(&[], |(_, rest)| rest);
        Some(split.map(|(entry, _)| entry).ok_or(Malformed))
    }
}

impl FusedIterator for Entries<'_> {}

fn split(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let len = bytes.get(RECLEN..)?.first_chunk()?;
    let (record, rest) = bytes.split_at_checked(usize::from(u16::from_ne_bytes(*len)))?;
    let kind = *record.get(TYPE)?;
    let padded = record.get(NAME..)?;
    let name = padded.get(..padded.iter().position(|&byte| byte == 0)?)?;
    // Such names come from a damaged disk or a malicious server. The kernel refuses them itself since Linux
    // 5.4 (verify_dirent_name).
    if name.is_empty() || name.contains(&b'/') {
        return None;
    }
    let is_dir = (kind != DT_UNKNOWN).then_some(kind == DT_DIR);
    Some((Entry { name, is_dir, is_link: kind == DT_LNK }, rest))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use alloc::vec::Vec;

    use super::{Entries, Malformed, NAME};

    /// The name, type and inode of a record to write.
    type Record = (Vec<u8>, u8, u64);

    fn record((name, kind, ino): &Record) -> Vec<u8> {
        let len = (NAME + name.len() + 1).next_multiple_of(8);
        let mut bytes = Vec::new();
        bytes.extend(ino.to_ne_bytes());
        bytes.extend((!ino).to_ne_bytes());
        bytes.extend(u16::try_from(len).unwrap().to_ne_bytes());
        bytes.push(*kind);
        bytes.extend(name);
        bytes.resize(len, 0);
        bytes
    }

    fn named(mut made: Vec<Record>) -> Vec<Record> {
        for (name, ..) in &mut made {
            name.retain(|&byte| byte != 0 && byte != b'/');
            name.push(b'x');
        }
        made
    }

    quickcheck::quickcheck! {
        fn records_come_back_as_they_were(made: Vec<Record>) -> bool {
            let made = named(made);
            let bytes: Vec<u8> = made.iter().flat_map(record).collect();
            let seen: Vec<_> = Entries::new(&bytes).map(|entry| {
                let entry = entry.unwrap();
                (entry.name.to_vec(), entry.is_dir)
            }).collect();
            let want: Vec<_> = made.into_iter().map(|(name, kind, _)| {
                (name, match kind { 0 => None, 4 => Some(true), _ => Some(false) })
            }).collect();
            seen == want
        }

        fn any_bytes_decode_to_names_and_at_most_one_error(bytes: Vec<u8>) -> bool {
            ends_well(&bytes)
        }

        fn damaged_records_decode_to_names_and_at_most_one_error(
            made: Vec<Record>, damage: Vec<(usize, u8)>, cut: usize
        ) -> bool {
            let mut bytes: Vec<u8> = named(made).iter().flat_map(record).collect();
            let len = bytes.len().max(1);
            for (at, value) in damage {
                if let Some(byte) = bytes.get_mut(at % len) {
                    *byte = value;
                }
            }
            bytes.truncate(len - cut % len);
            ends_well(&bytes)
        }
    }

    fn ends_well(bytes: &[u8]) -> bool {
        let all: Vec<_> = Entries::new(bytes).collect();
        let well = all.iter().all(|entry| match entry {
            Ok(entry) => {
                !entry.name.is_empty() && !entry.name.contains(&b'/') && !entry.name.contains(&0)
            }
            Err(Malformed) => true,
        });
        let errors = all.iter().rev().skip(1).filter(|entry| entry.is_err()).count();
        well && errors == 0 && all.len() <= bytes.len() / NAME + 1
    }

    #[test]
    fn the_end_is_known_by_the_position_behind_the_last_entry() {
        for (positions, is_end) in [
            (&[][..], false),
            (&[1, 2], false),
            (&[1, i64::MAX as u64], true),
            (&[1, i32::MAX as u64], true),
            (&[i64::MAX as u64, 3], false),
            (&[u64::MAX], false),
        ] {
            let mut bytes = Vec::new();
            for position in positions {
                let mut one = record(&(b"name".to_vec(), 4, 1));
                one[super::POSITION..super::POSITION + 8].copy_from_slice(&position.to_ne_bytes());
                bytes.extend(one);
            }
            let mut entries = Entries::new(&bytes);
            entries.by_ref().for_each(|entry| assert!(entry.is_ok()));
            assert_eq!(entries.is_end(), is_end, "{positions:?}");
        }
    }

    #[test]
    fn a_record_with_a_wrong_length_is_refused() {
        // The NUL of this name is the last of 24 bytes.
        let whole = record(&(b"name".to_vec(), 4, 1));
        assert_eq!(Entries::new(&whole).filter(Result::is_ok).count(), 1);
        for len in [0_u16, 1, 16, 18, 19, 20, 23, 25, u16::MAX] {
            let mut bytes = whole.clone();
            bytes[16..18].copy_from_slice(&len.to_ne_bytes());
            assert!(Entries::new(&bytes).eq([Err(Malformed)]), "{len}");
        }
        for len in 1..whole.len() {
            assert!(Entries::new(&whole[..len]).eq([Err(Malformed)]), "cut to {len}");
        }
    }

    #[test]
    fn invalid_names_are_refused() {
        for name in [&b""[..], b"/", b"../outside", b"a/b"] {
            let bytes = record(&(name.to_vec(), 8, 1));
            assert_eq!(Entries::new(&bytes).next(), Some(Err(Malformed)), "{name:?}");
        }
    }
}
