//! The thread that reads events, translates them and calls the handler.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use notify::event::*;
use notify::{EventHandler, Result};
use tinotify::{EventKind as Kind, TreeChange, UnwatchedReason, WatchError, WatchEvent};

use super::{State, errno_error, to_error};

/// The thread that reads events and delivers them.
pub struct Reader<H> {
    state: Arc<Mutex<State>>,
    /// Halves of renames whose other half may follow: tracker, side and path.
    halves: VecDeque<(usize, RenameMode, PathBuf)>,
    handler: H,
}

impl State {
    /// Notes that watched paths beneath `old`, a path that the watch `token` reports, lead elsewhere.
    fn move_away(&mut self, token: u64, old: &Path) {
        let root = &self.roots[&token];
        let Ok(beneath) = old.strip_prefix(&root.shown) else { return };
        let old = root.absolute.join(beneath);
        let moved = self.roots.values_mut().filter(|root| root.absolute.starts_with(&old));
        moved.for_each(|root| root.has_moved = true);
    }
}

impl<H: EventHandler> Reader<H> {
    pub const fn new(state: Arc<Mutex<State>>, handler: H) -> Self {
        Self { state, halves: VecDeque::new(), handler }
    }

    pub fn run(mut self, mut watcher: tinotify::Watcher) {
        loop {
            match watcher.recv() {
                Ok(event) => {
                    let events = self.translate(&event);
                    events.into_iter().for_each(|event| self.handler.handle_event(event));
                }
                Err(WatchError::Stopped(_)) => return,
                Err(error) => {
                    let is_over = !matches!(error, WatchError::Path { .. });
                    self.handler.handle_event(Err(to_error(error, PathBuf::new())));
                    if is_over {
                        return;
                    }
                }
            }
        }
    }

    fn translate(&mut self, event: &WatchEvent<'_>) -> Vec<Result<Event>> {
        use TreeChange::{Exchanged, Renamed, RootMoved, Unlisted, Unwatched};
        if event.is_overflow() {
            return vec![Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))];
        }
        let state = Arc::clone(&self.state);
        let mut state = state.lock().unwrap();
        let (path, change, token) = (event.path(), event.tree_change(), event.token().unwrap_or(0));
        if event.is_ignored() {
            state.remove(token);
        }
        let Some(root) = state.roots.get_mut(&token) else { return Vec::new() };
        root.has_moved |= event.kind() == Kind::MoveSelf || change == Some(RootMoved);
        match change {
            Some(Renamed { from }) => state.move_away(token, from),
            Some(Exchanged { with }) => {
                state.move_away(token, with);
                state.move_away(token, &path);
            }
            _ if event.kind() == Kind::MovedFrom => state.move_away(token, &path),
            _ => {}
        }
        let root = &state.roots[&token];
        let (is_dir, kinds) =
            (event.is_dir() || event.name().is_none() && root.is_dir, state.kinds);

        let mut events = Vec::new();
        let mut rename = |tracker, side, path: &Path| {
            if !state.is_reported_by_older(token, path) {
                self.rename(tracker, side, path, &mut events);
            }
        };
        let tracker = event.cookie() as usize;
        match (change, event.kind()) {
            (Some(Unwatched(UnwatchedReason::Failed(errno)) | Unlisted(errno)), _) => {
                return vec![Err(errno_error(errno, path))];
            }
            (Some(Renamed { from }), _) => {
                rename(tracker, RenameMode::From, from);
                rename(tracker, RenameMode::To, &path);
            }
            (Some(Exchanged { with }), _) => {
                rename(tracker, RenameMode::From, with);
                rename(tracker, RenameMode::To, &path);
                rename(!tracker, RenameMode::From, &path);
                rename(!tracker, RenameMode::To, with);
            }
            (_, Kind::MovedFrom) => rename(tracker, RenameMode::From, &path),
            (_, Kind::MovedTo) => rename(tracker, RenameMode::To, &path),
            _ if event.name().is_some() && state.is_reported_by_older(token, &path) => {}
            (_, kind) => {
                let event = kind_of(change, kind, is_dir, kinds).map(Event::new);
                events.extend(event.map(|event| match event.kind {
                    EventKind::Remove(RemoveKind::Other) => {
                        event.set_info("unmount").add_path(path)
                    }
                    _ => event.add_path(path),
                }));
            }
        }
        events.into_iter().filter(|event| kinds.matches(&event.kind)).map(Ok).collect()
    }

    /// Appends one half of a rename, and then the whole if this is the second half.
    fn rename(&mut self, tracker: usize, side: RenameMode, path: &Path, events: &mut Vec<Event>) {
        let event =
            |side| Event::new(EventKind::Modify(ModifyKind::Name(side))).set_tracker(tracker);
        events.push(event(side).add_path(path.into()));
        let other = self.halves.iter().position(|half| half.0 == tracker && half.1 != side);
        if let Some((_, _, other)) = other.and_then(|index| self.halves.remove(index)) {
            let is_to = side == RenameMode::To;
            let (from, to) = if is_to { (other, path.into()) } else { (path.into(), other) };
            events.push(event(RenameMode::Both).add_path(from).add_path(to));
        } else {
            self.halves.truncate(15);
            self.halves.push_front((tracker, side, path.into()));
        }
    }
}

/// Returns what is an event other than a rename for notify.
fn kind_of(
    change: Option<TreeChange<'_>>,
    kind: Kind,
    is_dir: bool,
    kinds: EventKindMask,
) -> Option<EventKind> {
    use TreeChange::{Discovered, Reported, RootMoved, RootRemoved, RootUnmounted};
    let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    Some(match (change, kind) {
        (Some(RootMoved), _) | (None, Kind::MoveSelf) => {
            EventKind::Modify(ModifyKind::Name(RenameMode::From))
        }
        (Some(RootUnmounted), _) | (_, Kind::Unmount) => EventKind::Remove(RemoveKind::Other),
        (Some(RootRemoved), _) | (_, Kind::Delete | Kind::DeleteSelf) => {
            EventKind::Remove(if is_dir { RemoveKind::Folder } else { RemoveKind::File })
        }
        (Some(change), _) if !matches!(change, Discovered | Reported) => return None,
        // It may have been written as well.
        (Some(Discovered), Kind::Create) if !is_dir && !kinds.intersects(EventKindMask::CREATE) => {
            data
        }
        (Some(Discovered), Kind::Modify) => EventKind::Modify(ModifyKind::Any),
        (_, Kind::Create) if is_dir => EventKind::Create(CreateKind::Folder),
        (_, Kind::Create) => EventKind::Create(CreateKind::File),
        (_, Kind::Modify) => data,
        (_, Kind::Attrib) => EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
        (_, Kind::Open) => EventKind::Access(AccessKind::Open(AccessMode::Any)),
        (_, Kind::CloseWrite) => EventKind::Access(AccessKind::Close(AccessMode::Write)),
        (_, Kind::CloseNoWrite) => EventKind::Access(AccessKind::Close(AccessMode::Read)),
        _ => return None,
    })
}
