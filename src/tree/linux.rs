//! The kernel that this program runs on.
//!
//! inotify_add_watch(2) takes a path, and a path can lead elsewhere by the time it is walked. No check
//! before or after the call shows what was watched in between. So a directory is held by a descriptor,
//! and named so that nothing on the way can be swapped, in the first of these ways that works:
//!
//! | way | needs | cost of one call |
//! |---|---|---|
//! | `name`, or `.`, in the working directory of a thread that does much at once ([`Linux::on_own_thread`]) | `unshare`, `std` | the least |
//! | `/proc/self/fd/N/name` | a /proc that is this process' own | a longer path |
//! | as the first, in a thread for this one call | `unshare`, `std` | a thread |
//! | `name`, or `.`, in the working directory of a child process for this one call | `clone` | a process |
//!
//! Where none of them works, nothing is watched, and the error says why: `EPERM`, mostly. A directory
//! that may be read but not searched can be entered by nobody: only /proc leads to it.
//!
//! Descriptors are opened with `O_PATH`, which makes no events and needs no permission to read; what
//! is listed is opened once more for that.

#![forbid(unsafe_code)]

mod entries;
#[cfg(all(test, feature = "std"))]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;
use core::fmt::Write as _;

use self::entries::Entries;
use super::kernel::{Kernel, Stat};
use crate::event::Wd;
use crate::flags::WatchMask;
use crate::inotify::Inotify;
use crate::sys::{EntryBuffer, Errno, Fd, Links, Status};

/// The longest path that a call takes, in bytes (`PATH_MAX`, without the NUL).
const PATH: usize = 4095;

/// The room for a listing, in bytes.
const LISTING: usize = 32 * 1024;

/// The calls of one tree to the real kernel.
pub(crate) struct Linux<'a> {
    inotify: &'a Inotify,
    root: &'a CStr,
    /// Whether somebody else needs the watch.
    shared: &'a (dyn Fn(Wd) -> bool + Sync),
    state: &'a mut State,
    working: Option<WorkingDir>,
}

/// The working directory of a thread that shares it with no other.
struct WorkingDir {
    /// Where it was before; only of interest for a relative path of the root.
    home: Option<Fd>,
    /// The number of the [`Dir`] that it is now.
    at: Option<u64>,
}

/// What is kept between the calls of a tree.
#[derive(Default)]
pub(crate) struct State {
    ways: Ways,
    /// The number of the last [`Dir`].
    dirs: u64,
    /// For the devices seen, whether subdirectories are counted in link counts.
    counting: Vec<(u64, bool)>,
    /// Paths, on their way into calls.
    path: Vec<u8>,
    /// The path of a descriptor in /proc, and the number of its [`Dir`].
    proc_path: (u64, String),
    listing: Option<Box<EntryBuffer<LISTING>>>,
}

/// What works here, as far as it was tried.
struct Ways {
    proc: Option<bool>,
    openat2: bool,
    #[cfg(feature = "std")]
    threads: bool,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            proc: None,
            openat2: true,
            #[cfg(feature = "std")]
            threads: true,
        }
    }
}

/// An open directory.
pub(crate) struct Dir {
    fd: Fd,
    /// Unlike the descriptor's, this number is never given again.
    number: u64,
}

impl<'a> Linux<'a> {
    /// The tree at the path `root`, watched by `inotify`. `shared` tells whether a watch must stay
    /// where the tree needs it no more.
    pub(crate) fn new(
        inotify: &'a Inotify,
        root: &'a CStr,
        shared: &'a (dyn Fn(Wd) -> bool + Sync),
        state: &'a mut State,
    ) -> Self {
        Self { inotify, root, shared, state, working: None }
    }

