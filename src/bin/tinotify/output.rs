//! How events are shown, and where they go.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tinotify::{Escaped, EventMask};

use crate::clock::Clock;
use crate::json::Object;
use crate::options::{self, Options, Quiet};

/// Names in the order in which inotifywait prints them; the group stands behind its members.
const NAMES: [(EventMask, &str); 17] = [
    (EventMask::ACCESS, "ACCESS"),
    (EventMask::MODIFY, "MODIFY"),
    (EventMask::ATTRIB, "ATTRIB"),
    (EventMask::CLOSE_WRITE, "CLOSE_WRITE"),
    (EventMask::CLOSE_NOWRITE, "CLOSE_NOWRITE"),
    (EventMask::OPEN, "OPEN"),
    (EventMask::MOVED_FROM, "MOVED_FROM"),
    (EventMask::MOVED_TO, "MOVED_TO"),
    (EventMask::CREATE, "CREATE"),
    (EventMask::DELETE, "DELETE"),
    (EventMask::DELETE_SELF, "DELETE_SELF"),
    (EventMask::UNMOUNT, "UNMOUNT"),
    (EventMask::Q_OVERFLOW, "Q_OVERFLOW"),
    (EventMask::IGNORED, "IGNORED"),
    (EventMask::CLOSE, "CLOSE"),
    (EventMask::MOVE_SELF, "MOVE_SELF"),
    (EventMask::ISDIR, "ISDIR"),
];

/// One event, as it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The watched path; that of a directory ends with a slash.
    pub dir: &'a [u8],
    pub name: &'a [u8],
    pub mask: EventMask,
    /// What stands in place of the kernel's names, where it has none for what happened.
    pub word: Option<&'static str>,
    pub cookie: u32,
    /// The old path of what was renamed.
    pub from: &'a [u8],
    /// It was found by looking: the kernel did not tell.
    pub found: bool,
}

impl Shown<'_> {
    /// The names of what happened, one after another.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let mask = match self.word {
            Some(_) => self.mask & EventMask::ISDIR,
            None => self.mask,
        };
        let names = NAMES.iter().filter(move |(bits, _)| mask.intersects(*bits));
        self.word.into_iter().chain(names.map(|&(_, name)| name))
    }
}

/// Where events go.
pub struct Output {
    to: File,
    path: Option<PathBuf>,
    buffer: Vec<u8>,
    format: Format,
    /// A terminal takes control characters in names for commands, a pipe wants names as they are.
    escape: bool,
    end: &'static [u8],
    silent: bool,
}

enum Format {
    Csv { from: bool },
    Json,
    Pieces(Vec<Piece>, Option<Clock>),
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Dir,
    Name,
    /// With that between the names.
    Events(u8),
    Cookie,
    Time,
    From,
    /// The old path, in a line for people.
    Arrow,
}

/// What is shown is handed on when so much has come together.
const MUCH: usize = 16 * 1024;

impl Output {
    pub fn new(options: &Options) -> io::Result<Self> {
        let (to, path) = match &options.outfile {
            Some(path) => (open(path)?, Some(path.clone())),
            None => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
        };
        let mut end: &[u8] = if options.null { b"\0" } else { b"\n" };
        let format = match &options.format {
            options::Format::Csv => Format::Csv { from: options.renames },
            options::Format::Json => Format::Json,
            options::Format::Custom { format, newline, time } => {
                if !newline {
                    end = b"";
                }
                let clock = time.as_deref().map(Clock::new);
                Format::Pieces(pieces(format, options.renames), clock)
            }
            options::Format::Lines => {
                let format: &[u8] = match (options.null, options.renames) {
                    (false, false) => b"%w %,e %f",
                    (false, true) => b"%w %,e %f%o",
                    (true, false) => b"%w%0%,e%0%f",
                    (true, true) => b"%w%0%,e%0%f%0%o",
                };
                let mut pieces = pieces(format, options.renames);
                if let (false, Some(last @ Piece::From)) = (options.null, pieces.last_mut()) {
                    *last = Piece::Arrow;
                }
                Format::Pieces(pieces, None)
            }
        };
        let escape = to.is_terminal();
        let silent = options.quiet == Quiet::Events;
        Ok(Self { to, path, buffer: Vec::new(), format, escape, end, silent })
    }

