//! The real Linux kernel.
//!
//! | file | contents | uses |
//! |---|---|---|
//! | `dir` | an open directory | |
//! | `paths` | paths in the form of system calls; opens by path | |
//! | `entries` | the records of a listing | |
//! | `leaf_counts` | which directories have no subdirectories | |
//! | `working_dir` | the working directories of one thread and of one child process | `dir` |
//! | `proc_path` | the path of a descriptor | `dir`, `paths` |
//! | `queue` | the part of the stream of events that was read | |
//! | `root` | the location of a tree's root | |
//! | `watch_list` | the inode of a watch | |
//! | `watching` | adds watches so that no name can be swapped on the way | `paths`, `proc_path`, `working_dir` |

#![forbid(unsafe_code)]

mod dir;
mod entries;
mod leaf_counts;
mod paths;
mod proc_path;
mod queue;
mod root;
#[cfg(all(test, feature = "std"))]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]
mod tests;
mod watch_list;
mod watching;
mod working_dir;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::CStr;

pub(crate) use self::dir::Dir;
use self::entries::Entries;
use self::leaf_counts::LeafCounts;
use self::paths::{MAX_PATH, Resolver, c_name, c_path, c_path_of, check_name};
#[cfg(feature = "std")]
pub(crate) use self::queue::Queue;
pub(crate) use self::root::Root;
use self::watch_list::Watched;
#[cfg(feature = "std")]
pub(crate) use self::watch_list::list as list_watches;
use self::watching::{Place, Watching};
#[cfg(feature = "std")]
use self::working_dir::Released;
use self::working_dir::{WorkingChild, WorkingDir};
use super::kernel::{Kernel, Stat};
use crate::event::Wd;
use crate::flags::WatchMask;
use crate::inotify::Inotify;
use crate::sys::{EntryBuffer, Errno, Fd, Links, Status, retry_on_eintr};

/// The number of events that a listing causes: `OPEN`, `ACCESS` and `CLOSE_NOWRITE`, in the directory and in
/// its parent.
const EVENTS_PER_LISTING: u32 = 6;

/// The size of the buffer for a listing, in bytes.
const LISTING_BYTES: usize = 32 * 1024;

/// Implements the tree's [`Kernel`] with Linux system calls.
pub(crate) struct Linux<'a> {
    inotify: &'a Inotify,
    root: &'a mut Root,
    host: &'a dyn Host,
    state: &'a mut State,
    working: Option<WorkingDir>,
    child: WorkingChild,
}

/// The parts of an inotify instance that a tree shares with other subscribers: the watches, and the stream of
/// events. A host takes its lock for each of these calls.
pub(crate) trait Host: Sync {
    /// Returns `true` if another subscriber needs this watch, or may need it.
    fn is_shared(&self, wd: Wd) -> bool;

    /// Runs `change` if no other subscriber needs this watch. No other can start to need it meanwhile.
    fn unless_shared(&self, wd: Wd, change: &mut dyn FnMut());

    /// Ends a watch, once no other subscriber needs it.
    fn unwatch(&self, wd: Wd);

    /// Returns the position of the oldest record that the reader has not taken.
    fn front(&self) -> u64;

    /// Returns the position of the end of the kernel's queue.
    fn end(&self) -> u64;

    /// Reads the kernel's queue into memory if it may be getting full. The tree may have caused `events`
    /// events since the last call.
    fn read_ahead(&self, events: u32);
}

/// The state of a tree's system calls.
#[derive(Default)]
pub(crate) struct State {
    resolver: Resolver,
    watching: Watching,
    leaf_counts: LeafCounts,
    /// The number of the last [`Dir`].
    dirs: u64,
    /// The buffer for the paths of calls.
    path: Vec<u8>,
    listing: Option<Box<EntryBuffer<LISTING_BYTES>>>,
}

impl State {
    /// Creates the state of a tree, which follows links to directories if `follow_links` is set.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher calls it"))]
    pub(crate) fn new(follow_links: bool) -> Self {
        let mut state = Self::default();
        if follow_links {
            state.resolver.links = Links::Follow;
            state.watching.links = Links::Follow;
        }
        state
    }

    const fn follows(&self) -> bool {
        matches!(self.resolver.links, Links::Follow)
    }
}

impl<'a> Linux<'a> {
    /// Returns the system calls for the tree at `root`, which `inotify` watches.
    pub(crate) fn new(
        inotify: &'a Inotify,
        root: &'a mut Root,
        host: &'a dyn Host,
        state: &'a mut State,
    ) -> Self {
        Self { inotify, root, host, state, working: None, child: WorkingChild::default() }
    }

