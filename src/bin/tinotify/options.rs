//! The options: one table, which the parser, the help, the man page and the completions are made of.
//!
//! Options and paths come in any order, short options combined, long ones shortened, as
//! getopt_long(3) has it.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;
use tinotify::{EventMask, ParseFlagsError};

/// One option, for those who read and for those who parse.
#[derive(Debug)]
pub struct Opt {
    pub id: Id,
    pub short: Option<char>,
    pub long: &'static str,
    /// What its value is called, if it takes one.
    pub value: Option<&'static str>,
    pub group: Group,
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// inotifywait has it too. Short forms of its long name that are clear there are clear here.
    Shared,
    /// inotifywait does not have it.
    Own,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    Csv,
    Daemon,
    Debounce,
    Event,
    Exclude,
    Excludei,
    Exec,
    Fanotify,
    Filesystem,
    Follow,
    FollowLinks,
    Format,
    Fromfile,
    Generate,
    Help,
    Include,
    Includei,
    Inotify,
    Json,
    Monitor,
    NoDereference,
    NoNewline,
    Null,
    Outfile,
    Quiet,
    Recursive,
    Renames,
    Stats,
    Syslog,
    Timefmt,
    Timeout,
    Version,
}

const fn flag(id: Id, short: char, long: &'static str, help: &'static str) -> Opt {
    Opt { id, short: Some(short), long, value: None, group: Group::Shared, help }
}

const fn valued(
    id: Id,
    short: Option<char>,
    long: &'static str,
    value: &'static str,
    help: &'static str,
) -> Opt {
    Opt { id, short, long, value: Some(value), group: Group::Shared, help }
}

const fn own(
    id: Id,
    short: Option<char>,
    long: &'static str,
    value: Option<&'static str>,
    help: &'static str,
) -> Opt {
    Opt { id, short, long, value, group: Group::Own, help }
}

/// All options, as the help lists them.
pub const OPTIONS: [Opt; 32] = [
    valued(
        Id::Event,
        Some('e'),
        "event",
        "EVENT",
        "What to wait for: one or more of the events below, with commas between them. Can be repeated. \
         Without it: each event but unmount.",
    ),
    flag(Id::Monitor, 'm', "monitor", "Go on after the first event."),
    flag(
        Id::Recursive,
        'r',
        "recursive",
        "Watch directories with all directories beneath them, \
         also those that come later. Links are not followed without --follow-links.",
    ),
    valued(
        Id::Timeout,
        Some('t'),
        "timeout",
        "SECONDS",
        "End if no event is shown for so long; a part of a second will do. 0 waits for ever (as \
         without it); less than 0 sets the watches up, and ends.",
    ),
    flag(
        Id::Quiet,
        'q',
        "quiet",
        "Do not tell how the set-up goes; twice: do not show events either.",
    ),
    flag(
        Id::NoDereference,
        'P',
        "no-dereference",
        "Watch links themselves, not what they lead to.",
    ),
    valued(
        Id::Exclude,
        None,
        "exclude",
        "REGEX",
        "Hide events whose path matches the POSIX extended regular expression. Of several, the last \
         counts.",
    ),
    valued(Id::Excludei, None, "excludei", "REGEX", "As --exclude, in any case of letters."),
    valued(
        Id::Include,
        None,
        "include",
        "REGEX",
        "Show only events of files whose path matches; events of directories are hidden.",
    ),
    valued(Id::Includei, None, "includei", "REGEX", "As --include, in any case of letters."),
    valued(
        Id::Fromfile,
        None,
        "fromfile",
        "FILE",
        "Take paths to watch from a file, one a line, and such as @PATH; - is standard input.",
    ),
    flag(Id::Csv, 'c', "csv", "Show events as comma-separated values."),
    valued(
        Id::Format,
        None,
        "format",
        "FORMAT",
        "Show events so: %w watched path, %f name, %e event names, %Xe with X between them, %T time, \
         %c cookie, %0 NUL, %n newline, %% percent sign.",
    ),
    Opt {
        id: Id::NoNewline,
        short: None,
        long: "no-newline",
        value: None,
        group: Group::Shared,
        help: "Put no newline after what --format says.",
    },
    valued(
        Id::Timefmt,
        None,
        "timefmt",
        "FORMAT",
        "How %T shows the time: a format of strftime(3).",
    ),
    valued(
        Id::Outfile,
        Some('o'),
        "outfile",
        "FILE",
        "Add events to a file instead. SIGHUP opens it anew.",
    ),
    flag(Id::Daemon, 'd', "daemon", "As -m -s, in the background; needs -o."),
    flag(Id::Syslog, 's', "syslog", "Send messages to syslog."),
    flag(Id::Inotify, 'I', "inotify", "Use inotify, as it does without being told."),
    flag(Id::Fanotify, 'F', "fanotify", "Not here: this is inotify alone."),
    flag(Id::Filesystem, 'S', "filesystem", "Not here: this is inotify alone."),
    flag(Id::Help, 'h', "help", "Show this."),
    own(
        Id::Null,
        Some('0'),
        "null",
        None,
        "End each event with NUL instead of a newline; without a format, each of its fields.",
    ),
    own(Id::Json, None, "json", None, "Show each event as a JSON object in a line of its own."),
    own(
        Id::Renames,
        None,
        "renames",
        None,
        "Show a rename as one RENAMED with the old path (%o in --format), not as two halves.",
    ),
    own(
        Id::Follow,
        None,
        "follow",
        None,
        "Watch names: what replaces a file is watched in its place, and what is missing when it \
         appears.",
    ),
    own(
        Id::FollowLinks,
        None,
        "follow-links",
        None,
        "With -r: follow links to directories. Each directory is watched once, by its real path \
         beneath PATH, else by the first link.",
    ),
    own(
        Id::Exec,
        None,
        "exec",
        Some("COMMAND [ARG]... [;]"),
        "Run a command for each event, one after another; {} is the path. Takes all arguments up to a \
         lone ; or the end.",
    ),
    own(
        Id::Debounce,
        None,
        "debounce",
        Some("MILLISECONDS"),
        "Run the command once nothing has come for so long, for all paths of the burst: a word with {} \
         is repeated for each.",
    ),
    own(Id::Stats, None, "stats", None, "Tell at the end how many events of each kind there were."),
    own(
        Id::Generate,
        None,
        "generate",
        Some("WHAT"),
        "Print the man page or a completion: man, bash, zsh or fish.",
    ),
    own(Id::Version, Some('V'), "version", None, "Show the version."),
];

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    Help,
    Version,
    Generate(String),
    Watch(Box<Options>),
}

