//! Finds the inode of a watch in the kernel's own list: `/proc/self/fdinfo/FD` (proc_pid_fdinfo(5)).
//!
//! ```text
//! pos:    0
//! flags:  02004000
//! inotify wd:3 ino:9e7e sdev:800013 mask:800afce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 ...
//! ```
//!
//! The kernel generates the whole list when its file is first read, so it shows one moment. It is read in
//! pieces of a fixed size, however long it is.

use alloc::string::String;
use core::ffi::CStr;
use core::fmt::Write as _;
use core::str;

use crate::event::Wd;
use crate::inotify::Inotify;
use crate::sys::{Errno, Fd, retry_on_eintr};

/// The entry of a watch in the kernel's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// The list is missing or empty here.
    Unknown,
    /// The watch has ended; its `IGNORED` may still be queued.
    Ended,
    /// The inode number inside the kernel.
    ///
    /// It is that of stat(2) on ext4, xfs, tmpfs and most others. On a file system that shows other numbers
    /// than its own (overlayfs over several file systems, some on 32-bit kernels) it can differ.
    Inode(u64),
}

/// The size of one read of the list, in bytes.
const PIECE: usize = 4096;

/// Finds a watch in the kernel's list. For several watches, one call of [`list`] is better: the kernel
/// generates the whole list for each call, in half a second for 100,000 watches.
pub(super) fn look_up(inotify: &Inotify, wd: Wd) -> Watched {
    let (mut found, mut any) = (None, false);
    let listed = list(inotify, &mut |watch, ino| {
        any = true;
        if watch == wd {
            found = Some(ino);
        }
    });
    match found {
        Some(ino) => Watched::Inode(ino),
        // Some systems that emulate Linux have the file without watches in it.
        None if any && listed.is_ok() => Watched::Ended,
        None => Watched::Unknown,
    }
}

/// Calls `each` with each watch of the instance and its inode number.
///
/// # Errors
///
/// Those of openat(2) and read(2). The watches that were listed before the error are valid.
pub(crate) fn list(inotify: &Inotify, each: &mut dyn FnMut(Wd, u64)) -> Result<(), Errno> {
    let mut path = String::new();
    // Writing to a string does not fail.
    let _ = write!(path, "/proc/self/fdinfo/{}\0", inotify.as_raw());
    let path = CStr::from_bytes_with_nul(path.as_bytes()).map_err(|_| Errno::EINVAL)?;
    let list = retry_on_eintr(|| Fd::open_file(path))?;
    let (mut lines, mut piece) = (Lines::new(), [0; PIECE]);
    loop {
        let len = retry_on_eintr(|| list.read(&mut piece))?;
        if len == 0 {
            return Ok(());
        }
        lines.feed(piece.get(..len).unwrap_or_default(), &mut *each);
    }
}

/// The lines of the list, from pieces that are cut anywhere.
struct Lines {
    /// The beginning of the current line: the fields that matter take at most 54 bytes.
    begin: [u8; 64],
    len: usize,
}

impl Lines {
    const fn new() -> Self {
        Self { begin: [0; 64], len: 0 }
    }

    /// Calls `each` for each watch whose line ends in these bytes.
    fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Wd, u64)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (line, rest) = bytes.split_at_checked(end).unwrap_or_default();
            bytes = rest.get(1..).unwrap_or_default();
            self.keep(line);
            if let Some((wd, ino)) = self.begin.get(..self.len).and_then(watch) {
                each(wd, ino);
            }
            self.len = 0;
        }
        self.keep(bytes);
    }

    /// Appends as much to the beginning of the line as fits.
    fn keep(&mut self, bytes: &[u8]) {
        for (to, from) in self.begin.iter_mut().skip(self.len).zip(bytes) {
            *to = *from;
        }
        self.len = self.len.saturating_add(bytes.len()).min(self.begin.len());
    }
}

/// Returns the watch and the inode of a line with this beginning, `None` if it describes something else.
fn watch(line: &[u8]) -> Option<(Wd, u64)> {
    let mut words = line.strip_prefix(b"inotify ")?.split(|&byte| byte == b' ');
    let wd = hex(words.next()?.strip_prefix(b"wd:")?)?;
    let ino = hex(words.next()?.strip_prefix(b"ino:")?)?;
    // A number that was cut is the last word.
    words.next()?;
    Some((Wd::from_raw(i32::try_from(wd).ok()?), ino))
}

/// Parses a number, which is hexadecimal since Linux 3.17.
fn hex(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

    /// Returns the watches of a text that is read in pieces of these sizes.
    fn read(mut text: &[u8], sizes: &[u8]) -> Vec<(Wd, u64)> {
        let (mut lines, mut seen) = (Lines::new(), Vec::new());
        let mut sizes = sizes.iter().map(|&size| usize::from(size).max(1)).chain([usize::MAX]);
        while !text.is_empty() {
            let size = sizes.next().unwrap_or(usize::MAX).min(text.len());
            lines.feed(&text[..size], |wd, ino| seen.push((wd, ino)));
            text = &text[size..];
        }
        seen
    }

    fn text(watches: &[(u32, u64, u8)]) -> String {
        let mut text = String::from("pos:\t0\nflags:\t02004000\nmnt_id:\t15\n");
        for (wd, ino, handle) in watches {
            let wd = wd >> 1;
            text += &format!("inotify wd:{wd:x} ino:{ino:x} sdev:800013 mask:fce ignored_mask:0 ");
            text += &format!("fhandle-bytes:8 f_handle:{}\n", "ab".repeat(usize::from(*handle)));
        }
        text
    }

    quickcheck::quickcheck! {
        fn all_watches_are_read_from_a_list_in_any_pieces(
            watches: Vec<(u32, u64, u8)>, sizes: Vec<u8>
        ) -> bool {
            let want: Vec<_> = watches.iter().map(|&(wd, ino, _)| {
                (Wd::from_raw(i32::try_from(wd >> 1).unwrap_or(-1)), ino)
            }).collect();
            read(text(&watches).as_bytes(), &sizes) == want
        }

        fn any_bytes_are_read_the_same_in_any_pieces(
            bytes: Vec<u8>, damage: Vec<(usize, u8)>, sizes: Vec<u8>
        ) -> bool {
            let mut damaged = text(&[(2, 3, 4), (u32::MAX, u64::MAX, 128)]).into_bytes();
            for (at, byte) in damage {
                let len = damaged.len();
                damaged[at % len] = byte;
            }
            [&bytes, &damaged].iter().all(|bytes| read(bytes, &sizes) == read(bytes, &[]))
        }
    }

    #[test]
    fn a_cut_or_unrelated_line_is_not_a_watch() {
        for line in [
            "inotify wd:1 ino:2\n",
            "inotify wd:1 ino:2 sdev:3",
            "inotify wd:1\n",
            "inotify wd:-1 ino:2 sdev:3\n",
            "inotify wd:100000000 ino:2 sdev:3\n",
            "inotify wd: ino:2 sdev:3\n",
            "inotify wd:1 ino:11112222333344445 sdev:3\n",
            "fanotify ino:2 sdev:3\n",
            " inotify wd:1 ino:2 sdev:3\n",
            "\n",
        ] {
            assert_eq!(read(line.as_bytes(), &[]), [], "{line:?}");
        }
        let longest = "inotify wd:7fffffff ino:ffffffffffffffff sdev:ffffffff mask:0\n";
        let want = (Wd::from_raw(i32::MAX), u64::MAX);
        assert_eq!(read(longest.as_bytes(), &[3, 1, 30]), [want]);
    }
}
