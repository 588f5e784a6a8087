//! Reports what the watcher returns: sends events to the [`Emitter`], and messages about the watches to
//! the user.
//!
//! ```text
//! WatchEvent ──► Report ──► Renames ──► Emitter ──► Sink
//!                  └─────► Messages
//! ```

use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use tinotify::{
    Escaped, EventMask, NameChange, TreeChange, UnwatchedReason, WatchError, WatchEvent, WatchId,
};

use crate::args::Options;
use crate::emit::{Effect, Emitter};
use crate::failure::Failure;
use crate::messages::Messages;
use crate::output::Location;
use crate::renames::Renames;
use crate::setup::Roots;

pub struct Report<'a> {
    messages: &'a Messages,
    monitor: bool,
    follow_links: bool,
    /// With `--existing`, the trees whose set-up is not complete.
    incomplete: Vec<WatchId>,
    roots: Roots,
    renames: Renames,
}

impl<'a> Report<'a> {
    pub fn new(options: &Options, messages: &'a Messages, roots: Roots) -> Self {
        let incomplete = match options.existing {
            true => roots.keys().copied().collect(),
            false => Vec::new(),
        };
        Self {
            messages,
            monitor: options.monitor,
            follow_links: options.follow_links,
            incomplete,
            roots,
            renames: Renames::new(options.renames),
        }
    }

    /// Reports one event.
    pub fn event(
        &mut self,
        event: &WatchEvent<'_>,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        let (mask, cookie) = (event.mask(), event.cookie());
        let Some(watch) = event.watch() else { return self.overflow(mask, emitter) };
        // The removal of a tree's root is reported before the end of its watch.
        if event.is_ignored() && event.tree_change() != Some(TreeChange::RootRemoved) {
            return self.ended(watch, mask, emitter);
        }
        let Some(root) = self.roots.get(&watch) else { return Ok(Effect::Nothing) };
        let at = match event.name() {
            Some(name) => Location::new(event.path().as_os_str().as_bytes(), name.len()),
            None => Location::watched(root),
        };
        let before = self.renames.emit_before(at, mask, cookie, emitter)?;
        let effect = if let Some(change) = event.tree_change() {
            let effect = self.tree((watch, change), at, mask, cookie, emitter)?;
            if change == TreeChange::Established {
                self.incomplete.retain(|incomplete| *incomplete != watch);
            }
            effect
        } else {
            match event.name_change() {
                Some(NameChange::Appeared) => emitter.word("APPEARED", at, mask)?,
                Some(NameChange::Replaced) => emitter.word("REPLACED", at, mask)?,
                Some(NameChange::Vanished) => emitter.word("VANISHED", at, mask)?,
                _ => self.renames.event(at, mask, cookie, emitter)?,
            }
        };
        Ok(before.max(effect))
    }

