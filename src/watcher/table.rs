//! Who watches what: the bookkeeping between watches, as users have them, and watch descriptors, as
//! the kernel has them.
//!
//! One descriptor has many subscribers, for the kernel knows inodes and users know paths. The kernel
//! is asked for the union of what the subscribers want, and each gets its own share.
//!
//! Everything here runs under one lock, the system calls that change watches too, so that whoever
//! reads an event finds the watch it belongs to.

use std::collections::HashMap;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::WatchError;
use super::event::Change;
use super::name::Followers;
use super::tree::WatchedTree;
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::inotify::{Error, Inotify};
use crate::sys::Errno;
use crate::tree::linux::Queue;

/// A watch of one [`Watcher`](super::Watcher): a small copyable key.
///
/// A watch that is gone, or of another watcher, is refused wherever it is used, however long ago it
/// was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watch {
    watcher: u32,
    index: u32,
    generation: u32,
}

/// A condition on events.
pub(super) type Filter = Arc<dyn Fn(&Event<'_>) -> bool + Send + Sync>;

/// The events that come unasked.
pub(super) const LIFE: EventMask = EventMask::UNMOUNT.union(EventMask::IGNORED);

/// What tells of the end of a watch, or of a loss.
pub(super) const TURNS: EventMask = LIFE.union(EventMask::Q_OVERFLOW);

/// What a subscriber is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A user watches a file.
    File,
    /// A user follows a name; has no descriptor of its own.
    Name,
    /// A directory on the way of a followed name, and the entry that matters in it.
    Step { follower: Watch, entry: OsString },
    /// The file that a followed name leads to.
    Target { follower: Watch },
    /// A tree, or a directory in it: then `root` is the tree.
    Tree,
}

/// One subscriber. Never changed: replaced, so that events keep what was true for them.
#[derive(Clone)]
pub(super) struct Sub {
    pub watch: Watch,
    pub wd: Wd,
    /// What the user asked for.
    pub asked: WatchMask,
    /// What is delivered: the events among it, and those that come unasked.
    pub mask: EventMask,
    pub path: PathBuf,
    /// The path, ready for a name to be put behind it.
    pub prefix: OsString,
    pub alias: Option<OsString>,
    /// Where in the stream of events this subscriber begins, in bytes.
    pub since: u64,
    pub filter: Option<Filter>,
    pub role: Role,
    /// Whether it is given all that meets its mask, but for what is the engine's.
    pub plain: bool,
    /// What the engine of a tree has to see first.
    pub engine: EventMask,
    /// The same, and what turns the table.
    pub turns: EventMask,
    /// The tree that this is a directory of.
    pub root: Option<Arc<Self>>,
}

impl Sub {
    /// Sets what follows from the rest.
    fn settled(mut self) -> Arc<Self> {
        self.mask = self.asked.events() | LIFE;
        self.prefix = prefix(&self.path);
        self.plain = self.role == Role::File
            && self.filter.is_none()
            && !self.asked.contains(WatchMask::ONESHOT);
        self.turns = self.engine | TURNS;
        Arc::new(self)
    }

    pub fn info(&self) -> WatchInfo {
        WatchInfo {
            watch: self.watch,
            path: self.path.clone(),
            alias: self.alias.clone(),
            mask: self.asked,
            wd: (self.role == Role::File).then_some(self.wd),
        }
    }
}

impl fmt::Debug for Sub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sub").field("watch", &self.watch).field("path", &self.path).finish()
    }
}

/// All subscribers of a descriptor, the oldest first.
pub(super) type Subs = Arc<[Arc<Sub>]>;

/// What a subscriber is made of.
pub(super) struct Draft<'a> {
    pub path: &'a Path,
    pub asked: WatchMask,
    pub alias: Option<OsString>,
    pub filter: Option<Filter>,
    pub role: Role,
}

/// An active watch, as [`Watches::list`](super::Watches::list) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchInfo {
    /// The watch.
    pub watch: Watch,
    /// Its path, as it was given.
    pub path: PathBuf,
    /// Its alias, if it was given one.
    pub alias: Option<OsString>,
    /// Its mask.
    pub mask: WatchMask,
    /// The kernel's descriptor; several watches of one inode share it. `None` where a name is
    /// followed.
    pub wd: Option<Wd>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    sub: Option<Arc<Sub>>,
}

