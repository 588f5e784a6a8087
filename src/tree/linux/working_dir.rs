//! The working directory of a single thread.

use super::dir::Dir;
use crate::sys::{Errno, retry_on_eintr};
#[cfg(feature = "std")]
use crate::sys::{leave_working_dir, unshare_working_dir};

/// The working directory of a thread that shares it with no other.
pub(super) struct WorkingDir {
    /// The number of the current [`Dir`].
    at: Option<u64>,
}

/// Leaves the working directory of a thread when dropped.
///
/// A joined thread may still be ending (`do_exit` wakes in `exit_mm`, before `exit_fs`), and would keep the
/// directory in use meanwhile.
#[cfg(feature = "std")]
pub(super) struct Released;

#[cfg(feature = "std")]
impl Drop for Released {
    fn drop(&mut self) {
        // If `/` can't be searched, the directory stays in use until the thread has ended.
        let _ = retry_on_eintr(leave_working_dir);
    }
}

impl WorkingDir {
    /// Gives this thread its own working directory. The thread should end soon.
    #[cfg(feature = "std")]
    pub(super) fn new() -> Option<Self> {
        unshare_working_dir().ok()?;
        Some(Self { at: None })
    }

    pub(super) fn enter(&mut self, dir: &Dir) -> Result<(), Errno> {
        if self.at != Some(dir.number) {
            retry_on_eintr(|| dir.fd.change_dir())?;
            self.at = Some(dir.number);
        }
        Ok(())
    }
}
