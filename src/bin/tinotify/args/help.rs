//! The help in two sizes: `-h` is one screen, `--help` has everything.

use std::fmt::Write;

use crate::args::opt::Opt;
use crate::args::table::{EVENT_NAMES, EVENTS, GROUPS, options};
use crate::args::texts::{EXCLUDED, OUTPUT, STAT_STATUS, STAT_SUMMARY, STATUS, SUMMARY, SYNOPSIS};

/// The width of the text of an option. With its names, a line has less than 80 bytes.
const WIDTH: usize = 52;

/// The column of the text of an option.
const COLUMN: usize = 26;

/// The examples of `-h`.
const EXAMPLES: &str = "tinotify -mr -e create,delete,move /srv\n  \
                        tinotify -mrq -e close_write . @./target --debounce 200 --exec make";

/// Returns the text of `-h`: the options with a brief text. It fits a screen of 24 lines of 80 columns.
pub fn usage() -> String {
    let mut text = format!("Usage: tinotify {SYNOPSIS}\n{SUMMARY}\n\n");
    for option in options() {
        if let Some(brief) = option.brief {
            let first = option.value.map(|value| value.split(' ').next().unwrap_or(value));
            entry(&mut text, &names(option, first), brief);
        }
    }
    text.push('\n');
    paragraph(&mut text, &format!("Events: {}", EVENT_NAMES.join(" ")));
    let _ = writeln!(text, "Examples:\n  {EXAMPLES}\nAll options, with examples: tinotify --help");
    text
}

/// Returns the text of `--help`: all options in their groups, with examples.
pub fn help() -> String {
    let mut text =
        format!("Usage: tinotify {SYNOPSIS}\n       tinotify stat {SYNOPSIS}\n{SUMMARY}\n\n");
    paragraph(&mut text, OUTPUT);
    paragraph(&mut text, EXCLUDED);
    for group in &GROUPS {
        self::group(&mut text, group.title, group.options.iter());
        for (purpose, command) in group.examples {
            let _ = writeln!(text, "\n  {purpose}\n    {command}");
        }
    }
    list(&mut text, "Events", &EVENTS);
    list(&mut text, "Exit status", STATUS);
    text
}

/// Returns the text of `tinotify stat --help`: the options that it has.
pub fn stat_help() -> String {
    let mut text = format!("Usage: tinotify stat {SYNOPSIS}\n{STAT_SUMMARY}\n\n");
    paragraph(&mut text, EXCLUDED);
    for group in &GROUPS {
        self::group(
            &mut text,
            group.title,
            group.options.iter().filter(|option| option.scope.fits(true)),
        );
    }
    list(&mut text, "Events", &EVENTS);
    list(&mut text, "Exit status", STAT_STATUS);
    text
}

/// Appends the options of a group, if there are any.
fn group<'a>(text: &mut String, title: &str, options: impl Iterator<Item = &'a Opt>) {
    let mut options = options.peekable();
    if options.peek().is_some() {
        let _ = writeln!(text, "\n{title}:");
    }
    options.for_each(|option| entry(text, &names(option, option.value), option.help));
}

/// Appends names and their meanings.
fn list(text: &mut String, title: &str, entries: &[(&str, &str)]) {
    let _ = writeln!(text, "\n{title}:");
    entries.iter().for_each(|(name, meaning)| entry(text, name, meaning));
}

/// Returns the short name, the long name, and the placeholder of the value.
fn names(option: &Opt, value: Option<&str>) -> String {
    let short = option.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    let value = value.map_or(String::new(), |value| format!(" {value}"));
    format!("{short}--{}{value}", option.long)
}

/// Appends a name and its meaning, side by side if the name is short.
fn entry(text: &mut String, name: &str, meaning: &str) {
    let mut before = format!("  {name}");
    for line in wrap(meaning, WIDTH) {
        if before.len() + 2 > COLUMN {
            let _ = writeln!(text, "{before}");
            before.clear();
        }
        let _ = writeln!(text, "{before:COLUMN$}{line}");
        before.clear();
    }
}

/// Appends a text over the whole width.
fn paragraph(text: &mut String, words: &str) {
    for line in wrap(words, COLUMN + WIDTH) {
        text.extend([&line, "\n"]);
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

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args::parse;

    /// Returns the words of a command line up to a pipe or a redirection.
    fn words(command: &str) -> Vec<OsString> {
        let words = command.split(' ').take_while(|word| !["|", ">"].contains(word));
        words.map(|word| word.trim_matches('\'').into()).collect()
    }

    #[test]
    fn every_example_is_a_valid_command_line() {
        let long = GROUPS.iter().flat_map(|group| group.examples).map(|(_, command)| *command);
        for command in long.chain(EXAMPLES.split("\n  ")) {
            let parsed = parse(words(command));
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }
}
