//! A resolved path: the directories on it, and the file that it leads to.
//!
//! Invariant: a `ResolvedPath` lists each watch that its walk added and that has not ended.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Entry, Kernel};
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::keys::KeySet;
use crate::sys::Errno;

/// The number of symbolic links that one walk follows, as in the kernel (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// What a watched file or directory reports when it is moved, deleted, or changes its permissions.
const SELF: WatchMask = WatchMask::DELETE_SELF.union(WatchMask::MOVE_SELF).union(WatchMask::ATTRIB);

/// The mask of a directory on the path: the events after which the path may lead to another file.
pub(super) const STEP: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(SELF)
    .union(WatchMask::ONLYDIR)
    .union(WatchMask::DONT_FOLLOW);

/// The events that the kernel reports for each watch.
const LIFE: EventMask = EventMask::UNMOUNT.union(EventMask::IGNORED);

/// Returns the mask for watching the target, if a user requests `requested`.
///
/// The follower owns the watch, so options that end it early or refuse it have no effect.
pub(super) const fn mask_of_target(requested: WatchMask) -> WatchMask {
    let kept = WatchMask::ALL_EVENTS.union(WatchMask::ONLYDIR).union(WatchMask::EXCL_UNLINK);
    requested.intersection(kept).union(WatchMask::DONT_FOLLOW)
}

/// The result of one walk.
#[derive(Debug, Default)]
pub(super) struct ResolvedPath {
    /// The watched directories on the path, each with the name of the next entry. A directory that the
    /// path goes through several times has several entries. Sorted, without duplicates.
    steps: Vec<(Wd, Box<[u8]>)>,
    /// The file that the path leads to; `None` if it leads to nothing.
    pub target: Option<Target>,
}

/// The file that a path leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// It is watched for these events.
    Watched { wd: Wd, mask: WatchMask },
    /// It can't be watched.
    Unwatched { dev: u64, ino: u64 },
    /// It was watched, and the watch has ended.
    Ended,
}

impl Target {
    /// Returns `true` if both are the same file. For files that can't be watched, the inode number
    /// decides.
    pub fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Watched { wd, .. }, Self::Watched { wd: other, .. }) => wd == other,
            (Self::Unwatched { dev, ino }, Self::Unwatched { dev: other, ino: number }) => {
                (dev, ino) == (other, number)
            }
            _ => false,
        }
    }
}

impl ResolvedPath {
    /// Walks a path, and watches each directory on it. If the walk fails, the watches that it has added
    /// are listed here too.
    pub fn walk<K: Kernel>(
        &mut self,
        kernel: &mut K,
        path: &[u8],
        mask: WatchMask,
    ) -> Result<(), Errno> {
        let mut prefix = Prefix::default();
        let mut remaining = Vec::new();
        let mut links = 0_u32;
        let mut is_blind = false;
        push_names(&mut remaining, path);
        while let Some(name) = remaining.pop() {
            if name.is_empty() && !remaining.is_empty() {
                // The next name requires a directory too.
                continue;
            }
            match kernel.watch(prefix.path(), STEP) {
                Ok(wd) => {
                    self.add_step((wd, name.clone()));
                    is_blind = false;
                }
                // No read permission, but search permission may be enough to go on.
                Err(Errno::EACCES) => is_blind = true,
                Err(errno) if is_missing(errno) => return Ok(()),
                Err(errno) => return Err(errno),
            }
            // `..` needs search permission in the directory, and `.` checks it.
            let at = prefix.child(if *name == *b".." { b"." } else { &name });
            let Some(entry) = stat(kernel, &at)? else { return Ok(()) };
            match (&*name, entry) {
                (b"..", _) => prefix.pop(),
                (b"" | b".", _) => {}
                (_, Entry::File { .. }) => prefix.set(at),
                (_, Entry::Link(text)) => {
                    links = links.saturating_add(1);
                    if links > MAX_LINKS || text.is_empty() {
                        return Ok(());
                    }
                    if text.starts_with(b"/") {
                        prefix = Prefix::default();
                    }
                    push_names(&mut remaining, &text);
                }
            }
        }
        // If the directory can't be watched, only the file itself can report that it was moved or
        // deleted.
        let mask = if is_blind { mask | SELF } else { mask };
        self.watch_target(kernel, prefix.path(), mask)
    }