    /// Does much work in a thread of its own, which has a working directory of its own: watching takes
    /// two thirds of the time there. Where no thread is to be had, the work is done here.
    ///
    /// The directory that was worked on last stays in use until this returns: its file system can't
    /// be unmounted, and its `DELETE_SELF` does not come.
    #[cfg(feature = "std")]
    pub(crate) fn on_own_thread<T: Send>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> T + Send,
    ) -> T {
        let mut done = None;
        let panicked = std::thread::scope(|scope| {
            let run = || {
                self.working = WorkingDir::new(self.root);
                let _released = self.working.is_some().then_some(Released);
                done = Some(work(self));
            };
            let thread = std::thread::Builder::new().name("tinotify tree".into());
            thread.spawn_scoped(scope, run).ok().and_then(|thread| thread.join().err())
        });
        self.working = None;
        if let Some(panicked) = panicked {
            std::panic::resume_unwind(panicked);
        }
        match done {
            Some(done) => done,
            None => work(self),
        }
    }

    /// The root, by its path: links may lead to it.
    fn open_root(&self) -> Result<Fd, Errno> {
        let home = self.working.as_ref().and_then(|working| working.home.as_ref());
        again(|| Fd::open_dir(home, self.root, Links::Follow))
    }

    /// A directory beneath another; no path is too long.
    fn open_beneath(&mut self, from: &Fd, path: &[u8]) -> Result<Fd, Errno> {
        let mut opened = None;
        let mut rest = Some(path);
        while let Some(path) = rest {
            let piece;
            (piece, rest) = split_path(path)?;
            opened = Some(self.open_piece(opened.as_ref().unwrap_or(from), piece)?);
        }
        opened.ok_or(Errno::EINVAL)
    }

    fn open_piece(&mut self, from: &Fd, piece: &[u8]) -> Result<Fd, Errno> {
        if self.state.ways.openat2 {
            let path = c_path(&mut self.state.path, &[piece])?;
            match again(|| from.open_beneath(path)) {
                // A kernel before 5.6, or a seccomp filter from those days.
                Err(Errno::ENOSYS | Errno::EPERM) => self.state.ways.openat2 = false,
                opened => return opened,
            }
        }
        let mut opened = None;
        for name in piece.split(|&byte| byte == b'/') {
            let name = c_name(&mut self.state.path, name)?;
            let from = opened.as_ref().unwrap_or(from);
            opened = Some(again(|| Fd::open_dir(Some(from), name, Links::Keep))?);
        }
        opened.ok_or(Errno::EINVAL)
    }

    fn dir(&mut self, fd: Fd) -> Dir {
        self.state.dirs = self.state.dirs.wrapping_add(1);
        Dir { fd, number: self.state.dirs }
    }

    /// Watches a directory, or a name in it.
    fn add(&mut self, dir: &Dir, name: Option<&[u8]>, mask: WatchMask) -> Result<Wd, Errno> {
        let mut mask = mask | WatchMask::ONLYDIR;
        if name.is_some() {
            mask |= WatchMask::DONT_FOLLOW;
        }
        if self.working.as_mut().is_some_and(|working| working.enter(dir).is_ok()) {
            let name = c_path(&mut self.state.path, &[name.unwrap_or(b".")])?;
            return add_watch(self.inotify, name, mask);
        }
        if self.state.proc_leads_to(dir) {
            let (_, fd) = &self.state.proc_path;
            let path = match name {
                Some(name) => c_path(&mut self.state.path, &[fd.as_bytes(), b"/", name]),
                None => c_path(&mut self.state.path, &[fd.as_bytes()]),
            };
            let added = path.and_then(|path| add_watch(self.inotify, path, mask));
            if added != Err(Errno::ENOENT) || self.state.proc_still_leads_to(dir) {
                return added;
            }
        }
        let name = c_path(&mut self.state.path, &[name.unwrap_or(b".")])?;
        #[cfg(feature = "std")]
        if self.state.ways.threads {
            match add_in_thread(self.inotify, dir, name, mask) {
                Some(Err(Unshared::Not)) => self.state.ways.threads = false,
                Some(Err(Unshared::But(errno))) => return Err(errno),
                Some(Ok(wd)) => return Ok(wd),
                None => {}
            }
        }
        add_in_child(self.inotify, dir, name, mask)
    }

    fn status(&self, dir: &Dir) -> Result<Status, Errno> {
        again(|| Fd::stat(Some(&dir.fd), c"", Links::Keep))
    }

    /// `open` gives a descriptor of what the status is of.
    fn stat_of(&mut self, status: Status, open: impl FnOnce(&mut Vec<u8>) -> Option<Fd>) -> Stat {
        Stat {
            is_dir: status.is_dir,
            is_leaf: status.is_dir && status.nlink == 2 && self.state.counts(status.dev, open),
            dev: status.dev,
            ino: status.ino,
            size: status.size,
            mtime: status.mtime,
        }
    }
}

