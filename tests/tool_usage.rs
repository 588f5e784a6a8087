//! The command line: what is refused, with which message, and the help.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use support::{Ended, Program, lossy};

#[path = "tool/mod.rs"]
mod support;

/// The line after each message about the command line.
const HINT: &str = "\nTry 'tinotify --help'.\n";

/// Runs the tool to its end.
fn run(args: &[impl AsRef<OsStr>]) -> Ended {
    Program::start(&mut support::tool(Path::new("."), args)).end()
}

/// Checks that arguments are refused with exactly this message and status 1.
fn is_refused(args: &[impl AsRef<OsStr>], message: &str) {
    let args: Vec<&OsStr> = args.iter().map(AsRef::as_ref).collect();
    let ended = run(&args);
    assert_eq!(ended.messages, format!("tinotify: {message}{HINT}"), "{args:?}");
    assert_eq!((ended.code, lossy(&ended.events).as_str()), (Some(1), ""), "{args:?}");
}

const PATTERNS: &str = "only one of --exclude, --excludei, --include and --includei can be given";

const FORMATS: &str = "only one of --csv, --format and --json can be given";

const FANOTIFY: &str = "fanotify is not supported: remove -F and -S";

const SIGNAL_99: &str = "unknown value \"99\" of --signal: expected one of HUP, INT, QUIT, ABRT, KILL, USR1, USR2, \
                         ALRM, TERM, CONT, STOP, TSTP, WINCH";

const TYPE_L: &str =
    "invalid type \"l\": expected f, d or f,d; events do not tell other types from files";

