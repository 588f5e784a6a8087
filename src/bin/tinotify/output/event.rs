//! A printed event, and its location.

use tinotify::EventMask;

/// The names that inotifywait prints, in its order. A group comes after its members.
const NAMES: [(EventMask, &str); 17] = [
    (EventMask::ACCESS, "ACCESS"),
    (EventMask::MODIFY, "MODIFY"),
    (EventMask::ATTRIB, "ATTRIB"),
    (EventMask::CLOSE_WRITE, "CLOSE_WRITE"),
    (EventMask::CLOSE_NOWRITE, "CLOSE_NOWRITE"),
    (EventMask::OPEN, "OPEN"),
    (EventMask::MOVED_FROM, "MOVED_FROM"),
    (EventMask::MOVED_TO, "MOVED_TO"),
    (EventMask::CREATE, "CREATE"),
    (EventMask::DELETE, "DELETE"),
    (EventMask::DELETE_SELF, "DELETE_SELF"),
    (EventMask::UNMOUNT, "UNMOUNT"),
    (EventMask::Q_OVERFLOW, "Q_OVERFLOW"),
    (EventMask::IGNORED, "IGNORED"),
    (EventMask::CLOSE, "CLOSE"),
    (EventMask::MOVE_SELF, "MOVE_SELF"),
    (EventMask::ISDIR, "ISDIR"),
];

/// A path, split into the directory and the name in it. It begins with a path of the command line.
#[derive(Clone, Copy, Debug)]
pub struct Location<'a> {
    path: &'a [u8],
    /// The offset of the name.
    name: usize,
    /// The length of the path of the command line. Default: the offset of the name.
    root: usize,
}

impl<'a> Location<'a> {
    /// A path that ends with a name of this length.
    pub fn new(path: &'a [u8], name_len: usize) -> Self {
        let name = path.len().saturating_sub(name_len);
        Self { path, name, root: name }
    }

    /// A watched path, without a name in it.
    pub fn watched(path: &'a [u8]) -> Self {
        Self::new(path, 0)
    }

    /// A path whose name begins after the last slash.
    pub fn split_last(path: &'a [u8]) -> Self {
        let slash = path.iter().rposition(|&byte| byte == b'/');
        let name = slash.map_or(0, |slash| slash + 1);
        Self { path, name, root: name }
    }

    /// The same path, beneath a path of the command line that has this length.
    pub fn in_root(self, root_len: usize) -> Self {
        Self { root: root_len, ..self }
    }

    pub fn path(self) -> &'a [u8] {
        self.path
    }

    /// Returns the path up to the name.
    pub fn dir(self) -> &'a [u8] {
        self.path.get(..self.name).unwrap_or_default()
    }

    pub fn name(self) -> &'a [u8] {
        self.path.get(self.name..).unwrap_or_default()
    }

    /// Returns the path of the command line that it begins with.
    pub fn root(self) -> &'a [u8] {
        self.path.get(..self.root).unwrap_or_default()
    }

    /// Returns the path beneath the path of the command line, without a slash at its ends. For a watched
    /// file this is its name.
    #[cfg(feature = "cli")]
    pub fn beneath(self) -> &'a [u8] {
        let mut rest = self.path.get(self.root..).unwrap_or_default();
        if rest.is_empty() && !self.is_watched_dir() {
            rest = self.last_name();
        }
        while let Some((b'/', after)) = rest.split_first() {
            rest = after;
        }
        rest.strip_suffix(b"/").unwrap_or(rest)
    }

    /// Returns the name, and of a watched file its last name.
    pub fn last_name(self) -> &'a [u8] {
        self.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }

    /// Returns `true` for a watched directory itself. Its events have no `ISDIR`.
    pub fn is_watched_dir(self) -> bool {
        self.path.ends_with(b"/")
    }
}

/// A printed event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The watched path. That of a directory ends with a slash.
    pub dir: &'a [u8],
    pub name: &'a [u8],
    pub mask: EventMask,
    /// The name of an event that the kernel does not have. It replaces the kernel's names.
    pub word: Option<&'static str>,
    /// Default: 0, which is not printed in JSON.
    pub cookie: u32,
    /// The old path of a rename. Default: empty.
    pub from: &'a [u8],
    /// `true` if it was discovered on disk and not reported by the kernel. Default: `false`.
    pub discovered: bool,
    /// Why a directory is not watched or listed. Default: empty.
    pub why: &'a str,
}

impl<'a> Event<'a> {
    pub fn new(at: Location<'a>, mask: EventMask) -> Self {
        let (dir, name) = (at.dir(), at.name());
        Self { dir, name, mask, word: None, cookie: 0, from: b"", discovered: false, why: "" }
    }

    /// Returns the names of the event, in the order in which they are printed.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let mask = match self.word {
            Some(_) => self.mask & EventMask::ISDIR,
            None => self.mask,
        };
        let names = NAMES.iter().filter(move |(bits, _)| mask.intersects(*bits));
        self.word.into_iter().chain(names.map(|&(_, name)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_replaces_the_kernels_names() {
        let event = Event::new(Location::new(b"d/n", 1), EventMask::MOVED_TO);
        let event = Event { word: Some("RENAMED"), ..event };
        assert_eq!(event.names().collect::<Vec<_>>(), ["RENAMED"]);
    }
}