    /// Watches the file that the path leads to.
    fn watch_target<K: Kernel>(
        &mut self,
        kernel: &mut K,
        path: &[u8],
        mask: WatchMask,
    ) -> Result<(), Errno> {
        self.target = match kernel.watch(path, mask) {
            Ok(wd) => Some(Target::Watched { wd, mask }),
            Err(Errno::EACCES) => match stat(kernel, path)? {
                Some(Entry::File { dev, ino }) => Some(Target::Unwatched { dev, ino }),
                // It was replaced by a link during the walk, and its directory reports that.
                Some(Entry::Link(_)) | None => None,
            },
            Err(errno) if is_missing(errno) => None,
            Err(errno) => return Err(errno),
        };
        Ok(())
    }

    /// Removes the watches that `other` does not need.
    pub fn release<K: Kernel>(&self, kernel: &mut K, other: &Self) {
        let kept: KeySet<Wd> = other.wds().collect();
        let all: KeySet<Wd> = self.wds().collect();
        for wd in all.keys().filter(|&wd| !kept.contains(wd)) {
            kernel.unwatch(wd);
        }
    }

    fn add_step(&mut self, step: (Wd, Box<[u8]>)) {
        if let Err(place) = self.steps.binary_search(&step) {
            self.steps.insert(place, step);
        }
    }

    /// Removes a watch that has ended from the lists.
    pub fn forget(&mut self, wd: Wd) {
        self.steps.retain(|step| step.0 != wd);
        if matches!(self.target, Some(Target::Watched { wd: target, .. }) if target == wd) {
            self.target = Some(Target::Ended);
        }
    }

    /// Returns the mask of the target if `wd` is its watch, and an empty mask otherwise.
    pub fn mask_of(&self, wd: Wd) -> WatchMask {
        match self.target {
            Some(Target::Watched { wd: target, mask }) if target == wd => mask,
            _ => WatchMask::empty(),
        }
    }

    /// Returns `true` if the path may lead to another file after this event.
    pub fn needs_walk_after(&self, event: &Event<'_>) -> bool {
        let (wd, mask) = (event.wd(), event.mask());
        let requested = self.mask_of(wd);
        // A user who requests these events causes walks that find no change.
        let own = requested.intersection(SELF).events() | LIFE;
        if !requested.is_empty() && event.name().is_none() && mask.intersects(own) {
            return true;
        }
        let first = self.steps.partition_point(|step| step.0 < wd);
        let mut steps = self.steps.iter().skip(first).take_while(|step| step.0 == wd);
        mask.intersects(STEP.events() | LIFE)
            && steps.any(|(_, entry)| event.name().is_none_or(|name| *name == **entry))
    }

    /// Returns the watched directories on the path, each with the name of the next entry.
    pub fn steps(&self) -> impl Iterator<Item = (Wd, &[u8])> {
        self.steps.iter().map(|(wd, entry)| (*wd, &**entry))
    }

    /// Returns the descriptors of all watches. Some occur more than once.
    fn wds(&self) -> impl Iterator<Item = Wd> {
        let target = match self.target {
            Some(Target::Watched { wd, .. }) => Some(wd),
            _ => None,
        };
        self.steps.iter().map(|step| step.0).chain(target)
    }
}

/// The part of a path that is resolved: without links, dots, and a slash at its end. Empty for the root.
#[derive(Debug, Default)]
struct Prefix(Vec<u8>);

impl Prefix {
    /// Returns the path for the kernel.
    fn path(&self) -> &[u8] {
        if self.0.is_empty() { b"/" } else { &self.0 }
    }

    /// Returns the path of an entry.
    fn child(&self, name: &[u8]) -> Vec<u8> {
        [&self.0, name].join(&b'/')
    }

    fn set(&mut self, child: Vec<u8>) {
        self.0 = child;
    }

    /// Goes to the parent directory. The root is its own parent.
    fn pop(&mut self) {
        let end = self.0.iter().rposition(|byte| *byte == b'/');
        self.0.truncate(end.unwrap_or_default());
    }
}

/// Adds the names of a path before the remaining ones. The next name is the last element. A slash at the
/// end counts as an empty name.
fn push_names(remaining: &mut Vec<Box<[u8]>>, path: &[u8]) {
    if path.ends_with(b"/") {
        remaining.push(Box::default());
    }
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    remaining.extend(names.rev().map(Box::from));
}

/// Returns the entry at a path; `None` if it does not exist or can't be reached.
fn stat<K: Kernel>(kernel: &mut K, path: &[u8]) -> Result<Option<Entry>, Errno> {
    match kernel.stat(path) {
        Ok(entry) => Ok(Some(entry)),
        Err(errno) if errno == Errno::EACCES || is_missing(errno) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Returns `true` if the error means that the entry does not exist.
const fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG)
}
