//! Translates POSIX extended regular expressions for `regex_lite`.

use std::fmt;
use std::iter::Peekable;

/// Translates a POSIX extended regular expression to one of `regex_lite`, with one character per byte.
pub fn translate(pattern: &[u8]) -> Result<String, PatternError> {
    let mut out = Out { text: String::new(), atom: None, repeated: false };
    let mut groups = Vec::new();
    let mut rest = pattern.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => out.escape(rest.next().ok_or(PatternError::Backslash)?)?,
            b'[' => {
                let set = bracket(&mut rest)?;
                out.atom(&set);
            }
            b'(' => {
                groups.push(out.text.len());
                out.text.push_str("(?:");
                out.atom = None;
            }
            b')' => match groups.pop() {
                Some(start) => {
                    out.text.push(')');
                    out.atom = Some(start);
                    out.repeated = false;
                }
                None => out.atom(&literal(b')')),
            },
            b'|' => {
                out.text.push('|');
                out.atom = None;
            }
            b'^' => out.assertion("^"),
            b'$' => out.assertion("$"),
            b'.' => out.atom("."),
            b'*' => out.repeat("*")?,
            b'+' => out.repeat("+")?,
            b'?' => out.repeat("?")?,
            b'{' => out.repeat(&interval(&mut rest)?)?,
            other => out.atom(&literal(other)),
        }
    }
    if groups.is_empty() { Ok(out.text) } else { Err(PatternError::Parenthesis) }
}

/// Returns `true` if a match can depend on the text after it: the pattern has a `$`, or an assertion
/// about words or the end.
pub fn depends_on_what_follows(pattern: &[u8]) -> bool {
    let is_assertion = |pair: &[u8]| pair[0] == b'\\' && b"bB<>'".contains(&pair[1]);
    pattern.contains(&b'$') || pattern.windows(2).any(is_assertion)
}

/// The translation so far.
struct Out {
    text: String,
    /// Start of the last atom, which a repetition applies to. `None` if there is nothing to repeat.
    atom: Option<usize>,
    /// `true` if the last atom has a repetition.
    repeated: bool,
}

impl Out {
    fn atom(&mut self, text: &str) {
        self.atom = Some(self.text.len());
        self.repeated = false;
        self.text.push_str(text);
    }

    fn assertion(&mut self, text: &str) {
        self.atom = None;
        self.text.push_str(text);
    }

    /// Translates a byte after a backslash.
    fn escape(&mut self, byte: u8) -> Result<(), PatternError> {
        match byte {
            b'w' => self.atom("[0-9A-Za-z_]"),
            b'W' => self.atom("[^0-9A-Za-z_]"),
            b's' => self.atom("[\\t-\\r ]"),
            b'S' => self.atom("[^\\t-\\r ]"),
            b'b' => self.assertion("\\b"),
            b'B' => self.assertion("\\B"),
            b'<' => self.assertion("\\b{start}"),
            b'>' => self.assertion("\\b{end}"),
            b'`' => self.assertion("\\A"),
            b'\'' => self.assertion("\\z"),
            b'1'..=b'9' => return Err(PatternError::BackReference),
            other => self.atom(&literal(other)),
        }
        Ok(())
    }

    fn repeat(&mut self, how: &str) -> Result<(), PatternError> {
        let start = self.atom.ok_or(PatternError::Repetition)?;
        if self.repeated {
            // In POSIX `a+?` is not a lazy `a+`.
            self.text.insert_str(start, "(?:");
            self.text.push(')');
        }
        self.text.push_str(how);
        self.repeated = true;
        Ok(())
    }
}

/// Escapes a byte, so that it matches itself.
fn literal(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("\\x{byte:02X}") }
}

