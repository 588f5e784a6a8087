//! A watcher that collects its events.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, Event, EventKind, RecursiveMode, Result, Watcher as _};
pub use notify_backend::INotifyWatcher as Backend;

/// How long to wait for an event that must come.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub const FILE_CREATED: EventKind = EventKind::Create(CreateKind::File);
pub const FOLDER_CREATED: EventKind = EventKind::Create(CreateKind::Folder);
pub const FILE_REMOVED: EventKind = EventKind::Remove(RemoveKind::File);
pub const FOLDER_REMOVED: EventKind = EventKind::Remove(RemoveKind::Folder);
pub const DATA: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
pub const FROM: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::From));
pub const TO: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
pub const BOTH: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::Both));

pub struct Watched {
    pub watcher: Backend,
    pub events: Receiver<Result<Event>>,
    /// The received events, without those of access.
    pub seen: Vec<Event>,
}

impl Watched {
    pub fn new(config: Config) -> Self {
        let (sender, events) = mpsc::channel();
        Self { watcher: Backend::new(sender, config).unwrap(), events, seen: Vec::new() }
    }

    pub fn tree(root: &Path) -> Self {
        let mut watched = Self::new(Config::default());
        watched.watcher.watch(root, RecursiveMode::Recursive).unwrap();
        watched
    }

    pub fn directory(&mut self, path: &Path) {
        self.watcher.watch(path, RecursiveMode::NonRecursive).unwrap();
    }

    /// Waits for an event, and returns how many equal ones have come.
    #[track_caller]
    pub fn wait(&mut self, kind: EventKind, path: impl AsRef<Path>) -> usize {
        let path = path.as_ref();
        self.wait_until(|watched| watched.count(kind, path) > 0);
        self.count(kind, path)
    }

    /// Waits for this number of whole renames.
    pub fn wait_for_renames(&mut self, count: usize) {
        self.wait_until(|watched| watched.both().len() >= count);
    }

    #[track_caller]
    fn wait_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_over(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.seen.extend(event.ok().filter(|event| !event.kind.is_access())),
                Err(_) => panic!("an expected event is missing: {:#?}", self.seen),
            }
        }
    }

    pub fn count(&self, kind: EventKind, path: impl AsRef<Path>) -> usize {
        let path = path.as_ref();
        let is_equal = |event: &&Event| event.kind == kind && event.paths == [path];
        self.seen.iter().filter(is_equal).count()
    }

    /// Waits for the events of all previous changes. `directory` must be watched.
    pub fn settle(&mut self, directory: &Path) {
        static FENCES: AtomicU32 = AtomicU32::new(0);
        let fence = directory.join(format!("fence{}", FENCES.fetch_add(1, Ordering::Relaxed)));
        fs::write(&fence, "").unwrap();
        self.wait(FILE_CREATED, &fence);
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.seen.iter().flat_map(|event| event.paths.clone()).collect()
    }

    pub fn both(&self) -> Vec<[PathBuf; 2]> {
        let renames = self.seen.iter().filter(|event| event.kind == BOTH);
        renames.map(|event| event.paths.clone().try_into().unwrap()).collect()
    }
}

pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
