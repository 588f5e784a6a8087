//! Reports what the watcher returns: sends events to the [`Emitter`], and messages about the watches to
//! the user.
//!
//! ```text
//! WatchEvent ──► Report ──► Renames ──► Emitter ──► Sink
//!                  └─────► Messages
//! ```

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use tinotify::debounce::{Change, Group};
use tinotify::{EventMask, NameChange, TreeChange, WatchError, WatchEvent, WatchId};

use crate::args::Options;
use crate::coverage::{self, Coverage, Why};
use crate::debounce::Debounce;
use crate::emit::{Effect, Emitter};
use crate::failure::Failure;
use crate::messages::Messages;
use crate::output::Location;
use crate::renames::Renames;
use crate::setup::Roots;

/// In place of the cookie of a rename that was merged with other events. The kernel has reported it, so it was not
/// discovered.
const REPORTED: u32 = 1;

pub struct Report<'a> {
    monitor: bool,
    /// With `--existing`, the trees whose set-up is not complete.
    incomplete: Vec<WatchId>,
    roots: Roots,
    renames: Renames,
    debounce: Debounce,
    coverage: Coverage<'a>,
}

impl<'a> Report<'a> {
    pub fn new(options: &Options, messages: &'a Messages, roots: Roots) -> Self {
        let incomplete = match options.existing {
            true => roots.keys().copied().collect(),
            false => Vec::new(),
        };
        Self {
            monitor: options.monitor,
            incomplete,
            roots,
            // The debouncer joins renames itself.
            renames: Renames::new(options.renames && options.debounce.is_none()),
            debounce: Debounce::new(options.debounce),
            coverage: Coverage::new(messages, options.follow_links),
        }
    }

    /// Reports one event, or with `--debounce` keeps it until it is due.
    pub fn event(
        &mut self,
        event: &WatchEvent<'_>,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        let is_existing = event.watch().is_some_and(|watch| self.incomplete.contains(&watch))
            && matches!(
                event.tree_change(),
                Some(TreeChange::Discovered | TreeChange::Established)
            );
        if !self.debounce.is_on() || is_existing {
            return self.report(event, emitter);
        }
        let is_dir = event.mask() & EventMask::ISDIR;
        let root = event.watch().and_then(|watch| self.roots.get(&watch));
        let is_hidden = root.is_some_and(|root| {
            let at = location(event, root);
            emitter.observe(at, event.mask(), false);
            let from = event.renamed_from().map(|from| beneath(from, root));
            !at.name().is_empty()
                && !emitter.shows(at, is_dir)
                && !from.is_some_and(|from| emitter.shows(from, is_dir))
        });
        // A path that is never quiet for long may be the reason for the filter.
        if !is_hidden {
            self.debounce.push(event);
        }
        Ok(Effect::Nothing)
    }