    /// Reports the changes of a tree that are not plain events.
    fn tree(
        &self,
        (watch, change): (WatchId, TreeChange<'_>),
        at: Location<'_>,
        mask: EventMask,
        cookie: u32,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        let (path, is_dir) = (Escaped(at.path()), mask & EventMask::ISDIR);
        match change {
            TreeChange::Renamed { from } => {
                let from = Location::split_last(from.as_os_str().as_bytes());
                emitter.renamed(from, at, is_dir, cookie)
            }
            TreeChange::Exchanged { with } => {
                let with = Location::split_last(with.as_os_str().as_bytes());
                emitter.exchanged(with, at, is_dir, cookie)
            }
            TreeChange::Discovered
                if mask.contains(EventMask::CREATE) && self.incomplete.contains(&watch) =>
            {
                emitter.existing(at, is_dir)?;
                Ok(Effect::Nothing)
            }
            TreeChange::Discovered => emitter.discovered(at, mask),
            TreeChange::Established => emitter.note("ESTABLISHED", at, false, ""),
            TreeChange::Watched => emitter.note("WATCHED", at, true, ""),
            TreeChange::Unwatched(reason) => {
                let why = why_unwatched(reason);
                // With --follow-links, two paths often lead to one directory.
                if !self.follow_links || reason != UnwatchedReason::WatchedElsewhere {
                    self.messages.inform(format_args!("Cannot watch {path}: {why}"));
                }
                emitter.note("UNWATCHED", at, true, &why)
            }
            TreeChange::Unlisted(errno) => {
                self.messages.warn(format_args!(
                    "cannot list {path} after an overflow: {errno}; it will be retried"
                ));
                emitter.note("UNLISTED", at, true, &errno.to_string())
            }
            TreeChange::RootMoved => {
                self.messages.warn(format_args!(
                    "{path} no longer leads to the watched directory: its events are still \
                     reported, but new directories in it cannot be watched"
                ));
                emitter.note("ROOT_MOVED", at, true, "")
            }
            TreeChange::Resynced => {
                self.messages.warn(format_args!(
                    "{path} is resynchronised: all changes that can be discovered were shown"
                ));
                emitter.note("RESYNCED", at, true, "")
            }
            TreeChange::RootRemoved => emitter.note("ROOT_REMOVED", at, false, ""),
            TreeChange::RootUnmounted => {
                let effect = emitter.event(at, mask, 0)?;
                Ok(effect.max(emitter.note("ROOT_UNMOUNTED", at, false, "")?))
            }
            _ => emitter.event(at, mask, cookie),
        }
    }

    /// Reports that a followed name may be missed.
    pub fn unfollowed(&self, error: &WatchError, emitter: &mut Emitter) -> Result<(), Failure> {
        self.messages.warn(error);
        if let WatchError::Path { path, error } = error {
            let why = error.errno().map_or(UNKNOWN.to_owned(), |errno| errno.to_string());
            let at = Location::watched(path.as_os_str().as_bytes());
            emitter.note("UNWATCHED", at, true, &why)?;
        }
        Ok(())
    }

    /// Reports lost events, even with `--quiet`.
    fn overflow(&self, mask: EventMask, emitter: &mut Emitter) -> Result<Effect, Failure> {
        self.messages.warn(
            "events were lost: the kernel's queue was full; raise the sysctl \
             fs.inotify.max_queued_events",
        );
        emitter.overflow(mask)
    }

    /// Reports that a watch ended.
    fn ended(
        &mut self,
        watch: WatchId,
        mask: EventMask,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        let Some(root) = self.roots.remove(&watch) else { return Ok(Effect::Nothing) };
        if self.monitor {
            self.messages.inform(format_args!("The watch of {} has ended.", Escaped(&root)));
        }
        let effect = emitter.ended(Location::watched(&root), mask)?;
        Ok(effect.max(Effect::Interrupted))
    }

    /// Returns `true` if no watch is left.
    pub fn is_over(&self) -> bool {
        self.roots.is_empty()
    }

    /// Emits each pending `MOVED_FROM` that has waited long enough for its `MOVED_TO`.
    pub fn emit_overdue(&mut self, emitter: &mut Emitter) -> Result<Effect, Failure> {
        self.renames.emit_overdue(Instant::now(), emitter)
    }

    /// Emits each pending `MOVED_FROM`.
    pub fn emit_all(&mut self, emitter: &mut Emitter) -> Result<Effect, Failure> {
        self.renames.emit_all(emitter)
    }

    /// Returns when the next pending `MOVED_FROM` is due.
    pub fn due(&self) -> Option<Instant> {
        self.renames.due()
    }
}

/// Why a directory cannot be watched, if the library does not say it.
const UNKNOWN: &str = "unknown reason";

/// Returns why a directory cannot be watched, as a part of a message.
fn why_unwatched(reason: UnwatchedReason) -> String {
    match reason {
        UnwatchedReason::Failed(errno) => errno.to_string(),
        UnwatchedReason::WatchedElsewhere => "it is watched at another path".to_owned(),
        UnwatchedReason::RootMoved => "the root of its tree was moved".to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}
