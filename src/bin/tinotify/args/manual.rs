//! The help and the man page.

use std::fmt::Write;

use crate::args::table::{EVENTS, GROUPS, Opt, Scope};

const SUMMARY: &str = "Wait for changes to files, and print them.";

const USAGE: &str = "[OPTION]... PATH... [@PATH]...";

const OUTPUT: &str = "Each event is one line: the watched path, the names of the event, and the name \
                      in the directory.";

const EXCLUDED: &str = "@PATH excludes a directory from the trees of --recursive.";

const STATUS: &str =
    "0 after an event; 1 after an error, or when a watch ended; 2 after the timeout.";

const STAT_SUMMARY: &str = "Count changes to files until the timeout or until SIGINT, SIGTERM or SIGHUP, \
                            then print a table of the counts.";

const STAT_STATUS: &str = "0 after the counts were printed; 1 after an error.";

/// Returns the long name and the placeholder of the value.
fn long(option: &Opt) -> String {
    match option.value {
        Some(value) => format!("--{} {value}", option.long),
        None => format!("--{}", option.long),
    }
}

/// Returns the text of `--help`.
pub fn help() -> String {
    let mut text = format!("{SUMMARY}\n\nUsage: tinotify {USAGE}\n       tinotify stat {USAGE}\n");
    options(&mut text, |_| true);
    events(&mut text);
    let _ = writeln!(text, "\n{OUTPUT}\n{EXCLUDED}\n\nExit status: {STATUS}");
    text
}

/// Returns the text of `tinotify stat --help`.
pub fn stat_help() -> String {
    let mut text = format!("{STAT_SUMMARY}\n\nUsage: tinotify stat {USAGE}\n");
    options(&mut text, |option| option.scope != Scope::Watch);
    events(&mut text);
    let _ = writeln!(text, "\n{EXCLUDED}\n\nExit status: {STAT_STATUS}");
    text
}

/// Appends the options for which `shows` returns `true`, in their groups.
fn options(text: &mut String, shows: impl Fn(&Opt) -> bool) {
    for group in &GROUPS {
        if !group.options.iter().any(&shows) {
            continue;
        }
        let _ = writeln!(text, "\n{}:", group.title);
        for option in group.options.iter().filter(|option| shows(option)) {
            let short = option.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
            let names = format!("  {short}{}", long(option));
            let mut lines = wrap(option.help, 54).into_iter();
            if names.len() < 25 {
                let _ = writeln!(text, "{names:25} {}", lines.next().unwrap_or_default());
            } else {
                let _ = writeln!(text, "{names}");
            }
            for line in lines {
                let _ = writeln!(text, "{:25} {line}", "");
            }
        }
    }
}

/// Appends the events.
fn events(text: &mut String) {
    let _ = writeln!(text, "\nEvents:");
    for (name, meaning) in EVENTS {
        let _ = writeln!(text, "  {name:14} {meaning}");
    }
}

/// Breaks a text into lines of at most `width` bytes. A longer word has its own line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Returns the man page, in the language of man(7).
pub fn man() -> String {
    let roff = |text: &str| text.replace('\\', "\\e").replace('-', "\\-");
    let mut page = format!(
        ".TH TINOTIFY 1 \"\" \"tinotify {}\"\n.SH NAME\ntinotify \\- wait for changes to files\n\
         .SH SYNOPSIS\n.B tinotify\n{usage}\n.br\n.B tinotify stat\n{usage}\n.SH DESCRIPTION\n\
         {SUMMARY}\n{OUTPUT}\n{EXCLUDED}\n.PP\n\
         It accepts the command line of\n.BR inotifywait (1) ,\nand\n.B tinotify stat\nthat of\n\
         .BR inotifywatch (1).\n",
        env!("CARGO_PKG_VERSION"),
        usage = roff(USAGE),
    );
    let _ = writeln!(page, ".SH OPTIONS");
    for group in &GROUPS {
        let _ = writeln!(page, ".SS {}", group.title);
        for option in group.options {
            let short = option.short.map_or(String::new(), |short| format!("\\-{short}, "));
            let long = roff(&long(option));
            let _ = writeln!(page, ".TP\n.B {short}{long}\n{}", roff(option.help));
        }
    }
    let _ = writeln!(page, ".SH EVENTS");
    for (name, meaning) in EVENTS {
        let _ = writeln!(page, ".TP\n.B {name}\n{}", roff(meaning));
    }
    let _ = writeln!(page, ".SH EXIT STATUS\n{STATUS}\n.SH SEE ALSO\n.BR inotify (7)");
    page
}