    /// Shows one event.
    pub fn event(&mut self, event: &Shown<'_>) -> io::Result<()> {
        if self.silent {
            return Ok(());
        }
        let (out, escape) = (&mut self.buffer, self.escape);
        match &mut self.format {
            Format::Csv { from } => csv(out, event, *from, escape),
            Format::Json => json(out, event),
            Format::Pieces(pieces, clock) => {
                for piece in pieces {
                    match piece {
                        Piece::Literal(bytes) => out.extend_from_slice(bytes),
                        Piece::Dir => put(out, event.dir, escape),
                        Piece::Name => put(out, event.name, escape),
                        Piece::Events(separator) => join(out, event.names(), *separator),
                        Piece::Cookie => put_fmt(out, format_args!("{:x}", event.cookie)),
                        Piece::Time => clock.iter_mut().for_each(|clock| clock.now(out)),
                        Piece::From => put(out, event.from, escape),
                        Piece::Arrow if event.from.is_empty() => {}
                        Piece::Arrow => {
                            out.extend_from_slice(b" <- ");
                            put(out, event.from, escape);
                        }
                    }
                }
            }
        }
        out.extend_from_slice(self.end);
        if self.buffer.len() >= MUCH { self.flush() } else { Ok(()) }
    }

    /// Whether each event is a JSON object, for which there is always a way to say what happened.
    pub fn is_json(&self) -> bool {
        matches!(self.format, Format::Json)
    }

    /// Hands on what was shown.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.to.write_all(&self.buffer);
        self.buffer.clear();
        result
    }

    /// Opens the file anew, if it is one: the old one was moved away.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.flush()?;
        if let Some(path) = &self.path {
            self.to = open(path)?;
        }
        Ok(())
    }

    pub fn file(&self) -> &File {
        &self.to
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Understands a format. `%o` is the old path only where renames are shown as one.
fn pieces(format: &[u8], renames: bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut rest = format;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            literal.push(byte);
            continue;
        }
        let Some((&letter, after)) = rest.split_first() else {
            literal.push(b'%');
            break;
        };
        rest = after;
        let piece = match letter {
            b'%' | b'0' | b'n' => {
                literal.push(match letter {
                    b'0' => 0,
                    b'n' => b'\n',
                    other => other,
                });
                continue;
            }
            b'w' => Piece::Dir,
            b'f' => Piece::Name,
            b'c' => Piece::Cookie,
            b'e' => Piece::Events(b','),
            b'T' => Piece::Time,
            b'o' if renames => Piece::From,
            separator if rest.first() == Some(&b'e') => {
                rest = &rest[1..];
                Piece::Events(separator)
            }
            other => {
                literal.extend([b'%', other]);
                continue;
            }
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(piece);
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    pieces
}

/// Puts a name.
fn put(out: &mut Vec<u8>, name: &[u8], escape: bool) {
    if escape {
        put_fmt(out, format_args!("{}", Escaped(name)));
    } else {
        out.extend_from_slice(name);
    }
}

fn put_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Memory takes whatever is written.
    let _ = out.write_fmt(text);
}

fn join(out: &mut Vec<u8>, names: impl Iterator<Item = &'static str>, separator: u8) {
    for (index, name) in names.enumerate() {
        if index > 0 {
            out.push(separator);
        }
        out.extend_from_slice(name.as_bytes());
    }
}

