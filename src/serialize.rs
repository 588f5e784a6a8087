//! Saves owned events, and makes them again, with serde.
//!
//! | type | text formats such as JSON | binary formats |
//! |---|---|---|
//! | [`EventMask`], [`WatchMask`] | the names of the flags: `"CREATE,ISDIR"` | the bits |
//! | [`Wd`] | a number | a number |
//! | [`EventBuf`] | a struct: `wd`, `mask`, `cookie`, `name` | the same |
//! | [`WatchEventBuf`] | a struct: every part of the event except the key of its watch | the same |
//!
//! Names and paths are strings. Those that are not UTF-8 are arrays of bytes. In binary formats all are bytes.
//!
//! The key of a watch ([`WatchId`](crate::WatchId)) means nothing to another watcher, so it is not saved. A
//! [token](crate::WatchOptions::token) is.
//!
//! ```
//! use tinotify::{EventMask, WatchEventBuf};
//!
//! let event = WatchEventBuf::builder(EventMask::CREATE).directory("/srv").name("new").token(7).build();
//! let saved = serde_json::to_string(&event).unwrap();
//! assert_eq!(serde_json::from_str::<WatchEventBuf>(&saved).unwrap(), event);
//! ```

#![forbid(unsafe_code)]

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::{Event, EventBuf, Wd};
use crate::flags::{EventMask, WatchMask};
use crate::follow::NameChange;
use crate::sys::Errno;
use crate::tree::UnwatchedReason;
use crate::watcher::{TreeChange, WatchEventBuf};

macro_rules! mask {
    ($($mask:ty),*) => {$(
        impl Serialize for $mask {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if to.is_human_readable() {
                    to.collect_str(self)
                } else {
                    to.serialize_u32(self.bits())
                }
            }
        }

        impl<'de> Deserialize<'de> for $mask {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                if from.is_human_readable() {
                    String::deserialize(from)?.parse().map_err(Error::custom)
                } else {
                    u32::deserialize(from).map(Self::from_bits_retain)
                }
            }
        }
    )*};
}

mask!(EventMask, WatchMask);

impl Serialize for Wd {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(self.as_raw())
    }
}

impl<'de> Deserialize<'de> for Wd {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        i32::deserialize(from).map(Self::from_raw)
    }
}

/// A name or a path.
struct Bytes(Vec<u8>);

impl Bytes {
    fn of(name: &OsStr) -> Self {
        Self(name.as_bytes().to_vec())
    }

    fn of_path(path: &Path) -> Self {
        Self::of(path.as_os_str())
    }

    fn into_os_string(self) -> OsString {
        OsString::from_vec(self.0)
    }

    fn into_path(self) -> PathBuf {
        self.into_os_string().into()
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if to.is_human_readable() => to.serialize_str(text),
            Err(_) if to.is_human_readable() => self.0.serialize(to),
            _ => to.serialize_bytes(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            from.deserialize_any(BytesVisitor)
        } else {
            from.deserialize_byte_buf(BytesVisitor)
        }
    }
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name: a string, or an array of bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Bytes, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = from.next_element()? {
            bytes.push(byte);
        }
        Ok(Bytes(bytes))
    }
}

/// An [`EventBuf`] as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(rename = "EventBuf")]
struct SavedEvent {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    name: Option<Bytes>,
}

