//! The way that a path takes: directories, links, and the file at its end.
//!
//! Invariant: a `Way` lists each watch that its walk was given and that has not ended.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{Entry, Kernel};
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::sys::Errno;

/// The symbolic links that are followed on one way, as many as the kernel follows (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// What a watched file or directory reports when its own place changes.
const SELF: WatchMask = WatchMask::DELETE_SELF.union(WatchMask::MOVE_SELF).union(WatchMask::ATTRIB);

/// What can make a step lead elsewhere.
pub(super) const STEP: WatchMask = WatchMask::CREATE
    .union(WatchMask::DELETE)
    .union(WatchMask::MOVE)
    .union(SELF)
    .union(WatchMask::ONLYDIR)
    .union(WatchMask::DONT_FOLLOW);

/// The events that come unasked.
const LIFE: EventMask = EventMask::UNMOUNT.union(EventMask::IGNORED);

/// What the file at the end is watched with, if a user asks for that mask.
///
/// The watch is not the user's, so options that end it early or refuse it don't count.
pub(super) const fn mask_of_target(asked: WatchMask) -> WatchMask {
    let kept = WatchMask::ALL_EVENTS.union(WatchMask::ONLYDIR).union(WatchMask::EXCL_UNLINK);
    asked.intersection(kept).union(WatchMask::DONT_FOLLOW)
}

/// A way as a walk has found it.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// The watched directories, each with an entry that matters in it. One directory has several where
    /// the way leads through it more than once.
    steps: BTreeSet<(Wd, Box<[u8]>)>,
    /// What is at the end; `None` if the way leads nowhere.
    pub end: Option<End>,
}

/// The file at the end of a way.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// It is watched for these events.
    Watched { wd: Wd, mask: WatchMask },
    /// It can't be watched.
    Seen { dev: u64, ino: u64 },
    /// It was watched, and the watch has ended.
    Ended,
}

impl End {
    /// Returns `true` if that is surely the same file, as far as can be known.
    pub fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Watched { wd, .. }, Self::Watched { wd: other, .. }) => wd == other,
            (Self::Seen { dev, ino }, Self::Seen { dev: other, ino: number }) => {
                (dev, ino) == (other, number)
            }
            _ => false,
        }
    }
}

impl Way {
    /// Walks a path, watching what it passes. What is watched when an error is returned is listed, too.
    pub fn walk<K: Kernel>(
        &mut self,
        kernel: &mut K,
        path: &[u8],
        mask: WatchMask,
    ) -> Result<(), Errno> {
        let mut here = Place::default();
        let mut ahead = Vec::new();
        let mut links = 0_u32;
        let mut is_blind = false;
        push_names(&mut ahead, path);
        while let Some(name) = ahead.pop() {
            if name.is_empty() && !ahead.is_empty() {
                // The next name needs a directory, too.
                continue;
            }
            match kernel.watch(here.path(), STEP) {
                Ok(wd) => {
                    self.steps.insert((wd, name.clone()));
                    is_blind = false;
                }
                // Not to be read, but perhaps to be passed.
                Err(Errno::EACCES) => is_blind = true,
                Err(errno) if is_missing(errno) => return Ok(()),
                Err(errno) => return Err(errno),
            }
            // For `..` it counts whether the directory may be searched.
            let at = here.child(if *name == *b".." { b"." } else { &name });
            let Some(seen) = look(kernel, &at)? else { return Ok(()) };
            match (&*name, seen) {
                (b"..", _) => here.leave(),
                (b"" | b".", _) => {}
                (_, Entry::File { .. }) => here.enter(at),
                (_, Entry::Link(text)) => {
                    links = links.saturating_add(1);
                    if links > MAX_LINKS || text.is_empty() {
                        return Ok(());
                    }
                    if text.starts_with(b"/") {
                        here = Place::default();
                    }
                    push_names(&mut ahead, &text);
                }
            }
        }
        // In a directory that can't be watched, the file itself is the only one to report its end.
        let mask = if is_blind { mask | SELF } else { mask };
        self.arrive(kernel, here.path(), mask)
    }

