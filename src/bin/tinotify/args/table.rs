//! The table of options and the table of events.

/// One option, for the parser and for the documentation.
#[derive(Debug)]
pub struct Opt {
    pub id: Id,
    pub short: Option<char>,
    pub long: &'static str,
    /// The placeholder of its value. `None` for a flag.
    pub value: Option<&'static str>,
    /// `true` for an option of inotifywait. An abbreviation that is unambiguous among these is accepted.
    pub is_shared: bool,
    pub help: &'static str,
}

impl Opt {
    /// An option of inotifywait.
    const fn shared(id: Id, long: &'static str, help: &'static str) -> Self {
        Self { id, short: None, long, value: None, is_shared: true, help }
    }

    /// An option that inotifywait does not have.
    const fn own(id: Id, long: &'static str, help: &'static str) -> Self {
        Self { is_shared: false, ..Self::shared(id, long, help) }
    }

    const fn short(self, letter: char) -> Self {
        Self { short: Some(letter), ..self }
    }

    const fn value(self, placeholder: &'static str) -> Self {
        Self { value: Some(placeholder), ..self }
    }
}

/// Options that the help shows under one title.
#[derive(Debug)]
pub struct Group {
    pub title: &'static str,
    pub options: &'static [Opt],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    Csv,
    Daemon,
    Debounce,
    Event,
    Exclude,
    ExcludeGlob,
    Excludei,
    Exec,
    Ext,
    Fanotify,
    Filesystem,
    Follow,
    FollowLinks,
    Format,
    Fromfile,
    Generate,
    Gitignore,
    Help,
    Include,
    IncludeGlob,
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
    Type,
    Version,
}

/// All options, in the order of the help.
pub const GROUPS: [Group; 6] = [
    Group { title: "Watching", options: WATCHING },
    Group { title: "Events", options: SELECTION },
    Group { title: "Filters", options: FILTERS },
    Group { title: "Output", options: OUTPUT },
    Group { title: "Commands", options: COMMANDS },
    Group { title: "The program", options: PROGRAM },
];

const WATCHING: &[Opt] = &[
    Opt::shared(Id::Monitor, "monitor", "Continue after the first event.").short('m'),
    Opt::shared(
        Id::Recursive,
        "recursive",
        "Watch directories and all directories beneath them, including new ones. Links are not \
         followed without --follow-links.",
    )
    .short('r'),
    Opt::own(
        Id::Follow,
        "follow",
        "Watch names, not files: also watch a file that replaces the watched one, or that is \
         created later.",
    ),
    Opt::own(
        Id::FollowLinks,
        "follow-links",
        "With -r: follow links to directories. Each directory is watched once: by its real path \
         if that is beneath PATH, otherwise by the first link found.",
    ),
    Opt::shared(
        Id::NoDereference,
        "no-dereference",
        "Watch symbolic links themselves, not their targets.",
    )
    .short('P'),
    Opt::shared(
        Id::Fromfile,
        "fromfile",
        "Read PATH and @PATH arguments from a file, one per line; - is standard input.",
    )
    .value("FILE"),
    Opt::shared(Id::Inotify, "inotify", "Use inotify. Has no effect: it is always used.")
        .short('I'),
    Opt::shared(Id::Fanotify, "fanotify", "Not supported: ends with status 1.").short('F'),
    Opt::shared(Id::Filesystem, "filesystem", "Not supported: ends with status 1.").short('S'),
];

const SELECTION: &[Opt] = &[
    Opt::shared(
        Id::Event,
        "event",
        "Wait for these events: names from the list below, separated by commas. Can be repeated. \
         Default: all but unmount.",
    )
    .short('e')
    .value("EVENT"),
    Opt::shared(
        Id::Timeout,
        "timeout",
        "End after this time without an event; fractions are allowed. 0: never. Negative: set up \
         the watches, then end. Default: 0.",
    )
    .short('t')
    .value("SECONDS"),
    Opt::own(
        Id::Renames,
        "renames",
        "Print a rename as one RENAMED event with the old path (%o in --format).",
    ),
];

