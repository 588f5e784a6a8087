//! The directories whose content is not known to a program that knows only the reported events.

use super::names::Path;
use super::rules::Rules;

/// A reason why the content of a directory is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// It was reported as unwatched, for this reason.
    Reported(String),
    /// It was reported as unlisted.
    Unlisted,
    /// It came from a directory whose content is not known.
    Moved,
}

/// The directories whose content is not known, each with the reason. A directory may have several.
#[derive(Default)]
pub struct Excuses(Vec<(Path, Excuse)>);

impl Excuses {
    pub fn add(&mut self, path: Path, excuse: Excuse) {
        self.0.push((path, excuse));
    }

    pub fn extend(&mut self, excuses: Vec<(Path, Excuse)>) {
        self.0.extend(excuses);
    }

    /// Removes and returns all excuses.
    pub fn take(&mut self) -> Vec<(Path, Excuse)> {
        std::mem::take(&mut self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `true` if a path need not be known, because of a directory above it.
    pub fn cover(&self, path: Path) -> bool {
        self.0.iter().any(|(excused, _)| path != *excused && path.is_in(*excused))
    }

    /// Returns `true` if a path need not be known, because of itself or a directory above it.
    pub fn include(&self, path: Path) -> bool {
        self.0.iter().any(|(excused, _)| path.is_in(*excused))
    }

    /// Returns `true` if the path is in a directory whose entries were never reported.
    pub fn hide(&self, path: Path) -> bool {
        self.0
            .iter()
            .filter(|(_, excuse)| *excuse != Excuse::Unlisted)
            .any(|(excused, _)| path != *excused && path.is_in(*excused))
    }

    /// Returns `true` if a directory is unlisted.
    pub fn has_unlisted(&self) -> bool {
        self.0.iter().any(|(_, excuse)| *excuse == Excuse::Unlisted)
    }

    /// Returns `true` if a directory was reported as unwatched or unlisted.
    pub fn has_reported(&self) -> bool {
        self.0.iter().any(|(_, excuse)| *excuse != Excuse::Moved)
    }

    /// Removes the excuses of a path and of everything beneath it.
    pub fn remove(&mut self, path: Path) {
        self.0.retain(|(excused, _)| !excused.is_in(path));
    }

    /// Removes the excuses of everything beneath a path, but not those of the path itself.
    pub fn remove_beneath(&mut self, path: Path) {
        self.0.retain(|(excused, _)| *excused == path || !excused.is_in(path));
    }

    /// Removes the reports about a directory, which is watched now.
    pub fn remove_reported(&mut self, path: Path) {
        self.0.retain(|(excused, excuse)| *excused != path || *excuse == Excuse::Moved);
    }

    /// Replaces each path.
    pub fn change_paths(&mut self, new: impl Fn(Path) -> Path) {
        for (excused, _) in &mut self.0 {
            *excused = new(*excused);
        }
    }

    /// Returns the excuses that move with a directory, at their new paths.
    pub fn moved(&self, from: Path, to: Path) -> Vec<(Path, Excuse)> {
        let moved = self.0.iter().filter(|(path, excuse)| {
            path.is_in(from) && (*path != from || matches!(excuse, Excuse::Reported(_)))
        });
        moved.map(|(path, excuse)| (path.moved(from, to), excuse.clone())).collect()
    }
}

/// Checks that something in this world can cause the reason for which a directory is unwatched.
pub fn check_reason(rules: &Rules, why: &str) -> Result<(), String> {
    let may = if why.contains("WatchedElsewhere") {
        rules.binds || rules.remounts > 0
    } else if why.contains("ENOSPC") {
        rules.watch_limit < u32::MAX || rules.last_wd < i32::MAX || rules.faults > 0
    } else if why.contains("EACCES") {
        rules.unreadable || rules.faults > 0
    } else if ["ENOENT", "116", "ESTALE", "RootMoved"].iter().any(|errno| why.contains(errno)) {
        rules.false_errors
    } else {
        rules.faults > 0 && ["EMFILE", "ENFILE", "ENOMEM"].iter().any(|errno| why.contains(errno))
    };
    if may { Ok(()) } else { Err(format!("nothing in this world causes {why}")) }
}