#[derive(Debug)]
pub struct Options {
    pub paths: Vec<PathBuf>,
    /// Directories that are left out of trees.
    pub left_out: Vec<PathBuf>,
    pub fromfile: Option<PathBuf>,
    pub events: EventMask,
    pub monitor: bool,
    pub recursive: bool,
    pub follow: bool,
    pub follow_links: bool,
    pub no_dereference: bool,
    pub timeout: Timeout,
    pub quiet: Quiet,
    pub filter: Option<Filter>,
    pub format: Format,
    pub null: bool,
    pub renames: bool,
    pub outfile: Option<PathBuf>,
    pub daemon: bool,
    pub syslog: bool,
    pub exec: Option<Vec<OsString>>,
    pub debounce: Option<Duration>,
    pub stats: bool,
    /// What the user should know, though it is no error.
    pub warnings: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    Never,
    After(Duration),
    /// Set up the watches, then give up: to see whether they can be set up.
    Negative,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quiet {
    No,
    /// No messages but errors.
    Messages,
    /// No events either.
    Events,
}

#[derive(Debug)]
pub enum Format {
    Lines,
    Csv,
    Json,
    Custom { format: Vec<u8>, newline: bool, time: Option<Vec<u8>> },
}

/// A regular expression, and what it decides.
#[derive(Debug)]
pub struct Filter {
    pub pattern: Vec<u8>,
    pub any_case: bool,
    /// Hide what matches, or what does not.
    pub exclude: bool,
}

/// Reads the arguments, the program's name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut options = Options {
        paths: Vec::new(),
        left_out: Vec::new(),
        fromfile: None,
        events: EventMask::empty(),
        monitor: false,
        recursive: false,
        follow: false,
        follow_links: false,
        no_dereference: false,
        timeout: Timeout::Never,
        quiet: Quiet::No,
        filter: None,
        format: Format::Lines,
        null: false,
        renames: false,
        outfile: None,
        daemon: false,
        syslog: false,
        exec: None,
        debounce: None,
        stats: false,
        warnings: Vec::new(),
    };
    // What is only right together with others.
    let (mut csv, mut json, mut no_newline) = (false, false, false);
    let (mut format, mut timefmt) = (None, None);
    let mut filters: [Option<Vec<u8>>; 4] = Default::default();

    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        let option = match arg {
            Short(letter) => match OPTIONS.iter().find(|option| option.short == Some(letter)) {
                Some(option) => option,
                None => {
                    return Err(lexopt::Error::UnexpectedOption(format!("-{letter}")).into());
                }
            },
            Long(name) => named(name)?,
            Value(path) => {
                options.add_path(path.into_vec());
                continue;
            }
        };
        match option.id {
            Id::Csv => csv = true,
            Id::Daemon => {
                options.daemon = true;
                options.monitor = true;
                options.syslog = true;
            }
            Id::Debounce => options.debounce = Some(milliseconds(&parser.value()?.string()?)?),
            Id::Event => options.events |= events_named(&parser.value()?.string()?)?,
            Id::Exclude => filter(&mut filters[0], &mut options.warnings, &mut parser)?,
            Id::Excludei => filter(&mut filters[1], &mut options.warnings, &mut parser)?,
            Id::Include => filter(&mut filters[2], &mut options.warnings, &mut parser)?,
            Id::Includei => filter(&mut filters[3], &mut options.warnings, &mut parser)?,
            Id::Exec => {
                let mut command: Vec<OsString> = parser.optional_value().into_iter().collect();
                command.extend(parser.raw_args()?.take_while(|word| word != ";"));
                if command.first().is_none_or(|program| program.is_empty()) {
                    return Err(UsageError::NoCommand);
                }
                options.exec = Some(command);
            }
            Id::Fanotify | Id::Filesystem => return Err(UsageError::Fanotify),
            Id::Follow => options.follow = true,
            Id::FollowLinks => options.follow_links = true,
            Id::Format => format = Some(parser.value()?.into_vec()),
            Id::Fromfile => only_once(&mut options.fromfile, option, parser.value()?)?,
            Id::Generate => return Ok(Command::Generate(parser.value()?.string()?)),
            Id::Help => return Ok(Command::Help),
            Id::Inotify => {}
            Id::Json => json = true,
            Id::Monitor => options.monitor = true,
            Id::NoDereference => options.no_dereference = true,
            Id::NoNewline => no_newline = true,
            Id::Null => options.null = true,
            Id::Outfile => only_once(&mut options.outfile, option, parser.value()?)?,
            Id::Quiet if options.quiet == Quiet::No => options.quiet = Quiet::Messages,
            Id::Quiet => options.quiet = Quiet::Events,
            Id::Recursive => options.recursive = true,
            Id::Renames => options.renames = true,
            Id::Stats => options.stats = true,
            Id::Syslog => options.syslog = true,
            Id::Timefmt => timefmt = Some(parser.value()?.into_vec()),
            Id::Timeout => options.timeout = timeout_of(&parser.value()?.string()?)?,
            Id::Version => return Ok(Command::Version),
        }
    }

    let kinds = [(true, false), (true, true), (false, false), (false, true)];
    let mut given = filters.into_iter().zip(kinds).filter_map(|(pattern, (exclude, any_case))| {
        Some(Filter { pattern: pattern?, any_case, exclude })
    });
    options.filter = given.next();
    if given.next().is_some() {
        return Err(UsageError::Together("two of --exclude, --excludei, --include, --includei"));
    }
    let custom = format.is_some();
    if no_newline && !custom {
        return Err(UsageError::Needs("--no-newline", "--format"));
    }
    if timefmt.is_some() && !custom {
        return Err(UsageError::Needs("--timefmt", "--format"));
    }
    options.format = match (csv, json, format) {
        (false, false, None) => Format::Lines,
        (true, false, None) => Format::Csv,
        (false, true, None) => Format::Json,
        (false, false, Some(format)) => {
            if timefmt.is_none() && format.windows(2).any(|pair| pair == b"%T") {
                return Err(UsageError::Needs("%T in --format", "--timefmt"));
            }
            if no_newline && options.null {
                return Err(UsageError::Together("--no-newline and --null"));
            }
            Format::Custom { format, newline: !no_newline, time: timefmt }
        }
        _ => return Err(UsageError::Together("two of --csv, --format, --json")),
    };
    if options.daemon && options.outfile.is_none() {
        return Err(UsageError::Needs("--daemon", "--outfile"));
    }
    if options.follow && options.recursive {
        return Err(UsageError::Together("--follow and --recursive"));
    }
    if options.debounce.is_some() && options.exec.is_none() {
        return Err(UsageError::Needs("--debounce", "--exec"));
    }
    if options.follow_links && !options.recursive {
        return Err(UsageError::Needs("--follow-links", "--recursive"));
    }
    if options.paths.is_empty() && options.fromfile.is_none() {
        return Err(UsageError::NoPaths);
    }
    if options.events.is_empty() {
        options.events = EventMask::ALL_EVENTS;
    }
    Ok(Command::Watch(Box::new(options)))
}

