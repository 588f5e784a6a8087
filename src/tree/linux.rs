//! The kernel that this program runs on.
//!
//! | file | what it does | stands on |
//! |---|---|---|
//! | `dir` | an open directory | |
//! | `paths` | paths as the kernel takes them; opens by paths | |
//! | `entries` | the records of a listing | |
//! | `leaf_counts` | which directories have no subdirectories | |
//! | `working_dir` | the working directory of one thread | `dir` |
//! | `proc_path` | the path of a descriptor | `dir`, `paths` |
//! | `queue` | what was read of the stream of events | |
//! | `root` | where the root of a tree is | |
//! | `watch_list` | which inode a watch is of | |
//! | `watching` | adds watches where nothing can be swapped on the way | `paths`, `proc_path`, `working_dir` |

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
use self::working_dir::WorkingDir;
use super::kernel::{Kernel, Stat};
use crate::event::Wd;
use crate::flags::WatchMask;
use crate::inotify::Inotify;
use crate::sys::{EntryBuffer, Errno, Fd, Links, Status, retry_on_eintr};

/// The events that a listing makes: `OPEN`, `ACCESS` and `CLOSE_NOWRITE`, there and in the parent.
const LISTED: u32 = 6;

/// The room for a listing, in bytes.
const LISTING: usize = 32 * 1024;

/// Implements the tree's [`Kernel`] with Linux system calls.
pub(crate) struct Linux<'a> {
    inotify: &'a Inotify,
    root: &'a mut Root,
    host: &'a dyn Host,
    state: &'a mut State,
    working: Option<WorkingDir>,
}

/// What a tree shares with the other subscribers of its inotify instance: watches, and the stream of
/// events. A host takes its lock for each of these calls.
pub(crate) trait Host: Sync {
    /// Returns `true` if another subscriber needs this watch, or may need it.
    fn is_shared(&self, wd: Wd) -> bool;

    /// Runs `change` if no other subscriber needs this watch. None can come to need it meanwhile.
    fn unless_shared(&self, wd: Wd, change: &mut dyn FnMut());

    /// Ends a watch, once no other subscriber needs it.
    fn unwatch(&self, wd: Wd);

    /// Position of the oldest record that the reader has not taken.
    fn front(&self) -> u64;

    /// Position of the end of the kernel's queue.
    fn end(&self) -> u64;

    /// Reads the kernel's queue into memory if it may be getting full. The tree may have made `events`
    /// events since the last call.
    fn relieve(&self, events: u32);
}

/// What is kept between the calls of a tree.
#[derive(Default)]
pub(crate) struct State {
    resolver: Resolver,
    watching: Watching,
    leaf_counts: LeafCounts,
    /// The number of the last [`Dir`].
    dirs: u64,
    /// Paths, on their way into calls.
    path: Vec<u8>,
    listing: Option<Box<EntryBuffer<LISTING>>>,
}

impl State {
    /// The state of a tree that follows links to directories, or not.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher has it called"))]
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
    /// Returns the calls of the tree at `root`, which `inotify` watches.
    pub(crate) fn new(
        inotify: &'a Inotify,
        root: &'a mut Root,
        host: &'a dyn Host,
        state: &'a mut State,
    ) -> Self {
        Self { inotify, root, host, state, working: None }
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
        self.state.watching.add(self.inotify, self.working.as_mut(), place, mask)
    }

    /// Looks up in the kernel's list whether a watch is still there, and of which inode it is. That takes
    /// longer the more watches there are.
    pub(crate) fn identity(&self, wd: Wd) -> Watched {
        watch_list::look_up(self.inotify, wd)
    }

    fn status(&self, dir: &Dir) -> Result<Status, Errno> {
        retry_on_eintr(|| Fd::stat(Some(&dir.fd), c"", Links::Keep))
    }

    fn open_list(&mut self, dir: &Dir) -> Result<Fd, Errno> {
        match retry_on_eintr(|| Fd::open_list(Some(&dir.fd), c".", Links::Keep)) {
            // May be read, but not searched: not even for the name of itself.
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
            // No room for the first name, or the directory was removed: after its lock was taken.
            Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
            settled => settled,
        }
    }
}

impl Kernel for Linux<'_> {
    type Dir = Dir;

    fn open(&mut self, path: &[u8]) -> Result<Dir, Errno> {
        let mut fd = self.root.open()?;
        if path.is_empty() {
            // Where looking begins anew: device numbers may have been given to others.
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
            // It may still be watched, and what can be done without reading.
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
            // What can't be done only makes more events.
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
            // The way to the target may change without an event, so its link count says nothing of
            // what is watched.
            return Ok(Stat { is_link: true, ..stat_of(status, false) });
        }
        let open = || Fd::open_dir(Some(&dir.fd), c_name, Links::Keep).ok();
        Ok(stat_of(status, self.state.leaf_counts.is_leaf(status, open)))
    }

    fn list(&mut self, dir: &mut Dir, each: &mut dyn FnMut(&[u8], bool)) -> Result<(), Errno> {
        self.host.relieve(LISTED);
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
        let listing = listing.get_or_insert_with(|| Box::new(EntryBuffer([0; LISTING])));
        loop {
            let bytes = entries(fd, listing)?;
            if bytes.is_empty() {
                return Ok(());
            }
            for entry in Entries::new(bytes) {
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
        }
    }

    /// Looks for a name that is too long for any directory. That takes the directory's lock as a
    /// listing does (`lookup_slow`), makes no event, and finds nothing that could be remembered.
    fn barrier(&mut self, dir: &mut Dir) -> Result<(), Errno> {
        let path = &mut self.state.path;
        path.clear();
        path.resize(MAX_PATH, b'-');
        let name = c_path_of(path)?;
        match retry_on_eintr(|| Fd::stat(Some(&dir.fd), name, Links::Keep)) {
            Err(Errno::ENAMETOOLONG) => Ok(()),
            // The file system took the name for one that could be, and may have remembered the answer.
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

/// The directory that a link leads to; `None` where it leads to none, or nowhere.
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
