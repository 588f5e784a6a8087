//! Generates shell completions.

use std::fmt::Write;

use crate::args::table::{EVENTS, Opt, Scope, options};

/// Returns the short name of an option, unless `stat` has given the letter another meaning.
fn letter(option: &Opt) -> Option<char> {
    option.short.filter(|_| option.scope != Scope::Stat)
}

/// The values of `--generate`.
const DOCUMENTS: &str = "man bash zsh fish";

/// The completions of an option's value.
enum Values {
    Files,
    Events,
    Documents,
    Nothing,
}

fn values(option: &Opt) -> Values {
    match option.value {
        Some("FILE") => Values::Files,
        Some("EVENT") => Values::Events,
        Some("WHAT") => Values::Documents,
        _ => Values::Nothing,
    }
}

/// Returns the names of all events, separated by spaces.
fn event_names() -> String {
    EVENTS.map(|(name, _)| name).join(" ")
}

/// Returns the completion of bash.
pub fn bash() -> String {
    let mut cases = String::new();
    for option in options().filter(|option| option.value.is_some()) {
        let reply = match values(option) {
            // `complete -o default` falls back to the names of files.
            Values::Files => String::new(),
            Values::Events => {
                format!("COMPREPLY=($(compgen -W '{}' -- \"$now\"))", event_names())
            }
            Values::Documents => {
                format!("COMPREPLY=($(compgen -W '{DOCUMENTS}' -- \"$now\"))")
            }
            Values::Nothing => continue,
        };
        let short = letter(option).map_or(String::new(), |short| format!("-{short}|"));
        let _ = writeln!(cases, "        {short}--{}) {reply}; return;;", option.long);
    }
    let cases = cases.replace(") ; ", ") ");
    let long = options().map(|option| format!("--{}", option.long));
    let words = long.collect::<Vec<_>>().join(" ");
    format!(
        "_tinotify() {{\n    local now=${{COMP_WORDS[COMP_CWORD]}}\n    COMPREPLY=()\n    \
         case ${{COMP_WORDS[COMP_CWORD-1]}} in\n{cases}    esac\n    if [[ $now == -* ]]; then\n        \
         COMPREPLY=($(compgen -W '{words}' -- \"$now\"))\n    fi\n}}\n\
         complete -o default -F _tinotify tinotify\n"
    )
}

/// Returns the completion of zsh.
pub fn zsh() -> String {
    let mut text = String::from("#compdef tinotify\n_arguments -s \\\n");
    for option in options() {
        let help = option.help.replace('\'', "").replace('[', "\\[").replace(']', "\\]");
        let help = help.replace(':', "\\:");
        let value = match (option.value, values(option)) {
            (None, _) => String::new(),
            (_, Values::Files) => ":file:_files".to_owned(),
            (_, Values::Events) => format!(":event:_values -s , event {}", event_names()),
            (_, Values::Documents) => format!(":what:({DOCUMENTS})"),
            (_, Values::Nothing) => ":value:".to_owned(),
        };
        if let Some(short) = letter(option) {
            let _ = writeln!(text, "    '*-{short}[{help}]{value}' \\");
        }
        let equals = if option.value.is_some() { "=" } else { "" };
        let _ = writeln!(text, "    '*--{}{equals}[{help}]{value}' \\", option.long);
    }
    text.push_str("    '*:path:_files'\n");
    text
}

/// Returns the completion of fish.
pub fn fish() -> String {
    let mut text = String::new();
    for option in options() {
        let _ = write!(text, "complete -c tinotify -l {}", option.long);
        if let Some(short) = letter(option) {
            let _ = write!(text, " -s {short}");
        }
        match (option.value, values(option)) {
            (None, _) => {}
            (_, Values::Files) => text.push_str(" -r"),
            (_, Values::Events) => {
                let _ = write!(text, " -x -a '{}'", event_names());
            }
            (_, Values::Documents) => {
                let _ = write!(text, " -x -a '{DOCUMENTS}'");
            }
            (_, Values::Nothing) => text.push_str(" -x"),
        }
        let _ = writeln!(text, " -d '{}'", option.help.replace('\'', ""));
    }
    text
}
