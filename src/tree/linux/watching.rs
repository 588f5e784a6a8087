//! Adds watches at open directories.
//!
//! inotify_add_watch(2) takes a path, and a path can lead elsewhere by the time the kernel resolves it. No
//! check before or after the call shows which directory was watched. So the directory is opened, and named to
//! the call so that nothing on the way can be swapped, by the first of these methods that works:
//!
//! | name | needs | cost of one call |
//! |---|---|---|
//! | `name`, or `.`, in the working directory of a thread that does a lot at once ([`WorkingDir`]) | `unshare`, `std` | the least |
//! | `/proc/self/fd/N/name` | a /proc of this process | a longer path |
//! | as the first, in a thread for this one call | `unshare`, `std` | a thread |
//! | `name`, or `.`, in the working directory of a child process ([`WorkingChild`]) | `clone` | seven more system calls, or more while one process waits for the other; a process for each piece of work |
//!
//! If none of them works, nothing is watched, and the error says why, mostly `EPERM`. A directory that may be
//! read but not searched can't be a working directory: only /proc leads to it.

use alloc::vec::Vec;
use core::ffi::CStr;

use super::dir::Dir;
use super::paths::c_path;
use super::proc_path::ProcPath;
#[cfg(feature = "std")]
use super::working_dir::Released;
use super::working_dir::{WorkingChild, WorkingDir};
use crate::event::Wd;
use crate::flags::WatchMask;
use crate::inotify::Inotify;
use crate::sys::{Errno, Links, retry_on_eintr};

/// Adds watches by the first method that works here.
#[derive(Default)]
pub(super) struct Watching {
    /// Whether links are followed.
    pub(super) links: Links,
    pub(super) proc_path: ProcPath,
    /// `true` once a thread could not get its own working directory.
    #[cfg(feature = "std")]
    pub(super) is_unshare_refused: bool,
    name: Vec<u8>,
}

/// An open directory, or a name in it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) dir: &'a Dir,
    pub(super) name: Option<&'a [u8]>,
}

impl Watching {
    /// Watches a directory. `working` is the working directory of this thread, if it has its own. `child` makes
    /// the call if nothing else can.
    pub(super) fn add(
        &mut self,
        inotify: &Inotify,
        working: Option<&mut WorkingDir>,
        child: &mut WorkingChild,
        place: Place<'_>,
        mask: WatchMask,
    ) -> Result<Wd, Errno> {
        let Place { dir, name } = place;
        let mut mask = mask | WatchMask::ONLYDIR;
        if name.is_some() && self.links == Links::Keep {
            mask |= WatchMask::DONT_FOLLOW;
        }
        // Fails if the directory may be read but not searched.
        if working.is_some_and(|working| working.enter(dir).is_ok()) {
            let name = c_path(&mut self.name, &[name.unwrap_or(b".")])?;
            return add_watch(inotify, name, mask);
        }
        if self.proc_path.set(dir) {
            let added = self.proc_path.get(name).and_then(|path| add_watch(inotify, path, mask));
            if added != Err(Errno::ENOENT) || self.proc_path.check(dir) {
                return added;
            }
        }
        let name = c_path(&mut self.name, &[name.unwrap_or(b".")])?;
        #[cfg(feature = "std")]
        if !self.is_unshare_refused {
            match add_in_thread(inotify, dir, name, mask) {
                Some(Err(ThreadFailure::Refused)) => self.is_unshare_refused = true,
                Some(Err(ThreadFailure::Failed(errno))) => return Err(errno),
                Some(Ok(wd)) => return Ok(wd),
                None => {}
            }
        }
        let mask = mask.check().map_err(|_| Errno::EINVAL)?;
        child.add_watch(inotify, dir, name, mask)
    }
}

fn add_watch(inotify: &Inotify, path: &CStr, mask: WatchMask) -> Result<Wd, Errno> {
    // An invalid mask has no error number.
    retry_on_eintr(|| {
        inotify.add_watch(path, mask).map_err(|error| error.errno().unwrap_or(Errno::EINVAL))
    })
}

/// Why a thread could not add a watch.
#[cfg(feature = "std")]
enum ThreadFailure {
    /// A thread can't have its own working directory here.
    Refused,
    Failed(Errno),
}

/// Adds a watch in a thread with its own working directory. Returns `None` if no thread starts.
#[cfg(feature = "std")]
fn add_in_thread(
    inotify: &Inotify,
    dir: &Dir,
    name: &CStr,
    mask: WatchMask,
) -> Option<Result<Wd, ThreadFailure>> {
    let add = || {
        crate::sys::unshare_working_dir().map_err(|errno| match errno {
            Errno::EPERM | Errno::ENOSYS => ThreadFailure::Refused,
            errno => ThreadFailure::Failed(errno),
        })?;
        let _released = Released;
        retry_on_eintr(|| dir.fd.change_dir()).map_err(ThreadFailure::Failed)?;
        add_watch(inotify, name, mask).map_err(ThreadFailure::Failed)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, add);
        thread.ok()?.join().ok()
    })
}
