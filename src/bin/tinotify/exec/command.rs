//! The command of `--exec`: its arguments, its environment, and the checks before the first run.
//!
//! No shell ever reads the name of a file as text. A path is an argument, in place of `{}`, or the value of an
//! environment variable.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use tinotify::Escaped;

use crate::daemon;
use crate::exec::batch::Batch;

/// The placeholder of the path.
const PLACEHOLDER: &[u8] = b"{}";

/// Programs that run a text, and the letter of the option before it.
const INTERPRETERS: [(&str, u8); 17] = [
    ("sh", b'c'),
    ("ash", b'c'),
    ("bash", b'c'),
    ("csh", b'c'),
    ("dash", b'c'),
    ("fish", b'c'),
    ("ksh", b'c'),
    ("mksh", b'c'),
    ("tcsh", b'c'),
    ("zsh", b'c'),
    ("su", b'c'),
    ("python", b'c'),
    ("python3", b'c'),
    ("perl", b'e'),
    ("ruby", b'e'),
    ("node", b'e'),
    ("lua", b'e'),
];

/// The environment variables of a command.
const VARIABLES: [&str; 4] =
    ["TINOTIFY_PATH", "TINOTIFY_EVENT", "TINOTIFY_OLD_PATH", "TINOTIFY_COUNT"];

/// Why a command is refused.
#[derive(Debug)]
pub enum CommandError {
    /// `{}` is in the text that this program runs.
    InText(Vec<u8>),
    /// No directory of `PATH` has this program, or it is no executable file.
    Missing(Vec<u8>),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InText(program) => write!(
                f,
                "unsafe command: {}: it would run the name of a file as code; write \"$TINOTIFY_PATH\" \
                 in place of {{}}, or pass {{}} as a further argument, as in: sh -c 'cat \"$1\"' sh {{}}",
                Escaped(program)
            ),
            Self::Missing(program) => write!(
                f,
                "cannot run: {}: no such program; install it, or give its path",
                Escaped(program)
            ),
        }
    }
}

/// Checks a command before the first event.
///
/// # Errors
///
/// [`CommandError`] if it would run the name of a file as code, or if its program does not exist.
pub fn check(words: &[OsString]) -> Result<(), CommandError> {
    if let Some(program) = words.iter().enumerate().find_map(|(at, word)| {
        let (name, option) = interpreter(word)?;
        runs_placeholder(words.get(at + 1..)?, option).then_some(name)
    }) {
        return Err(CommandError::InText(program.as_bytes().to_vec()));
    }
    match words.first() {
        Some(program) if find(program.as_bytes()).is_none() && !exists(program) => {
            Err(CommandError::Missing(program.as_bytes().to_vec()))
        }
        _ => Ok(()),
    }
}

/// Returns the name and the letter if this word is an interpreter.
fn interpreter(word: &OsStr) -> Option<(&'static str, u8)> {
    let name = Path::new(word).file_name()?;
    INTERPRETERS.into_iter().find(|(known, _)| *known == name)
}

/// Returns `true` if the text after the option, which may be combined with others, has the placeholder.
fn runs_placeholder(arguments: &[OsString], option: u8) -> bool {
    let is_option = |word: &OsString| {
        let word = word.as_bytes();
        word.starts_with(b"--command")
            || word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&option)
    };
    let Some(at) = arguments.iter().position(is_option) else { return false };
    let text = &arguments[at..];
    // The text can be in the same word: `perl -e'print "{}"'`.
    text.iter().take(2).any(|word| find(word.as_bytes()).is_some())
}

/// Returns `true` if a program can be run, as execvp(3) finds it.
fn exists(program: &OsStr) -> bool {
    let is_program = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if program.as_bytes().contains(&b'/') {
        return is_program(Path::new(program));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    env::split_paths(&path).any(|dir| is_program(&dir.join(program)))
}

/// Returns the command for a batch. `None` if it has no words.
pub fn of_batch(template: &[OsString], batch: &Batch) -> Option<Command> {
    let mut words = words(template, batch).into_iter();
    let mut command = Command::new(words.next()?);
    command.args(words).stdin(Stdio::null()).env_remove(daemon::MARK);
    for name in VARIABLES {
        command.env_remove(name);
    }
    if let Some(last) = batch.last() {
        command.env("TINOTIFY_PATH", OsStr::from_bytes(&last.path));
        command.env("TINOTIFY_EVENT", &last.names);
        command.env("TINOTIFY_COUNT", batch.len().to_string());
        if !last.from.is_empty() {
            command.env("TINOTIFY_OLD_PATH", OsStr::from_bytes(&last.from));
        }
    }
    Some(command)
}

/// Returns the words of the command. A word with the placeholder is repeated for each path.
fn words(template: &[OsString], batch: &Batch) -> Vec<OsString> {
    let mut all = Vec::new();
    for word in template {
        if find(word.as_bytes()).is_none() {
            all.push(word.clone());
        } else {
            all.extend(batch.paths().map(|path| fill(word, path)));
        }
    }
    all
}

/// Returns the offset of the first placeholder.
fn find(word: &[u8]) -> Option<usize> {
    word.windows(PLACEHOLDER.len()).position(|window| window == PLACEHOLDER)
}

/// Replaces each placeholder by the path.
fn fill(word: &OsStr, path: &[u8]) -> OsString {
    let mut rest = word.as_bytes();
    let mut filled = Vec::new();
    while let Some(at) = find(rest) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(path);
        rest = &rest[at + PLACEHOLDER.len()..];
    }
    filled.extend_from_slice(rest);
    OsString::from_vec(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::batch::Occurrence;

    fn batch(paths: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for path in paths {
            batch.push(Occurrence { path: path.as_bytes().to_vec(), ..Occurrence::default() });
        }
        batch
    }

    #[test]
    fn a_word_with_the_placeholder_is_repeated_for_each_path() {
        let template = ["cp", "-t", "to", "{}", "--as={}-{}"].map(OsString::from);
        let expected = ["cp", "-t", "to", "a b", "{}", "--as=a b-a b", "--as={}-{}"];
        assert_eq!(words(&template, &batch(&["a b", "{}"])), expected.map(OsString::from));
    }

    #[test]
    fn a_command_that_runs_a_name_as_code_is_refused() {
        let cases: [(&[&str], bool); 14] = [
            (&["sh", "-c", "cat {}"], true),
            (&["sh", "-c", "{}"], true),
            (&["/bin/bash", "-lc", "cat {}"], true),
            (&["bash", "--norc", "-c", "cat '{}'"], true),
            (&["env", "A=1", "sh", "-ec", "cat {}"], true),
            (&["fish", "--command=cat {}"], true),
            (&["python3", "-c", "open('{}')"], true),
            (&["perl", "-ne", "print '{}'"], true),
            (&["perl", "-eprint '{}'"], true),
            (&["sh", "-c", "cat \"$1\"", "sh", "{}"], false),
            (&["sh", "script", "{}"], false),
            (&["gcc", "-c", "{}"], false),
            (&["grep", "-e", "{}", "file"], false),
            (&["cp", "{}", "-c"], false),
        ];
        for (command, refused) in cases {
            let words: Vec<OsString> = command.iter().map(OsString::from).collect();
            let checked = check(&words);
            assert_eq!(matches!(checked, Err(CommandError::InText(_))), refused, "{command:?}");
        }
    }
}