/// Arguments that are refused, and the message.
const REFUSED: &[(&[&str], &str)] = &[
    // Paths.
    (&[], "no path to watch: give a PATH or --fromfile"),
    (&["@d"], "no path to watch: give a PATH or --fromfile"),
    (&["--monitor", "--inotify", ""], "no path to watch: give a PATH or --fromfile"),
    // Unknown options.
    (&["--recusive", "d"], "unknown option \"--recusive\": did you mean --recursive?"),
    (&["--moniter", "d"], "unknown option \"--moniter\": did you mean --monitor?"),
    (&["--xyzzy", "d"], "unknown option \"--xyzzy\": --help lists the options"),
    (&["--=", "d"], "unknown option \"--\": --help lists the options"),
    (&["-y", "d"], "unknown option \"-y\": --help lists the options"),
    (&["-my", "d"], "unknown option \"-y\": --help lists the options"),
    (&["--\x1b[2J", "d"], "unknown option \"--\\u{1b}[2J\": --help lists the options"),
    (&["--\u{202e}", "d"], "unknown option \"--\\u{202e}\": --help lists the options"),
    (&["-\x1b", "d"], "unknown option \"-\\u{1b}\": --help lists the options"),
    (
        &["--exc", "x", "d"],
        "ambiguous option --exc: did you mean one of --exclude --excludei --exclude-glob?",
    ),
    (&["--time", "1", "d"], "ambiguous option --time: did you mean one of --timeout --timefmt?"),
    // Flags.
    (&["--mo=x", "d"], "unexpected value \"x\" of --monitor: remove it"),
    (&["-m=x", "d"], "unexpected value \"x\" of -m: remove it"),
    (&["--version=\x1b", "d"], "unexpected value \"\\u{1b}\" of --version: remove it"),
    (&["-F", "d"], FANOTIFY),
    (&["-S", "d"], FANOTIFY),
    (&["--fanotify", "d"], FANOTIFY),
    (&["--filesystem", "d"], FANOTIFY),
    (&["--daemon", "d"], "--daemon needs --outfile"),
    (&["--follow", "-r", "d"], "only one of --follow and --recursive can be given"),
    (&["--follow-links", "d"], "--follow-links needs --recursive"),
    (&["--snapshot", "d"], "--snapshot needs --recursive"),
    // Events and time.
    (&["-e", "creat", "d"], "unknown event \"creat\": did you mean \"create\"?"),
    (&["-e", "open,Delte", "d"], "unknown event \"Delte\": did you mean \"delete\"?"),
    (&["-e", "close_w", "d"], "unknown event \"close_w\": did you mean \"close_write\"?"),
    (&["-e", "nope", "d"], "unknown event \"nope\": --help lists the events"),
    (&["-e", "create,,open", "d"], "unknown event \"\": --help lists the events"),
    (&["--event", "", "d"], "unknown event \"\": --help lists the events"),
    (&["-e", "a\x1b[2J", "d"], "unknown event \"a\\u{1b}[2J\": --help lists the events"),
    (&["-t", "abc", "d"], "invalid timeout \"abc\": expected seconds"),
    (&["-t", "1x", "d"], "invalid timeout \"1x\": expected seconds"),
    (&["--timeout=", "d"], "invalid timeout \"\": expected seconds"),
    (&["-t", "\x1b", "d"], "invalid timeout \"\\u{1b}\": expected seconds"),
    // Filters.
    (&["--exclude", "x", "--include", "y", "d"], PATTERNS),
    (&["--excludei", "x", "--exclude", "y", "d"], PATTERNS),
    (&["--include", "x", "--includei", "y", "d"], PATTERNS),
    (&["--ext", "rs,,c", "d"], "invalid extension \"rs,,c\": expected a list such as rs,toml"),
    (&["--type", "l", "d"], TYPE_L),
    // Output.
    (&["-c", "--format", "x", "d"], FORMATS),
    (&["--csv", "--json", "d"], FORMATS),
    (&["--json", "--format", "x", "d"], FORMATS),
    (&["--format", "%T", "d"], "%T in --format needs --timefmt"),
    (&["--timefmt", "x", "d"], "--timefmt needs --format"),
    (&["--no-newline", "d"], "--no-newline needs --format"),
    (
        &["--format", "x", "--no-newline", "--null", "d"],
        "only one of --no-newline and --null can be given",
    ),
    (&["-o", "a", "--outfile", "b", "d"], "--outfile was given twice: give it once"),
    (&["--fromfile", "a", "--fromfile", "b"], "--fromfile was given twice: give it once"),
    // Commands.
    (&["d", "--exec"], "no command to run: give a COMMAND after --exec"),
    (&["d", "--exec", ";"], "no command to run: give a COMMAND after --exec"),
    (&["d", "--exec="], "no command to run: give a COMMAND after --exec"),
    (
        &["--debounce", "soon", "d"],
        "invalid debounce time \"soon\": expected milliseconds: QUIET or QUIET,CAP",
    ),
    (
        &["--debounce", "-1", "d"],
        "invalid debounce time \"-1\": expected milliseconds: QUIET or QUIET,CAP",
    ),
    (
        &["--debounce=5,", "d"],
        "invalid debounce time \"5,\": expected milliseconds: QUIET or QUIET,CAP",
    ),
    (
        &["--on-busy=restrat", "d"],
        "unknown value \"restrat\" of --on-busy: did you mean \"restart\"?",
    ),
    (&["--on-busy=queue", "d"], "--on-busy needs --exec"),
    (&["--restart", "d"], "--on-busy needs --exec"),
    (&["--signal=HUP", "d"], "--signal needs --exec"),
    (&["--signal=TERN", "d"], "unknown value \"TERN\" of --signal: did you mean \"TERM\"?"),
    (&["--signal=99", "d"], SIGNAL_99),
    (&["--stop-timeout=1", "d"], "--stop-timeout needs --exec"),
    (&["--stop-timeout=-1", "d"], "invalid stop timeout \"-1\": expected seconds"),
    (&["--run-at-start", "d"], "--run-at-start needs --exec"),
    (&["--exit-on-error", "d"], "--exit-on-error needs --exec"),
    // Counts.
    (&["stat", "--exec", "true"], "--exec cannot be used with stat"),
    (&["stat", "--debounce", "1", "d"], "--debounce cannot be used with stat"),
    (&["stat", "--daemon", "d"], "--daemon cannot be used with stat"),
    (&["stat", "--dae", "d"], "--daemon cannot be used with stat"),
    (&["stat", "--format", "%f", "d"], "--format cannot be used with stat"),
    (&["stat", "--no-newline", "d"], "--no-newline cannot be used with stat"),
    (&["stat", "--timefmt", "%s", "d"], "--timefmt cannot be used with stat"),
    (&["stat", "-m", "d"], "--monitor cannot be used with stat"),
    (&["stat", "-0", "d"], "--null cannot be used with stat"),
    (&["stat", "--follow", "d"], "--follow cannot be used with stat"),
    (&["stat", "--renames", "d"], "--renames cannot be used with stat"),
    (&["stat", "--stats", "d"], "--stats cannot be used with stat"),
    (&["stat", "--count=1", "d"], "--count cannot be used with stat"),
    (&["--by", "file", "d"], "--by can only be used with stat"),
    (&["--ascending", "total", "d"], "--ascending can only be used with stat"),
    (&["--descending=total", "d"], "--descending can only be used with stat"),
    (&["--zero", "d"], "--zero can only be used with stat"),
    (&["--zer", "d"], "--zero can only be used with stat"),
    (&["-r", "stat", "--by", "file"], "--by can only be used with stat"),
    (
        &["stat", "--by", "name", "d"],
        "unknown value \"name\" of --by: expected one of directory, file",
    ),
    (&["stat", "--by", "", "d"], "unknown value \"\" of --by: expected one of directory, file"),
    (&["stat", "-a", "nope", "d"], "unknown event \"nope\": --help lists the events"),
    (&["stat", "-d", "\u{1b}", "d"], "unknown event \"\\u{1b}\": --help lists the events"),
    (
        &["stat", "-d", "create", "-e", "modify", "d"],
        "cannot sort by CREATE: the event is not selected; add it to --event",
    ),
    (&["stat", "-t", "abc", "d"], "invalid timeout \"abc\": expected seconds"),
    (&["stat"], "no path to watch: give a PATH or --fromfile"),
    (&["stat", "--csv", "--json", "d"], "only one of --csv, --format and --json can be given"),
    (&["--count", "0", "d"], "invalid count \"0\": expected a number greater than 0"),
    (&["--count", "-1", "d"], "invalid count \"-1\": expected a number greater than 0"),
    (&["--count", "two", "d"], "invalid count \"two\": expected a number greater than 0"),
    (&["--count=", "d"], "invalid count \"\": expected a number greater than 0"),
    (&["--count=1.5", "d"], "invalid count \"1.5\": expected a number greater than 0"),
    (
        &["--count", "18446744073709551616", "d"],
        "invalid count \"18446744073709551616\": expected a number greater than 0",
    ),
    // The program.
    (&["--generate", "mann"], "unknown value \"mann\" of --generate: did you mean \"man\"?"),
    (&["--generate", "fishh"], "unknown value \"fishh\" of --generate: did you mean \"fish\"?"),
    (
        &["--generate", "\x1b"],
        "unknown value \"\\u{1b}\" of --generate: expected one of man, bash, zsh, fish",
    ),
];