impl Serialize for EventBuf {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let event = self.as_event();
        SavedEvent {
            wd: event.wd(),
            mask: event.mask(),
            cookie: event.cookie(),
            name: event.name().map(|name| Bytes(name.to_vec())),
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for EventBuf {
    /// Refuses a name with a NUL byte, and one of more than 255 bytes.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let saved = SavedEvent::deserialize(from)?;
        let name =
            saved.name.map(|name| CString::new(name.0)).transpose().map_err(Error::custom)?;
        let event = Event::new(saved.wd, saved.mask, saved.cookie, name.as_deref());
        Self::try_from(event).map_err(Error::custom)
    }
}

/// A [`WatchEventBuf`] as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(rename = "WatchEventBuf")]
struct SavedWatchEvent {
    wd: Wd,
    mask: EventMask,
    cookie: u32,
    name: Option<Bytes>,
    directory: Option<Bytes>,
    watched_path: Option<Bytes>,
    alias: Option<Bytes>,
    token: Option<u64>,
    name_change: Option<SavedNameChange>,
    tree_change: Option<SavedTreeChange>,
}

/// A [`NameChange`] as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(remote = "NameChange", rename = "NameChange")]
enum NameChangeNames {
    Appeared,
    Vanished,
    Replaced,
    Changed,
}

#[derive(Serialize, Deserialize)]
struct SavedNameChange(#[serde(with = "NameChangeNames")] NameChange);

/// A [`TreeChange`] as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(rename = "TreeChange")]
enum SavedTreeChange {
    Reported,
    Discovered,
    Renamed { from: Bytes },
    Exchanged { with: Bytes },
    Unwatched(SavedReason),
    Unlisted { errno: i32 },
    Watched,
    Established,
    Resynced,
    RootMoved,
    RootRemoved,
    RootUnmounted,
}

/// An [`UnwatchedReason`] as it is saved.
#[derive(Serialize, Deserialize)]
#[serde(rename = "UnwatchedReason")]
enum SavedReason {
    Failed { errno: i32 },
    WatchedElsewhere,
    RootMoved,
}

impl From<TreeChange<'_>> for SavedTreeChange {
    fn from(change: TreeChange<'_>) -> Self {
        match change {
            TreeChange::Reported => Self::Reported,
            TreeChange::Discovered => Self::Discovered,
            TreeChange::Renamed { from } => Self::Renamed { from: Bytes::of_path(from) },
            TreeChange::Exchanged { with } => Self::Exchanged { with: Bytes::of_path(with) },
            TreeChange::Unwatched(reason) => Self::Unwatched(match reason {
                UnwatchedReason::Failed(errno) => SavedReason::Failed { errno: errno.as_raw() },
                UnwatchedReason::WatchedElsewhere => SavedReason::WatchedElsewhere,
                UnwatchedReason::RootMoved => SavedReason::RootMoved,
            }),
            TreeChange::Unlisted(errno) => Self::Unlisted { errno: errno.as_raw() },
            TreeChange::Watched => Self::Watched,
            TreeChange::Established => Self::Established,
            TreeChange::Resynced => Self::Resynced,
            TreeChange::RootMoved => Self::RootMoved,
            TreeChange::RootRemoved => Self::RootRemoved,
            TreeChange::RootUnmounted => Self::RootUnmounted,
        }
    }
}

impl SavedTreeChange {
    /// Returns the change, with its other path borrowed from `other`.
    fn change<'a>(self, other: &'a mut PathBuf) -> TreeChange<'a> {
        match self {
            Self::Reported => TreeChange::Reported,
            Self::Discovered => TreeChange::Discovered,
            Self::Renamed { from } => {
                *other = from.into_path();
                TreeChange::Renamed { from: other }
            }
            Self::Exchanged { with } => {
                *other = with.into_path();
                TreeChange::Exchanged { with: other }
            }
            Self::Unwatched(reason) => TreeChange::Unwatched(match reason {
                SavedReason::Failed { errno } => UnwatchedReason::Failed(Errno::from_raw(errno)),
                SavedReason::WatchedElsewhere => UnwatchedReason::WatchedElsewhere,
                SavedReason::RootMoved => UnwatchedReason::RootMoved,
            }),
            Self::Unlisted { errno } => TreeChange::Unlisted(Errno::from_raw(errno)),
            Self::Watched => TreeChange::Watched,
            Self::Established => TreeChange::Established,
            Self::Resynced => TreeChange::Resynced,
            Self::RootMoved => TreeChange::RootMoved,
            Self::RootRemoved => TreeChange::RootRemoved,
            Self::RootUnmounted => TreeChange::RootUnmounted,
        }
    }
}

impl Serialize for WatchEventBuf {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        SavedWatchEvent {
            wd: self.event().wd(),
            mask: self.mask(),
            cookie: self.cookie(),
            name: self.name().map(Bytes::of),
            directory: self.directory().map(Bytes::of_path),
            watched_path: self.watched_path().map(Bytes::of_path),
            alias: self.alias().map(Bytes::of),
            token: self.token(),
            name_change: self.name_change().map(SavedNameChange),
            tree_change: self.tree_change().map(SavedTreeChange::from),
        }
        .serialize(to)
    }
}

impl<'de> Deserialize<'de> for WatchEventBuf {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let saved = SavedWatchEvent::deserialize(from)?;
        let mut event = Self::builder(saved.mask).wd(saved.wd).cookie(saved.cookie);
        if let Some(name) = saved.name {
            event = event.name(name.into_os_string());
        }
        if let Some(directory) = saved.directory {
            event = event.directory(directory.into_path());
        }
        if let Some(path) = saved.watched_path {
            event = event.watched_path(path.into_path());
        }
        if let Some(alias) = saved.alias {
            event = event.alias(alias.into_os_string());
        }
        if let Some(token) = saved.token {
            event = event.token(token);
        }
        if let Some(SavedNameChange(change)) = saved.name_change {
            event = event.name_change(change);
        }
        if let Some(change) = saved.tree_change {
            event = event.tree_change(change.change(&mut PathBuf::new()));
        }
        Ok(event.build())
    }
}