    /// Reports one event.
    fn report(&mut self, event: &WatchEvent<'_>, emitter: &mut Emitter) -> Result<Effect, Failure> {
        let (mask, cookie) = (event.mask(), event.cookie());
        let Some(watch) = event.watch() else { return self.overflow(mask, emitter) };
        // The removal of a tree's root is reported before the end of its watch.
        if event.is_ignored() && event.tree_change() != Some(TreeChange::RootRemoved) {
            return self.ended(watch, mask, emitter);
        }
        let Some(root) = self.roots.get(&watch) else { return Ok(Effect::Nothing) };
        let at = location(event, root);
        let before = self.renames.emit_before(at, mask, cookie, emitter)?;
        let effect = if let Some(change) = event.tree_change() {
            self.coverage.change(change, at.path());
            let is_existing = self.incomplete.contains(&watch);
            if change == TreeChange::Established {
                self.incomplete.retain(|incomplete| *incomplete != watch);
            }
            Self::tree(change, at, (mask, cookie), is_existing, emitter)?
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

    /// Reports a change of a tree.
    fn tree(
        change: TreeChange<'_>,
        at: Location<'_>,
        (mask, cookie): (EventMask, u32),
        is_existing: bool,
        emitter: &mut Emitter,
    ) -> Result<Effect, Failure> {
        let is_dir = mask & EventMask::ISDIR;
        match change {
            TreeChange::Renamed { from } => {
                emitter.renamed(beneath(from, at.root()), at, is_dir, cookie)
            }
            TreeChange::Exchanged { with } => {
                emitter.exchanged(beneath(with, at.root()), at, is_dir, cookie)
            }
            TreeChange::Discovered if is_existing && mask.contains(EventMask::CREATE) => {
                emitter.existing(at, is_dir)?;
                Ok(Effect::Nothing)
            }
            TreeChange::Discovered => emitter.discovered(at, mask),
            TreeChange::Established => emitter.note("ESTABLISHED", at, false, ""),
            TreeChange::Watched => emitter.note("WATCHED", at, true, ""),
            TreeChange::Unwatched(reason) => emitter.note("UNWATCHED", at, true, Why(reason)),
            TreeChange::Unlisted(errno) => emitter.note("UNLISTED", at, true, errno),
            TreeChange::RootMoved => emitter.note("ROOT_MOVED", at, true, ""),
            TreeChange::Resynced => emitter.note("RESYNCED", at, true, ""),
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
        self.coverage.unfollowed(error);
        if let WatchError::Path { path, error } = error {
            let why = error.errno().map_or(coverage::UNKNOWN.to_owned(), |errno| errno.to_string());
            let at = Location::watched(path.as_os_str().as_bytes());
            emitter.note("UNWATCHED", at, true, why)?;
        }
        Ok(())
    }

    /// Reports lost events, even with `--quiet`.
    fn overflow(&self, mask: EventMask, emitter: &mut Emitter) -> Result<Effect, Failure> {
        self.coverage.overflow();
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
            self.coverage.ended(&root);
        }
        let effect = emitter.ended(Location::watched(&root), mask)?;
        Ok(effect.max(Effect::Interrupted))
    }

    /// Returns `true` if no watch is left.
    pub fn is_over(&self) -> bool {
        self.roots.is_empty()
    }

    /// Reports a group of merged events as their net effect.
    fn group(&mut self, group: &Group, emitter: &mut Emitter) -> Result<Effect, Failure> {
        let last = group.last_event().as_event();
        let root = group.watch().and_then(|watch| self.roots.get(&watch));
        let at = match root {
            Some(root) if last.watched_path() == Some(group.path()) => Location::watched(root),
            Some(root) => beneath(group.path(), root),
            None => Location::split_last(group.path().as_os_str().as_bytes()),
        };
        let is_dir = if group.is_dir() { EventMask::ISDIR } else { EventMask::empty() };
        emitter.sink_mut().set_times(Some((group.first_at(), group.last_at())));
        let effect = match group.change() {
            Change::Event => self.report(&last, emitter),
            Change::Created => emitter.merged(EventMask::CREATE | is_dir, at),
            Change::Modified => emitter.merged(EventMask::MODIFY | is_dir, at),
            Change::Removed | Change::Absent => emitter.merged(EventMask::DELETE | is_dir, at),
            Change::Replaced => emitter.word("REPLACED", at, is_dir),
            Change::Renamed { from } => {
                emitter.renamed(beneath(from, at.root()), at, is_dir, REPORTED)
            }
            Change::Exchanged { with } => {
                emitter.exchanged(beneath(with, at.root()), at, is_dir, REPORTED)
            }
            _ => emitter.event(at, group.mask(), 0),
        }?;
        emitter.sink_mut().set_times(None);
        Ok(effect)
    }

    /// Emits each event that has waited long enough: with `--debounce` for quiet, otherwise a `MOVED_FROM` for its
    /// `MOVED_TO`.
    pub fn emit_overdue(&mut self, emitter: &mut Emitter) -> Result<Effect, Failure> {
        let now = Instant::now();
        let mut effect = self.renames.emit_overdue(now, emitter)?;
        while let Some(group) = self.debounce.pop(now) {
            effect = effect.max(self.group(&group, emitter)?);
        }
        Ok(effect)
    }

    /// Emits each pending event.
    pub fn emit_all(&mut self, emitter: &mut Emitter) -> Result<Effect, Failure> {
        let mut effect = self.renames.emit_all(emitter)?;
        while let Some(group) = self.debounce.flush() {
            effect = effect.max(self.group(&group, emitter)?);
        }
        Ok(effect)
    }

    /// Returns when the next pending event is due.
    pub fn due(&self) -> Option<Instant> {
        self.renames.due().into_iter().chain(self.debounce.due()).min()
    }

    /// Prints what was counted since the last call.
    pub fn summarise(&mut self) {
        self.coverage.summarise();
    }

    /// Returns `true` if `--debounce` keeps no event.
    pub fn is_quiet(&self) -> bool {
        self.debounce.is_empty()
    }
}

/// Returns where an event is. `root` is the path of the command line.
fn location<'a>(event: &WatchEvent<'a>, root: &'a [u8]) -> Location<'a> {
    match event.name() {
        Some(name) => {
            let path = event.path().as_os_str().as_bytes();
            Location::new(path, name.len()).in_root(root.len())
        }
        None => Location::watched(root),
    }
}

/// Returns where a path beneath a path of the command line is.
fn beneath<'a>(path: &'a Path, root: &[u8]) -> Location<'a> {
    Location::split_last(path.as_os_str().as_bytes()).in_root(root.len())
}
