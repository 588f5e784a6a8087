//! A mirror of a tree, built only from its events.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use tinotify::EventMask;

use super::excuses::{Excuses, Permitted};
use super::{Entry, Note, NoteKind};

/// The number of events that are shown with a difference.
const HISTORY: usize = 1000;

/// The number of events that are shown with a wrong event.
const CONTEXT: usize = 25;

/// The content of a tree, by its events.
#[derive(Clone)]
pub struct Mirror {
    root: Entry,
    /// Whether the tree tracks files, so that it reports them after an overflow.
    track_files: bool,
    /// Whether links are followed: a link that was a file may later lead to a directory.
    links: bool,
    /// In a tree with unreadable directories: those that were reported.
    excuses: Option<Excuses>,
    /// Whether events were lost since the last rest, so that a known entry may be reported again.
    may_repeat: bool,
    resyncing: bool,
    knows_files: bool,
    established: bool,
    /// The wrong events.
    wrong: Vec<String>,
    history: VecDeque<Note>,
    pub events: u64,
    pub overflows: u64,
    /// The number of directories that were reported as `Unwatched` or `Unlisted`.
    pub unwatched: u64,
    /// The number of directories that were reported as unmounted.
    pub unmounted: u64,
    pub over: bool,
}

impl Mirror {
    /// Returns an empty mirror, for `TreeOptions::report_existing`.
    pub fn empty(track_files: bool) -> Self {
        Self {
            root: Entry::new(true),
            track_files,
            links: false,
            excuses: None,
            may_repeat: false,
            resyncing: false,
            knows_files: true,
            established: false,
            wrong: Vec::new(),
            history: VecDeque::new(),
            events: 0,
            overflows: 0,
            unwatched: 0,
            unmounted: 0,
            over: false,
        }
    }

    /// Returns the mirror of a directory that is at rest while the tree is set up.
    pub fn of(path: &Path) -> Self {
        Self { root: Entry::walk(path), ..Self::empty(false) }
    }

    pub fn with_tracked_files(self, track_files: bool) -> Self {
        Self { track_files, ..self }
    }

    pub fn with_links(self) -> Self {
        Self { links: true, ..self }
    }

    fn wrong(&mut self, what: &str, note: &Note) {
        let mut said = format!("event {}, \"{note}\": {what}", self.events);
        if self.wrong.len() < 5 {
            // The other events of this path, and of those above and below.
            let related = |path: &Path| path.starts_with(&note.path) || note.path.starts_with(path);
            let (first, mut lines) = (self.events - self.history.len() as u64 + 1, Vec::new());
            for (event, other) in (first..).zip(&self.history) {
                let from = matches!(&other.kind,
                    NoteKind::Renamed(from) | NoteKind::Exchanged(from) if related(from));
                if !other.path.as_os_str().is_empty() && (from || related(&other.path)) {
                    lines.push(format!("\n        {event} {other}"));
                }
            }
            said.extend(lines.drain(lines.len().saturating_sub(CONTEXT)..));
            said.push_str("\n      and the last events");
            for other in self.history.iter().rev().take(CONTEXT).rev() {
                let _ = write!(said, "\n        {other}");
            }
        }
        self.wrong.push(said);
    }

    /// Returns `true` if a path need not be known.
    fn is_excused(&self, path: &Path) -> bool {
        self.excuses.as_ref().is_some_and(|excuses| excuses.cover(path))
    }

    /// Returns `true` if a reported entry may be known already, or an unknown one may be reported as gone.
    fn may_be_known(&self, path: &Path) -> bool {
        self.may_repeat || self.is_excused(path)
    }

    /// Applies one event.
    pub fn apply(&mut self, note: &Note) {
        self.take_in(note);
        self.unwatched +=
            u64::from(matches!(note.kind, NoteKind::Unwatched(_) | NoteKind::Unlisted(_)));
        self.unmounted += u64::from(note.has(EventMask::UNMOUNT));
        if let Some(excuses) = &mut self.excuses {
            excuses.apply(note);
            if let (NoteKind::Unwatched(_), Some(entry)) =
                (&note.kind, self.root.get_mut(&note.path))
            {
                // Its content is not known until it is found again.
                *entry = Entry::new(true);
            }
        }
    }

