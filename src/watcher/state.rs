//! All that a watcher and its handles share under one lock.
//!
//! | file | what it owns |
//! |---|---|
//! | `registry` | the watches that users know |
//! | `subscribers` | the recipients of the events of a descriptor |
//! | `names` | the names that are followed |
//! | `trees` ← `tree` | the trees |
//! | `walking` | nothing: walks names |
//! | `kernel` | nothing: adds watches by paths |
//!
//! Nothing here runs a user's code. What may hold a user's values is put aside when it is removed, and
//! dropped when the lock is open ([`State::take_discarded`]). The kernel's watch of a descriptor ends
//! when no subscriber and no tree needs it.

mod kernel;
mod names;
mod registry;
mod subscribers;
pub(super) mod tree;
pub(super) mod trees;
mod walking;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::error::WatchError;
use super::event::WatchEventBuf;
use super::id::WatchId;
use super::outbox::{Notice, Outbox};
use super::path::SharedPath;
use super::route::Route;
use super::subscription::{Recipient, Subscription, Wanted, WatchKind, Way};
use crate::event::{Event, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::follow::{Follower, NameChange};
use crate::inotify::{Error, Inotify};
use crate::keys::KeySet;
use crate::sys::{Errno, Fd};
use crate::tree::TreeEvent;
use crate::tree::linux::{Queue, list_watches};

use kernel::watch_path;
use names::Names;
use registry::Registry;
use subscribers::Subscribers;
use tree::TreeDriver;
use trees::Trees;

#[derive(Debug)]
pub(super) struct State {
    registry: Registry,
    subscribers: Subscribers,
    names: Names,
    trees: Trees,
    outbox: Outbox,
    /// What was read from the kernel.
    queue: Queue,
    /// Values that may hold users' values. They are dropped when the lock is open.
    discarded: Vec<Arc<Subscription>>,
    /// Whether routes have changed since [`take_changed`](Self::take_changed).
    changed: bool,
    /// Whether the reader was woken, and has not read since.
    woken: bool,
}

impl State {
    /// Returns the state of the watcher with this number.
    pub fn new(watcher: u32) -> Self {
        Self {
            registry: Registry::new(watcher),
            subscribers: Subscribers::default(),
            names: Names::default(),
            trees: Trees::default(),
            outbox: Outbox::default(),
            queue: Queue::default(),
            discarded: Vec::new(),
            changed: false,
            woken: false,
        }
    }

    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    pub const fn trees(&self) -> &Trees {
        &self.trees
    }

    pub const fn trees_mut(&mut self) -> &mut Trees {
        &mut self.trees
    }

    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    pub const fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Takes the values that must be dropped when the lock is open.
    pub fn take_discarded(&mut self) -> Vec<Arc<Subscription>> {
        std::mem::take(&mut self.discarded)
    }

    /// Notes that routes have changed.
    pub const fn set_changed(&mut self) {
        self.changed = true;
    }

    /// Returns `true` if routes have changed since the last call.
    pub const fn take_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// Watches the file that a path leads to.
    pub fn add_inode(
        &mut self,
        inotify: &Inotify,
        wanted: Wanted<'_>,
    ) -> Result<WatchId, WatchError> {
        self.registry.check_alias(wanted.options.get_alias())?;
        let wd = match watch_path(inotify, wanted.path, wanted.mask) {
            Err(error) if error.errno() == Some(Errno::EEXIST) => {
                // Perhaps it is only on the way to a followed name, or in a tree.
                let mask = wanted.mask.difference(WatchMask::MASK_CREATE);
                let wd = watch_path(inotify, wanted.path, mask)?;
                if self.subscribers.has_inode(wd) {
                    return Err(error);
                }
                wd
            }
            wd => wd?,
        };
        let is_known = self.is_needed(wd, None) || self.trees.is_other_at_work(None);
        let since = if is_known { self.queue.fence(inotify) } else { 0 };
        let make = |id| wanted.subscription(id, WatchKind::Inode, wd, since);
        let subscription = self.registry.add(make);
        self.subscribers.add(wd, Recipient::new(&subscription));
        self.changed = true;
        Ok(subscription.id)
    }

    /// Follows a name. `absolute` is its path from `/`.
    pub fn add_name(
        &mut self,
        inotify: &Inotify,
        wanted: Wanted<'_>,
        absolute: &Path,
    ) -> Result<WatchId, WatchError> {
        self.registry.check_alias(wanted.options.get_alias())?;
        wanted.check_mask()?;
        let make = |id| wanted.subscription(id, WatchKind::Name, Wd::NONE, 0);
        let id = self.registry.add(make).id;
        let follower = Follower::new(absolute.as_os_str().as_bytes(), wanted.mask);
        self.names.add(id, follower);
        // What is there at the beginning is no change.
        if let Err(errno) = self.walk_once(inotify, id) {
            self.remove(inotify, id)?;
            return Err(WatchError::at(wanted.path, Error::AddWatch(errno)));
        }
        Ok(id)
    }

    /// Adds a tree that is at work: the caller sets it up.
    pub fn add_tree(
        &mut self,
        inotify: &Inotify,
        wanted: Wanted<'_>,
        home: Option<Arc<Fd>>,
    ) -> Result<WatchId, WatchError> {
        self.registry.check_alias(wanted.options.get_alias())?;
        wanted.check_mask()?;
        let make = |id| wanted.subscription(id, WatchKind::Tree, Wd::NONE, 0);
        let id = self.registry.add(make).id;
        self.trees.add(id, home, self.queue.end(inotify));
        self.changed = true;
        Ok(id)
    }

    /// Ends a watch. Returns the driver of a tree that was at home; the caller stops it.
    pub fn remove(
        &mut self,
        inotify: &Inotify,
        id: WatchId,
    ) -> Result<Option<Box<TreeDriver>>, WatchError> {
        let subscription = self.registry.remove(id).ok_or(WatchError::NoSuchWatch(id))?;
        let wd = subscription.wd;
        self.discarded.push(subscription);
        self.changed = true;
        let mut wds = self.names.remove(id);
        wds.extend((wd != Wd::NONE).then_some(wd));
        let mut result = Ok(());
        for wd in wds.keys() {
            self.subscribers.remove(wd, id);
            result = self.release(inotify, wd, None).and(result);
        }
        result.map(|()| self.trees.end(id))
    }

    /// Changes the mask of a watch. Returns the kind of the watch; the caller changes a tree, too.
    pub fn set_mask(
        &mut self,
        inotify: &Inotify,
        id: WatchId,
        mask: WatchMask,
    ) -> Result<WatchKind, WatchError> {
        let old = Arc::clone(self.registry.get(id)?);
        let path = old.path.as_path();
        mask.check().map_err(|error| WatchError::at(path, Error::Mask(error)))?;
        match old.kind {
            WatchKind::Inode => {
                // The others of this inode, this one too, keep what they have.
                let wd = watch_path(inotify, path, mask.difference(WatchMask::MASK_CREATE))?;
                if wd != old.wd {
                    self.release(inotify, wd, None)?;
                    return Err(WatchError::Moved(path.to_owned()));
                }
            }
            WatchKind::Name => {
                if let Some(follower) = self.names.get_mut(id) {
                    follower.set_mask(mask);
                }
            }
            // The caller changes the tree itself.
            WatchKind::Tree => {}
        }
        self.replace(Subscription { asked: mask, ..Subscription::clone(&old) });
        if old.kind == WatchKind::Name {
            let walked = self.walk(inotify, id);
            walked.map_err(|errno| WatchError::at(path, Error::AddWatch(errno)))?;
        }
        Ok(old.kind)
    }

    /// Changes the path that events of a watch show, and the directory that the root of a tree begins at.
    pub fn set_path(
        &mut self,
        id: WatchId,
        path: &Path,
        home: Option<Arc<Fd>>,
    ) -> Result<(), WatchError> {
        self.trees.set_home(id, home);
        let old = Arc::clone(self.registry.get(id)?);
        self.replace(Subscription { path: SharedPath::new(path), ..Subscription::clone(&old) });
        Ok(())
    }

    fn replace(&mut self, new: Subscription) {
        let new = Arc::new(new);
        match new.kind {
            WatchKind::Inode => self.subscribers.replace(new.wd, &Recipient::new(&new)),
            WatchKind::Name => {
                for wd in self.names.wds(new.id).keys() {
                    self.subscribers.remove(wd, new.id);
                }
                self.subscribe_name(&new);
            }
            WatchKind::Tree => {}
        }
        self.discarded.extend(self.registry.replace(new));
        self.changed = true;
    }

    /// Returns `true` if a watch is left.
    pub fn has_watches(&self) -> bool {
        self.registry.iter().next().is_some()
    }

    /// Returns `true` if a subscriber, or a tree at home other than `tree`, needs a descriptor.
    fn is_needed(&self, wd: Wd, tree: Option<WatchId>) -> bool {
        self.subscribers.contains(wd) || self.trees.is_in_other(tree, wd)
    }

    /// Returns `true` if another subscriber than `tree` needs a descriptor, or may need it.
    pub fn may_be_needed(&self, wd: Wd, tree: WatchId) -> bool {
        self.is_needed(wd, Some(tree)) || self.trees.is_other_at_work(Some(tree))
    }

    /// Has the kernel end a watch that a tree no longer needs, if nobody else does.
    pub fn release_of_tree(&mut self, inotify: &Inotify, wd: Wd, tree: WatchId) {
        // It may have ended by itself.
        let _ = self.release(inotify, wd, Some(tree));
        self.queue.read_ahead(inotify, 1);
    }

    /// Has the kernel end a watch that nobody needs but, perhaps, this tree.
    fn release(
        &mut self,
        inotify: &Inotify,
        wd: Wd,
        tree: Option<WatchId>,
    ) -> Result<(), WatchError> {
        if self.is_needed(wd, tree) {
            return Ok(());
        }
        if self.trees.is_other_at_work(tree) {
            self.subscribers.set_unclear(wd);
            return Ok(());
        }
        match inotify.rm_watch(wd) {
            // The kernel was faster: its `IGNORED` is on the way.
            Ok(()) | Err(Error::RmWatch(Errno::EINVAL)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the watches that nobody needs, once that is known: all trees are at home.
    pub fn release_unclear(&mut self, inotify: &Inotify) {
        if !self.subscribers.has_unclear() || self.trees.is_other_at_work(None) {
            return;
        }
        for wd in self.subscribers.take_unclear().keys() {
            let _ = self.release(inotify, wd, None);
        }
    }

    /// Adds the recipients of the events of a descriptor to a route.
    pub fn route(&self, wd: Wd, route: &mut Route) {
        for recipient in self.subscribers.of(wd) {
            route.push(recipient.clone());
        }
        self.trees.route(wd, &self.registry, self.outbox.is_empty(), route);
    }

    /// Adds a recipient of an earlier route to a new one, as it is now. Adds nothing if it receives no events of
    /// the descriptor any more.
    pub fn route_again(&self, wd: Wd, old: &Recipient, route: &mut Route) {
        if let Way::Tree(_) = old.way {
            let id = old.subscription.id;
            self.trees.route_one(id, wd, &self.registry, self.outbox.is_empty(), route);
        } else if let Some(now) = self.subscribers.of(wd).iter().find(|now| now.is_same(old)) {
            route.push(now.clone());
        }
    }

    /// Notes that the kernel has ended a watch. Its subscribers have no watch any more. This was the last record of
    /// the descriptor, and the routes of others are as before, so no route has to be made again.
    pub fn ended(&mut self, wd: Wd) {
        for recipient in self.subscribers.end(wd) {
            if recipient.way == Way::Inode {
                self.discarded.extend(self.registry.remove(recipient.subscription.id));
            }
        }
    }

    /// Handles a loss of events. Every name is walked again. A watch may have ended without a record: that is
    /// known where there is a /proc.
    pub fn overflowed(&mut self, inotify: &Inotify) {
        self.names.lost();
        if self.subscribers.wds().next().is_none() {
            // Trees check their own watches. Listing 50,000 watches takes the kernel about 150 ms.
            return;
        }
        let mut alive = KeySet::default();
        let listed = list_watches(inotify, &mut |wd, _| {
            alive.add(wd);
        });
        if listed.is_err() || alive.is_empty() {
            return;
        }
        let gone: Vec<Wd> = self.subscribers.wds().filter(|&wd| !alive.contains(wd)).collect();
        for wd in gone {
            for recipient in self.subscribers.end(wd) {
                if recipient.way == Way::Inode {
                    let subscription = self.registry.remove(recipient.subscription.id);
                    self.outbox.extend(subscription.map(Notice::Ended));
                }
            }
        }
        self.changed = true;
    }

    /// Ends a watch that asked for one event, and has it. Its last event follows.
    pub fn end_one_shot(&mut self, inotify: &Inotify, id: WatchId) {
        if let Ok(subscription) = self.registry.get(id) {
            self.outbox.push(Notice::Ended(Arc::clone(subscription)));
            // It may have ended by itself.
            let _ = self.remove(inotify, id);
        }
    }

    /// Has a follower take an event of one of its watches.
    pub fn feed_name(&mut self, id: WatchId, event: &Event<'_>) -> Option<NameChange> {
        self.names.feed(id, event)
    }

    /// Returns `true` if a followed name leads to a file; `None` if the watch follows no name.
    pub fn name_exists(&self, id: WatchId) -> Option<bool> {
        self.registry.get(id).ok()?;
        self.names.get(id).map(Follower::is_found)
    }

    /// Something was read, so what failed may work now.
    pub fn retry_names(&mut self) {
        self.names.retry();
    }

    /// Puts the reports of a tree into the outbox.
    pub fn push_reports(&mut self, tree: WatchId, reports: Vec<TreeEvent>) {
        for event in reports {
            self.outbox.push_report(tree, event);
        }
    }

    /// Returns `true` if the outbox or the names have something for the reader.
    pub fn has_notices(&self) -> bool {
        !self.outbox.is_empty() || self.names.has_pending()
    }

    /// Returns `true` if something waits in memory for the reader.
    pub fn has_waiting(&self) -> bool {
        self.has_notices() || !self.queue.is_empty() || self.trees.with_work().next().is_some()
    }

    /// Returns `true` if the reader has something to do that no record of the kernel brings.
    pub fn needs_reader(&self) -> bool {
        self.has_waiting() || self.trees.restless().next().is_some()
    }

    /// Notes that the reader is woken. Returns `false` if it was before.
    pub const fn set_woken(&mut self, woken: bool) -> bool {
        std::mem::replace(&mut self.woken, woken) != woken
    }

    /// Takes the next event out of the outbox. Events of a removed watch are discarded.
    pub fn take_notice(
        &mut self,
        inotify: &Inotify,
    ) -> Option<(WatchEventBuf, Option<Box<TreeDriver>>)> {
        loop {
            let notice = self.outbox.pop()?;
            let subscription = notice.watch().map(|id| self.registry.get(id));
            let (event, ended) = match (notice, subscription) {
                (Notice::Overflow, _) => (WatchEventBuf::overflow(EventMask::Q_OVERFLOW), None),
                (Notice::Ended(last), _) => (WatchEventBuf::last(&last), None),
                (Notice::Name(_, change), Some(Ok(of))) => {
                    (WatchEventBuf::of_name(of, change), None)
                }
                (Notice::Tree(_, event), Some(Ok(of))) => (WatchEventBuf::of_tree(of, event), None),
                (Notice::TreeEnd(id), Some(Ok(of))) => (WatchEventBuf::last(of), Some(id)),
                _ => continue,
            };
            let stopped = ended.and_then(|id| self.remove(inotify, id).ok().flatten());
            return Some((event, stopped));
        }
    }

    /// Reports that records were lost in memory.
    pub fn push_overflow(&mut self) {
        self.outbox.push(Notice::Overflow);
    }
}
