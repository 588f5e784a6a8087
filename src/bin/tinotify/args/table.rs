//! The table of options and the table of events.

/// One option, for the parser and for the documentation.
#[derive(Debug)]
pub struct Opt {
    pub id: Id,
    pub short: Option<char>,
    pub long: &'static str,
    /// The placeholder of its value. `None` for a flag.
    pub value: Option<&'static str>,
    pub group: Group,
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Options of inotifywait. An abbreviation that is unambiguous among these is accepted.
    Shared,
    /// Options that inotifywait does not have.
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

/// All options, in the order of the help.
pub const OPTIONS: [Opt; 32] = [
    valued(
        Id::Event,
        Some('e'),
        "event",
        "EVENT",
        "Wait for these events: names from the list below, separated by commas. Can be repeated. \
         Default: all but unmount.",
    ),
    flag(Id::Monitor, 'm', "monitor", "Continue after the first event."),
    flag(
        Id::Recursive,
        'r',
        "recursive",
        "Watch directories and all directories beneath them, \
         including new ones. Links are not followed without --follow-links.",
    ),
    valued(
        Id::Timeout,
        Some('t'),
        "timeout",
        "SECONDS",
        "End after this time without an event; fractions are allowed. 0: never. Negative: set up \
         the watches, then end. Default: 0.",
    ),
    flag(
        Id::Quiet,
        'q',
        "quiet",
        "Print no messages about the set-up; twice: print no events either.",
    ),
    flag(
        Id::NoDereference,
        'P',
        "no-dereference",
        "Watch symbolic links themselves, not their targets.",
    ),
    valued(
        Id::Exclude,
        None,
        "exclude",
        "REGEX",
        "Hide events whose path matches this POSIX extended regular expression. If repeated, the \
         last one is used.",
    ),
    valued(Id::Excludei, None, "excludei", "REGEX", "Like --exclude, ignoring case."),
    valued(
        Id::Include,
        None,
        "include",
        "REGEX",
        "Show only events of files whose path matches; hide events of directories.",
    ),
    valued(Id::Includei, None, "includei", "REGEX", "Like --include, ignoring case."),
    valued(
        Id::Fromfile,
        None,
        "fromfile",
        "FILE",
        "Read PATH and @PATH arguments from a file, one per line; - is standard input.",
    ),
    flag(Id::Csv, 'c', "csv", "Print events as comma-separated values."),
    valued(
        Id::Format,
        None,
        "format",
        "FORMAT",
        "Print events in this format: %w watched path, %f name, %e event names, %Xe event names with \
         the separator X, %T time, %c cookie, %0 NUL, %n newline, %% percent sign.",
    ),
    Opt {
        id: Id::NoNewline,
        short: None,
        long: "no-newline",
        value: None,
        group: Group::Shared,
        help: "Print no newline after --format.",
    },
    valued(
        Id::Timefmt,
        None,
        "timefmt",
        "FORMAT",
        "Format of the time that %T prints, as in strftime(3).",
    ),
    valued(
        Id::Outfile,
        Some('o'),
        "outfile",
        "FILE",
        "Append events to a file. SIGHUP reopens it.",
    ),
    flag(Id::Daemon, 'd', "daemon", "Run in the background, with -m and -s; needs -o."),
    flag(Id::Syslog, 's', "syslog", "Send messages to syslog."),
    flag(Id::Inotify, 'I', "inotify", "Use inotify. Has no effect: it is always used."),
    flag(Id::Fanotify, 'F', "fanotify", "Not supported: ends with status 1."),
    flag(Id::Filesystem, 'S', "filesystem", "Not supported: ends with status 1."),
    flag(Id::Help, 'h', "help", "Print this help."),
    own(
        Id::Null,
        Some('0'),
        "null",
        None,
        "End each event with NUL instead of a newline; without --format, each of its fields too.",
    ),
    own(Id::Json, None, "json", None, "Print each event as a JSON object on its own line."),
    own(
        Id::Renames,
        None,
        "renames",
        None,
        "Print a rename as one RENAMED event with the old path (%o in --format).",
    ),
    own(
        Id::Follow,
        None,
        "follow",
        None,
        "Watch names, not files: also watch a file that replaces the watched one, or that is created \
         later.",
    ),
    own(
        Id::FollowLinks,
        None,
        "follow-links",
        None,
        "With -r: follow links to directories. Each directory is watched once: by its real path if \
         that is beneath PATH, otherwise by the first link found.",
    ),
    own(
        Id::Exec,
        None,
        "exec",
        Some("COMMAND [ARG]... [;]"),
        "Run a command for each event, one at a time; {} is the path. The command is all arguments up \
         to ; or the end.",
    ),
    own(
        Id::Debounce,
        None,
        "debounce",
        Some("MILLISECONDS"),
        "Run the command after this time without an event, once for all paths since its last run: a \
         word with {} is repeated for each path.",
    ),
    own(Id::Stats, None, "stats", None, "Print the number of events of each kind at the end."),
    own(
        Id::Generate,
        None,
        "generate",
        Some("WHAT"),
        "Print the man page or a shell completion: man, bash, zsh or fish.",
    ),
    own(Id::Version, Some('V'), "version", None, "Print the version."),
];

/// The events that `--event` accepts, in the order of the help.
pub const EVENTS: [(&str, &str); 17] = [
    ("access", "read"),
    ("modify", "written"),
    ("attrib", "metadata changed"),
    ("close_write", "closed after writing"),
    ("close_nowrite", "closed, not opened for writing"),
    ("close", "close_write and close_nowrite"),
    ("open", "opened"),
    ("moved_from", "moved out of a directory"),
    ("moved_to", "moved into a directory"),
    ("move", "moved_from and moved_to"),
    ("move_self", "the watched file or directory was moved"),
    ("create", "created in a directory"),
    ("delete", "removed from a directory"),
    ("delete_self", "the watched file or directory was removed"),
    ("unmount", "its file system was unmounted"),
    ("q_overflow", "events were lost (always reported on standard error)"),
    ("all_events", "all but unmount and q_overflow"),
];

/// Returns the options of one group, in the order of the help.
pub fn of_group(group: Group) -> impl Iterator<Item = &'static Opt> {
    OPTIONS.iter().filter(move |option| option.group == group)
}
