//! The parsed command line.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tinotify::EventMask;

#[derive(Debug)]
pub enum Command {
    /// `-h`: the help on one screen.
    Usage,
    Help,
    StatHelp,
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
    /// The number of events to print. `None`: no limit.
    pub count: Option<NonZeroU64>,
    /// `tinotify stat`
    pub counting: Option<Counting>,
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
    pub exec: Option<Exec>,
    pub existing: bool,
    pub snapshot: bool,
    pub debounce: Option<Debounce>,
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

impl Quiet {
    /// Returns the next level.
    pub fn more(self) -> Self {
        match self {
            Self::No => Self::Messages,
            Self::Messages | Self::Events => Self::Events,
        }
    }
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

/// How `tinotify stat` counts events, and prints the counts.
#[derive(Clone, Copy, Debug)]
pub struct Counting {
    /// Counts by file instead of by watched directory.
    pub by_file: bool,
    /// Prints rows and columns of zeros too.
    pub zero: bool,
    /// Sorts by the sum of the counts of these events.
    pub key: EventMask,
    pub ascending: bool,
}

impl Default for Counting {
    fn default() -> Self {
        Self { by_file: false, zero: false, key: EventMask::all(), ascending: false }
    }
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

/// `--exec`, and the options that need it.
#[derive(Debug)]
pub struct Exec {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    pub on_busy: OnBusy,
    pub signal: Signal,
    pub stop_timeout: Duration,
    pub run_at_start: bool,
    pub exit_on_error: bool,
}

/// What an event does while the command runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnBusy {
    /// Runs the command again later.
    #[default]
    Queue,
    Ignore,
    /// Stops the command, and starts it again.
    Restart,
    /// Sends a signal to the command.
    Signal,
}

/// `--debounce`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    pub quiet: Duration,
    /// The maximum delay of an event.
    pub cap: Option<Duration>,
}

/// One of `--exclude-glob` and `--include-glob`.
#[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "globs are refused in this build"))]
#[derive(Debug)]
pub struct Glob {
    pub glob: String,
    /// `true` hides the paths that match, `false` those that do not match.
    pub exclude: bool,
}

/// The values of `--type`. Events do not distinguish other types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// Everything but a directory.
    File,
    Directory,
}

impl Options {
    /// Returns `true` if the kernel's cookies are not enough: trees or names are watched, or events are merged.
    pub fn has_own_cookies(&self) -> bool {
        self.recursive || self.follow || self.existing || self.debounce.is_some()
    }

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
