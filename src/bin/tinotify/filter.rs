//! Decides which paths are shown, and which directories are watched.
//!
//! Invariant: an event is shown if no kind of filter hides its path, and a directory is watched if none
//! skips it.
//!
//! ```text
//! filter ──► regex ──► posix
//!    ├─────► names, globs
//!    └─────► git ──► root ──► rules
//! ```

#[cfg(feature = "cli")]
mod git;
#[cfg(feature = "cli")]
mod globs;
mod kind;
mod names;
mod posix;
mod regex;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use tinotify::{Escaped, EventMask};

use crate::args::Options;
use crate::output::Location;
#[cfg(feature = "cli")]
use crate::paths;

use kind::Kind;
use posix::PatternError;

/// Whether any kind can tell from events that other directories are skipped.
const OBSERVES: bool = cfg!(feature = "cli");

/// All filters of the command line.
pub struct Filter {
    kinds: Vec<Box<dyn Kind>>,
    /// `true` if other directories may be skipped than at the last question.
    is_stale: AtomicBool,
}

impl Filter {
    /// Compiles the filters. Returns `None` without filters.
    ///
    /// # Errors
    ///
    /// [`FilterError`] if a pattern is invalid.
    pub fn new(options: &Options) -> Result<Option<Self>, FilterError> {
        let mut kinds: Vec<Box<dyn Kind>> = Vec::new();
        if let Some(pattern) = &options.pattern {
            let error = |error| FilterError::Pattern(pattern.regex.clone(), error);
            kinds.push(Box::new(regex::RegexFilter::new(pattern).map_err(error)?));
        }
        if !options.types.is_empty() {
            kinds.push(Box::new(names::Types(options.types.clone())));
        }
        if !options.extensions.is_empty() {
            kinds.push(Box::new(names::Extensions(options.extensions.clone())));
        }
        #[cfg(feature = "cli")]
        if !options.globs.is_empty() {
            let globs = globs::Globs::new(&options.globs);
            kinds.push(Box::new(globs.map_err(|(glob, why)| FilterError::Glob(glob, why))?));
        }
        #[cfg(feature = "cli")]
        if options.gitignore {
            let paths = options.paths.iter();
            let roots = paths.map(|path| (paths::printed(path, options), path.clone()));
            kinds.push(Box::new(git::Git::new(roots)));
        }
        let is_stale = AtomicBool::new(false);
        Ok((!kinds.is_empty()).then_some(Self { kinds, is_stale }))
    }

    /// Returns `true` if an event at this path is shown.
    pub fn shows(&self, at: Location<'_>, is_dir: bool) -> bool {
        !self.kinds.iter().any(|kind| kind.hides(at, is_dir))
    }

    /// Returns `true` if [`skips`](Self::skips) can be `true`.
    pub fn can_skip(&self) -> bool {
        self.kinds.iter().any(|kind| kind.can_skip())
    }

    /// Returns `true` if a directory is not watched. Its path must end with a slash.
    pub fn skips(&self, dir: Location<'_>) -> bool {
        self.kinds.iter().any(|kind| kind.skips(dir))
    }

    /// Takes notice of an event, which may be of an ignore file.
    pub fn observe(&self, at: Location<'_>, mask: EventMask, is_discovered: bool) {
        self.update(|kind| kind.observe(at, mask, is_discovered));
    }

    /// Takes notice that events were lost.
    pub fn overflow(&self) {
        self.update(|kind| kind.forget());
    }

    /// Updates each kind. `update` returns `true` if other directories may be skipped now.
    fn update(&self, update: impl Fn(&dyn Kind) -> bool) {
        for kind in self.kinds.iter().filter(|_| OBSERVES) {
            if update(&**kind) {
                self.is_stale.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Returns `true` if other directories may be skipped than at the last call.
    pub fn take_stale(&self) -> bool {
        OBSERVES && self.is_stale.swap(false, Ordering::Relaxed)
    }

    /// Returns what the user should know since the last call.
    pub fn take_warnings(&self) -> impl Iterator<Item = String> {
        self.kinds.iter().flat_map(|kind| kind.take_warnings())
    }
}

/// A pattern is invalid.
#[derive(Debug)]
pub enum FilterError {
    Pattern(Vec<u8>, PatternError),
    #[cfg(feature = "cli")]
    Glob(String, String),
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern, error) => {
                write!(f, "invalid regular expression: {}: {error}", Escaped(pattern))
            }
            #[cfg(feature = "cli")]
            Self::Glob(glob, why) => {
                write!(f, "invalid glob \"{}\": {why}", Escaped(glob.as_bytes()))
            }
        }
    }
}
