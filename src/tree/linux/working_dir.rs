//! The working directory of a thread that has one for itself.

#[cfg(feature = "std")]
use core::ffi::CStr;

use super::dir::Dir;
use crate::sys::{Errno, Fd, retry_on_eintr};
#[cfg(feature = "std")]
use crate::sys::{Links, leave_working_dir, unshare_working_dir};

/// The working directory of a thread that shares it with no other.
pub(super) struct WorkingDir {
    /// Where it was before; only of interest for a relative path of the root.
    pub(super) home: Option<Fd>,
    /// The number of the [`Dir`] that it is now.
    at: Option<u64>,
}

/// Leaves the working directory of a thread that has one for itself.
///
/// A joined thread may still be ending (`do_exit` wakes in `exit_mm`, before `exit_fs`), and would keep
/// the directory in use meanwhile.
#[cfg(feature = "std")]
pub(super) struct Released;

#[cfg(feature = "std")]
impl Drop for Released {
    fn drop(&mut self) {
        // Where `/` can't be searched, the directory stays in use until the thread has ended.
        let _ = retry_on_eintr(leave_working_dir);
    }
}

impl WorkingDir {
    /// Of this thread, which had better end soon.
    #[cfg(feature = "std")]
    pub(super) fn new(root: &CStr) -> Option<Self> {
        let home = if root.to_bytes().starts_with(b"/") {
            None
        } else {
            Some(Fd::open_dir(None, c".", Links::Follow).ok()?)
        };
        unshare_working_dir().ok()?;
        Some(Self { home, at: None })
    }

    pub(super) fn enter(&mut self, dir: &Dir) -> Result<(), Errno> {
        if self.at != Some(dir.number) {
            retry_on_eintr(|| dir.fd.change_dir())?;
            self.at = Some(dir.number);
        }
        Ok(())
    }
}
