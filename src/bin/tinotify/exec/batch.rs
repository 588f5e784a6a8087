//! The events of one run of a command.

use std::collections::HashMap;

/// An event, as a command gets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Occurrence {
    pub path: Vec<u8>,
    /// The names of the event, separated by commas.
    pub names: String,
    /// The old path of a rename. Empty for other events.
    pub from: Vec<u8>,
}

/// The events of one run. Of each path it has the last event, at the place of the first.
#[derive(Debug, Default)]
pub struct Batch {
    events: Vec<Occurrence>,
    /// The index of each path in `events`.
    indices: HashMap<Vec<u8>, usize>,
    /// The index of the event that was added last.
    last: usize,
    /// The size of the paths as arguments, in bytes.
    size: usize,
}

/// The maximum size of the paths of one run, in bytes. Linux allows four times as many (execve(2)).
const MAX_SIZE: usize = 512 * 1024;

impl Batch {
    pub fn push(&mut self, event: Occurrence) {
        self.last = match self.indices.get(&event.path) {
            Some(&at) => {
                self.events[at] = event;
                at
            }
            None => {
                // In the worst case each path is a separate word, with a NUL and a pointer.
                self.size += event.path.len() + 16;
                self.indices.insert(event.path.clone(), self.events.len());
                self.events.push(event);
                self.events.len() - 1
            }
        };
    }

    /// Adds all events of a later batch.
    pub fn append(&mut self, later: Self) {
        later.events.into_iter().for_each(|event| self.push(event));
    }

    /// Returns `true` if one command cannot have more paths.
    pub fn is_full(&self) -> bool {
        self.size > MAX_SIZE
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns `true` if a run for this batch makes one for `other` unnecessary.
    pub fn has_same_events(&self, other: &Self) -> bool {
        self.events == other.events
    }

    pub fn paths(&self) -> impl Iterator<Item = &[u8]> {
        self.events.iter().map(|event| &event.path[..])
    }

    /// Returns the event that was added last.
    pub fn last(&self) -> Option<&Occurrence> {
        self.events.get(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str, names: &str) -> Occurrence {
        Occurrence { path: path.into(), names: names.into(), from: Vec::new() }
    }

    #[test]
    fn each_path_is_there_once_with_its_last_event() {
        let mut batch = Batch::default();
        for (path, names) in [("a", "CREATE"), ("b", "CREATE"), ("a", "DELETE")] {
            batch.push(event(path, names));
        }
        assert_eq!(batch.paths().collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(batch.last(), Some(&event("a", "DELETE")));
    }

    #[test]
    fn a_batch_is_full_before_its_paths_are_too_long_for_execve() {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while !batch.is_full() {
            let path = format!("/some/directory/file-{}", batch.len());
            bytes += path.len() + 1;
            batch.push(event(&path, "CREATE"));
        }
        assert!((100_000..1_000_000).contains(&bytes), "{bytes}");
    }
}