/// Takes the rest of `{low,high}` after the brace.
fn interval(rest: &mut impl Iterator<Item = u8>) -> Result<String, PatternError> {
    let mut text = String::new();
    loop {
        match rest.next().ok_or(PatternError::Interval)? {
            b'}' => break,
            byte @ (b'0'..=b'9' | b',') => text.push(char::from(byte)),
            _ => return Err(PatternError::Interval),
        }
    }
    let text = if text.starts_with(',') { format!("0{text}") } else { text };
    let valid = match text.split_once(',') {
        None => !text.is_empty(),
        Some((_, "")) => true,
        Some((low, high)) => match (low.parse::<u32>(), high.parse::<u32>()) {
            (Ok(low), Ok(high)) => low <= high,
            _ => false,
        },
    };
    if valid { Ok(format!("{{{text}}}")) } else { Err(PatternError::Interval) }
}

/// Takes the rest of `[…]` after the bracket.
fn bracket<I: Iterator<Item = u8>>(rest: &mut Peekable<I>) -> Result<String, PatternError> {
    let mut set = String::from("[");
    if rest.next_if_eq(&b'^').is_some() {
        set.push('^');
    }
    let mut first = true;
    loop {
        let low = match rest.next().ok_or(PatternError::Bracket)? {
            b']' if !first => break,
            b'[' if rest.peek() == Some(&b':') => {
                rest.next();
                set.push_str(class(&until_colon(rest)?)?);
                first = false;
                continue;
            }
            b'[' if matches!(rest.peek(), Some(b'.' | b'=')) => element(rest)?,
            byte => byte,
        };
        first = false;
        set.push_str(&literal(low));
        if rest.next_if_eq(&b'-').is_none() {
            continue;
        }
        let high = match rest.next().ok_or(PatternError::Bracket)? {
            b']' => {
                set.push_str("\\x2D");
                break;
            }
            b'[' if matches!(rest.peek(), Some(b'.' | b'=')) => element(rest)?,
            byte => byte,
        };
        if high < low {
            return Err(PatternError::Range);
        }
        set.push('-');
        set.push_str(&literal(high));
    }
    set.push(']');
    Ok(set)
}

/// Takes the rest of `[.x.]` or `[=x=]` after the bracket: one byte, as each element is in the C locale.
fn element(rest: &mut impl Iterator<Item = u8>) -> Result<u8, PatternError> {
    let kind = rest.next();
    let byte = rest.next().ok_or(PatternError::Bracket)?;
    if rest.next() == kind && rest.next() == Some(b']') {
        Ok(byte)
    } else {
        Err(PatternError::Bracket)
    }
}

/// Takes the rest of `[:name:]` after the first colon.
fn until_colon(rest: &mut impl Iterator<Item = u8>) -> Result<Vec<u8>, PatternError> {
    let name: Vec<u8> = rest.by_ref().take_while(|&byte| byte != b':').collect();
    if rest.next() == Some(b']') { Ok(name) } else { Err(PatternError::Bracket) }
}

/// Returns a class of characters by its name.
fn class(name: &[u8]) -> Result<&'static str, PatternError> {
    Ok(match name {
        b"alnum" => "[:alnum:]",
        b"alpha" => "[:alpha:]",
        b"blank" => "[:blank:]",
        b"cntrl" => "[:cntrl:]",
        b"digit" => "[:digit:]",
        b"graph" => "[:graph:]",
        b"lower" => "[:lower:]",
        b"print" => "[:print:]",
        b"punct" => "[:punct:]",
        b"space" => "[:space:]",
        b"upper" => "[:upper:]",
        b"xdigit" => "[:xdigit:]",
        _ => return Err(PatternError::Class),
    })
}

/// Why a regular expression is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternError {
    BackReference,
    Backslash,
    Bracket,
    Class,
    Interval,
    Parenthesis,
    Range,
    TooBig,
    Repetition,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BackReference => "back-references such as \\1 are not supported",
            Self::Backslash => "trailing backslash",
            Self::Bracket => "unclosed bracket",
            Self::Class => "unknown character class",
            Self::Interval => "invalid repetition count in braces",
            Self::Parenthesis => "unclosed parenthesis",
            Self::Range => "range out of order",
            Self::TooBig => "the expression is too big",
            Self::Repetition => "nothing to repeat",
        })
    }
}
