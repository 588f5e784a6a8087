//! Paths of watches and of events.
//!
//! The path of an event is that of its directory, a slash, and a name. [`PathBuffer`] keeps the directory
//! from one event to the next, so that most events only copy their name.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The path of a watched file or directory. A clone shares the bytes.
#[derive(Clone)]
pub(super) struct SharedPath {
    /// The path, with a slash at its end.
    bytes: Arc<[u8]>,
    /// The length of the path as it was given.
    len: usize,
}

impl SharedPath {
    pub fn new(path: &Path) -> Self {
        let path = path.as_os_str().as_bytes();
        let mut bytes = Vec::with_capacity(path.len().saturating_add(1));
        bytes.extend_from_slice(path);
        end_with_slash(&mut bytes);
        Self { bytes: bytes.into(), len: path.len() }
    }

    /// The length of the path as it was given.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Appends the path and a slash to `path`.
    pub fn push_to(&self, path: &mut Vec<u8>) {
        path.extend_from_slice(&self.bytes);
    }

    pub fn as_path(&self) -> &Path {
        as_path(self.bytes.get(..self.len).unwrap_or_default())
    }
}

impl std::fmt::Debug for SharedPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_path().fmt(f)
    }
}

/// The path of an event, and the length of its directory's path.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventPath<'a> {
    bytes: &'a [u8],
    directory: usize,
}

impl<'a> EventPath<'a> {
    /// No path.
    pub const EMPTY: Self = Self { bytes: &[], directory: 0 };

    #[inline]
    pub fn path(self) -> &'a Path {
        as_path(self.bytes)
    }

    pub fn directory(self) -> &'a Path {
        as_path(self.bytes.get(..self.directory).unwrap_or_default())
    }
}

/// The size of the blocks to which the kernel pads a name.
pub(super) const BLOCK: usize = 16;

/// The buffer in which the path of the event that is lent is composed.
#[derive(Debug, Default)]
pub(super) struct PathBuffer {
    /// The path, and room for a block behind the directory.
    bytes: Vec<u8>,
    /// The length of the directory's path as it was given, and with a slash.
    directory: usize,
    prefix: usize,
    /// The length of the whole path.
    len: usize,
}

impl PathBuffer {
    /// Sets the directory: its path with a slash at the end, and the length of the path as it was given.
    pub fn set_directory(&mut self, prefix: &[u8], directory: usize) {
        (self.prefix, self.directory) = (prefix.len(), directory);
        let needed = prefix.len().saturating_add(BLOCK);
        if self.bytes.len() < needed {
            self.bytes.resize(needed, 0);
        }
        if let Some(place) = self.bytes.get_mut(..prefix.len()) {
            place.copy_from_slice(prefix);
        }
    }

    /// Sets the name in the directory. If it is empty, the path is that of the directory. `block` is the name
    /// with its padding, if it has at most 16 bytes: copied without a loop.
    #[inline(always)]
    pub fn set_name(&mut self, name: &[u8], block: Option<&[u8; BLOCK]>) {
        let place = self.bytes.get_mut(self.prefix..).unwrap_or_default();
        match (block, place.first_chunk_mut()) {
            (Some(block), Some(place)) if matches!(name.len(), 1..=BLOCK) => {
                *place = *block;
                self.len = self.prefix.wrapping_add(name.len());
            }
            _ => self.set_any_name(name),
        }
    }

    #[inline(never)]
    fn set_any_name(&mut self, name: &[u8]) {
        self.len = self.directory;
        if name.is_empty() {
            return;
        }
        self.len = self.prefix.saturating_add(name.len());
        if self.bytes.len() < self.len {
            self.bytes.resize(self.len, 0);
        }
        if let Some(place) = self.bytes.get_mut(self.prefix..self.len) {
            place.copy_from_slice(name);
        }
    }

    #[inline(always)]
    pub fn get(&self) -> EventPath<'_> {
        EventPath {
            bytes: self.bytes.get(..self.len).unwrap_or_default(),
            directory: self.directory,
        }
    }
}

/// The path of an event that owns it.
#[derive(Clone, Default)]
pub(super) struct OwnedPath {
    /// The path and a NUL; nothing for no path.
    bytes: Box<[u8]>,
    directory: usize,
    /// The offset of the name; the length of `bytes` if there is no name.
    name: usize,
}

impl OwnedPath {
    /// Returns the path of a name in a directory, or of the directory if the name is empty.
    pub fn new(directory: &Path, name: &[u8]) -> Self {
        let directory = directory.as_os_str().as_bytes();
        let mut bytes =
            Vec::with_capacity(directory.len().saturating_add(name.len()).saturating_add(2));
        bytes.extend_from_slice(directory);
        if !name.is_empty() {
            end_with_slash(&mut bytes);
            bytes.extend_from_slice(name);
        }
        Self::with_name(bytes, directory.len(), name.len())
    }