const FILTERS: &[Opt] = &[
    Opt::shared(
        Id::Exclude,
        "exclude",
        "Hide events whose path matches this POSIX extended regular expression. If repeated, the \
         last one is used.",
    )
    .value("REGEX"),
    Opt::shared(Id::Excludei, "excludei", "Like --exclude, ignoring case.").value("REGEX"),
    Opt::shared(
        Id::Include,
        "include",
        "Show only events of files whose path matches; hide events of directories.",
    )
    .value("REGEX"),
    Opt::shared(Id::Includei, "includei", "Like --include, ignoring case.").value("REGEX"),
    Opt::own(
        Id::ExcludeGlob,
        "exclude-glob",
        "Hide paths beneath PATH that match this glob, and do not watch such directories. A glob \
         without a slash matches names. Can be repeated.",
    )
    .value("GLOB"),
    Opt::own(
        Id::IncludeGlob,
        "include-glob",
        "Show only files that match this glob; hide events of directories. Can be repeated.",
    )
    .value("GLOB"),
    Opt::own(
        Id::Gitignore,
        "gitignore",
        "Hide and do not watch what git ignores, .git itself, and what .ignore files name.",
    ),
    Opt::own(
        Id::Ext,
        "ext",
        "Show only files with these extensions, separated by commas. Can be repeated.",
    )
    .short('x')
    .value("EXTENSION"),
    Opt::own(Id::Type, "type", "Show only f: files, d: directories. Separated by commas.")
        .value("TYPE"),
];

const OUTPUT: &[Opt] = &[
    Opt::shared(
        Id::Format,
        "format",
        "Print events in this format: %w watched path, %f name, %e event names, %Xe event names \
         with the separator X, %T time, %c cookie, %0 NUL, %n newline, %% percent sign.",
    )
    .value("FORMAT"),
    Opt::shared(Id::NoNewline, "no-newline", "Print no newline after --format."),
    Opt::shared(Id::Timefmt, "timefmt", "Format of the time that %T prints, as in strftime(3).")
        .value("FORMAT"),
    Opt::shared(Id::Csv, "csv", "Print events as comma-separated values.").short('c'),
    Opt::own(Id::Json, "json", "Print each event as a JSON object on its own line."),
    Opt::own(
        Id::Null,
        "null",
        "End each event with NUL instead of a newline; without --format, each of its fields too.",
    )
    .short('0'),
    Opt::shared(Id::Outfile, "outfile", "Append events to a file. SIGHUP reopens it.")
        .short('o')
        .value("FILE"),
    Opt::own(Id::Stats, "stats", "Print the number of events of each kind at the end."),
];

const COMMANDS: &[Opt] = &[
    Opt::own(
        Id::Exec,
        "exec",
        "Run a command for each event, one at a time; {} is the path. The command is all \
         arguments up to ; or the end.",
    )
    .value("COMMAND [ARG]... [;]"),
    Opt::own(
        Id::Debounce,
        "debounce",
        "Run the command after this time without an event, once for all paths since its last run: \
         a word with {} is repeated for each path.",
    )
    .value("MILLISECONDS"),
];

const PROGRAM: &[Opt] = &[
    Opt::shared(
        Id::Quiet,
        "quiet",
        "Print no messages about the set-up; twice: print no events either.",
    )
    .short('q'),
    Opt::shared(Id::Daemon, "daemon", "Run in the background, with -m and -s; needs -o.")
        .short('d'),
    Opt::shared(Id::Syslog, "syslog", "Send messages to syslog.").short('s'),
    Opt::own(
        Id::Generate,
        "generate",
        "Print the man page or a shell completion: man, bash, zsh or fish.",
    )
    .value("WHAT"),
    Opt::shared(Id::Help, "help", "Print this help.").short('h'),
    Opt::own(Id::Version, "version", "Print the version.").short('V'),
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

/// Returns all options, in the order of the help.
pub fn options() -> impl Iterator<Item = &'static Opt> {
    GROUPS.iter().flat_map(|group| group.options)
}
