//! The limits of inotify: their values, and the commands that raise them (inotify(7), sysctl(8)).

use std::fmt;
use std::fs;

use tinotify::{Errno, Error, WatchError};

/// A limit, as a sysctl of the system and one of the user namespace. The lower one applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Watches,
    Instances,
    QueuedEvents,
}

impl Limit {
    /// Returns the limit that an error is about.
    pub fn of(error: &WatchError) -> Option<Self> {
        let error = match error {
            WatchError::Path { error, .. } | WatchError::Inotify(error) => error,
            _ => return None,
        };
        match *error {
            Error::AddWatch(Errno::ENOSPC) => Some(Self::Watches),
            // A process that cannot open a file either has reached its own limit.
            Error::Init(Errno::EMFILE) if fs::File::open("/").is_ok() => Some(Self::Instances),
            _ => None,
        }
    }

    /// Returns the names of the sysctl of the system and of the namespace.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Watches => ("fs.inotify.max_user_watches", Some("user.max_inotify_watches")),
            Self::Instances => {
                ("fs.inotify.max_user_instances", Some("user.max_inotify_instances"))
            }
            Self::QueuedEvents => ("fs.inotify.max_queued_events", None),
        }
    }
}

/// Prints the name of the sysctl, its value, and the command that doubles it, at least to 128.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (system, namespace) = self.names();
        let of_namespace = namespace.and_then(|name| Some((name, value(name)?)));
        let (name, value) = match (value(system), of_namespace) {
            (Some(limit), Some((name, lower))) if lower < limit => (name, Some(lower)),
            (limit, _) => (system, limit),
        };
        match value {
            Some(value) => write!(
                f,
                "{name} is {value}; to raise it, run: sysctl -w {name}={}",
                value.saturating_mul(2).max(128)
            ),
            // Without /proc.
            None => write!(f, "raise the sysctl {name}"),
        }
    }
}

fn value(name: &str) -> Option<u64> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