    /// Returns a path beneath that of a watch. Its last name is the name in a directory.
    pub fn beneath(watch: &SharedPath, path: &[u8]) -> Self {
        if path.is_empty() {
            return Self::new(watch.as_path(), path);
        }
        let mut bytes =
            Vec::with_capacity(watch.bytes.len().saturating_add(path.len()).saturating_add(1));
        bytes.extend_from_slice(&watch.bytes);
        bytes.extend_from_slice(path);
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default().len();
        let directory = if name < path.len() {
            bytes.len().saturating_sub(name).saturating_sub(1)
        } else {
            watch.len
        };
        Self::with_name(bytes, directory, name)
    }

    /// Returns the path of an event, whose name has this length.
    pub fn of(path: EventPath<'_>, name: usize) -> Self {
        let mut bytes = Vec::with_capacity(path.bytes.len().saturating_add(1));
        bytes.extend_from_slice(path.bytes);
        Self::with_name(bytes, path.directory, name)
    }

    fn with_name(mut path: Vec<u8>, directory: usize, name: usize) -> Self {
        let end = path.len();
        path.push(0);
        let name = if name == 0 { path.len() } else { end.saturating_sub(name) };
        Self { bytes: path.into(), directory, name }
    }

    pub fn get(&self) -> EventPath<'_> {
        let bytes = self.bytes.split_last().map_or(&[][..], |(_nul, path)| path);
        EventPath { bytes, directory: self.directory }
    }

    pub fn into_path(self) -> PathBuf {
        let mut path = Vec::from(self.bytes);
        // The NUL, if there is a path.
        path.pop();
        OsString::from_vec(path).into()
    }

    /// Returns the name and a NUL; nothing if there is no name.
    pub fn name_and_nul(&self) -> &[u8] {
        self.bytes.get(self.name..).unwrap_or_default()
    }
}

fn end_with_slash(path: &mut Vec<u8>) {
    if path.last().is_some_and(|&last| last != b'/') {
        path.push(b'/');
    }
}

#[inline]
fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_name(buffer: &mut PathBuffer, name: &str) {
        let mut padded = name.as_bytes().to_vec();
        padded.resize(name.len().max(1).next_multiple_of(BLOCK), 0);
        buffer.set_name(name.as_bytes(), padded.first_chunk());
    }

    /// The watch, the path beneath it, the directory's path, and the path of a name in it.
    const CASES: [(&str, &str); 5] =
        [("a", "a/x"), ("a/", "a/x"), ("/", "/x"), ("a/b", "a/b/x"), ("", "x")];

    #[test]
    fn one_slash_is_between_a_directory_and_its_entry() {
        let mut buffer = PathBuffer::default();
        for (directory, entry) in CASES {
            let shared = SharedPath::new(Path::new(directory));
            buffer.set_directory(&shared.bytes, shared.len);
            for (name, path) in [("", directory), ("x", entry), ("", directory)] {
                set_name(&mut buffer, name);
                let composed = buffer.get();
                assert_eq!(composed.path().as_os_str(), path);
                assert_eq!(composed.directory().as_os_str(), directory);

                let one = OwnedPath::new(Path::new(directory), name.as_bytes());
                for owned in [OwnedPath::of(composed, name.len()), one] {
                    assert_eq!(owned.get().path().as_os_str(), path);
                    assert_eq!(owned.get().directory().as_os_str(), directory);
                    let nul: &[u8] = if name.is_empty() { b"" } else { b"\0" };
                    assert_eq!(owned.name_and_nul(), [name.as_bytes(), nul].concat());
                }
            }
        }
    }

    #[test]
    fn the_last_name_beneath_a_watch_is_the_name_of_the_event() {
        for (watch, beneath, path, directory, name) in [
            ("a", "", "a", "a", &b""[..]),
            ("a/", "x", "a/x", "a/", b"x\0"),
            ("/", "b/c/x", "/b/c/x", "/b/c", b"x\0"),
        ] {
            let watch = SharedPath::new(Path::new(watch));
            let owned = OwnedPath::beneath(&watch, beneath.as_bytes());
            assert_eq!(owned.get().path().as_os_str(), path);
            assert_eq!(owned.get().directory().as_os_str(), directory);
            assert_eq!(owned.name_and_nul(), name);
        }
    }

    #[test]
    fn a_long_name_is_followed_by_a_short_one_and_a_longer_one() {
        let mut buffer = PathBuffer::default();
        buffer.set_directory(b"d/", 1);
        for len in [1, 16, 255, 3, 0, 17, 4096, 2] {
            let name = "n".repeat(len);
            set_name(&mut buffer, &name);
            let path = if len == 0 { "d".to_owned() } else { format!("d/{name}") };
            assert_eq!(buffer.get().path().as_os_str(), path.as_str());
        }
    }

    #[test]
    fn no_path_has_no_name() {
        let none = OwnedPath::default();
        assert_eq!(none.get().path().as_os_str(), "");
        assert_eq!(none.name_and_nul(), b"");
    }
}