/// What is known of a descriptor.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub subs: Subs,
    /// How many `IGNORED` of our own removals are still to come.
    ending: u32,
}

#[derive(Debug)]
pub(super) struct Table {
    watcher: u32,
    slots: Vec<Slot>,
    free: Vec<u32>,
    pub wds: HashMap<Wd, Entry>,
    aliases: HashMap<OsString, Watch>,
    pub followers: Followers,
    pub trees: Vec<WatchedTree>,
    /// What became of followed names while nobody read.
    pub changes: Vec<(Watch, Change)>,
    /// What was read from the kernel.
    pub queue: Queue,
    /// Whether the reader was woken, and does not know of it yet.
    pub woken: bool,
}

impl Table {
    pub fn new(watcher: u32) -> Self {
        Self {
            watcher,
            slots: Vec::new(),
            free: Vec::new(),
            wds: HashMap::new(),
            aliases: HashMap::new(),
            followers: Followers::default(),
            trees: Vec::new(),
            changes: Vec::new(),
            queue: Queue::default(),
            woken: false,
        }
    }

    /// The subscribers of a descriptor.
    pub fn subs(&self, wd: Wd) -> Subs {
        self.wds.get(&wd).map(|entry| Arc::clone(&entry.subs)).unwrap_or_default()
    }

    /// The subscribers of a descriptor, those that see it as a directory of a tree too.
    pub fn subs_and_trees(&self, wd: Wd) -> Subs {
        let subs = self.subs(wd);
        if self.trees.is_empty() {
            return subs;
        }
        let dirs = self.trees.iter().filter_map(|tree| tree.dir(wd));
        subs.iter().cloned().chain(dirs).collect()
    }

    /// The subscriber behind a watch.
    pub fn get(&self, watch: Watch) -> Result<&Arc<Sub>, WatchError> {
        let slot = self
            .slots
            .get(watch.index as usize)
            .filter(|slot| watch.watcher == self.watcher && watch.generation == slot.generation);
        slot.and_then(|slot| slot.sub.as_ref()).ok_or(WatchError::NoSuchWatch(watch))
    }

    pub fn with_alias(&self, alias: &OsStr) -> Result<Watch, WatchError> {
        let watch = self.aliases.get(alias).copied();
        watch.ok_or_else(|| WatchError::NoSuchAlias(alias.to_owned()))
    }

    /// The subscribers that users know of.
    pub fn users(&self) -> impl Iterator<Item = &Arc<Sub>> {
        let subs = self.slots.iter().filter_map(|slot| slot.sub.as_ref());
        subs.filter(|sub| matches!(sub.role, Role::File | Role::Name | Role::Tree))
    }

    /// Adds a subscriber, and has the kernel watch its path.
    pub fn add(&mut self, inotify: &Inotify, draft: Draft<'_>) -> Result<Arc<Sub>, WatchError> {
        if let Some(alias) = &draft.alias {
            if self.aliases.contains_key(alias) {
                return Err(WatchError::AliasTaken(alias.clone()));
            }
        }
        let (wd, since) = match draft.role {
            Role::Name | Role::Tree => {
                draft.asked.check().map_err(|error| at(draft.path, Error::Mask(error)))?;
                (Wd::NONE, 0)
            }
            _ => {
                let wd = match kernel_watch(inotify, draft.path, draft.asked) {
                    Err(error) if error.errno() == Some(Errno::EEXIST) => {
                        // Perhaps only a step on the way to a followed name, which no user watches.
                        let asked = draft.asked.difference(WatchMask::MASK_CREATE);
                        let wd = kernel_watch(inotify, draft.path, asked)?;
                        if self.subs(wd).iter().any(|sub| sub.role == Role::File) {
                            return Err(error);
                        }
                        wd
                    }
                    wd => wd?,
                };
                let known = self.is_watched(wd) && draft.role == Role::File;
                (wd, if known { self.fence(inotify) } else { 0 })
            }
        };
        let watch = self.vacant_slot();
        let sub = Sub {
            watch,
            wd,
            asked: draft.asked,
            mask: EventMask::empty(),
            path: draft.path.to_owned(),
            prefix: OsString::new(),
            alias: draft.alias,
            since,
            filter: draft.filter,
            role: draft.role,
            plain: false,
            engine: EventMask::empty(),
            turns: TURNS,
            root: None,
        };
        let sub = sub.settled();
        if let Some(alias) = &sub.alias {
            self.aliases.insert(alias.clone(), watch);
        }
        if let Some(slot) = self.slots.get_mut(watch.index as usize) {
            slot.sub = Some(Arc::clone(&sub));
        }
        if wd != Wd::NONE {
            let entry = self.wds.entry(wd).or_default();
            entry.subs = entry.subs.iter().cloned().chain([Arc::clone(&sub)]).collect();
        }
        Ok(sub)
    }

