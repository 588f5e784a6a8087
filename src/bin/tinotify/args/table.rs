//! The table of options and the table of events. The parser, the help, the man page, the completions and
//! the messages are all derived from them.

/// One option, for the parser and for the documentation.
#[derive(Debug)]
pub struct Opt {
    pub id: Id,
    pub short: Option<char>,
    pub long: &'static str,
    /// The placeholder of its value. `None` for a flag.
    pub value: Option<&'static str>,
    pub values: Values,
    /// `true` for an option of inotifywait. An abbreviation that is unambiguous among these is accepted.
    pub is_shared: bool,
    pub help: &'static str,
    /// The text of the short help, at most 52 bytes. `None` if the short help does not show the option.
    pub brief: Option<&'static str>,
}

/// The values that an option accepts, for completions and messages.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    Any,
    Files,
    Commands,
    OneOf(&'static [&'static str]),
    /// Separated by commas.
    ListOf(&'static [&'static str]),
}

impl Values {
    /// Returns the known words. Empty if other values are accepted too.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::OneOf(words) | Self::ListOf(words) => words,
            Self::Any | Self::Files | Self::Commands => &[],
        }
    }
}

impl Opt {
    /// An option of inotifywait.
    const fn shared(id: Id, long: &'static str, help: &'static str) -> Self {
        Self {
            id,
            short: None,
            long,
            value: None,
            values: Values::Any,
            is_shared: true,
            help,
            brief: None,
        }
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

    const fn values(self, values: Values) -> Self {
        Self { values, ..self }
    }

    const fn brief(self, text: &'static str) -> Self {
        Self { brief: Some(text), ..self }
    }
}

/// Options that the help shows under one title.
#[derive(Debug)]
pub struct Group {
    pub title: &'static str,
    pub options: &'static [Opt],
    /// Command lines, each after its purpose.
    pub examples: &'static [(&'static str, &'static str)],
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
    ExitOnError,
    Existing,
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
    OnBusy,
    Outfile,
    Quiet,
    Recursive,
    Renames,
    Restart,
    RunAtStart,
    Signal,
    Snapshot,
    Stats,
    StopTimeout,
    Syslog,
    Timefmt,
    Timeout,
    Version,
}

/// All options, in the order of the help.
pub const GROUPS: [Group; 6] = [
    Group { title: "Watching", options: WATCHING, examples: EXAMPLES_OF_WATCHING },
    Group { title: "Events", options: SELECTION, examples: EXAMPLES_OF_SELECTION },
    Group { title: "Filters", options: FILTERS, examples: EXAMPLES_OF_FILTERS },
    Group { title: "Output", options: OUTPUT, examples: EXAMPLES_OF_OUTPUT },
    Group { title: "Commands", options: COMMANDS, examples: EXAMPLES_OF_COMMANDS },
    Group { title: "The program", options: PROGRAM, examples: EXAMPLES_OF_PROGRAM },
];

const WATCHING: &[Opt] = &[
    Opt::shared(Id::Monitor, "monitor", "Continue after the first event.")
        .short('m')
        .brief("Continue after the first event."),
    Opt::shared(
        Id::Recursive,
        "recursive",
        "Watch directories and all directories beneath them, including new ones. Links are not \
         followed without --follow-links.",
    )
    .short('r')
    .brief("Watch everything beneath directories."),
    Opt::own(
        Id::Follow,
        "follow",
        "Watch names, not files: also watch a file that replaces the watched one, or that is \
         created later.",
    )
    .brief("Watch a name through replacements of its file."),
    Opt::own(
        Id::FollowLinks,
        "follow-links",
        "With -r: follow links to directories. Each directory is watched once: by its real path \
         if that is beneath PATH, otherwise by the first link found.",
    ),
    Opt::own(
        Id::Existing,
        "existing",
        "First print each file and directory that is there, as EXISTING.",
    ),
    Opt::own(
        Id::Snapshot,
        "snapshot",
        "With -r: remember each file, to show its changes that were lost in an overflow as well. \
         Costs 150 bytes and the name in memory for each file, and a statx(2) a file at the start and after an overflow.",
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
    .value("FILE")
    .values(Values::Files),
    Opt::shared(Id::Inotify, "inotify", "Use inotify. Has no effect: it is always used.")
        .short('I'),
    Opt::shared(Id::Fanotify, "fanotify", "Not supported: ends with status 1.").short('F'),
    Opt::shared(Id::Filesystem, "filesystem", "Not supported: ends with status 1.").short('S'),
];

const EXAMPLES_OF_WATCHING: &[(&str, &str)] = &[
    ("Print the changes of a tree until Ctrl-C:", "tinotify -mr /srv"),
    (
        "Follow a config file through atomic saves, also before it exists:",
        "tinotify -m --follow -e close_write /etc/app.conf",
    ),
];

const SELECTION: &[Opt] = &[
    Opt::shared(
        Id::Event,
        "event",
        "Wait for these events: names from the list below, separated by commas. Can be repeated. \
         Default: all but unmount.",
    )
    .short('e')
    .value("EVENT")
    .values(Values::ListOf(&EVENT_NAMES))
    .brief("Wait for these events, separated by commas."),
    Opt::shared(
        Id::Timeout,
        "timeout",
        "End after this time without an event; fractions are allowed. 0: never. Negative: set up \
         the watches, then end. Default: 0.",
    )
    .short('t')
    .value("SECONDS")
    .brief("End after this time without an event."),
    Opt::own(
        Id::Renames,
        "renames",
        "Print a rename as one RENAMED event with the old path (%o in --format).",
    ),
];

const EXAMPLES_OF_SELECTION: &[(&str, &str)] = &[
    (
        "Wait at most a minute until a file is written or moved into spool:",
        "tinotify -e close_write,moved_to -t 60 spool",
    ),
    ("Print old and new paths of renames:", "tinotify -mr -e move --renames /srv"),
];

const FILTERS: &[Opt] = &[
    Opt::shared(
        Id::Exclude,
        "exclude",
        "Hide events whose path matches this POSIX extended regular expression. If repeated, the \
         last one is used.",
    )
    .value("REGEX")
    .brief("Hide the paths that match."),
    Opt::shared(Id::Excludei, "excludei", "Like --exclude, ignoring case.").value("REGEX"),
    Opt::shared(
        Id::Include,
        "include",
        "Show only events of files whose path matches; hide events of directories.",
    )
    .value("REGEX"),
    Opt::shared(Id::Includei, "includei", "Like --include, ignoring case.").value("REGEX"),
];

const EXAMPLES_OF_FILTERS: &[(&str, &str)] = &[
    ("Leave directories out of a tree:", "tinotify -mr --exclude '/(\\.git|target)/' ."),
    ("The same by their paths:", "tinotify -mr . @./.git @./target"),
];

const OUTPUT: &[Opt] = &[
    Opt::shared(
        Id::Format,
        "format",
        "Print events in this format: %w watched path, %f name, %e event names, %Xe event names \
         with the separator X, %T time, %c cookie, %0 NUL, %n newline, %% percent sign.",
    )
    .value("FORMAT")
    .brief("Print events so: %w%f is the path, %e the events."),
    Opt::shared(Id::NoNewline, "no-newline", "Print no newline after --format."),
    Opt::shared(Id::Timefmt, "timefmt", "Format of the time that %T prints, as in strftime(3).")
        .value("FORMAT"),
    Opt::shared(Id::Csv, "csv", "Print events as comma-separated values.").short('c'),
    Opt::own(Id::Json, "json", "Print each event as a JSON object on its own line.")
        .brief("Print each event as a JSON object."),
    Opt::own(
        Id::Null,
        "null",
        "End each event with NUL instead of a newline; without --format, each of its fields too.",
    )
    .short('0'),
    Opt::shared(
        Id::Outfile,
        "outfile",
        "Append events to a file. SIGUSR1 reopens it. Events of this file are not reported.",
    )
    .short('o')
    .value("FILE")
    .values(Values::Files),
    Opt::own(Id::Stats, "stats", "Print the number of events of each kind at the end."),
];

const EXAMPLES_OF_OUTPUT: &[(&str, &str)] = &[
    (
        "Pass paths with any names to a script:",
        "tinotify -mq0 -e close_write --format %w%f spool | xargs -0 -n1 process",
    ),
    ("Select fields with jq:", "tinotify -mr --json /srv | jq -r .name"),
];

const COMMANDS: &[Opt] = &[
    Opt::own(
        Id::Exec,
        "exec",
        "Run a command for each event, one at a time. An argument with {} is repeated for each path. \
         The command is all arguments up to ; or the end. The environment has TINOTIFY_PATH, \
         TINOTIFY_EVENT and TINOTIFY_OLD_PATH. Default events: all that change something.",
    )
    .value("COMMAND [ARG]... [;]")
    .values(Values::Commands)
    .brief("Run a command for each event; {} is the path."),
    Opt::own(
        Id::Debounce,
        "debounce",
        "Merge the events of each path until it has been quiet for QUIET milliseconds, at the latest \
         CAP milliseconds after the first. One command is run for all paths. Default: no CAP.",
    )
    .value("QUIET[,CAP]"),
    Opt::own(
        Id::OnBusy,
        "on-busy",
        "What an event does while the command runs: queue, run it again later; ignore, nothing; \
         restart, stop it and start it again; signal, send it --signal. Default: queue.",
    )
    .value("WHAT")
    .values(Values::OneOf(&["queue", "ignore", "restart", "signal"])),
    Opt::own(Id::Restart, "restart", "The same as --on-busy=restart."),
    Opt::own(
        Id::Signal,
        "signal",
        "The signal that stops the command, or that --on-busy=signal sends. Default: TERM.",
    )
    .value("SIGNAL")
    .values(Values::OneOf(SIGNALS)),
    Opt::own(
        Id::StopTimeout,
        "stop-timeout",
        "Kill the command if it has not ended this time after the signal. Default: 5.",
    )
    .value("SECONDS"),
    Opt::own(Id::RunAtStart, "run-at-start", "Also run the command once before the first event."),
    Opt::own(
        Id::ExitOnError,
        "exit-on-error",
        "End when a command fails, with its status.",
    ),
];

/// The names that `--signal` accepts.
const SIGNALS: &[&str] = &[
    "HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "ALRM", "TERM", "CONT", "STOP", "TSTP",
    "WINCH",
];

const EXAMPLES_OF_COMMANDS: &[(&str, &str)] = &[(
    "Build after 200 ms without a change:",
    "tinotify -mrq -e close_write,move . @./target --debounce 200 --exec make",
)];

const PROGRAM: &[Opt] = &[
    Opt::shared(
        Id::Quiet,
        "quiet",
        "Print no messages about the set-up; twice: print no events either.",
    )
    .short('q')
    .brief("Print no messages about the set-up."),
    Opt::shared(Id::Daemon, "daemon", "Run in the background, with -m and -s; needs -o.")
        .short('d'),
    Opt::shared(Id::Syslog, "syslog", "Send messages to syslog.").short('s'),
    Opt::own(
        Id::Generate,
        "generate",
        "Print the man page or a shell completion: man, bash, zsh or fish.",
    )
    .value("WHAT")
    .values(Values::OneOf(&["man", "bash", "zsh", "fish"])),
    Opt::shared(Id::Help, "help", "Print this help; -h: a screen with the most used options.")
        .short('h'),
    Opt::own(Id::Version, "version", "Print the version.").short('V'),
];

const EXAMPLES_OF_PROGRAM: &[(&str, &str)] = &[
    ("Install the man page:", "tinotify --generate man > /usr/local/share/man/man1/tinotify.1"),
    ("Write a log in the background:", "tinotify -d -r -e create,delete -o /var/log/changes /srv"),
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

/// The names in [`EVENTS`].
pub const EVENT_NAMES: [&str; EVENTS.len()] = {
    let mut names = [""; EVENTS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = EVENTS[index].0;
        index += 1;
    }
    names
};
