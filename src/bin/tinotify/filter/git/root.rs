//! What is ignored beneath one path of the command line.
//!
//! Invariant: the rules of a directory continue those of its parent, as kept here. So when a directory is
//! forgotten, all beneath it is forgotten too.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::filter::git::rules::{Rules, Warnings};

pub struct Root {
    /// Its path, absolute and without links.
    path: PathBuf,
    /// The rules in it. `None` if they are not read yet.
    rules: Option<Arc<Rules>>,
    /// The rules in each known directory, by its path beneath the root. `None` if it is ignored.
    dirs: BTreeMap<Vec<u8>, Option<Arc<Rules>>>,
    warnings: Warnings,
}

impl Root {
    pub fn new(path: &Path) -> Self {
        let real = fs::canonicalize(path).or_else(|_| std::path::absolute(path));
        let path = real.unwrap_or_else(|_| path.to_owned());
        Self { path, rules: None, dirs: BTreeMap::new(), warnings: Warnings::default() }
    }

    /// Returns the absolute path of a path beneath the root.
    pub fn absolute(&self, beneath: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(beneath))
    }

    /// Returns `true` if a path beneath the root, or a directory above it, is ignored.
    pub fn ignores(&mut self, beneath: &[u8], is_dir: bool) -> bool {
        let slash = beneath.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        match self.rules(beneath.get(..slash).unwrap_or_default()) {
            Some(rules) => rules.ignores(&self.absolute(beneath), is_dir),
            None => true,
        }
    }

    /// Returns `true` if a directory, or one above it, is ignored.
    pub fn skips(&mut self, dir: &[u8]) -> bool {
        self.rules(dir).is_none()
    }

    /// Returns the rules in a directory. Reads them if they are not known. `None` if it is ignored.
    fn rules(&mut self, dir: &[u8]) -> Option<Arc<Rules>> {
        if let Some(known) = self.dirs.get(dir) {
            return known.clone();
        }
        let mut rules = match &self.rules {
            Some(rules) => Arc::clone(rules),
            None => Arc::clone(self.rules.insert(Rules::of_root(&self.path, &mut self.warnings))),
        };
        let slashes = dir.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let ends = slashes.map(|(end, _)| end).chain((!dir.is_empty()).then_some(dir.len()));
        for end in ends {
            let part = dir.get(..end)?;
            if !self.dirs.contains_key(part) {
                let path = self.path.join(OsStr::from_bytes(part));
                let found = if rules.ignores(&path, true) {
                    None
                } else {
                    Some(Rules::beneath(&rules, &path, &mut self.warnings))
                };
                self.dirs.insert(part.to_vec(), found);
            }
            rules = self.dirs.get(part)?.clone()?;
        }
        Some(rules)
    }

    /// Forgets the rules of a directory, given by its absolute path, and of all beneath it. Returns `true` if
    /// there were ignore files among them.
    pub fn forget(&mut self, dir: &Path) -> bool {
        if self.path.starts_with(dir) {
            self.forget_all();
            return true;
        }
        let Ok(beneath) = dir.strip_prefix(&self.path) else { return false };
        let mut had_rules = false;
        // The names beneath it are not all next to it: "a-b" is between "a" and "a/b".
        let first = beneath.as_os_str().as_bytes().to_vec();
        had_rules |= self.forget_range(&first, Bound::Included(first.clone()), dir);
        let (mut low, mut high) = (first.clone(), first);
        low.push(b'/');
        high.push(b'/' + 1);
        had_rules | self.forget_range(&low, Bound::Excluded(high), dir)
    }

    fn forget_range(&mut self, low: &[u8], high: Bound<Vec<u8>>, dir: &Path) -> bool {
        let range = (Bound::Included(low.to_vec()), high);
        let gone: Vec<Vec<u8>> = self.dirs.range(range).map(|(path, _)| path.clone()).collect();
        let mut had_rules = false;
        for path in gone {
            let rules = self.dirs.remove(&path).flatten();
            had_rules |= rules.is_some_and(|rules| rules.dir().starts_with(dir));
        }
        had_rules
    }

    pub fn forget_all(&mut self) {
        self.rules = None;
        self.dirs.clear();
    }

    pub fn take_warnings(&mut self) -> Warnings {
        std::mem::take(&mut self.warnings)
    }
}