/// Leaves the working directory of a thread that has one for itself.
///
/// A joined thread may still be ending (`do_exit` wakes in `exit_mm`, before `exit_fs`), and would keep
/// the directory in use meanwhile.
#[cfg(feature = "std")]
struct Released;

#[cfg(feature = "std")]
impl Drop for Released {
    fn drop(&mut self) {
        // Where `/` can't be searched, the directory stays in use until the thread has ended.
        let _ = again(crate::sys::leave_working_dir);
    }
}

impl WorkingDir {
    /// Of this thread, which had better end soon.
    #[cfg(feature = "std")]
    fn new(root: &CStr) -> Option<Self> {
        let home = if root.to_bytes().starts_with(b"/") {
            None
        } else {
            Some(Fd::open_dir(None, c".", Links::Follow).ok()?)
        };
        crate::sys::unshare_working_dir().ok()?;
        Some(Self { home, at: None })
    }

    fn enter(&mut self, dir: &Dir) -> Result<(), Errno> {
        if self.at != Some(dir.number) {
            again(|| dir.fd.change_dir())?;
            self.at = Some(dir.number);
        }
        Ok(())
    }
}

impl State {
    /// Puts the path of the descriptor into `proc_path`, if that works here.
    fn proc_leads_to(&mut self, dir: &Dir) -> bool {
        if self.ways.proc == Some(false) {
            return false;
        }
        let (number, path) = &mut self.proc_path;
        if *number != dir.number {
            *number = dir.number;
            path.clear();
            // Writing to a string does not fail.
            let _ = write!(path, "/proc/self/fd/{}", dir.fd.as_raw());
        }
        self.ways.proc.is_some() || self.proc_still_leads_to(dir)
    }

    /// Looks whether there is a /proc, and whether it is the one of this process.
    fn proc_still_leads_to(&mut self, dir: &Dir) -> bool {
        let (_, fd) = &self.proc_path;
        let found = c_path(&mut self.path, &[fd.as_bytes()])
            .and_then(|path| again(|| Fd::stat(None, path, Links::Follow)));
        let own = again(|| Fd::stat(Some(&dir.fd), c"", Links::Keep));
        let works = matches!((found, own), (Ok(found), Ok(own))
            if (found.dev, found.ino) == (own.dev, own.ino));
        self.ways.proc = Some(works);
        works
    }

    /// Whether link counts tell of subdirectories on that device; `open` gives a descriptor on it.
    fn counts(&mut self, dev: u64, open: impl FnOnce(&mut Vec<u8>) -> Option<Fd>) -> bool {
        if let Some((_, counts)) = self.counting.iter().find(|(known, _)| *known == dev) {
            return *counts;
        }
        let Some(fd) = open(&mut self.path) else { return false };
        let counts = again(|| fd.file_system()).is_ok_and(|magic| COUNTING.contains(&magic));
        // It may be another directory than the one that was looked at.
        let is_it =
            again(|| Fd::stat(Some(&fd), c"", Links::Keep)).is_ok_and(|status| status.dev == dev);
        if is_it {
            self.counting.push((dev, counts));
        }
        is_it && counts
    }
}

/// File systems where a directory has two links and one for each subdirectory, or one where there are
/// too many to be counted (include/uapi/linux/magic.h). Network file systems and FUSE tell what their
/// servers like.
const COUNTING: [u32; 5] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0xF2F5_2010, // f2fs
];