    /// Removes a subscriber; the kernel's watch goes with the last one.
    pub fn remove(&mut self, inotify: &Inotify, watch: Watch) -> Result<(), WatchError> {
        let wd = self.get(watch)?.wd;
        if let Some(follower) = self.followers.remove(&watch) {
            for watch in follower.watches() {
                // Those that the kernel has dropped are gone already.
                let _ = self.remove(inotify, watch);
            }
        }
        self.end_tree(inotify, watch);
        self.vacate(watch);
        let in_tree = self.trees.iter().any(|tree| tree.contains(wd));
        let Some(entry) = self.wds.get_mut(&wd) else { return Ok(()) };
        entry.subs = entry.subs.iter().filter(|sub| sub.watch != watch).cloned().collect();
        if entry.subs.is_empty() && in_tree {
            if entry.ending == 0 {
                self.wds.remove(&wd);
            }
        } else if entry.subs.is_empty() {
            entry.ending = entry.ending.saturating_add(1);
            match inotify.rm_watch(wd) {
                // The kernel was faster: its own IGNORED is on the way, and counts as ours.
                Ok(()) | Err(Error::RmWatch(Errno::EINVAL)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether somebody needs a descriptor.
    pub fn is_watched(&self, wd: Wd) -> bool {
        self.wds.contains_key(&wd) || self.trees.iter().any(|tree| tree.contains(wd))
    }

    /// Has the kernel forget a descriptor that nobody subscribed to.
    pub fn release(&mut self, inotify: &Inotify, wd: Wd) {
        if !self.is_watched(wd) && inotify.rm_watch(wd).is_ok() {
            self.wds.insert(wd, Entry { subs: Subs::default(), ending: 1 });
        }
    }

    /// Puts another subscriber in the place of one.
    pub fn replace(&mut self, sub: Sub) -> Result<(), WatchError> {
        self.get(sub.watch)?;
        let sub = sub.settled();
        if let Some(tree) = self.trees.iter_mut().find(|tree| tree.sub.watch == sub.watch) {
            tree.replace(&sub)?;
        }
        if let Some(entry) = self.wds.get_mut(&sub.wd) {
            let same = |old: &Arc<Sub>| if old.watch == sub.watch { &sub } else { old }.clone();
            entry.subs = entry.subs.iter().map(same).collect();
        }
        if let Some(slot) = self.slots.get_mut(sub.watch.index as usize) {
            slot.sub = Some(sub);
        }
        Ok(())
    }

    /// Notes that the kernel's watch has ended. `None` if that was our own doing, and nobody needs to
    /// hear of it; else those who watched, who do so no more.
    pub fn ignored(&mut self, wd: Wd) -> Option<Subs> {
        let entry = self.wds.get_mut(&wd)?;
        if entry.ending > 0 {
            entry.ending = entry.ending.saturating_sub(1);
            if entry.ending == 0 && entry.subs.is_empty() {
                self.wds.remove(&wd);
            }
            return None;
        }
        self.drop_wd(wd)
    }

    /// After an overflow, `IGNORED` may be among what was lost: those whose watch has ended unheard.
    ///
    /// Where there is no /proc to tell, none.
    pub fn lost(&mut self, inotify: &Inotify) -> Vec<Arc<Sub>> {
        if self.wds.is_empty() {
            return Vec::new();
        }
        let Some(alive) = kernel_watches(inotify) else { return Vec::new() };
        let all: Vec<Wd> = self.wds.keys().copied().collect();
        let gone = all.into_iter().filter(|wd| !alive.contains(wd));
        gone.filter_map(|wd| self.drop_wd(wd)).flat_map(|subs| subs.to_vec()).collect()
    }

    fn drop_wd(&mut self, wd: Wd) -> Option<Subs> {
        let entry = self.wds.remove(&wd)?;
        for sub in entry.subs.iter() {
            self.vacate(sub.watch);
        }
        Some(entry.subs)
    }

    fn vacant_slot(&mut self) -> Watch {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, sub: None });
            // Memory ends long before four thousand million slots.
            (self.slots.len() as u32).wrapping_sub(1)
        });
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        Watch { watcher: self.watcher, index, generation }
    }

