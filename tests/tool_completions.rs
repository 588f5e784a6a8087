//! The completions in the real shells, and the man page.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use support::terminal::OnTerminal;
use support::{Program, lossy};

#[path = "tool/mod.rs"]
mod support;

/// Words before and after completion. The directory has only the file `list.txt` that starts with `li`.
const COMPLETED: [(&str, &str); 11] = [
    ("tinotify --mon", "tinotify --monitor"),
    ("tinotify -m --recu", "tinotify -m --recursive"),
    ("tinotify -e close_w", "tinotify -e close_write"),
    ("tinotify -mre close_w", "tinotify -mre close_write"),
    ("tinotify -e open,close_w", "tinotify -e open,close_write"),
    ("tinotify --event=open,close_w", "tinotify --event=open,close_write"),
    ("tinotify --generate f", "tinotify --generate fish"),
    ("tinotify --generate=f", "tinotify --generate=fish"),
    ("tinotify --fromfile li", "tinotify --fromfile list.txt"),
    ("tinotify -m li", "tinotify -m list.txt"),
    ("tinotify --exec cat li", "tinotify --exec cat list.txt"),
];

/// Prints the line after completion, with a number.
const BASH: &str = r#"
source completion
PS1=
count=0
show() { printf '<%s>%s;\n' "$*" "$((++count))"; }
bind '"\C-t": "\C-i\C-ashow \C-m"'
"#;

const ZSH: &str = r#"
PS1=
unsetopt beep
fpath=($PWD $fpath)
autoload -Uz compinit
compinit -u -D
compdef _tinotify tinotify
count=0
show() { zle complete-word; print; print -r -- "<${BUFFER% }>$((++count));"; BUFFER=; }
zle -N show
bindkey '^T' show
"#;

/// Returns a document that the tool generates.
fn generated(what: &str) -> Vec<u8> {
    let ended = Program::start(&mut support::tool(Path::new("."), &["--generate", what])).end();
    assert_eq!(ended.code, Some(0));
    ended.events
}

/// Creates a directory with the completion of a shell, and the file `list.txt`.
fn prepared(shell: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = lossy(&generated(shell));
    support::write(dir.path().join("completion"), &text);
    support::write(dir.path().join("_tinotify"), &text);
    support::write(dir.path().join("list.txt"), "");
    support::write(dir.path().join("bashrc"), BASH);
    support::write(dir.path().join(".zshrc"), ZSH);
    dir
}

/// Types each line into a shell on a terminal, and checks its completion.
fn check_on_terminal(shell: &str, args: &[&str]) {
    let dir = prepared(shell);
    let mut command = support::program(shell.as_ref(), dir.path(), args);
    command.env("HOME", dir.path()).env("ZDOTDIR", dir.path()).env("TERM", "dumb");
    let Some(mut shell) = OnTerminal::start(&mut command) else { return };
    for (index, (typed, expected)) in COMPLETED.iter().enumerate() {
        shell.keyboard.write_all(format!("{typed}\x14").as_bytes()).unwrap();
        let end = format!(">{};", index + 1);
        let text = lossy(&shell.program.events.until(&end));
        let shown = text.split(&end).next().and_then(|text| text.rsplit('<').next());
        // zsh adds the comma of a list.
        let shown = shown.map(|line| line.trim_end_matches(','));
        assert_eq!(shown, Some(*expected), "{typed}: {text:?}");
    }
}

#[test]
fn bash_completes_options_lists_values_and_files() {
    check_on_terminal("bash", &["--noprofile", "--rcfile", "bashrc", "-i"]);
}

#[test]
fn zsh_completes_options_lists_values_and_files() {
    check_on_terminal("zsh", &["-o", "NO_GLOBAL_RCS", "-i"]);
}

#[test]
fn fish_completes_options_lists_values_and_files() {
    let dir = prepared("fish");
    for (typed, expected) in COMPLETED {
        let line = format!("source completion; complete -C'{typed}'");
        let mut command = support::program("fish".as_ref(), dir.path(), &["-c", &line]);
        let Ok(output) = support::output(command.env("HOME", dir.path())) else {
            support::skip("completions of fish: it is not installed");
            return;
        };
        let words = lossy(&output.stdout);
        let first = words.split(['\t', '\n']).next();
        assert_eq!(first, expected.rsplit(' ').next(), "{typed}: {output:?}");
    }
}

#[test]
fn each_document_has_the_options_and_their_values() {
    for document in ["man", "bash", "zsh", "fish"] {
        let text = lossy(&generated(document)).replace("\\-", "-").replace("-l ", "--");
        for word in ["--recursive", "--debounce", "close_write"] {
            assert!(text.contains(word), "{word} is not in {document}");
        }
    }
}

#[test]
fn the_man_page_has_its_sections_and_no_warnings() {
    let dir = tempfile::tempdir().unwrap();
    let page = generated("man");
    let file = dir.path().join("tinotify.1");
    fs::write(&file, &page).unwrap();
    for section in ["JSON", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES"] {
        assert!(lossy(&page).contains(&format!("\n.SH {section}\n")), "{section}");
    }
    let checks: [(&str, &[&str]); 2] = [
        ("man", &["--warnings=all", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]),
        ("mandoc", &["-T", "lint", "-W", "warning"]),
    ];
    for (program, args) in checks {
        match support::output(Command::new(program).args(args).arg(&file).env("LC_ALL", "C")) {
            Ok(output) => {
                assert!(output.status.success(), "{program}: {}", lossy(&output.stdout));
                assert_eq!(lossy(&output.stderr), "", "{program}");
            }
            Err(_) => support::skip(&format!("the man page in {program}: it is not installed")),
        }
    }
}