    fn take_in(&mut self, note: &Note) {
        self.events += 1;
        if self.over && note.kind != NoteKind::Ignored {
            self.wrong("after the end of the tree", note);
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(note.clone());
        match &note.kind {
            NoteKind::Renamed(from) => self.rename(from, note),
            NoteKind::Exchanged(with) => self.exchange(with, note),
            NoteKind::Reported | NoteKind::Discovered if note.has(EventMask::CREATE) => {
                self.create(note, false)
            }
            NoteKind::Reported | NoteKind::Discovered if note.has(EventMask::MOVED_TO) => {
                self.create(note, true)
            }
            NoteKind::Reported | NoteKind::Discovered
                if note.has(EventMask::DELETE | EventMask::MOVED_FROM) =>
            {
                self.remove(note);
            }
            NoteKind::Reported | NoteKind::Discovered => {
                if let Some(entry) = self.root.get_mut(&note.path) {
                    entry.content = None;
                    if note.has(EventMask::UNMOUNT) {
                        // The directory beneath the mount is scanned again.
                        entry.entries = Some(BTreeMap::new());
                    }
                }
            }
            NoteKind::Overflow => {
                self.overflows += 1;
                self.may_repeat = true;
                self.resyncing = true;
            }
            NoteKind::Resynced => {
                if !self.resyncing {
                    self.wrong("nothing was lost", note);
                }
                self.resyncing = false;
                if !self.track_files {
                    self.root.forget_files();
                    self.knows_files = false;
                }
            }
            NoteKind::RootRemoved | NoteKind::RootUnmounted => self.over = true,
            NoteKind::Established if self.established => self.wrong("it was set up already", note),
            NoteKind::Established => self.established = true,
            NoteKind::Unwatched(_) | NoteKind::Unlisted(_) | NoteKind::Watched => {}
            NoteKind::RootMoved | NoteKind::Ignored => {}
        }
    }

    fn create(&mut self, note: &Note, may_replace: bool) {
        let entry = Entry::new(note.is_dir());
        let may_repeat = self.may_be_known(&note.path);
        let Some(parent) = self.root.parent_mut(&note.path) else {
            if !self.is_excused(&note.path) {
                self.wrong("its parent was never reported", note);
            }
            return;
        };
        let name = note.path.file_name().unwrap();
        match parent.get(name) {
            Some(known) if may_repeat && known.is_dir() == entry.is_dir() => {
                // The content of a directory stays known.
                parent.get_mut(name).unwrap().content = None;
            }
            known => {
                // A discovered directory may have replaced a file whose events come later.
                let leads = (self.links || self.excuses.is_some() && !self.track_files)
                    && (&note.kind, note.is_dir()) == (&NoteKind::Discovered, true)
                    && known.is_some_and(|known| !known.is_dir());
                let again = known.is_some() && !may_replace && !may_repeat && !leads;
                parent.insert(name.to_owned(), entry);
                if again {
                    self.wrong("it existed already", note);
                }
            }
        }
    }

    fn remove(&mut self, note: &Note) {
        let may_repeat = self.may_be_known(&note.path);
        match self.root.take(&note.path) {
            None if !may_repeat => self.wrong("it did not exist", note),
            None => {}
            Some(entry) if may_repeat => drop(entry),
            Some(entry) if entry.is_dir() != note.is_dir() => {
                self.wrong("it was of another kind", note)
            }
            // With everything beneath it: entries that were discovered there may not be reported as gone.
            Some(_) => {}
        }
    }

    fn rename(&mut self, from: &Path, note: &Note) {
        let excused = self.is_excused(from) || self.is_excused(&note.path);
        let entry = match self.root.take(from) {
            Some(entry) if entry.is_dir() == note.is_dir() => entry,
            other => {
                if !self.may_repeat && !excused {
                    let what =
                        if other.is_some() { "it was of another kind" } else { "it did not exist" };
                    self.wrong(what, note);
                }
                Entry::new(note.is_dir())
            }
        };
        let Some(parent) = self.root.parent_mut(&note.path) else {
            if !excused {
                self.wrong("its new parent was never reported", note);
            }
            return;
        };
        parent.insert(note.path.file_name().unwrap().to_owned(), entry);
    }

    fn exchange(&mut self, with: &Path, note: &Note) {
        let (Some(one), Some(other)) = (self.root.take(with), self.root.take(&note.path)) else {
            return self.wrong("one of the two did not exist", note);
        };
        if !one.is_dir() || !other.is_dir() {
            self.wrong("one of the two was not a directory", note);
        }
        for (path, entry) in [(with, other), (note.path.as_path(), one)] {
            match (self.root.parent_mut(path), path.file_name()) {
                (Some(parent), Some(name)) => drop(parent.insert(name.to_owned(), entry)),
                _ => self.wrong("one is beneath the other", note),
            }
        }
    }

    /// Returns what is wrong in a tree at rest. Then starts again from the disk, as far as files could not be
    /// reported.
    pub fn differences(&mut self, disk: &Entry) -> Vec<String> {
        let mut differences = self.differences_but(disk, &|_, _| false);
        if let Some(excuses) = &mut self.excuses {
            // Everything is readable.
            differences.extend(excuses.hold(disk, None));
        }
        if differences.is_empty() {
            self.root = disk.clone();
            (self.may_repeat, self.knows_files) = (false, true);
        }
        differences
    }

    /// Returns what is wrong outside of excused directories.
    fn differences_but(
        &mut self,
        disk: &Entry,
        excused: &dyn Fn(&Path, &Entry) -> bool,
    ) -> Vec<String> {
        let mut differences = std::mem::take(&mut self.wrong);
        if self.resyncing {
            differences.push("an overflow without an end".to_owned());
        }
        self.root.compare(disk, self.knows_files, Path::new(""), excused, &mut differences);
        differences
    }

    /// Sets the known content to that of the disk.
    pub fn start_from(&mut self, disk: &Entry) {
        self.root = disk.clone();
    }

    /// Returns the last events, one line each.
    pub fn history(&self) -> String {
        self.history.iter().fold(String::new(), |mut lines, note| {
            let _ = writeln!(lines, "  {note}");
            lines
        })
    }
}

impl Mirror {
    /// Returns the mirror of a tree with unreadable directories.
    pub fn with_excuses(self) -> Self {
        Self { excuses: Some(Excuses::default()), ..self }
    }

    /// Returns what is wrong in a tree at rest in which only `permitted` is permitted, without the content of
    /// directories that were rightly reported as unknown. Also returns whether a directory that was known
    /// before may have gone anywhere.
    pub fn differences_where(&self, disk: &Entry, permitted: &Permitted) -> (Vec<String>, bool) {
        let mut copy = self.clone();
        let mut excuses = copy.excuses.take().expect("a mirror with excuses");
        let mut wrong = excuses.hold(disk, Some(permitted));
        wrong.extend(copy.differences_but(disk, &|path, _| excuses.contains(path)));
        (wrong, excuses.has_unlisted())
    }

    /// Returns what is wrong in a tree in which these inodes were beneath mounts for some time.
    pub fn differences_beside(&self, disk: &Entry, covered: &BTreeSet<u64>) -> Vec<String> {
        self.clone().differences_but(disk, &|_, entry| covered.contains(&entry.ino))
    }
}
