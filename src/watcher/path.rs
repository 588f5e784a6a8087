//! Paths that events share.
//!
//! The bytes end with a slash, so that the path of an entry is one copy and one push.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
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
        Self::from_parts(path.as_os_str().as_bytes(), &[])
    }

    /// Returns the path of what is beneath this one; `beneath` may be empty.
    pub fn join(&self, beneath: &[u8]) -> Self {
        if beneath.is_empty() { self.clone() } else { Self::from_parts(&self.bytes, beneath) }
    }

    fn from_parts(path: &[u8], beneath: &[u8]) -> Self {
        let mut bytes =
            Vec::with_capacity(path.len().saturating_add(beneath.len()).saturating_add(1));
        bytes.extend_from_slice(path);
        bytes.extend_from_slice(beneath);
        let len = bytes.len();
        if bytes.last() != Some(&b'/') {
            bytes.push(b'/');
        }
        Self { bytes: bytes.into(), len }
    }

    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.bytes.get(..self.len).unwrap_or_default()))
    }

    /// Appends the path, or the path of an entry of this directory, to `path`.
    #[inline]
    pub fn push_to(&self, path: &mut OsString, entry: Option<&OsStr>) {
        match entry {
            Some(entry) => {
                path.push(OsStr::from_bytes(&self.bytes));
                path.push(entry);
            }
            None => path.push(self.as_path()),
        }
    }
}

impl std::fmt::Debug for SharedPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_path().fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn entry(path: &SharedPath, name: Option<&str>) -> String {
        let mut whole = OsString::new();
        path.push_to(&mut whole, name.map(OsStr::new));
        whole.into_string().unwrap()
    }

    #[test]
    fn one_slash_is_between_a_directory_and_its_entry() {
        for (dir, beneath, path, with_entry) in [
            ("a", "", "a", "a/x"),
            ("a/", "", "a/", "a/x"),
            ("/", "", "/", "/x"),
            ("a", "b/c", "a/b/c", "a/b/c/x"),
            ("a/", "b", "a/b", "a/b/x"),
            ("/", "b", "/b", "/b/x"),
        ] {
            let joined = SharedPath::new(Path::new(dir)).join(beneath.as_bytes());
            assert_eq!(entry(&joined, None), path);
            assert_eq!(entry(&joined, Some("x")), with_entry);
            assert_eq!(joined.as_path(), Path::new(path));
        }
    }
}