impl Kernel for Linux<'_> {
    type Dir = Dir;

    fn open(&mut self, path: &[u8]) -> Result<Dir, Errno> {
        let mut fd = self.open_root()?;
        if path.is_empty() {
            // Where looking begins anew: device numbers may have been given to others.
            self.state.counting.clear();
        } else {
            fd = self.open_beneath(&fd, path)?;
        }
        Ok(self.dir(fd))
    }

    fn open_child(&mut self, dir: &Dir, name: &[u8]) -> Result<Dir, Errno> {
        let c_name = c_name(&mut self.state.path, name)?;
        let fd = again(|| Fd::open_dir(Some(&dir.fd), c_name, Links::Keep))?;
        Ok(self.dir(fd))
    }

    fn watch(&mut self, dir: &Dir, mask: WatchMask) -> Result<Wd, Errno> {
        self.add(dir, None, mask | WatchMask::MASK_ADD)
    }

    fn watch_child(&mut self, dir: &Dir, name: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        check_name(name)?;
        self.add(dir, Some(name), mask | WatchMask::MASK_ADD)
    }

    fn hush(&mut self, dir: &Dir, wd: Wd, mask: WatchMask) {
        if !(self.shared)(wd) {
            // What can't be done only makes more events.
            let _ = self.add(dir, None, mask);
        }
    }

    fn unwatch(&mut self, wd: Wd) {
        if !(self.shared)(wd) {
            // It may have ended by itself.
            let _ = self.inotify.rm_watch(wd);
        }
    }

    fn stat(&mut self, dir: &Dir) -> Result<Stat, Errno> {
        let status = self.status(dir)?;
        Ok(self.stat_of(status, |_| Fd::open_dir(Some(&dir.fd), c".", Links::Keep).ok()))
    }

    fn stat_child(&mut self, dir: &Dir, name: &[u8]) -> Result<Stat, Errno> {
        let c_name = c_name(&mut self.state.path, name)?;
        let status = again(|| Fd::stat(Some(&dir.fd), c_name, Links::Keep))?;
        Ok(self.stat_of(status, |path| {
            let name = c_path(path, &[name]).ok()?;
            Fd::open_dir(Some(&dir.fd), name, Links::Keep).ok()
        }))
    }

    fn list(&mut self, dir: &mut Dir, each: &mut dyn FnMut(&[u8], bool)) -> Result<(), Errno> {
        let fd = self.open_list(dir)?;
        let State { listing, path, .. } = &mut *self.state;
        let listing = listing.get_or_insert_with(|| Box::new(EntryBuffer([0; LISTING])));
        loop {
            let bytes = entries(&fd, listing)?;
            if bytes.is_empty() {
                return Ok(());
            }
            for entry in Entries::new(bytes) {
                let entry = entry.map_err(|_| Errno::EIO)?;
                if matches!(entry.name, b"." | b"..") {
                    continue;
                }
                let is_dir = match entry.is_dir {
                    Some(is_dir) => is_dir,
                    None => {
                        let name = c_path(path, &[entry.name])?;
                        match again(|| Fd::stat(Some(&dir.fd), name, Links::Keep)) {
                            Ok(status) => status.is_dir,
                            Err(Errno::ENOENT) => continue,
                            Err(_) => false,
                        }
                    }
                };
                each(entry.name, is_dir);
            }
        }
    }

    /// Looks for a name that is too long for any directory. That takes the directory's lock as a
    /// listing does (`lookup_slow`), makes no event, and finds nothing that could be remembered.
    fn settle(&mut self, dir: &mut Dir) -> Result<(), Errno> {
        let path = &mut self.state.path;
        path.clear();
        path.resize(PATH, b'-');
        let name = c_path_of(path)?;
        match again(|| Fd::stat(Some(&dir.fd), name, Links::Keep)) {
            Err(Errno::ENAMETOOLONG) => Ok(()),
            // The file system took the name for one that could be, and may have remembered the answer.
            _ => self.settle_by_listing(dir),
        }
    }
}

