//! Paths in the form of system calls, and opening directories by them.

use alloc::vec::Vec;
use core::ffi::CStr;

use crate::sys::{Errno, Fd, Links, retry_on_eintr};

/// The longest path that a system call accepts, in bytes (`PATH_MAX`, without the NUL).
pub(super) const MAX_PATH: usize = 4095;

/// Opens directories by paths of any length.
pub(super) struct Resolver {
    /// Whether links are followed.
    pub(super) links: Links,
    /// `false` once openat2(2) was refused.
    pub(super) has_openat2: bool,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { links: Links::Keep, has_openat2: true }
    }
}

impl Resolver {
    /// Opens a directory beneath another. No path is too long. `buffer` is for pieces of the path.
    pub(super) fn open(
        &mut self,
        buffer: &mut Vec<u8>,
        from: &Fd,
        path: &[u8],
    ) -> Result<Fd, Errno> {
        let mut opened = None;
        let mut rest = Some(path);
        while let Some(path) = rest {
            let piece;
            (piece, rest) = split_path(path)?;
            opened = Some(self.open_piece(buffer, opened.as_ref().unwrap_or(from), piece)?);
        }
        opened.ok_or(Errno::EINVAL)
    }

    fn open_piece(&mut self, buffer: &mut Vec<u8>, from: &Fd, piece: &[u8]) -> Result<Fd, Errno> {
        if self.links == Links::Follow {
            let path = c_path(buffer, &[piece])?;
            match retry_on_eintr(|| Fd::open_dir(Some(from), path, Links::Follow)) {
                // The kernel follows at most 40 links in one call. Name by name, no path has too many.
                Err(Errno::ELOOP) => {}
                opened => return opened,
            }
        } else if self.has_openat2 {
            let path = c_path(buffer, &[piece])?;
            match retry_on_eintr(|| from.open_beneath(path)) {
                // A kernel before 5.6, or a seccomp filter of that time.
                Err(Errno::ENOSYS | Errno::EPERM) => self.has_openat2 = false,
                opened => return opened,
            }
        }
        let mut opened = None;
        for name in piece.split(|&byte| byte == b'/') {
            let name = c_name(buffer, name)?;
            let from = opened.as_ref().unwrap_or(from);
            opened = Some(retry_on_eintr(|| Fd::open_dir(Some(from), name, self.links))?);
        }
        opened.ok_or(Errno::EINVAL)
    }
}

/// Joins the parts of a path in `buffer`.
pub(super) fn c_path<'b>(buffer: &'b mut Vec<u8>, parts: &[&[u8]]) -> Result<&'b CStr, Errno> {
    buffer.clear();
    for part in parts {
        buffer.extend_from_slice(part);
    }
    c_path_of(buffer)
}

pub(super) fn c_path_of(buffer: &mut Vec<u8>) -> Result<&CStr, Errno> {
    buffer.push(0);
    CStr::from_bytes_with_nul(buffer).map_err(|_| Errno::EINVAL)
}

pub(super) fn c_name<'b>(buffer: &'b mut Vec<u8>, name: &[u8]) -> Result<&'b CStr, Errno> {
    check_name(name)?;
    c_path(buffer, &[name])
}

/// Checks that a name leads to an entry of the directory and no further.
pub(super) fn check_name(name: &[u8]) -> Result<(), Errno> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Splits off as many names as one call accepts.
pub(super) fn split_path(path: &[u8]) -> Result<(&[u8], Option<&[u8]>), Errno> {
    if path.len() <= MAX_PATH {
        return Ok((path, None));
    }
    // The slash itself may be the first byte that is too much.
    let names = path.get(..=MAX_PATH).unwrap_or(path);
    let slash = names.iter().rposition(|&byte| byte == b'/').ok_or(Errno::ENAMETOOLONG)?;
    let (piece, rest) = path.split_at_checked(slash).ok_or(Errno::ENAMETOOLONG)?;
    Ok((piece, rest.get(1..)))
}
