//! The parsed command line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use tinotify::EventMask;

#[derive(Debug)]
pub enum Command {
    Help,
    Version,
    Generate(Document),
    Watch(Box<Options>),
}

/// The values of `--generate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    Man,
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Default)]
pub struct Options {
    pub paths: Vec<PathBuf>,
    /// Directories to exclude from trees: the `@PATH` arguments.
    pub excluded: Vec<PathBuf>,
    pub fromfile: Option<PathBuf>,
    pub events: EventMask,
    pub monitor: bool,
    pub recursive: bool,
    pub follow: bool,
    pub follow_links: bool,
    pub no_dereference: bool,
    pub timeout: Timeout,
    pub quiet: Quiet,
    pub pattern: Option<Pattern>,
    pub globs: Vec<Glob>,
    pub gitignore: bool,
    /// The values of `--ext`, without dots.
    pub extensions: Vec<String>,
    pub types: Vec<FileType>,
    pub format: Format,
    pub null: bool,
    pub renames: bool,
    pub outfile: Option<PathBuf>,
    pub daemon: bool,
    pub syslog: bool,
    pub exec: Option<Vec<OsString>>,
    pub debounce: Option<Duration>,
    pub stats: bool,
    /// Warnings about the command line.
    pub warnings: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timeout {
    #[default]
    Never,
    After(Duration),
    /// Sets up the watches, then ends. Checks that they can be set up.
    Negative,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quiet {
    #[default]
    No,
    /// Prints warnings and errors, but no other messages.
    Messages,
    /// Prints no events either.
    Events,
}

#[derive(Debug, Default)]
pub enum Format {
    #[default]
    Lines,
    Csv,
    Json,
    Custom {
        format: Vec<u8>,
        newline: bool,
        time: Option<Vec<u8>>,
    },
}

/// One of `--exclude`, `--excludei`, `--include` and `--includei`.
#[derive(Debug)]
pub struct Pattern {
    /// A POSIX extended regular expression.
    pub regex: Vec<u8>,
    pub ignore_case: bool,
    /// `true` hides the paths that match, `false` those that do not match.
    pub exclude: bool,
}

/// One of `--exclude-glob` and `--include-glob`.
#[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "globs are refused in this build"))]
#[derive(Debug)]
pub struct Glob {
    pub glob: String,
    /// `true` hides the paths that match, `false` those that do not match.
    pub exclude: bool,
}

/// The values of `--type`. Events do not tell other types apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// Everything but a directory.
    File,
    Directory,
}

impl Options {
    /// Adds a path to watch, or after `@` a path to exclude.
    pub fn add_path(&mut self, path: Vec<u8>) {
        match path.split_first() {
            None | Some((b'@', [])) => {}
            Some((b'@', excluded)) => {
                self.excluded.push(OsString::from_vec(excluded.to_vec()).into());
            }
            Some(_) => self.paths.push(OsString::from_vec(path).into()),
        }
    }
}
