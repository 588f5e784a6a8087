//! Reports what the watcher returns: sends events to the [`Emitter`], and messages about the watches to
//! the user.
//!
//! ```text
//! WatchEvent ──► Report ──► Renames ──► Emitter ──► Sink
//!                  └─────► Messages
//! ```

use std::os::unix::ffi::OsStrExt;
use std::time::Instant;

use tinotify::{Escaped, EventMask, NameChange, TreeChange, UnwatchedReason, WatchEvent, WatchId};

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
    roots: Roots,
    renames: Renames,
}

impl<'a> Report<'a> {
    pub fn new(options: &Options, messages: &'a Messages, roots: Roots) -> Self {
        Self {
            messages,
            monitor: options.monitor,
            follow_links: options.follow_links,
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
        if event.is_ignored() {
            return self.ended(watch, mask, emitter);
        }
        let Some(root) = self.roots.get(&watch) else { return Ok(Effect::Nothing) };
        let at = match event.name() {
            Some(name) => {
                let path = event.path().as_os_str().as_bytes();
                Location::new(path, name.len()).in_root(root.len())
            }
            None => Location::watched(root),
        };
        let before = self.renames.emit_before(at, mask, cookie, emitter)?;
        let effect = if let Some(change) = event.tree_change() {
            self.tree(change, at, mask, cookie, emitter)?
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
        change: TreeChange<'_>,
        at: Location<'_>,
        mask: EventMask,
        cookie: u32,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        let (path, is_dir) = (Escaped(at.path()), mask & EventMask::ISDIR);
        match change {
            TreeChange::Renamed { from } => {
                let from = Location::split_last(from.as_os_str().as_bytes());
                let from = from.in_root(at.root().len());
                emitter.renamed(from, at, is_dir, cookie)
            }
            TreeChange::Exchanged { with } => {
                let with = Location::split_last(with.as_os_str().as_bytes());
                let with = with.in_root(at.root().len());
                emitter.exchanged(with, at, is_dir, cookie)
            }
            TreeChange::Discovered => emitter.discovered(at, mask, cookie),
            TreeChange::Established => emitter.note("ESTABLISHED", at, false),
            TreeChange::Watched => emitter.note("WATCHED", at, true),
            TreeChange::Unwatched(reason) => {
                // With --follow-links, two paths often lead to one directory.
                if !self.follow_links || reason != UnwatchedReason::WatchedElsewhere {
                    let why = why_unwatched(reason);
                    self.messages.inform(format_args!("Cannot watch {path}: {why}"));
                }
                emitter.note("UNWATCHED", at, true)
            }
            TreeChange::Unlisted(errno) => {
                self.messages.warn(format_args!(
                    "cannot list {path} after an overflow: {errno}; it will be retried"
                ));
                emitter.note("UNLISTED", at, true)
            }
            TreeChange::RootMoved => {
                self.messages.warn(format_args!(
                    "{path} no longer leads to the watched directory: its events are still \
                     reported, but new directories in it cannot be watched"
                ));
                emitter.note("ROOT_MOVED", at, true)
            }
            TreeChange::Resynced => {
                self.messages.warn(format_args!(
                    "{path} is resynchronised: all changes that can be discovered were shown"
                ));
                emitter.note("RESYNCED", at, true)
            }
            _ => emitter.event(at, mask, cookie),
        }
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
        let effect = emitter.event(Location::watched(&root), mask, 0)?;
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

/// Returns why a directory cannot be watched, as a part of a message.
fn why_unwatched(reason: UnwatchedReason) -> String {
    match reason {
        UnwatchedReason::Failed(errno) => errno.to_string(),
        UnwatchedReason::WatchedElsewhere => "it is watched at another path".to_owned(),
        UnwatchedReason::RootMoved => "the root of its tree was moved".to_owned(),
        _ => "unknown reason".to_owned(),
    }
}
