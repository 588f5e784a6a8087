//! Working directories that belong to one piece of work: that of its thread, and that of its child process.

use core::ffi::CStr;

use super::dir::Dir;
use crate::event::Wd;
use crate::flags::WatchMask;
use crate::inotify::Inotify;
use crate::sys::{Child, Errno, retry_on_eintr};
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

/// A child process with its own working directory. It is started by the first call, and ends when this is
/// dropped.
#[derive(Default)]
pub(super) struct WorkingChild {
    child: Option<Child>,
    /// The number of the child's current [`Dir`], if that is known.
    at: Option<u64>,
}

impl WorkingChild {
    /// Watches `path`, relative to a directory.
    pub(super) fn add_watch(
        &mut self,
        inotify: &Inotify,
        dir: &Dir,
        path: &CStr,
        mask: WatchMask,
    ) -> Result<Wd, Errno> {
        let was_running = self.child.is_some();
        match self.call(inotify, dir, path, mask)? {
            Some(result) => result,
            // It ends by itself when it has nothing to do for a while.
            None if was_running => {
                self.call(inotify, dir, path, mask)?.unwrap_or(Err(Errno::EPERM))
            }
            None => Err(Errno::EPERM),
        }
    }

    /// Returns `None` if the child has ended before the call.
    fn call(
        &mut self,
        inotify: &Inotify,
        dir: &Dir,
        path: &CStr,
        mask: WatchMask,
    ) -> Result<Option<Result<Wd, Errno>>, Errno> {
        let at = self.at.take();
        // A child that has not answered is not asked again: the answer could come late.
        let mut child = self.child.take().map_or_else(Child::start, Ok)?;
        let new_dir = (at != Some(dir.number)).then_some(&dir.fd);
        let Ok(result) = child.add_watch(inotify.fd(), new_dir, path, mask) else {
            return Ok(None);
        };
        self.child = Some(child);
        self.at = result.is_ok().then_some(dir.number);
        Ok(Some(result))
    }
}