impl Options {
    /// Takes a path to watch, or `@` and one to leave out.
    pub fn add_path(&mut self, path: Vec<u8>) {
        match path.split_first() {
            None | Some((b'@', [])) => {}
            Some((b'@', left_out)) => {
                self.left_out.push(OsString::from_vec(left_out.to_vec()).into());
            }
            Some(_) => self.paths.push(OsString::from_vec(path).into()),
        }
    }
}

/// The option of that name, or the only one whose name begins so; those of inotifywait first, so
/// that what was clear there is clear here.
fn named(name: &str) -> Result<&'static Opt, UsageError> {
    if let Some(option) = OPTIONS.iter().find(|option| option.long == name) {
        return Ok(option);
    }
    for group in [Group::Shared, Group::Own] {
        let mut begin = OPTIONS.iter().filter(|option| {
            option.group == group && !name.is_empty() && option.long.starts_with(name)
        });
        match (begin.next(), begin.next()) {
            (Some(option), None) => return Ok(option),
            (Some(_), Some(_)) => return Err(UsageError::Ambiguous(name.to_owned())),
            (None, _) => {}
        }
    }
    Err(lexopt::Error::UnexpectedOption(format!("--{name}")).into())
}

fn only_once(place: &mut Option<PathBuf>, option: &Opt, value: OsString) -> Result<(), UsageError> {
    match place.replace(value.into()) {
        None => Ok(()),
        Some(_) => Err(UsageError::Twice(option.long)),
    }
}

