//! `--format`: prints an event as text, with its fields in any order.

use crate::output::clock::Clock;
use crate::output::event::Event;
use crate::output::text;

/// A parsed format.
pub struct Template {
    pieces: Vec<Piece>,
    clock: Option<Clock>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Dir,
    Name,
    /// The names of the event, with this separator.
    Events(u8),
    Cookie,
    Time,
    From,
    /// An arrow and the old path, if there is one.
    Arrow,
}

impl Template {
    /// Parses the formats of `--format` and `--timefmt`.
    pub fn custom(format: &[u8], time: Option<&[u8]>, renames: bool) -> Self {
        Self { pieces: pieces(format, renames), clock: time.map(Clock::new) }
    }

    /// Returns the default format. With `null`, a NUL ends each field but the last.
    pub fn lines(null: bool, renames: bool) -> Self {
        let format: &[u8] = match (null, renames) {
            (false, _) => b"%w %,e %f",
            (true, false) => b"%w%0%,e%0%f",
            (true, true) => b"%w%0%,e%0%f%0%o",
        };
        let mut pieces = pieces(format, renames);
        if renames && !null {
            pieces.push(Piece::Arrow);
        }
        Self { pieces, clock: None }
    }

    /// Appends an event.
    pub fn write(&mut self, out: &mut Vec<u8>, event: &Event<'_>, escape: bool) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Dir => text::name(out, event.dir, escape),
                Piece::Name => text::name(out, event.name, escape),
                Piece::Events(separator) => text::joined(out, event.names(), *separator),
                Piece::Cookie => text::formatted(out, format_args!("{:x}", event.cookie)),
                Piece::Time => self.clock.iter_mut().for_each(|clock| clock.write(out)),
                Piece::From => text::name(out, event.from, escape),
                Piece::Arrow if event.from.is_empty() => {}
                Piece::Arrow => {
                    out.extend_from_slice(b" <- ");
                    text::name(out, event.from, escape);
                }
            }
        }
    }
}

/// Parses a format. `%o` is the old path with `--renames`, and literal text without it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_inotifywait_are_fields_and_others_are_literal() {
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
}
