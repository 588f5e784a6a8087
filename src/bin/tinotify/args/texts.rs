//! The texts of the help and of the man page that are not about one option.

pub const SUMMARY: &str = "Wait for changes to files, and print them.";

pub const SYNOPSIS: &str = "[OPTION]... PATH... [@PATH]...";

pub const OUTPUT: &str = "Each event is one line: the watched path, the names of the event, and \
                          the name in the directory.";

pub const EXCLUDED: &str = "@PATH excludes a directory from the trees of --recursive.";

/// Each exit status, and when.
pub const STATUS: &[(&str, &str)] = &[
    ("0", "after an event, or after --count events"),
    ("1", "after an error, or when a watch ended"),
    ("2", "after the timeout"),
    ("other", "with --exit-on-error: that of the command, 128 + N after signal N"),
];

pub const STAT_SUMMARY: &str = "Count changes to files until the timeout or until SIGINT, SIGTERM or SIGHUP, then print \
                                a table of the counts.";

pub const STAT_STATUS: &[(&str, &str)] =
    &[("0", "after the counts were printed"), ("1", "after an error")];

/// The environment variables that the tool reads, or sets for commands.
pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("TZ", "The time zone of %T. Default: that of the system."),
    ("TINOTIFY_PATH", "For a command of --exec: the path of the last event."),
    ("TINOTIFY_EVENT", "The names of the last event, separated by commas."),
    ("TINOTIFY_OLD_PATH", "With --renames: the old path, if the last event is a rename."),
    ("TINOTIFY_COUNT", "The number of paths of this run."),
];

pub const FILES: [(&str, &str); 2] = [
    (
        "/proc/sys/fs/inotify/",
        "The limits of the kernel: max_user_watches, max_user_instances and max_queued_events.",
    ),
    ("/dev/log", "The socket of syslog, for --syslog."),
];

/// The keys of `--json`.
pub const JSON: [(&str, &str); 9] = [
    ("time", "Seconds since 1970, with a fraction."),
    ("dir", "The watched path. That of a directory ends with a slash."),
    ("name", "The name in the directory. Absent for an event of the watched path itself."),
    ("events", "The names of the event, and the words below."),
    ("cookie", "The same number for both halves of a rename."),
    ("from", "With --renames: the old path."),
    ("found", "true if the change was discovered on disk, and not reported by the kernel."),
    ("why", "Why a directory cannot be watched or listed."),
    (
        "dir_hex, name_hex, from_hex",
        "The bytes of a path that is not UTF-8, as hexadecimal digits.",
    ),
];

/// The words in `events` that are not events of the kernel.
pub const WORDS: [(&str, &str); 11] = [
    ("EXISTING", "With --existing: it was there at the start. Also in other formats."),
    (
        "ESTABLISHED",
        "Every directory of the tree is watched. Later objects are changes after that.",
    ),
    ("UNWATCHED", "A directory cannot be watched."),
    ("UNLISTED", "A directory cannot be listed after an overflow."),
    ("WATCHED", "A directory that had one of these two is watched and listed again."),
    ("RESYNCED", "The changes that were lost in an overflow have been discovered."),
    ("ROOT_MOVED", "The path of the tree leads elsewhere."),
    ("ROOT_REMOVED", "The root of the tree was removed."),
    ("ROOT_UNMOUNTED", "The file system of the root was unmounted."),
    ("RENAMED, EXCHANGED", "With --renames. Also in other formats."),
    ("APPEARED, REPLACED, VANISHED", "With --follow. Also in other formats."),
];
