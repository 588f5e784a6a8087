//! The thread that reads events, translates them and calls the handler.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use notify::event::*;
use notify::{Error, ErrorKind, EventHandler, Result};
use tinotify::{Errno, EventKind as Kind, TreeChange, UnwatchedReason, WatchError, WatchEventBuf};

use crate::state::State;

/// Reads and delivers events until the watcher is stopped.
pub fn run(mut watcher: tinotify::Watcher, state: &Mutex<State>, mut handler: impl EventHandler) {
    let mut pending = VecDeque::new();
    for event in &mut watcher {
        let events = match event {
            Ok(event) => translate(&event, &mut state.lock().unwrap(), &mut pending),
            Err(error) => vec![Err(to_error(error, PathBuf::new()))],
        };
        events.into_iter().for_each(|event| handler.handle_event(event));
    }
}

/// One half of a rename.
struct Half {
    tracker: usize,
    side: RenameMode,
    path: PathBuf,
}

/// Returns the events of notify for an event. `pending` has the halves of renames that may be joined.
fn translate(
    event: &WatchEventBuf,
    state: &mut State,
    pending: &mut VecDeque<Half>,
) -> Vec<Result<Event>> {
    use TreeChange::{RootMoved, Unlisted, Unwatched};
    if event.is_overflow() {
        return vec![Ok(Event::new(EventKind::Other).set_flag(Flag::Rescan))];
    }
    let (path, change, token) = (event.path(), event.tree_change(), event.token().unwrap_or(0));
    if event.is_ignored() {
        state.remove(token);
    }
    let Some(root) = state.roots.get_mut(&token) else { return Vec::new() };
    if let Some(Unwatched(UnwatchedReason::Failed(errno)) | Unlisted(errno)) = change {
        return vec![Err(to_error(tinotify::Error::AddWatch(errno).into(), path.to_owned()))];
    }
    root.has_moved |= event.kind() == Kind::MoveSelf || change == Some(RootMoved);
    let is_dir = event.is_dir() || event.name().is_none() && root.is_dir;
    let halves = halves(event, path);
    for half in halves.iter().filter(|half| half.side == RenameMode::From) {
        state.move_away(token, &half.path);
    }

    let mut events = Vec::new();
    if halves.is_empty() && (event.name().is_none() || !state.is_reported_by_older(token, path)) {
        let event = other(event, is_dir, state.kinds);
        events.extend(event.map(|event| event.add_path(path.to_owned())));
    }
    for half in halves {
        if !state.is_reported_by_older(token, &half.path) {
            rename(half, pending, &mut events);
        }
    }
    events.into_iter().filter(|event| state.kinds.matches(&event.kind)).map(Ok).collect()
}

/// Returns the halves of the renames that an event reports.
fn halves(event: &WatchEventBuf, path: &Path) -> Vec<Half> {
    use RenameMode::{From, To};
    let tracker = event.cookie() as usize;
    let half = |tracker, side, path: &Path| Half { tracker, side, path: path.into() };
    match (event.tree_change(), event.kind()) {
        (Some(TreeChange::Renamed { from }), _) => {
            vec![half(tracker, From, from), half(tracker, To, path)]
        }
        (Some(TreeChange::Exchanged { with }), _) => vec![
            half(tracker, From, with),
            half(tracker, To, path),
            half(!tracker, From, path),
            half(!tracker, To, with),
        ],
        (_, Kind::MovedFrom) => vec![half(tracker, From, path)],
        (_, Kind::MovedTo) => vec![half(tracker, To, path)],
        _ => Vec::new(),
    }
}

/// Appends one half of a rename, and then the whole if this is the second half.
fn rename(half: Half, pending: &mut VecDeque<Half>, events: &mut Vec<Event>) {
    let tracker = half.tracker;
    let event = |side| Event::new(EventKind::Modify(ModifyKind::Name(side))).set_tracker(tracker);
    events.push(event(half.side).add_path(half.path.clone()));
    let is_other = |other: &Half| other.tracker == tracker && other.side != half.side;
    let Some(other) = pending.iter().position(is_other).and_then(|at| pending.remove(at)) else {
        pending.truncate(15);
        return pending.push_front(half);
    };
    let is_to = half.side == RenameMode::To;
    let (from, to) = if is_to { (other, half) } else { (half, other) };
    events.push(event(RenameMode::Both).add_path(from.path).add_path(to.path));
}

/// Returns notify's event for an event that is not a rename, without its path.
fn other(event: &WatchEventBuf, is_dir: bool, kinds: EventKindMask) -> Option<Event> {
    use TreeChange::{Discovered, Reported, RootMoved, RootRemoved, RootUnmounted};
    let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
    let kind = match (event.tree_change(), event.kind()) {
        (Some(RootMoved), _) | (None, Kind::MoveSelf) => {
            EventKind::Modify(ModifyKind::Name(RenameMode::From))
        }
        (Some(RootUnmounted), _) | (_, Kind::Unmount) => {
            return Some(Event::new(EventKind::Remove(RemoveKind::Other)).set_info("unmount"));
        }
        (Some(RootRemoved), _) | (_, Kind::Delete | Kind::DeleteSelf) => {
            EventKind::Remove(if is_dir { RemoveKind::Folder } else { RemoveKind::File })
        }
        (Some(change), _) if !matches!(change, Discovered | Reported) => return None,
        // The file may have been written as well.
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
    };
    Some(Event::new(kind))
}

/// Returns the error of a watch of `path`.
pub fn to_error(error: WatchError, path: PathBuf) -> Error {
    let error = match error.errno() {
        // For inotify_add_watch(2) it is the limit of watches, not a full disk.
        Some(Errno::ENOSPC) => Error::new(ErrorKind::MaxFilesWatch),
        Some(errno) => Error::io_watch(errno.into()),
        None => Error::io(error.into()),
    };
    error.add_path(path)
}