/// `watched,"EVENT,NAMES",name`; and the old path, if renames are shown as one.
fn csv(out: &mut Vec<u8>, event: &Shown<'_>, from: bool, escape: bool) {
    let mut names = Vec::new();
    join(&mut names, event.names(), b',');
    csv_field(out, event.dir, escape);
    out.push(b',');
    csv_field(out, &names, false);
    out.push(b',');
    csv_field(out, event.name, escape);
    if from {
        out.push(b',');
        csv_field(out, event.from, escape);
    }
}

/// Quotes a field if it needs that.
fn csv_field(out: &mut Vec<u8>, field: &[u8], escape: bool) {
    let start = out.len();
    put(out, field, escape);
    let plain = |field: &[u8]| {
        !field.iter().any(|byte| b"\",\n\r".contains(byte))
            && field.first() != Some(&b' ')
            && field.last() != Some(&b' ')
    };
    if plain(&out[start..]) {
        return;
    }
    let text = out.split_off(start);
    out.push(b'"');
    for byte in text {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// One object: what is not there is left out.
fn json(out: &mut Vec<u8>, event: &Shown<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut object = Object::begin(out);
    object.number("time", format_args!("{}.{:06}", now.as_secs(), now.subsec_micros()));
    object.name("dir", event.dir);
    if !event.name.is_empty() {
        object.name("name", event.name);
    }
    object.words("events", event.names());
    if event.cookie != 0 {
        object.number("cookie", format_args!("{}", event.cookie));
    }
    if !event.from.is_empty() {
        object.name("from", event.from);
    }
    if event.found {
        object.number("found", format_args!("true"));
    }
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Shown<'static> {
        let mask = EventMask::CREATE | EventMask::ISDIR;
        let (dir, name, from): (&[u8], &[u8], &[u8]) = (b"d/", b"n", b"");
        Shown { dir, name, mask, word: None, cookie: 0, from, found: false }
    }

    #[test]
    fn format_letters_are_those_of_inotifywait_and_the_others_stay() {
        let literal = |text: &str| Piece::Literal(text.as_bytes().to_vec());
        let events = |separator| Piece::Events(separator);
        let cases = [
            ("%w%f", vec![Piece::Dir, Piece::Name]),
            ("%e%:e%,e", vec![events(b','), events(b':'), events(b',')]),
            ("%we", vec![Piece::Dir, literal("e")]),
            ("%T %c", vec![Piece::Time, literal(" "), Piece::Cookie]),
            ("%0%n%%", vec![literal("\0\n%")]),
            ("%q%x %", vec![literal("%q%x %")]),
            ("%o%%o", vec![literal("%o%o")]),
            ("", vec![]),
        ];
        for (format, expected) in cases {
            assert_eq!(pieces(format.as_bytes(), false), expected, "{format}");
        }
        assert_eq!(pieces(b"%o", true), [Piece::From]);
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let cases = [
            ("a b", "a b"),
            (" a", "\" a\""),
            ("a ", "\"a \""),
            ("a,b", "\"a,b\""),
            ("a\"b", "\"a\"\"b\""),
            ("a\nb", "\"a\nb\""),
            ("a\rb", "\"a\rb\""),
            ("", ""),
        ];
        for (field, expected) in cases {
            let mut out = b"x".to_vec();
            csv_field(&mut out, field.as_bytes(), false);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{expected}"));
        }
    }

    #[test]
    fn json_leaves_out_what_is_not_there() {
        let mut out = Vec::new();
        json(&mut out, &event());
        let text = String::from_utf8(out).unwrap();
        let rest = text.split_once(",\"dir\"").unwrap().1;
        assert_eq!(rest, r#":"d/","name":"n","events":["CREATE","ISDIR"]}"#);
    }

    #[test]
    fn a_word_stands_in_place_of_the_kernels_names() {
        let event = Shown { word: Some("RENAMED"), mask: EventMask::MOVED_TO, ..event() };
        assert_eq!(event.names().collect::<Vec<_>>(), ["RENAMED"]);
    }
}