    /// Runs `work` in a thread with its own working directory, where adding a watch takes two thirds of the
    /// time. If no thread can be started, runs it in this thread.
    ///
    /// The last directory of the work stays in use until this returns: its file system can't be unmounted,
    /// and its `DELETE_SELF` does not come.
    #[cfg(feature = "std")]
    pub(crate) fn on_own_thread<T: Send>(
        &mut self,
        mut work: impl FnMut(&mut Self) -> T + Send,
    ) -> T {
        let mut done = None;
        let panicked = std::thread::scope(|scope| {
            let run = || {
                self.working = WorkingDir::new();
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

    fn dir(&mut self, fd: Fd, is_listable: bool) -> Dir {
        self.state.dirs = self.state.dirs.wrapping_add(1);
        Dir { fd, is_listable, number: self.state.dirs }
    }

    fn add(&mut self, place: Place<'_>, mask: WatchMask) -> Result<Wd, Errno> {
        let (working, child) = (self.working.as_mut(), &mut self.child);
        self.state.watching.add(self.inotify, working, child, place, mask)
    }

    /// Finds a watch in the kernel's list: whether it has ended, and the inode. It takes longer the more
    /// watches there are.
    pub(crate) fn identity(&self, wd: Wd) -> Watched {
        watch_list::look_up(self.inotify, wd)
    }

    fn status(&self, dir: &Dir) -> Result<Status, Errno> {
        retry_on_eintr(|| Fd::stat(Some(&dir.fd), c"", Links::Keep))
    }

    fn open_list(&mut self, dir: &Dir) -> Result<Fd, Errno> {
        match retry_on_eintr(|| Fd::open_list(Some(&dir.fd), c".", Links::Keep)) {
            // The directory may be read but not searched, not even for `.`.
            Err(Errno::EACCES) if self.state.watching.proc_path.set(dir) => {
                let path = self.state.watching.proc_path.get(None)?;
                retry_on_eintr(|| Fd::open_list(None, path, Links::Follow))
            }
            opened => opened,
        }
    }

    fn barrier_by_listing(&mut self, dir: &Dir) -> Result<(), Errno> {
        let fd = self.open_list(dir)?;
        match retry_on_eintr(|| fd.entries(&mut EntryBuffer([0; 280])).map(|_| ())) {
            // There is no room for the first name, or the directory was removed. In both cases the lock was
            // taken.
            Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
            listed => listed,
        }
    }
}

impl Kernel for Linux<'_> {
    type Dir = Dir;

    fn open(&mut self, path: &[u8]) -> Result<Dir, Errno> {
        let mut fd = self.root.open()?;
        if path.is_empty() {
            // A new scan begins: device numbers may have been reused.
            self.state.leaf_counts.clear();
        } else {
            let State { resolver, path: buffer, .. } = &mut *self.state;
            fd = resolver.open(buffer, &fd, path)?;
        }
        Ok(self.dir(fd, false))
    }

    fn open_child(&mut self, dir: &Dir, name: &[u8]) -> Result<Dir, Errno> {
        let links = self.state.resolver.links;
        let c_name = c_name(&mut self.state.path, name)?;
        let fd = retry_on_eintr(|| Fd::open_dir(Some(&dir.fd), c_name, links))?;
        Ok(self.dir(fd, false))
    }

    fn open_to_list(&mut self, dir: &Dir, name: &[u8]) -> Result<Dir, Errno> {
        let links = self.state.resolver.links;
        let c_name = c_name(&mut self.state.path, name)?;
        match retry_on_eintr(|| Fd::open_list(Some(&dir.fd), c_name, links)) {
            // It can still be watched, and scanned as far as that needs no permission to read.
            Err(Errno::EACCES) => self.open_child(dir, name),
            opened => Ok(self.dir(opened?, true)),
        }
    }

    fn watch(&mut self, dir: &Dir, mask: WatchMask) -> Result<Wd, Errno> {
        self.add(Place { dir, name: None }, mask | WatchMask::MASK_ADD)
    }

    fn watch_child(&mut self, dir: &Dir, name: &[u8], mask: WatchMask) -> Result<Wd, Errno> {
        check_name(name)?;
        self.add(Place { dir, name: Some(name) }, mask | WatchMask::MASK_ADD)
    }

    fn narrow_mask(&mut self, dir: &Dir, wd: Wd, mask: WatchMask) {
        let host = self.host;
        host.unless_shared(wd, &mut || {
            // A failure only means more events.
            let _ = self.add(Place { dir, name: None }, mask);
        });
    }

    fn unwatch(&mut self, wd: Wd) {
        self.host.unwatch(wd);
    }

    fn is_shared(&self, wd: Wd) -> bool {
        self.host.is_shared(wd)
    }

    fn is_watching(&mut self, wd: Wd) -> Option<bool> {
        match self.identity(wd) {
            Watched::Unknown => None,
            Watched::Ended => Some(false),
            Watched::Inode(_) => Some(true),
        }
    }

    fn stat(&mut self, dir: &Dir) -> Result<Stat, Errno> {
        let status = self.status(dir)?;
        let open = || Fd::open_dir(Some(&dir.fd), c".", Links::Keep).ok();
        Ok(stat_of(status, self.state.leaf_counts.is_leaf(status, open)))
    }

    fn stat_child(&mut self, dir: &Dir, name: &[u8]) -> Result<Stat, Errno> {
        let follows = self.state.follows();
        let c_name = c_name(&mut self.state.path, name)?;
        let status = retry_on_eintr(|| Fd::stat(Some(&dir.fd), c_name, Links::Keep))?;
        if follows && status.is_link {
            let status = target(dir, c_name)?.unwrap_or(status);
            // The path to the target may change without an event, so its link count says nothing about the
            // directory that is watched.
            return Ok(Stat { is_link: true, ..stat_of(status, false) });
        }
        let open = || Fd::open_dir(Some(&dir.fd), c_name, Links::Keep).ok();
        Ok(stat_of(status, self.state.leaf_counts.is_leaf(status, open)))
    }

    fn list(&mut self, dir: &mut Dir, each: &mut dyn FnMut(&[u8], bool)) -> Result<(), Errno> {
        self.host.read_ahead(EVENTS_PER_LISTING);
        let opened;
        let fd = if dir.is_listable {
            retry_on_eintr(|| dir.fd.rewind())?;
            &dir.fd
        } else {
            opened = self.open_list(dir)?;
            &opened
        };
        let links = self.state.resolver.links;
        let State { listing, path, .. } = &mut *self.state;
        let listing = listing.get_or_insert_with(|| Box::new(EntryBuffer([0; LISTING_BYTES])));
        loop {
            let bytes = entries(fd, listing)?;
            if bytes.is_empty() {
                return Ok(());
            }
            // A full buffer may be why no entry follows in it.
            let has_room = bytes.len() <= LISTING_BYTES / 2;
            let mut listed = Entries::new(bytes);
            for entry in listed.by_ref() {
                let entry = entry.map_err(|_| Errno::EIO)?;
                if matches!(entry.name, b"." | b"..") {
                    continue;
                }
                let (mut is_dir, mut is_link) = (entry.is_dir.unwrap_or(false), entry.is_link);
                if entry.is_dir.is_none() {
                    let name = c_path(path, &[entry.name])?;
                    match retry_on_eintr(|| Fd::stat(Some(&dir.fd), name, Links::Keep)) {
                        Ok(status) => (is_dir, is_link) = (status.is_dir, status.is_link),
                        Err(Errno::ENOENT) => continue,
                        Err(_) => {}
                    }
                }
                if is_link && links == Links::Follow {
                    is_dir =
                        target(dir, c_path(path, &[entry.name])?).is_ok_and(|dir| dir.is_some());
                }
                each(entry.name, is_dir);
            }
            if has_room && listed.is_end() {
                return Ok(());
            }
        }
    }

    /// Looks up a name that is too long for any directory. That takes the directory's lock as a listing does
    /// (`lookup_slow`), causes no event, and leaves nothing in the cache of names.
    fn barrier(&mut self, dir: &mut Dir) -> Result<(), Errno> {
        let path = &mut self.state.path;
        path.clear();
        path.resize(MAX_PATH, b'-');
        let name = c_path_of(path)?;
        match retry_on_eintr(|| Fd::stat(Some(&dir.fd), name, Links::Keep)) {
            Err(Errno::ENAMETOOLONG) => Ok(()),
            // The file system accepted the name, so the answer may come from the cache.
            _ => self.barrier_by_listing(dir),
        }
    }

    fn front(&self) -> u64 {
        self.host.front()
    }

    fn end(&mut self) -> u64 {
        self.host.end()
    }
}

fn entries<'b, const N: usize>(fd: &Fd, buffer: &'b mut EntryBuffer<N>) -> Result<&'b [u8], Errno> {
    let len = retry_on_eintr(|| fd.entries(buffer).map(<[u8]>::len))?;
    Ok(buffer.0.get(..len).unwrap_or_default())
}

/// Returns the status of the directory that a link leads to, `None` if it leads to none.
fn target(dir: &Dir, link: &CStr) -> Result<Option<Status>, Errno> {
    match retry_on_eintr(|| Fd::stat(Some(&dir.fd), link, Links::Follow)) {
        Err(Errno::ENOMEM) => Err(Errno::ENOMEM),
        target => Ok(target.ok().filter(|target| target.is_dir)),
    }
}

fn stat_of(status: Status, is_leaf: bool) -> Stat {
    Stat {
        is_dir: status.is_dir,
        is_leaf,
        is_link: status.is_link,
        dev: status.dev,
        ino: status.ino,
        size: status.size,
        mtime: status.mtime,
    }
}
