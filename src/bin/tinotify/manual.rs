//! The help, the man page and the completions: all made of the table of options.

use std::fmt::Write;

use crate::options::{Group, OPTIONS, Opt};

const SUMMARY: &str = "Wait for changes to files, and show them.";

const USAGE: &str = "[OPTION]... PATH... [@PATH]...";

/// What can be waited for.
const EVENTS: [(&str, &str); 17] = [
    ("access", "read"),
    ("modify", "written"),
    ("attrib", "metadata changed"),
    ("close_write", "closed after writing"),
    ("close_nowrite", "closed, was not writable"),
    ("close", "either of the two"),
    ("open", "opened"),
    ("moved_from", "moved out of a directory"),
    ("moved_to", "moved into a directory"),
    ("move", "either of the two"),
    ("move_self", "the watched thing was moved"),
    ("create", "made in a directory"),
    ("delete", "removed from a directory"),
    ("delete_self", "the watched thing is gone"),
    ("unmount", "its file system was unmounted"),
    ("q_overflow", "events were lost (it is told on standard error in any case)"),
    ("all_events", "all but unmount and q_overflow"),
];

const OUTPUT: &str = "Each event is a line: the watched path, the names of the event, the name in the \
                      directory.";

const EXCLUDED: &str = "@PATH leaves a directory out of the trees of --recursive.";

const STATUS: &str =
    "0 after an event; 1 after an error, or when a watch ended; 2 after the timeout.";

/// What the long name and the value look like.
fn long(option: &Opt) -> String {
    match option.value {
        Some(value) => format!("--{} {value}", option.long),
        None => format!("--{}", option.long),
    }
}

pub fn help() -> String {
    let mut text = format!("{SUMMARY}\n\nUsage: tinotify {USAGE}\n");
    for (group, title) in [(Group::Shared, "Options"), (Group::Own, "Not in inotifywait")] {
        let _ = writeln!(text, "\n{title}:");
        for option in OPTIONS.iter().filter(|option| option.group == group) {
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
    let _ = writeln!(text, "\nEvents:");
    for (name, meaning) in EVENTS {
        let _ = writeln!(text, "  {name:14} {meaning}");
    }
    let _ = writeln!(text, "\n{OUTPUT}\n{EXCLUDED}\n\nExit status: {STATUS}");
    text
}

/// Breaks a text into lines of not more than `width` bytes, where words allow.
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

/// What `--generate` prints; `None` for what it doesn't know.
pub fn generate(what: &str) -> Option<String> {
    Some(match what {
        "man" => man(),
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
        _ => return None,
    })
}

/// For man(7).
fn man() -> String {
    let roff = |text: &str| text.replace('\\', "\\e").replace('-', "\\-");
    let mut page = format!(
        ".TH TINOTIFY 1 \"\" \"tinotify {}\"\n.SH NAME\ntinotify \\- wait for changes to files\n\
         .SH SYNOPSIS\n.B tinotify\n{}\n.SH DESCRIPTION\n{SUMMARY}\n{OUTPUT}\n{EXCLUDED}\n.PP\n\
         It takes the command line of\n.BR inotifywait (1).\n",
        env!("CARGO_PKG_VERSION"),
        roff(USAGE),
    );
    for (group, title) in [(Group::Shared, "OPTIONS"), (Group::Own, "OPTIONS NOT IN INOTIFYWAIT")] {
        let _ = writeln!(page, ".SH {title}");
        for option in OPTIONS.iter().filter(|option| option.group == group) {
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

/// What completes the value of an option.
enum Values {
    Files,
    Events,
    Generated,
    Nothing,
}

fn values(option: &Opt) -> Values {
    match option.value {
        Some("FILE") => Values::Files,
        Some("EVENT") => Values::Events,
        Some("WHAT") => Values::Generated,
        _ => Values::Nothing,
    }
}

fn event_names() -> String {
    EVENTS.map(|(name, _)| name).join(" ")
}

fn bash() -> String {
    let mut cases = String::new();
    for option in OPTIONS.iter().filter(|option| option.value.is_some()) {
        let reply = match values(option) {
            // Without a match, the names of files: see `complete`.
            Values::Files => String::new(),
            Values::Events => {
                format!("COMPREPLY=($(compgen -W '{}' -- \"$now\"))", event_names())
            }
            Values::Generated => {
                "COMPREPLY=($(compgen -W 'man bash zsh fish' -- \"$now\"))".to_owned()
            }
            Values::Nothing => continue,
        };
        let short = option.short.map_or(String::new(), |short| format!("-{short}|"));
        let _ = writeln!(cases, "        {short}--{}) {reply}; return;;", option.long);
    }
    let cases = cases.replace(") ; ", ") ");
    let long = OPTIONS.iter().map(|option| format!("--{}", option.long));
    let words = long.collect::<Vec<_>>().join(" ");
    format!(
        "_tinotify() {{\n    local now=${{COMP_WORDS[COMP_CWORD]}}\n    COMPREPLY=()\n    \
         case ${{COMP_WORDS[COMP_CWORD-1]}} in\n{cases}    esac\n    if [[ $now == -* ]]; then\n        \
         COMPREPLY=($(compgen -W '{words}' -- \"$now\"))\n    fi\n}}\n\
         complete -o default -F _tinotify tinotify\n"
    )
}

fn zsh() -> String {
    let mut text = String::from("#compdef tinotify\n_arguments -s \\\n");
    for option in &OPTIONS {
        let help = option.help.replace('\'', "").replace('[', "\\[").replace(']', "\\]");
        let help = help.replace(':', "\\:");
        let value = match (option.value, values(option)) {
            (None, _) => String::new(),
            (_, Values::Files) => ":file:_files".to_owned(),
            (_, Values::Events) => format!(":event:_values -s , event {}", event_names()),
            (_, Values::Generated) => ":what:(man bash zsh fish)".to_owned(),
            (_, Values::Nothing) => ":value:".to_owned(),
        };
        if let Some(short) = option.short {
            let _ = writeln!(text, "    '*-{short}[{help}]{value}' \\");
        }
        let equals = if option.value.is_some() { "=" } else { "" };
        let _ = writeln!(text, "    '*--{}{equals}[{help}]{value}' \\", option.long);
    }
    text.push_str("    '*:path:_files'\n");
    text
}

fn fish() -> String {
    let mut text = String::new();
    for option in &OPTIONS {
        let _ = write!(text, "complete -c tinotify -l {}", option.long);
        if let Some(short) = option.short {
            let _ = write!(text, " -s {short}");
        }
        match (option.value, values(option)) {
            (None, _) => {}
            (_, Values::Files) => text.push_str(" -r"),
            (_, Values::Events) => {
                let _ = write!(text, " -x -a '{}'", event_names());
            }
            (_, Values::Generated) => text.push_str(" -x -a 'man bash zsh fish'"),
            (_, Values::Nothing) => text.push_str(" -x"),
        }
        let _ = writeln!(text, " -d '{}'", option.help.replace('\'', ""));
    }
    text
}