fn filter(
    place: &mut Option<Vec<u8>>,
    warnings: &mut Vec<&'static str>,
    parser: &mut lexopt::Parser,
) -> Result<(), UsageError> {
    if place.replace(parser.value()?.into_vec()).is_some() {
        warnings.push("of several regular expressions, only the last counts");
    }
    Ok(())
}

/// What can be asked for by name.
const ASKABLE: EventMask = EventMask::ALL_EVENTS
    .union(EventMask::UNMOUNT)
    .union(EventMask::Q_OVERFLOW)
    .union(EventMask::IGNORED);

fn events_named(list: &str) -> Result<EventMask, UsageError> {
    let events: EventMask = list.parse().map_err(|error: ParseFlagsError| {
        UsageError::NoEvent(list.get(error.range()).unwrap_or_default().to_owned())
    })?;
    match events.difference(ASKABLE) {
        none if none.is_empty() => Ok(events),
        other => Err(UsageError::NoEvent(other.to_string())),
    }
}

fn timeout_of(text: &str) -> Result<Timeout, UsageError> {
    match text.trim_start().parse::<f64>() {
        Ok(0.0) => Ok(Timeout::Never),
        Ok(seconds) if seconds < 0.0 => Ok(Timeout::Negative),
        Ok(seconds) if !seconds.is_nan() => {
            // Beyond some hundred thousand million years, the difference is academic.
            Ok(Duration::try_from_secs_f64(seconds).map_or(Timeout::Never, Timeout::After))
        }
        _ => Err(UsageError::NoTimeout(text.to_owned())),
    }
}

fn milliseconds(text: &str) -> Result<Duration, UsageError> {
    let parsed = text.parse().map(Duration::from_millis);
    parsed.map_err(|_| UsageError::NoMilliseconds(text.to_owned()))
}

/// What is wrong with the command line.
#[derive(Debug)]
pub enum UsageError {
    NoPaths,
    NoCommand,
    NoEvent(String),
    NoTimeout(String),
    NoMilliseconds(String),
    Ambiguous(String),
    Fanotify,
    Needs(&'static str, &'static str),
    Together(&'static str),
    Twice(&'static str),
    Syntax(lexopt::Error),
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPaths => f.write_str("no path to watch was given"),
            Self::NoCommand => f.write_str("--exec needs a command"),
            Self::NoEvent(name) => write!(f, "no event has the name {name:?}"),
            Self::NoTimeout(text) => write!(f, "no number of seconds: {text:?}"),
            Self::NoMilliseconds(text) => write!(f, "no number of milliseconds: {text:?}"),
            Self::Ambiguous(name) => {
                write!(f, "more than one option begins with --{name}:")?;
                let mut begin =
                    OPTIONS.iter().filter(|option| option.long.starts_with(name.as_str()));
                begin.try_for_each(|option| write!(f, " --{}", option.long))
            }
            Self::Fanotify => {
                f.write_str("fanotify is not to be had here, inotify alone: leave out -F and -S")
            }
            Self::Needs(what, other) => write!(f, "{what} needs {other}"),
            Self::Together(what) => write!(f, "{what} cannot be had together"),
            Self::Twice(long) => write!(f, "--{long} was given twice"),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

impl From<lexopt::Error> for UsageError {
    fn from(error: lexopt::Error) -> Self {
        Self::Syntax(error)
    }
}