    fn vacate(&mut self, watch: Watch) {
        let Some(slot) = self.slots.get_mut(watch.index as usize) else { return };
        let Some(sub) = slot.sub.take() else { return };
        if let Some(alias) = &sub.alias {
            self.aliases.remove(alias);
        }
        // A slot whose generations are used up is never used again.
        slot.generation = slot.generation.wrapping_add(1);
        if slot.generation != u32::MAX {
            self.free.push(watch.index);
        }
    }

    /// Where in the stream a new subscriber of a watched inode begins.
    ///
    /// The kernel merges an event into an identical one at the end of the queue, so an event of after
    /// now could hide in one of before. A watch that is made and ended puts its `IGNORED` between.
    fn fence(&mut self, inotify: &Inotify) -> u64 {
        for path in [c"/", c"/proc", c"/dev", c"/tmp", c"/usr", c"."] {
            let mask = WatchMask::DELETE_SELF | WatchMask::MASK_CREATE;
            let Ok(wd) = inotify.add_watch(path, mask) else { continue };
            let entry = self.wds.entry(wd).or_default();
            if entry.subs.is_empty() {
                entry.ending = entry.ending.saturating_add(1);
                let _ = inotify.rm_watch(wd);
                break;
            }
            // Kernels before 4.18 don't know `MASK_CREATE`, and this is somebody's: give it back.
            let asked = entry.subs.iter().fold(mask, |all, sub| all | sub.asked);
            let asked = asked & WatchMask::ALL_EVENTS | WatchMask::MASK_ADD;
            let _ = inotify.add_watch(path, asked);
        }
        // Who can't be asked has an empty queue, or is no inotify instance.
        self.queue.end(inotify)
    }
}

/// Has the kernel watch what a path leads to, for this too.
pub(super) fn kernel_watch(
    inotify: &Inotify,
    path: &Path,
    asked: WatchMask,
) -> Result<Wd, WatchError> {
    let name =
        CString::new(path.as_os_str().as_bytes()).map_err(|_| WatchError::Nul(path.to_owned()))?;
    // One-shot is per subscriber, so it is not the kernel's business.
    let mut mask = asked.difference(WatchMask::ONESHOT);
    if !mask.contains(WatchMask::MASK_CREATE) {
        mask |= WatchMask::MASK_ADD;
    }
    inotify.add_watch(&name, mask).map_err(|error| at(path, error))
}

/// The descriptors that the kernel watches, by /proc; `None` where that is not there.
fn kernel_watches(inotify: &Inotify) -> Option<std::collections::HashSet<Wd>> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", inotify.as_raw()));
    let text = text.ok()?;
    let wds = text.lines().filter_map(|line| line.strip_prefix("inotify wd:"));
    let wds = wds.filter_map(|rest| rest.split(' ').next());
    Some(wds.filter_map(|wd| i32::from_str_radix(wd, 16).ok()).map(Wd::from_raw).collect())
}

pub(super) fn prefix(path: &Path) -> OsString {
    let mut prefix = path.as_os_str().to_owned();
    if !prefix.as_bytes().ends_with(b"/") {
        prefix.push("/");
    }
    prefix
}

pub(super) fn at(path: &Path, error: Error) -> WatchError {
    WatchError::Path { path: path.to_owned(), error }
}