/// Options that no value or combination can make invalid, or whose values `tests/tool_filters.rs` checks. Their values, given to a flag or missing, are in the tests
/// of all options.
const NEVER_REFUSED: &[&str] = &[
    "quiet",
    "existing",
    "gitignore",
    "exclude-glob",
    "include-glob",
    "renames",
    "stats",
    "syslog",
    "help",
    "no-dereference",
    "recursive",
];

/// Options that only `tinotify stat` has.
const OF_STAT: [&str; 4] = ["ascending", "by", "descending", "zero"];

/// Returns the arguments before an option.
fn before(name: &str) -> Vec<String> {
    if OF_STAT.contains(&name) {
        vec!["stat".to_owned(), "d".to_owned()]
    } else {
        vec!["d".to_owned()]
    }
}

/// The long name of each option of `--help`, with the placeholder of its value.
fn options() -> Vec<(String, Option<String>)> {
    let help = lossy(&run(&["--help"]).events);
    let option = |line: &str| {
        let names = line.strip_prefix("      --").or_else(|| {
            let (letter, names) = line.strip_prefix("  -")?.split_once(", --")?;
            (letter.len() == 1).then_some(names)
        })?;
        // The meaning begins after two spaces, or on the next line.
        let names = names.split("  ").next()?;
        Some(match names.split_once(' ') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (names.to_owned(), None),
        })
    };
    let options: Vec<_> = help.lines().filter_map(option).collect();
    assert!(options.len() > 30, "{help}");
    options
}

