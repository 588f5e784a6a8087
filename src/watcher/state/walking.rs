//! Walks followed names, and subscribes each to the descriptors on the way.

use std::sync::Arc;

use super::super::error::WatchError;
use super::super::id::WatchId;
use super::super::outbox::Notice;
use super::super::subscription::{LIFE, Recipient, Subscription, Way};
use super::State;
use super::kernel::Paths;
use crate::event::Wd;
use crate::flags::{EventMask, WatchMask};
use crate::follow::{Follower, NameChange};
use crate::inotify::{Error, Inotify};
use crate::keys::KeySet;
use crate::sys::Errno;

/// A watch of a followed name: its descriptor, the events, and the entry that is next on the path.
type Step = (Wd, WatchMask, Option<Arc<[u8]>>);

fn steps_of(follower: &Follower) -> Vec<Step> {
    follower.watches().map(|(wd, mask, entry)| (wd, mask, entry.map(Into::into))).collect()
}

impl State {
    /// Adds a name to the subscribers of all its descriptors.
    pub(super) fn subscribe_name(&mut self, name: &Arc<Subscription>) {
        let steps = self.names.get(name.id).map(steps_of).unwrap_or_default();
        steps.iter().for_each(|step| self.subscribe_step(name, step));
    }

    /// Changes the subscriptions of a name from the watches of one walk to those of the next. Descriptors that
    /// both need are left alone: many names share the directories near the root.
    fn subscribe_steps(&mut self, name: &Arc<Subscription>, before: &[Step], after: &[Step]) {
        let of = |steps: &[Step], wd| -> Vec<Step> {
            steps.iter().filter(|step| step.0 == wd).cloned().collect()
        };
        let wds: KeySet<Wd> = before.iter().chain(after).map(|step| step.0).collect();
        for wd in wds.keys() {
            let (then, now) = (of(before, wd), of(after, wd));
            if then != now {
                // The list of a directory that many names share is long.
                if !then.is_empty() {
                    self.subscribers.remove(wd, name.id);
                }
                now.iter().for_each(|step| self.subscribe_step(name, step));
            }
        }
    }

    fn subscribe_step(&mut self, name: &Arc<Subscription>, (wd, mask, entry): &Step) {
        let way = entry.clone().map_or(Way::Target, Way::Step);
        let (mask, slow) = (mask.events() | LIFE, EventMask::all());
        self.subscribers.add(*wd, Recipient { mask, slow, way, ..Recipient::new(name) });
    }

    /// Walks every name whose way may have changed.
    ///
    /// # Errors
    ///
    /// That of the last walk that failed.
    pub fn walk_names(&mut self, inotify: &Inotify) -> Result<(), WatchError> {
        let mut result = Ok(());
        for id in self.names.take_pending().keys() {
            if let (Err(errno), Ok(subscription)) = (self.walk(inotify, id), self.registry.get(id))
            {
                result = Err(WatchError::at(subscription.path.as_path(), Error::AddWatch(errno)));
            }
        }
        result
    }

    /// Walks a name, and puts what became of it into the outbox.
    pub(super) fn walk(&mut self, inotify: &Inotify, id: WatchId) -> Result<(), Errno> {
        let change = self.walk_once(inotify, id)?;
        self.outbox.extend(change.map(|change| Notice::Name(id, change)));
        Ok(())
    }

    pub(super) fn walk_once(
        &mut self,
        inotify: &Inotify,
        id: WatchId,
    ) -> Result<Option<NameChange>, Errno> {
        let Some(follower) = self.names.get_mut(id) else { return Ok(None) };
        let mut paths = Paths::new(inotify);
        let before = steps_of(follower);
        let walked = follower.walk(&mut paths);
        let after = steps_of(follower);
        if let Ok(subscription) = self.registry.get(id).cloned() {
            self.subscribe_steps(&subscription, &before, &after);
        }
        for wd in paths.unneeded {
            // It may have ended by itself.
            let _ = self.release(inotify, wd, None);
        }
        self.changed = true;
        if walked.is_err() {
            self.names.set_failed(id);
        }
        walked
    }
}
