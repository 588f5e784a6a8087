//! The man page, in the language of man(7).

use std::fmt::Write;

use crate::args::table::{EVENTS, GROUPS};
use crate::args::texts::{
    ENVIRONMENT, EXCLUDED, FILES, JSON, OUTPUT, STATUS, SUMMARY, SYNOPSIS, WORDS,
};

/// The date of the man page's last change of substance.
const DATE: &str = "2026-12-01";

/// Returns the man page.
pub fn man() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(
        ".TH TINOTIFY 1 {DATE} \"tinotify {version}\"\n.SH NAME\ntinotify \\- wait for changes to files\n\
         .SH SYNOPSIS\n.B tinotify\n{SYNOPSIS}\n.br\n.B tinotify stat\n{SYNOPSIS}\n.SH DESCRIPTION\n\
         {SUMMARY}\n{OUTPUT}\n{EXCLUDED}\n.PP\nIt accepts the command line of\n.BR inotifywait (1),\nand\n\
         .B tinotify stat\nthat of\n.BR inotifywatch (1).\n.SH OPTIONS\n",
    );
    for group in &GROUPS {
        let _ = writeln!(page, ".SS {}", group.title);
        for option in group.options {
            let short = option.short.map_or(String::new(), |short| format!("-{short}, "));
            let value = option.value.map_or(String::new(), |value| format!(" {value}"));
            entry(&mut page, &format!("{short}--{}{value}", option.long), option.help);
        }
    }
    section(&mut page, "EVENTS", "", &EVENTS);
    section(&mut page, "JSON", "With --json each line is one object, with these keys:", &JSON);
    page.push_str(".PP\nThe words in events that are not events of the kernel:\n");
    WORDS.iter().for_each(|(word, meaning)| entry(&mut page, word, meaning));
    section(&mut page, "EXIT STATUS", "", STATUS);
    section(&mut page, "ENVIRONMENT", "", &ENVIRONMENT);
    section(&mut page, "FILES", "", &FILES);
    page.push_str(".SH EXAMPLES\n");
    let examples = GROUPS.iter().flat_map(|group| group.examples);
    for (index, (purpose, command)) in examples.enumerate() {
        // A paragraph cannot be the first line of a section.
        let paragraph = if index == 0 { "" } else { ".PP\n" };
        let (purpose, command) = (roff(purpose), roff(command));
        let _ = writeln!(page, "{paragraph}{purpose}\n.PP\n.RS 4\n.nf\n{command}\n.fi\n.RE");
    }
    page.push_str(".SH SEE ALSO\n.BR inotifywait (1),\n.BR inotifywatch (1),\n.BR inotify (7)\n");
    page
}

fn section(page: &mut String, title: &str, intro: &str, entries: &[(&str, &str)]) {
    let _ = writeln!(page, ".SH {title}");
    if !intro.is_empty() {
        let _ = writeln!(page, "{}", roff(intro));
    }
    entries.iter().for_each(|(name, meaning)| entry(page, name, meaning));
}

/// Appends a name and its meaning.
fn entry(page: &mut String, name: &str, meaning: &str) {
    let _ = writeln!(page, ".TP\n.B {}\n{}", roff(name), roff(meaning));
}

/// Escapes a text. No text begins with a dot or an apostrophe, which would make its line a request.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}
