//! The table of options and the table of events. The parser, the help, the man page, the completions and
//! the messages are all derived from them.

use crate::args::opt::{Group, Id, Opt, Scope, Values};

/// All options, in the order of the help.
pub const GROUPS: [Group; 7] = [
    Group { title: "Watching", options: WATCHING, examples: EXAMPLES_OF_WATCHING },
    Group { title: "Events", options: SELECTION, examples: EXAMPLES_OF_SELECTION },
    Group { title: "Filters", options: FILTERS, examples: EXAMPLES_OF_FILTERS },
    Group { title: "Output", options: OUTPUT, examples: EXAMPLES_OF_OUTPUT },
    Group { title: "Commands", options: COMMANDS, examples: EXAMPLES_OF_COMMANDS },
    Group { title: "tinotify stat", options: STAT, examples: EXAMPLES_OF_STAT },
    Group { title: "The program", options: PROGRAM, examples: EXAMPLES_OF_PROGRAM },
];

const WATCHING: &[Opt] = &[
    Opt::shared(Id::Monitor, "monitor", "Continue after the first event.")
        .short('m')
        .only(Scope::Watch)
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
    .only(Scope::Watch)
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
    )
    .only(Scope::Watch),
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
         the watches, then end. Default: 0. With stat: the time of the whole count.",
    )
    .short('t')
    .value("SECONDS")
    .brief("End after this time without an event."),
    Opt::own(Id::Count, "count", "End after this number of printed events. Implies --monitor.")
        .value("NUMBER")
        .only(Scope::Watch),
    Opt::own(
        Id::Renames,
        "renames",
        "Print a rename as one RENAMED event with the old path (%o in --format).",
    )
    .only(Scope::Watch),
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
        .value("TYPE")
        .values(Values::ListOf(&["f", "d"])),
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
    .only(Scope::Watch)
    .brief("Print events so: %w%f is the path, %e the events."),
    Opt::shared(Id::NoNewline, "no-newline", "Print no newline after --format.").only(Scope::Watch),
    Opt::shared(Id::Timefmt, "timefmt", "Format of the time that %T prints, as in strftime(3).")
        .value("FORMAT")
        .only(Scope::Watch),
    Opt::shared(Id::Csv, "csv", "Print events as comma-separated values.").short('c'),
    Opt::own(Id::Json, "json", "Print each event as a JSON object on its own line.")
        .brief("Print each event as a JSON object."),
    Opt::own(
        Id::Null,
        "null",
        "End each event with NUL instead of a newline; without --format, each of its fields too.",
    )
    .short('0')
    .only(Scope::Watch),
    Opt::shared(
        Id::Outfile,
        "outfile",
        "Append events to a file. SIGUSR1 reopens it. Events of this file are not reported.",
    )
    .short('o')
    .value("FILE")
    .values(Values::Files),
    Opt::own(Id::Stats, "stats", "Print the number of events of each kind at the end.")
        .only(Scope::Watch),
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
    .only(Scope::Watch)
    .brief("Run a command for each event; {} is the path."),
    Opt::own(
        Id::Debounce,
        "debounce",
        "Merge the events of each path until it has been quiet for QUIET milliseconds, at the latest \
         CAP milliseconds after the first. One command is run for all paths. Default: no CAP.",
    )
    .value("QUIET[,CAP]")
    .only(Scope::Watch),
    Opt::own(
        Id::OnBusy,
        "on-busy",
        "What an event does while the command runs: queue, run it again later; ignore, nothing; \
         restart, stop it and start it again; signal, send it --signal. Default: queue.",
    )
    .value("WHAT")
    .values(Values::OneOf(&["queue", "ignore", "restart", "signal"]))
    .only(Scope::Watch),
    Opt::own(Id::Restart, "restart", "The same as --on-busy=restart.").only(Scope::Watch),
    Opt::own(
        Id::Signal,
        "signal",
        "The signal that stops the command, or that --on-busy=signal sends. Default: TERM.",
    )
    .value("SIGNAL")
    .values(Values::OneOf(SIGNALS))
    .only(Scope::Watch),
    Opt::own(
        Id::StopTimeout,
        "stop-timeout",
        "Kill the command if it has not ended this time after the signal. Default: 5.",
    )
    .value("SECONDS")
    .only(Scope::Watch),
    Opt::own(Id::RunAtStart, "run-at-start", "Also run the command once before the first event.")
        .only(Scope::Watch),
    Opt::own(Id::ExitOnError, "exit-on-error", "End when a command fails, with its status.")
        .only(Scope::Watch),
];

const STAT: &[Opt] = &[
    Opt::own(Id::By, "by", "Count by watched directory, or by file. Default: directory.")
        .value("WHAT")
        .values(Values::OneOf(&["directory", "file"]))
        .only(Scope::Stat),
    Opt::shared(
        Id::Descending,
        "descending",
        "Sort by the count of this event, highest first, or by total. Default: total.",
    )
    .short('d')
    .value("EVENT")
    .only(Scope::Stat),
    Opt::shared(Id::Ascending, "ascending", "Like --descending, lowest first.")
        .short('a')
        .value("EVENT")
        .only(Scope::Stat),
    Opt::shared(
        Id::Zero,
        "zero",
        "Also print the columns of zeros, and the watched paths without an event.",
    )
    .short('z')
    .only(Scope::Stat),
];

/// The names that `--signal` accepts.
const SIGNALS: &[&str] = &[
    "HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "ALRM", "TERM", "CONT", "STOP", "TSTP",
    "WINCH",
];

const EXAMPLES_OF_STAT: &[(&str, &str)] = &[(
    "The files that are written most often in a minute:",
    "tinotify stat -rq -t 60 -e modify --by file /srv",
)];

const EXAMPLES_OF_COMMANDS: &[(&str, &str)] = &[(
    "Build after 200 ms without a change:",
    "tinotify -mrq -e close_write,move . @./target --debounce 200 --exec make",
)];

const PROGRAM: &[Opt] = &[
    Opt::shared(
        Id::Quiet,
        "quiet",
        "Print only errors, lost events and what cannot be watched; twice: print nothing, not even \
         events.",
    )
    .short('q')
    .brief("Print no messages about the set-up."),
    Opt::shared(Id::Daemon, "daemon", "Run in the background, with -m and -s; needs -o.")
        .short('d')
        .only(Scope::Watch),
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
