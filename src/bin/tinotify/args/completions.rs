//! Generates shell completions.

use std::fmt::Write;

use crate::args::opt::{Opt, Scope, Values};
use crate::args::table::options;

/// Returns the short name of an option, unless `stat` has given the letter another meaning.
fn letter(option: &Opt) -> Option<char> {
    option.short.filter(|_| option.scope != Scope::Stat)
}

/// The completion of bash before the options: `option` is the option whose value is completed, `now` the
/// word. bash splits a word at `=`. After `--exec` come the words of a command.
const BASH: &str = r#"_tinotify() {
    local now=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]} at
    COMPREPLY=()
    if [[ $now == = ]]; then
        now=
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((at = 1; at < COMP_CWORD - 1; at++)); do
        [[ ${COMP_WORDS[at]} != --exec ]] || return 0
    done
    case $option in
"#;

/// The completion of bash for a list: keeps what is before the last comma.
const BASH_LIST: &str = r#"compopt -o nospace 2>/dev/null
            COMPREPLY=($(compgen -P "${now%"${now##*,}"}" -W "#;

/// The completion of bash for one word.
const BASH_WORDS: &str = "COMPREPLY=($(compgen -W ";

/// Returns the completion of bash. `complete -o default` falls back to the names of files.
pub fn bash() -> String {
    let mut text = BASH.to_owned();
    for option in options() {
        let action = match option.values {
            _ if option.value.is_none() => continue,
            Values::OneOf(words) => format!("{BASH_WORDS}'{}' -- \"$now\"))", words.join(" ")),
            Values::ListOf(words) => {
                format!("{BASH_LIST}'{}' -- \"${{now##*,}}\"))", words.join(" "))
            }
            Values::Commands => "COMPREPLY=($(compgen -c -- \"$now\"))".to_owned(),
            Values::Any | Values::Files => ":".to_owned(),
        };
        // The last of combined letters can have a value too.
        let short =
            letter(option).map_or(String::new(), |short| format!("-{short}|-[!-]*{short}|"));
        let _ = writeln!(text, "        {short}--{}) {action}; return;;", option.long);
    }
    text.push_str("    esac\n    if [[ $now == -* ]]; then\n        COMPREPLY=($(compgen -W '");
    options().for_each(|option| text.extend(["--", option.long, " "]));
    text.push_str("' -- \"$now\"))\n    fi\n}\ncomplete -o default -F _tinotify tinotify\n");
    text
}

/// Returns the completion of zsh.
pub fn zsh() -> String {
    let mut text = String::from("#compdef tinotify\n_arguments -s \\\n");
    for option in options() {
        let mut help = option.help.replace('\'', "'\\''");
        for special in ['[', ']', ':'] {
            help = help.replace(special, &format!("\\{special}"));
        }
        let value = match option.values {
            _ if option.value.is_none() => String::new(),
            Values::Files => ":file:_files".to_owned(),
            Values::OneOf(words) => format!(":value:({})", words.join(" ")),
            Values::ListOf(words) => format!(":values:_values -s , value {}", words.join(" ")),
            Values::Commands => ":*\\;::command:_normal".to_owned(),
            Values::Any => ":value:".to_owned(),
        };
        if let Some(short) = letter(option) {
            let _ = writeln!(text, "    '*-{short}[{help}]{value}' \\");
        }
        let equals = match (option.value, option.values) {
            (None, _) | (_, Values::Commands) => "",
            _ => "=",
        };
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
        let _ = match option.values {
            _ if option.value.is_none() => Ok(()),
            Values::Files => write!(text, " -r"),
            Values::OneOf(words) => write!(text, " -x -a '{}'", words.join(" ")),
            Values::ListOf(words) => {
                write!(text, " -x -a '(__fish_append , {})'", words.join(" "))
            }
            Values::Commands => write!(text, " -x -a '(__fish_complete_command)'"),
            Values::Any => write!(text, " -x"),
        };
        let help = option.help.replace('\\', "\\\\").replace('\'', "\\'");
        let _ = writeln!(text, " -d '{help}'");
    }
    text
}
