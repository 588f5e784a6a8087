//! `--gitignore`: leaves out what git leaves out, and what `.ignore` files name.
//!
//! Invariant: what is kept of an ignore file is not older than the last event that [`observe`](Kind::observe)
//! has seen of it.

mod root;
mod rules;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tinotify::EventMask;

use crate::filter::kind::Kind;
use crate::output::Location;

use root::Root;

/// The names that decide what is ignored in their directory.
const DECISIVE: [&[u8]; 3] = [b".git", b".gitignore", b".ignore"];

/// The events after which an entry with such a name is complete, or gone.
const COMPLETE: EventMask = EventMask::CLOSE_WRITE
    .union(EventMask::DELETE)
    .union(EventMask::MOVED_FROM)
    .union(EventMask::MOVED_TO);

pub struct Git {
    /// The paths of the command line, and what is known beneath each.
    roots: Mutex<HashMap<Vec<u8>, Root>>,
}

impl Git {
    /// `roots`: the paths of the command line, and how events print them. They are resolved here, because a
    /// tree asks from threads that have other working directories.
    pub fn new(roots: impl Iterator<Item = (Vec<u8>, PathBuf)>) -> Self {
        let roots = roots.map(|(printed, path)| (printed, Root::new(&path))).collect();
        Self { roots: Mutex::new(roots) }
    }

    fn roots(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Root>> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the root of a path.
    fn ask(&self, at: Location<'_>, question: impl FnOnce(&mut Root) -> bool) -> bool {
        self.roots().get_mut(at.root()).is_some_and(question)
    }
}

impl Kind for Git {
    /// A path of the command line is never hidden.
    fn hides(&self, at: Location<'_>, is_dir: bool) -> bool {
        !at.name().is_empty() && self.ask(at, |root| root.ignores(at.beneath(), is_dir))
    }

    fn can_skip(&self) -> bool {
        true
    }

    fn skips(&self, dir: Location<'_>) -> bool {
        self.ask(dir, |root| root.skips(dir.beneath()))
    }

    fn observe(&self, at: Location<'_>, mask: EventMask, is_discovered: bool) -> bool {
        let is_name_change = mask.intersects(EventMask::CREATE | COMPLETE) || is_discovered;
        if at.name().is_empty() || !is_name_change {
            return false;
        }
        let is_decisive = DECISIVE.contains(&at.name());
        if !is_decisive && !mask.contains(EventMask::ISDIR) {
            return false;
        }
        let mut roots = self.roots();
        let Some(changed) = roots.get(at.root()).map(|root| root.absolute(at.beneath())) else {
            return false;
        };
        if !is_decisive {
            // Another directory has this path now.
            let had_rules = roots.values_mut().map(|root| root.forget(&changed));
            return had_rules.filter(|had_rules| *had_rules).count() > 0;
        }
        // A new file is incomplete until CLOSE_WRITE. A new hard link has none.
        if !mask.intersects(COMPLETE) && !is_discovered && !is_complete(&changed) {
            return false;
        }
        if let Some(dir) = changed.parent() {
            roots.values_mut().for_each(|root| {
                root.forget(dir);
            });
        }
        true
    }

    fn forget(&self) -> bool {
        self.roots().values_mut().for_each(Root::forget_all);
        true
    }

    fn take_warnings(&self) -> Vec<String> {
        self.roots().values_mut().flat_map(Root::take_warnings).collect()
    }
}

/// Returns `true` if a new entry is not a file that is still being written.
fn is_complete(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    path.symlink_metadata().is_ok_and(|metadata| !metadata.is_file() || metadata.nlink() > 1)
}