impl Linux<'_> {
    fn open_list(&mut self, dir: &Dir) -> Result<Fd, Errno> {
        match again(|| Fd::open_list(Some(&dir.fd), c".")) {
            // May be read, but not searched: not even for the name of itself.
            Err(Errno::EACCES) if self.state.proc_leads_to(dir) => {
                let (_, fd) = &self.state.proc_path;
                let path = c_path(&mut self.state.path, &[fd.as_bytes()])?;
                again(|| Fd::open_list(None, path))
            }
            opened => opened,
        }
    }

    fn settle_by_listing(&mut self, dir: &Dir) -> Result<(), Errno> {
        let fd = self.open_list(dir)?;
        match again(|| fd.entries(&mut EntryBuffer([0; 280])).map(|_| ())) {
            // No room for the first name, or the directory was removed: after its lock was taken.
            Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
            settled => settled,
        }
    }
}

/// Repeats a call as long as signal handlers interrupt it.
fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}

fn entries<'b, const N: usize>(fd: &Fd, buffer: &'b mut EntryBuffer<N>) -> Result<&'b [u8], Errno> {
    let len = again(|| fd.entries(buffer).map(<[u8]>::len))?;
    Ok(buffer.0.get(..len).unwrap_or_default())
}

fn add_watch(inotify: &Inotify, path: &CStr, mask: WatchMask) -> Result<Wd, Errno> {
    // A mask that makes no sense has no error number.
    again(|| inotify.add_watch(path, mask).map_err(|error| error.errno().unwrap_or(Errno::EINVAL)))
}

/// Why a thread could not add a watch.
#[cfg(feature = "std")]
enum Unshared {
    /// No thread has a working directory of its own here.
    Not,
    But(Errno),
}

/// Adds a watch in a thread that has a working directory of its own; `None` where no thread starts.
#[cfg(feature = "std")]
fn add_in_thread(
    inotify: &Inotify,
    dir: &Dir,
    name: &CStr,
    mask: WatchMask,
) -> Option<Result<Wd, Unshared>> {
    let add = || {
        crate::sys::unshare_working_dir().map_err(|errno| match errno {
            Errno::EPERM | Errno::ENOSYS => Unshared::Not,
            errno => Unshared::But(errno),
        })?;
        let _released = Released;
        again(|| dir.fd.change_dir()).map_err(Unshared::But)?;
        add_watch(inotify, name, mask).map_err(Unshared::But)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, add);
        thread.ok()?.join().ok()
    })
}

/// Adds a watch in a process that has the directory as its working directory.
fn add_in_child(inotify: &Inotify, dir: &Dir, name: &CStr, mask: WatchMask) -> Result<Wd, Errno> {
    let mask = mask.check().map_err(|_| Errno::EINVAL)?;
    inotify.fd().add_watch_in_child(&dir.fd, name, mask)
}

/// A path as the kernel takes it, put together in `buffer`.
fn c_path<'b>(buffer: &'b mut Vec<u8>, parts: &[&[u8]]) -> Result<&'b CStr, Errno> {
    buffer.clear();
    for part in parts {
        buffer.extend_from_slice(part);
    }
    c_path_of(buffer)
}

fn c_path_of(buffer: &mut Vec<u8>) -> Result<&CStr, Errno> {
    buffer.push(0);
    CStr::from_bytes_with_nul(buffer).map_err(|_| Errno::EINVAL)
}

fn c_name<'b>(buffer: &'b mut Vec<u8>, name: &[u8]) -> Result<&'b CStr, Errno> {
    check_name(name)?;
    c_path(buffer, &[name])
}

/// A name that leads to an entry of the directory, and no further.
fn check_name(name: &[u8]) -> Result<(), Errno> {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Splits off as many names as a call takes.
fn split_path(path: &[u8]) -> Result<(&[u8], Option<&[u8]>), Errno> {
    if path.len() <= PATH {
        return Ok((path, None));
    }
    // The slash itself may be the first byte that is too many.
    let names = path.get(..=PATH).unwrap_or(path);
    let slash = names.iter().rposition(|&byte| byte == b'/').ok_or(Errno::ENAMETOOLONG)?;
    let (piece, rest) = path.split_at_checked(slash).ok_or(Errno::ENAMETOOLONG)?;
    Ok((piece, rest.get(1..)))
}