#[test]
fn bad_arguments_are_refused_with_an_exact_message_and_status_1() {
    for (args, message) in REFUSED {
        is_refused(args, message);
    }
}

#[test]
fn no_option_of_the_help_is_missing_in_the_table() {
    let names = |args: &[&str], name: &str| {
        args.iter().any(|arg| {
            arg.strip_prefix("--").is_some_and(|arg| arg.split('=').next() == Some(name))
        })
    };
    let missing: Vec<_> = options()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !REFUSED.iter().any(|(args, _)| names(args, name)))
        .filter(|name| !NEVER_REFUSED.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no bad arguments for: {missing:?}");
}

#[test]
fn each_option_with_a_value_is_refused_without_one() {
    for (name, value) in options() {
        let Some(value) = value.filter(|_| name != "exec") else { continue };
        let message = format!("missing value of --{name}: expected {value}");
        is_refused(&[before(&name), vec![format!("--{name}")]].concat(), &message);
    }
    is_refused(&["d", "-e"], "missing value of --event: expected EVENT");
}

#[test]
fn each_flag_is_refused_with_a_value() {
    for (name, value) in options() {
        if value.is_none() {
            let message = format!("unexpected value \"x\" of --{name}: remove it");
            is_refused(&[before(&name), vec![format!("--{name}=x")]].concat(), &message);
        }
    }
}

#[test]
fn a_value_that_must_be_text_is_refused_if_it_is_not_utf_8() {
    for name in ["event", "timeout", "debounce", "generate"] {
        let value = OsStr::from_bytes(b"\xff\x1b").to_owned();
        let args = [OsString::from(format!("--{name}")), value];
        is_refused(&args, &format!("invalid value \"\\xFF\\u{{1b}}\" of --{name}: expected UTF-8"));
    }
}

#[test]
fn help_and_version_go_to_standard_output_with_status_0() {
    for args in [["-h"], ["--help"], ["--he"]] {
        let ended = run(&args);
        assert!(ended.events.starts_with(b"Usage: tinotify "));
        assert_eq!((ended.code, ended.messages.as_str()), (Some(0), ""));
    }
    let version = run(&["--version"]);
    assert!(version.events.ends_with(concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes()));
}

#[test]
fn the_short_help_fits_a_screen_and_names_the_long_one() {
    let help = lossy(&run(&["-h"]).events);
    let lines: Vec<&str> = help.lines().collect();
    assert!(lines.len() <= 24 && lines.iter().all(|line| line.len() <= 80), "{help}");
    for text in ["--monitor", "--recursive", "close_write", "tinotify -m", "tinotify --help"] {
        assert!(help.contains(text), "{text} is not in: {help}");
    }
}

#[test]
fn the_long_help_has_groups_with_examples_in_lines_of_80_columns() {
    let help = lossy(&run(&["--help"]).events);
    let is_example = |line: &str| line.starts_with("    tinotify ");
    let long: Vec<_> = help.lines().filter(|line| line.len() >= 80 && !is_example(line)).collect();
    assert!(long.is_empty(), "{long:?}");
    for group in ["Watching:", "Filters:", "Output:", "Commands:"] {
        let (_, text) = help.split_once(&format!("\n{group}\n")).unwrap();
        let next = text.find(":\n  -").unwrap_or(text.len());
        assert!(text[..next].lines().any(is_example), "{group} has no example: {help}");
    }
}
