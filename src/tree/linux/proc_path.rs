//! The path of a descriptor in /proc.

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write as _;

use super::dir::Dir;
use super::paths::c_path;
use crate::sys::{Errno, Fd, Links, retry_on_eintr};

/// The path of an open directory, if a /proc of this process is mounted.
#[derive(Default)]
pub(super) struct ProcPath {
    /// Whether that works here; `None` until it was tried.
    pub(super) works: Option<bool>,
    /// The number of the [`Dir`] of `path`.
    number: u64,
    path: String,
    /// The buffer for the path and a name behind it.
    buffer: Vec<u8>,
}

impl ProcPath {
    /// Sets the path to that of the directory, if that works here.
    pub(super) fn set(&mut self, dir: &Dir) -> bool {
        if self.works == Some(false) {
            return false;
        }
        if self.number != dir.number {
            self.number = dir.number;
            self.path.clear();
            // Writing to a string does not fail.
            let _ = write!(self.path, "/proc/self/fd/{}", dir.fd.as_raw());
        }
        self.works.is_some() || self.check(dir)
    }

    /// Checks that the path leads to the directory.
    pub(super) fn check(&mut self, dir: &Dir) -> bool {
        let found =
            self.get(None).and_then(|path| retry_on_eintr(|| Fd::stat(None, path, Links::Follow)));
        let own = retry_on_eintr(|| Fd::stat(Some(&dir.fd), c"", Links::Keep));
        let works = matches!((found, own), (Ok(found), Ok(own))
            if (found.dev, found.ino) == (own.dev, own.ino));
        self.works = Some(works);
        works
    }

    /// Returns the path, or that of a name in the directory.
    pub(super) fn get(&mut self, name: Option<&[u8]>) -> Result<&CStr, Errno> {
        let path = self.path.as_bytes();
        match name {
            Some(name) => c_path(&mut self.buffer, &[path, b"/", name]),
            None => c_path(&mut self.buffer, &[path]),
        }
    }
}