    /// Watches the file at the end.
    fn arrive<K: Kernel>(
        &mut self,
        kernel: &mut K,
        path: &[u8],
        mask: WatchMask,
    ) -> Result<(), Errno> {
        self.end = match kernel.watch(path, mask) {
            Ok(wd) => Some(End::Watched { wd, mask }),
            Err(Errno::EACCES) => match look(kernel, path)? {
                Some(Entry::File { dev, ino }) => Some(End::Seen { dev, ino }),
                // A link came just now, and the directory reports it.
                Some(Entry::Link(_)) | None => None,
            },
            Err(errno) if is_missing(errno) => None,
            Err(errno) => return Err(errno),
        };
        Ok(())
    }

    /// Ends the watches that another way does not need.
    pub fn release<K: Kernel>(&self, kernel: &mut K, other: &Self) {
        let kept: BTreeSet<Wd> = other.wds().collect();
        let all: BTreeSet<Wd> = self.wds().collect();
        for wd in all.difference(&kept) {
            kernel.unwatch(*wd);
        }
    }

    /// Forgets a watch that has ended.
    pub fn forget(&mut self, wd: Wd) {
        self.steps.retain(|step| step.0 != wd);
        if matches!(self.end, Some(End::Watched { wd: target, .. }) if target == wd) {
            self.end = Some(End::Ended);
        }
    }

    /// Returns what the file at the end is watched for; nothing if that is not its watch.
    pub fn mask_of(&self, wd: Wd) -> WatchMask {
        match self.end {
            Some(End::Watched { wd: target, mask }) if target == wd => mask,
            _ => WatchMask::empty(),
        }
    }

    /// Returns `true` if the way may lead elsewhere after that event.
    pub fn is_touched(&self, event: &Event<'_>) -> bool {
        let (wd, mask) = (event.wd(), event.mask());
        let asked = self.mask_of(wd);
        // A user who asks for these events pays with walks in vain.
        let own = asked.intersection(SELF).events() | LIFE;
        if !asked.is_empty() && event.name().is_none() && mask.intersects(own) {
            return true;
        }
        let first = (wd, Box::default());
        let mut steps = self.steps.range(first..).take_while(|step| step.0 == wd);
        mask.intersects(STEP.events() | LIFE)
            && steps.any(|(_, entry)| event.name().is_none_or(|name| *name == **entry))
    }

    /// The watched directories, each with an entry that matters in it.
    pub fn steps(&self) -> impl Iterator<Item = (Wd, &[u8])> {
        self.steps.iter().map(|(wd, entry)| (*wd, &**entry))
    }

    /// The descriptors of all watches; some more than once.
    fn wds(&self) -> impl Iterator<Item = Wd> {
        let target = match self.end {
            Some(End::Watched { wd, .. }) => Some(wd),
            _ => None,
        };
        self.steps.iter().map(|step| step.0).chain(target)
    }
}

/// A path without links, dots and a slash at its end. Empty for the root.
#[derive(Debug, Default)]
struct Place(Vec<u8>);

impl Place {
    /// The path, for the kernel.
    fn path(&self) -> &[u8] {
        if self.0.is_empty() { b"/" } else { &self.0 }
    }

    /// The path of an entry.
    fn child(&self, name: &[u8]) -> Vec<u8> {
        [&self.0, name].join(&b'/')
    }

    fn enter(&mut self, child: Vec<u8>) {
        self.0 = child;
    }

    /// Goes to the directory above; the root is its own.
    fn leave(&mut self) {
        let end = self.0.iter().rposition(|byte| *byte == b'/');
        self.0.truncate(end.unwrap_or_default());
    }
}

/// Puts the names of a path in front of what is ahead already; the next one is the last. A slash at the
/// end counts as an empty name.
fn push_names(ahead: &mut Vec<Box<[u8]>>, path: &[u8]) {
    if path.ends_with(b"/") {
        ahead.push(Box::default());
    }
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    ahead.extend(names.rev().map(Box::from));
}

/// What is at a path; `None` if nothing is there, or nothing that can be reached.
fn look<K: Kernel>(kernel: &mut K, path: &[u8]) -> Result<Option<Entry>, Errno> {
    match kernel.look(path) {
        Ok(entry) => Ok(Some(entry)),
        Err(errno) if errno == Errno::EACCES || is_missing(errno) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Returns `true` if nothing is there.
const fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENAMETOOLONG)
}
