//! An owned event of a tree, also as a line of text.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tinotify::{Errno, EventMask, TreeChange, UnwatchedReason, WatchEvent};

/// The kind of a tree's event, with paths beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
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
    pub how: How,
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
            assert_eq!(event.watch(), None, "an overflow is all watches'");
            return Self { how: How::Overflow, mask, path: PathBuf::new() };
        }
        let path = beneath(&event.path());
        let how = match event.tree_change().expect("an event of the tree") {
            TreeChange::Reported if event.is_ignored() => How::Ignored,
            TreeChange::Reported => How::Reported,
            TreeChange::Discovered => How::Discovered,
            TreeChange::Renamed { from } => How::Renamed(beneath(from)),
            TreeChange::Exchanged { with } => How::Exchanged(beneath(with)),
            TreeChange::Unwatched(why) => How::Unwatched(why),
            TreeChange::Unlisted(why) => How::Unlisted(why),
            TreeChange::Watched => How::Watched,
            TreeChange::Established => How::Established,
            TreeChange::Resynced => How::Resynced,
            TreeChange::RootMoved => How::RootMoved,
            TreeChange::RootRemoved => How::RootRemoved,
            TreeChange::RootUnmounted => How::RootUnmounted,
            other => panic!("no test knows {other:?}"),
        };
        Self { how, mask, path }
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
        match &self.how {
            How::Discovered if has(EventMask::CREATE) => write!(f, "found {path}"),
            How::Discovered if has(EventMask::DELETE) => write!(f, "missing {path}"),
            How::Discovered if has(EventMask::MODIFY) => write!(f, "changed {path}"),
            How::Reported if has(EventMask::CREATE) => write!(f, "create {path}"),
            How::Reported if has(EventMask::DELETE) => write!(f, "delete {path}"),
            How::Reported if has(EventMask::MOVED_FROM) => write!(f, "moved out {path}"),
            How::Reported if has(EventMask::MOVED_TO) => write!(f, "moved in {path}"),
            How::Reported if has(EventMask::CLOSE_WRITE) => write!(f, "written {path}"),
            How::Renamed(from) => {
                let from = from.as_os_str().as_bytes().escape_ascii();
                write!(f, "rename {from}{slash} -> {path}")
            }
            How::Exchanged(with) => {
                let with = with.as_os_str().as_bytes().escape_ascii();
                write!(f, "exchange {with}{slash} <-> {path}")
            }
            How::Unlisted(why) => write!(f, "unlisted {path}: {why:?}"),
            How::Watched => write!(f, "watched {path}"),
            How::Established => f.write_str("established"),
            How::Unwatched(why) => {
                let path = self.path.as_os_str().as_bytes().escape_ascii();
                match why {
                    UnwatchedReason::Failed(why) => write!(f, "unwatched {path}: {why:?}"),
                    other => write!(f, "unwatched {path}: {other:?}"),
                }
            }
            How::Overflow => f.write_str("overflow"),
            How::Resynced => f.write_str("resynced"),
            How::RootMoved => f.write_str("root moved"),
            How::RootRemoved => f.write_str("root removed"),
            How::RootUnmounted => f.write_str("root unmounted"),
            How::Ignored => f.write_str("ignored"),
            How::Reported | How::Discovered => write!(f, "{:?} {} {path}", self.how, self.mask),
        }
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
