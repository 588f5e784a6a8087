//! Whether a file is open for writing.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;

use crate::sys::{self, Errno};

/// Returns `true` if a file is open for writing, in any process.
///
/// inotify(7) reports that a writer closes a file (`CLOSE_WRITE`), but not whether one has it open when
/// watching begins. This call answers that: a program that takes finished files out of a directory leaves
/// those that are still being written. If the answer is `true`, a `CLOSE_WRITE` comes later for a file that
/// is watched before the call.
///
/// `file` must be open for reading only. The call takes a read lease (`F_SETLEASE` of fcntl(2)) and gives it
/// back. A writer that opens the file in between waits for some microseconds, and this process may receive
/// `SIGURG`, which is ignored by default. A shared writable mapping is not seen once its descriptor is
/// closed. Never blocks.
///
/// ```
/// # #[cfg(not(miri))] {
/// use std::fs::File;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("job");
/// let mut writer = File::create(&path)?;
/// assert!(tinotify::has_writers(&File::open(&path)?)?);
/// drop(writer);
/// assert!(!tinotify::has_writers(&File::open(&path)?)?);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// - `EACCES` if the file belongs to another user, and the process lacks `CAP_LEASE`.
/// - `EINVAL` if it is not a regular file, or if its file system has no leases (NFS, for example).
/// - `ENOSYS` or `EPERM` if a seccomp filter forbids fcntl(2).
#[doc(alias = "F_SETLEASE")]
pub fn has_writers(file: impl AsFd) -> Result<bool, Errno> {
    sys::has_writers(file)
}
