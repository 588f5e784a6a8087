//! `--exclude-glob` and `--include-glob`: globs on the path beneath the watched path, or on a name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{GlobBuilder, GlobMatcher};

use crate::args::Glob;
use crate::filter::kind::Kind;
use crate::output::Location;

/// Hides what a glob matches and all beneath it. If there are globs to include, also hides directories and
/// the files that none of these matches.
pub struct Globs {
    excluding: Vec<Matcher>,
    including: Vec<Matcher>,
}

impl Globs {
    /// Compiles the globs.
    ///
    /// # Errors
    ///
    /// The first invalid glob, and why it is invalid.
    pub fn new(globs: &[Glob]) -> Result<Self, (String, String)> {
        let compile = |exclude| -> Result<Vec<Matcher>, _> {
            let chosen = globs.iter().filter(|glob| glob.exclude == exclude);
            chosen.map(|glob| Matcher::new(&glob.glob)).collect()
        };
        Ok(Self { excluding: compile(true)?, including: compile(false)? })
    }

    /// Returns `true` if a path, or a directory above it, is excluded.
    fn excludes(&self, path: &[u8], is_dir: bool) -> bool {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut parents = slashes.filter_map(|(end, _)| path.get(..end));
        let matches =
            |path: &[u8], is_dir| self.excluding.iter().any(|glob| glob.matches(path, is_dir));
        matches(path, is_dir) || parents.any(|parent| matches(parent, true))
    }
}

impl Kind for Globs {
    fn hides(&self, at: Location<'_>, is_dir: bool) -> bool {
        let (path, is_dir) = (at.beneath(), is_dir || at.is_watched_dir());
        let is_included = || {
            self.including.is_empty()
                || !is_dir && self.including.iter().any(|glob| glob.matches(path, false))
        };
        self.excludes(path, is_dir) || !is_included()
    }

    fn can_skip(&self) -> bool {
        !self.excluding.is_empty()
    }

    fn skips(&self, dir: Location<'_>) -> bool {
        self.excludes(dir.beneath(), true)
    }
}

/// One glob, read as in `.gitignore`.
struct Matcher {
    glob: GlobMatcher,
    /// `true` if the glob has no slash, so that it matches names.
    by_name: bool,
    /// `true` if the glob ends with a slash.
    only_dirs: bool,
}

impl Matcher {
    fn new(text: &str) -> Result<Self, (String, String)> {
        let (glob, only_dirs) = match text.strip_suffix('/') {
            Some(glob) => (glob, true),
            None => (text, false),
        };
        let by_name = !glob.contains('/');
        let glob = glob.strip_prefix('/').unwrap_or(glob);
        if glob.is_empty() {
            return Err((text.to_owned(), "it matches nothing".to_owned()));
        }
        let built = GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build();
        match built {
            Ok(glob) => Ok(Self { glob: glob.compile_matcher(), by_name, only_dirs }),
            Err(error) => Err((text.to_owned(), error.kind().to_string())),
        }
    }

    fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        let last = || path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let subject = if self.by_name { last() } else { path };
        !path.is_empty()
            && (is_dir || !self.only_dirs)
            && self.glob.is_match(OsStr::from_bytes(subject))
    }
}
