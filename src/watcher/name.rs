//! Following a name, whatever file it leads to.
//!
//! The kernel watches inodes. So each directory on the way to the name is watched for the one entry
//! that matters in it, symbolic links are followed step by step, and the file at the end is watched
//! itself. When an entry changes, the way is walked again; watch first, look second: what changes
//! after the look comes as an event, and leads to another walk. So when all is quiet, what was
//! announced last is what is there.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::error::WatchError;
use super::event::Change;
use super::table::{Draft, Role, Table, Watch};
use crate::event::Wd;
use crate::flags::WatchMask;
use crate::inotify::{Error, Inotify};
use crate::sys::Errno;

/// The symbolic links that are followed on one way, as many as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What can make a step lead elsewhere.
const STEP: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ATTRIB)
    .union(WatchMask::ONLYDIR)
    .union(WatchMask::DONT_FOLLOW);

/// All names that are followed, by the watch that the user has.
pub(super) type Followers = HashMap<Watch, Follower>;

/// One name, and the way to it.
#[derive(Debug)]
pub(super) struct Follower {
    /// Absolute, so that a change of the working directory changes nothing.
    path: PathBuf,
    asked: WatchMask,
    steps: Vec<Watch>,
    target: Option<Watch>,
    found: Option<Identity>,
}

/// Tells one file from another. A descriptor is one inode as long as somebody holds the watch, and
/// we do; the numbers are for files that can't be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Identity {
    Watched(Wd),
    Seen { dev: u64, ino: u64 },
}

impl Follower {
    /// The watches on the way, and at its end.
    pub fn watches(self) -> impl Iterator<Item = Watch> {
        self.steps.into_iter().chain(self.target)
    }
}

impl Table {
    /// Begins to follow the path of a user's watch.
    pub fn follow(&mut self, inotify: &Inotify, watch: Watch) -> Result<(), WatchError> {
        let sub = self.get(watch)?;
        let fail = |error: io::Error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(Errno::ENOENT.as_raw()));
            super::table::at(&sub.path, Error::AddWatch(errno))
        };
        if sub.path.as_os_str().as_bytes().contains(&0) {
            return Err(WatchError::Nul(sub.path.clone()));
        }
        let follower = Follower {
            path: std::path::absolute(&sub.path).map_err(fail)?,
            asked: sub.asked,
            steps: Vec::new(),
            target: None,
            found: None,
        };
        self.followers.insert(watch, follower);
        self.refresh(inotify, watch)?;
        Ok(())
    }

    /// Walks the way to a name again, and says what has become of it.
    pub fn refresh(
        &mut self,
        inotify: &Inotify,
        watch: Watch,
    ) -> Result<Option<Change>, WatchError> {
        let Some(follower) = self.followers.get_mut(&watch) else { return Ok(None) };
        let (path, asked, before) = (follower.path.clone(), follower.asked, follower.found);
        let mut old = std::mem::take(&mut follower.steps);
        old.extend(follower.target.take());

        let mut steps = Vec::new();
        let mut target = None;
        let walked = self.walk(inotify, watch, &path, &mut steps).and_then(|end| match end {
            Some(end) => self.arrive(inotify, watch, &end, asked, &mut target),
            None => Ok(None),
        });
        let found = match walked {
            Ok(found) => {
                // The new ones are there, so what both need was never unwatched.
                for watch in old {
                    let _ = self.remove(inotify, watch);
                }
                found
            }
            Err(error) => {
                // Half a way would not lead on, and the old one may tell of the next change.
                for watch in steps.into_iter().chain(target) {
                    let _ = self.remove(inotify, watch);
                }
                if let Some(follower) = self.followers.get_mut(&watch) {
                    follower.steps = old;
                }
                return Err(error);
            }
        };
        let Some(follower) = self.followers.get_mut(&watch) else { return Ok(None) };
        follower.steps = steps;
        follower.target = target;
        follower.found = found;
        Ok(match (before, follower.found) {
            (None, Some(_)) => Some(Change::Appeared),
            (Some(_), None) => Some(Change::Vanished),
            (Some(before), Some(now)) if before != now => Some(Change::Replaced),
            _ => None,
        })
    }

    /// Whether a followed name leads to a file.
    pub fn is_found(&self, watch: Watch) -> bool {
        self.followers.get(&watch).is_some_and(|follower| follower.found.is_some())
    }

    /// Asks for other events of the file that a name leads to; does nothing where none is followed.
    pub fn ask_of_target(
        &mut self,
        inotify: &Inotify,
        watch: Watch,
        asked: WatchMask,
    ) -> Result<(), WatchError> {
        let Some(follower) = self.followers.get_mut(&watch) else { return Ok(()) };
        follower.asked = asked;
        if let Some(change) = self.refresh(inotify, watch)? {
            // What made it is queued, so the reader will come by.
            self.changes.push((watch, change));
        }
        Ok(())
    }

    /// Watches each directory on the way. Gives where it leads to; `None` if it leads nowhere.
    fn walk(
        &mut self,
        inotify: &Inotify,
        follower: Watch,
        path: &Path,
        steps: &mut Vec<Watch>,
    ) -> Result<Option<PathBuf>, WatchError> {
        let mut here = PathBuf::from("/");
        let mut ahead: Vec<OsString> = Vec::new();
        let mut links = 0_usize;
        push_components(&mut ahead, path);
        while let Some(entry) = ahead.pop() {
            if entry == ".." {
                here.pop();
                continue;
            }
            let role = Role::Step { follower, entry: entry.clone() };
            let draft = Draft { path: &here, asked: STEP, alias: None, filter: None, role };
            match self.add(inotify, draft) {
                Ok(sub) => steps.push(sub.watch),
                // Not to be read, but perhaps to be passed.
                Err(error) if error.errno() == Some(Errno::EACCES) => {}
                Err(error) if is_missing(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
            here.push(&entry);
            let Ok(metadata) = fs::symlink_metadata(&here) else { return Ok(None) };
            if metadata.is_symlink() {
                links = links.saturating_add(1);
                let Ok(link) = fs::read_link(&here) else { return Ok(None) };
                if links > MAX_LINKS {
                    return Ok(None);
                }
                here.pop();
                if link.has_root() {
                    here = PathBuf::from("/");
                }
                push_components(&mut ahead, &link);
            }
        }
        Ok(Some(here))
    }

    /// Watches the file at the end of the way.
    fn arrive(
        &mut self,
        inotify: &Inotify,
        follower: Watch,
        path: &Path,
        asked: WatchMask,
        target: &mut Option<Watch>,
    ) -> Result<Option<Identity>, WatchError> {
        let asked = asked.difference(WatchMask::MASK_CREATE) | WatchMask::DONT_FOLLOW;
        let role = Role::Target { follower };
        let draft = Draft { path, asked, alias: None, filter: None, role };
        match self.add(inotify, draft) {
            Ok(sub) => {
                *target = Some(sub.watch);
                Ok(Some(Identity::Watched(sub.wd)))
            }
            Err(error) if error.errno() == Some(Errno::EACCES) => {
                let metadata = fs::symlink_metadata(path).ok();
                Ok(metadata.map(|file| Identity::Seen { dev: file.dev(), ino: file.ino() }))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Puts what is to be walked in front of what was ahead already; the next is the last.
fn push_components(ahead: &mut Vec<OsString>, path: &Path) {
    ahead.extend(path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    }));
}

/// Whether the path was gone when it should be watched.
fn is_missing(error: &WatchError) -> bool {
    matches!(
        error.errno(),
        Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG)
    )
}
