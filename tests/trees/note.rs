//! An owned event of a tree, also as a line of text.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tinotify::{Errno, EventMask, TreeChange, UnwatchedReason, WatchEvent};

/// The kind of a tree's event, with paths beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteKind {
    Reported,
    Discovered,
    Renamed(PathBuf),
    Exchanged(PathBuf),
    Unwatched(UnwatchedReason),
    Unlisted(Errno),
    Watched,
    Established,
    Overflow,
    Resynced,
    RootMoved,
    RootRemoved,
    RootUnmounted,
    /// The watch has ended.
    Ignored,
}

/// An owned event of a tree.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    pub kind: NoteKind,
    pub mask: EventMask,
    pub path: PathBuf,
}

impl Note {
    /// Converts an event of the tree with this root, or an overflow.
    pub fn of(event: &WatchEvent<'_>, root: &Path) -> Self {
        let beneath = |path: &Path| match path.strip_prefix(root) {
            Ok(path) => path.to_owned(),
            Err(_) => panic!("{path:?} is not beneath {root:?}: {event:?}"),
        };
        let mask = event.mask();
        if event.is_overflow() {
            assert_eq!(event.watch(), None, "an overflow has no watch");
            return Self { kind: NoteKind::Overflow, mask, path: PathBuf::new() };
        }
        let path = beneath(event.path());
        let kind = match event.tree_change().expect("an event of the tree") {
            TreeChange::Reported if event.is_ignored() => NoteKind::Ignored,
            TreeChange::Reported => NoteKind::Reported,
            TreeChange::Discovered => NoteKind::Discovered,
            TreeChange::Renamed { from } => NoteKind::Renamed(beneath(from)),
            TreeChange::Exchanged { with } => NoteKind::Exchanged(beneath(with)),
            TreeChange::Unwatched(why) => NoteKind::Unwatched(why),
            TreeChange::Unlisted(why) => NoteKind::Unlisted(why),
            TreeChange::Watched => NoteKind::Watched,
            TreeChange::Established => NoteKind::Established,
            TreeChange::Resynced => NoteKind::Resynced,
            TreeChange::RootMoved => NoteKind::RootMoved,
            TreeChange::RootRemoved => NoteKind::RootRemoved,
            TreeChange::RootUnmounted => NoteKind::RootUnmounted,
            other => panic!("unknown to the tests: {other:?}"),
        };
        Self { kind, mask, path }
    }

    pub(super) fn has(&self, mask: EventMask) -> bool {
        self.mask.intersects(mask)
    }

    pub fn is_dir(&self) -> bool {
        self.has(EventMask::ISDIR)
    }
}

/// Writes a line such as `create a/b/` or `rename a -> b`. A path with `ISDIR` ends in a slash.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.is_dir() { "/" } else { "" };
        let path = format!("{}{slash}", self.path.as_os_str().as_bytes().escape_ascii());
        let has = |mask| self.has(mask);
        match &self.kind {
            NoteKind::Discovered if has(EventMask::CREATE) => write!(f, "found {path}"),
            NoteKind::Discovered if has(EventMask::DELETE) => write!(f, "missing {path}"),
            NoteKind::Discovered if has(EventMask::MODIFY) => write!(f, "changed {path}"),
            NoteKind::Reported if has(EventMask::CREATE) => write!(f, "create {path}"),
            NoteKind::Reported if has(EventMask::DELETE) => write!(f, "delete {path}"),
            NoteKind::Reported if has(EventMask::MOVED_FROM) => write!(f, "moved out {path}"),
            NoteKind::Reported if has(EventMask::MOVED_TO) => write!(f, "moved in {path}"),
            NoteKind::Reported if has(EventMask::CLOSE_WRITE) => write!(f, "written {path}"),
            NoteKind::Renamed(from) => {
                let from = from.as_os_str().as_bytes().escape_ascii();
                write!(f, "rename {from}{slash} -> {path}")
            }
            NoteKind::Exchanged(with) => {
                let with = with.as_os_str().as_bytes().escape_ascii();
                write!(f, "exchange {with}{slash} <-> {path}")
            }
            NoteKind::Unlisted(why) => write!(f, "unlisted {path}: {why:?}"),
            NoteKind::Watched => write!(f, "watched {path}"),
            NoteKind::Established => f.write_str("established"),
            NoteKind::Unwatched(why) => {
                let path = self.path.as_os_str().as_bytes().escape_ascii();
                match why {
                    UnwatchedReason::Failed(why) => write!(f, "unwatched {path}: {why:?}"),
                    other => write!(f, "unwatched {path}: {other:?}"),
                }
            }
            NoteKind::Overflow => f.write_str("overflow"),
            NoteKind::Resynced => f.write_str("resynced"),
            NoteKind::RootMoved => f.write_str("root moved"),
            NoteKind::RootRemoved => f.write_str("root removed"),
            NoteKind::RootUnmounted => f.write_str("root unmounted"),
            NoteKind::Ignored => f.write_str("ignored"),
            NoteKind::Reported | NoteKind::Discovered => {
                write!(f, "{:?} {} {path}", self.kind, self.mask)
            }
        }
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
