//! `--exclude` and `--include`: POSIX extended regular expressions on bytes.
//!
//! inotifywait matches in the C locale: a character is a byte. Here each byte is a character of its
//! own too: that of the same number, for the regular expressions that the crate knows are of text.

use std::fmt;
use std::iter::Peekable;
use std::sync::{Mutex, PoisonError};

use regex_lite::{Regex, RegexBuilder};

use crate::options;

/// Decides which paths are shown.
pub struct Filter {
    regex: Regex,
    exclude: bool,
    /// What was matched once stays so whatever follows, so all beneath a directory goes its way.
    by_prefix: bool,
    text: Mutex<String>,
}

impl Filter {
    pub fn new(filter: &options::Filter) -> Result<Self, BadRegex> {
        let pattern = translate(&filter.pattern)?;
        let regex = RegexBuilder::new(&pattern)
            .case_insensitive(filter.any_case)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| BadRegex::Refused)?;
        let ends = filter.pattern.contains(&b'$')
            || filter
                .pattern
                .windows(2)
                .any(|pair| pair[0] == b'\\' && b"bB<>'".contains(&pair[1]));
        Ok(Self {
            regex,
            exclude: filter.exclude,
            by_prefix: filter.exclude && !ends,
            text: Mutex::default(),
        })
    }

    /// Whether an event at that path is shown.
    pub fn shows(&self, path: &[u8], is_dir: bool) -> bool {
        if self.exclude { !self.matches(path) } else { !is_dir && self.matches(path) }
    }

    /// Whether nothing beneath a directory is shown, whatever its name; the path ends with a slash.
    pub fn hides_all_beneath(&self, dir: &[u8]) -> bool {
        self.by_prefix && self.matches(dir)
    }

    /// Whether [`hides_all_beneath`](Self::hides_all_beneath) ever holds.
    pub fn can_prune(&self) -> bool {
        self.by_prefix
    }

    fn matches(&self, path: &[u8]) -> bool {
        match std::str::from_utf8(path) {
            Ok(text) if text.is_ascii() => self.regex.is_match(text),
            _ => {
                let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
                text.clear();
                text.extend(path.iter().map(|&byte| char::from(byte)));
                self.regex.is_match(&text)
            }
        }
    }
}

/// Says the same in the crate's language, byte for character.
fn translate(pattern: &[u8]) -> Result<String, BadRegex> {
    let mut out = Out { text: String::new(), atom: None, repeated: false };
    let mut groups = Vec::new();
    let mut rest = pattern.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => match rest.next().ok_or(BadRegex::Backslash)? {
                b'w' => out.atom("[0-9A-Za-z_]"),
                b'W' => out.atom("[^0-9A-Za-z_]"),
                b's' => out.atom("[\\t-\\r ]"),
                b'S' => out.atom("[^\\t-\\r ]"),
                b'b' => out.assertion("\\b"),
                b'B' => out.assertion("\\B"),
                b'<' => out.assertion("\\b{start}"),
                b'>' => out.assertion("\\b{end}"),
                b'`' => out.assertion("\\A"),
                b'\'' => out.assertion("\\z"),
                b'1'..=b'9' => return Err(BadRegex::BackReference),
                literal => out.atom(&code(literal)),
            },
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
                None => out.atom(&code(b')')),
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
            literal => out.atom(&code(literal)),
        }
    }
    if groups.is_empty() { Ok(out.text) } else { Err(BadRegex::Parenthesis) }
}

/// What is translated so far.
struct Out {
    text: String,
    /// Where begins what can be repeated.
    atom: Option<usize>,
    /// It is repeated already.
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

    fn repeat(&mut self, how: &str) -> Result<(), BadRegex> {
        let start = self.atom.ok_or(BadRegex::Repetition)?;
        if self.repeated {
            // `a+?` is no lazy `a+`.
            self.text.insert_str(start, "(?:");
            self.text.push(')');
        }
        self.text.push_str(how);
        self.repeated = true;
        Ok(())
    }
}

/// A byte as a character that means nothing else.
fn code(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("\\x{byte:02X}") }
}

fn interval(rest: &mut impl Iterator<Item = u8>) -> Result<String, BadRegex> {
    let mut text = String::new();
    loop {
        match rest.next().ok_or(BadRegex::Interval)? {
            b'}' => break,
            byte @ (b'0'..=b'9' | b',') => text.push(char::from(byte)),
            _ => return Err(BadRegex::Interval),
        }
    }
    let text = if text.starts_with(',') { format!("0{text}") } else { text };
    let well = match text.split_once(',') {
        None => !text.is_empty(),
        Some((_, "")) => true,
        Some((low, high)) => match (low.parse::<u32>(), high.parse::<u32>()) {
            (Ok(low), Ok(high)) => low <= high,
            _ => false,
        },
    };
    if well { Ok(format!("{{{text}}}")) } else { Err(BadRegex::Interval) }
}

/// What is between brackets, the first of which was taken.
fn bracket<I: Iterator<Item = u8>>(rest: &mut Peekable<I>) -> Result<String, BadRegex> {
    let mut set = String::from("[");
    if rest.next_if_eq(&b'^').is_some() {
        set.push('^');
    }
    let mut first = true;
    loop {
        let low = match rest.next().ok_or(BadRegex::Bracket)? {
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
        set.push_str(&code(low));
        if rest.next_if_eq(&b'-').is_none() {
            continue;
        }
        let high = match rest.next().ok_or(BadRegex::Bracket)? {
            b']' => {
                set.push_str("\\x2D");
                break;
            }
            b'[' if matches!(rest.peek(), Some(b'.' | b'=')) => element(rest)?,
            byte => byte,
        };
        if high < low {
            return Err(BadRegex::Range);
        }
        set.push('-');
        set.push_str(&code(high));
    }
    set.push(']');
    Ok(set)
}

/// `[.x.]` or `[=x=]`, its bracket taken: one byte, as all are in the C locale.
fn element(rest: &mut impl Iterator<Item = u8>) -> Result<u8, BadRegex> {
    let kind = rest.next();
    let byte = rest.next().ok_or(BadRegex::Bracket)?;
    if rest.next() == kind && rest.next() == Some(b']') { Ok(byte) } else { Err(BadRegex::Bracket) }
}

fn until_colon(rest: &mut impl Iterator<Item = u8>) -> Result<Vec<u8>, BadRegex> {
    let name: Vec<u8> = rest.by_ref().take_while(|&byte| byte != b':').collect();
    if rest.next() == Some(b']') { Ok(name) } else { Err(BadRegex::Bracket) }
}

fn class(name: &[u8]) -> Result<&'static str, BadRegex> {
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
        _ => return Err(BadRegex::Class),
    })
}

/// Why a regular expression is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRegex {
    BackReference,
    Backslash,
    Bracket,
    Class,
    Interval,
    Parenthesis,
    Range,
    Refused,
    Repetition,
}

impl fmt::Display for BadRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BackReference => "back-references such as \\1 are not to be had",
            Self::Backslash => "nothing follows the last backslash",
            Self::Bracket => "a bracket is not closed",
            Self::Class => "no class of characters has that name",
            Self::Interval => "what is between braces is no number of times",
            Self::Parenthesis => "a parenthesis is not closed",
            Self::Range => "a range ends before it begins",
            Self::Refused => "it is too big",
            Self::Repetition => "there is nothing to repeat",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn filter(pattern: &str, any_case: bool) -> Result<Filter, BadRegex> {
        let pattern = pattern.as_bytes().to_vec();
        Filter::new(&options::Filter { pattern, any_case, exclude: true })
    }

    /// What regcomp(3) and regexec(3) say, which bash hands its conditions to: for each text whether it
    /// matches, or `None` where the pattern is none. `Err` without bash.
    fn libc_says(pattern: &str, texts: &[&str], any_case: bool) -> Result<Option<Vec<bool>>, ()> {
        let script = r#"[ -z "$1" ] || shopt -s nocasematch
            pattern=$2; shift 2
            for text; do
                [[ $text =~ $pattern ]]
                case $? in 0) echo 1;; 1) echo 0;; *) exit 2;; esac
            done"#;
        let output = Command::new("bash")
            .args(["-c", script, "bash", if any_case { "i" } else { "" }, pattern])
            .args(texts)
            .env("LC_ALL", "C")
            .stderr(Stdio::null())
            .output()
            .map_err(drop)?;
        let answers = output.stdout.iter().filter(|byte| **byte != b'\n').map(|byte| *byte == b'1');
        Ok(output.status.success().then(|| answers.collect()))
    }

    #[test]
    fn regular_expressions_mean_what_they_mean_in_posix() {
        let patterns = [
            "a",
            "^a",
            "a$",
            "^$",
            "",
            ".",
            "a.c",
            "a*",
            "a+",
            "a?",
            "(ab)+",
            "a|b",
            "^(a|b)c$",
            "a|",
            "(|a)b",
            "()",
            "a{2}",
            "a{2,}",
            "a{1,2}b",
            "a{,2}b",
            "^a{0}$",
            "[abc]",
            "[^abc]",
            "[]a]",
            "[^]a]",
            "[a-c]",
            "[a-]",
            "[-a]",
            "[a\\]",
            "[[:alpha:]]",
            "[[:digit:]x]+$",
            "[^[:upper:]]",
            "[[.a.]]",
            "[[=a=]]b",
            "[[.-.]]",
            "\\.",
            "\\(",
            "a\\+",
            "\\w",
            "\\W",
            "\\s",
            "\\bab",
            "ab\\b",
            "\\<b",
            "b\\>",
            "a\\Bb",
            "a**",
            "(a+)?$",
            "a+?$",
            "^a+?$",
            "^(a*)+$",
            "a)",
            "(a",
            "[a",
            "*a",
            "+",
            "(*a)",
            "a|*b",
            "^*",
            "a{1",
            "a{",
            "a{x}",
            "a{2,1}",
            "[b-a]",
            "[[:foo:]]",
            "\\",
            "x^a",
            "a$b",
            "(^a)",
            "(a$)",
            "[.]",
            "[*]",
            "[$^]",
            "a]",
            "a}",
            "/",
            "-",
            "#",
            "&",
            "~",
            " ",
            "é",
            "[é]",
            "A",
            "[A-Z]",
            "[[:upper:]]",
        ];
        let texts = [
            "", "a", "b", "ab", "abc", "aab", "aaab", "ac", "A", "AB", "x", "a.c", "a+", "(", ")",
            "]", "}", "\\", "-", "a-b", "a b", "9", "x9", "_", "a\nb", "\n", "d", "n", "*", "^",
            "$", "é", "dir/a.c", "#&~", "(?i)a", "^a",
        ];
        let mut faults = Vec::new();
        for pattern in patterns {
            for any_case in [false, true] {
                let ours = filter(pattern, any_case);
                let Ok(libc) = libc_says(pattern, &texts, any_case) else {
                    eprintln!("SKIPPED: no bash to compare regular expressions with");
                    return;
                };
                let ours =
                    ours.ok().map(|filter| texts.map(|text| filter.matches(text.as_bytes())));
                if ours.map(Vec::from) != libc {
                    faults.push(format!("{pattern:?} ({any_case}): {ours:?}, libc says {libc:?}"));
                }
            }
        }
        assert!(faults.is_empty(), "{faults:#?}");
    }

    #[test]
    fn a_byte_that_is_no_text_is_matched_as_one_character() {
        assert!(filter("^a.b$", false).unwrap().matches(b"a\xffb"));
        assert!(filter("^a..b$", false).unwrap().matches("aéb".as_bytes()));
        assert!(!filter("^a.b$", false).unwrap().matches("aéb".as_bytes()));
    }

    #[test]
    fn back_references_are_refused() {
        assert_eq!(filter("(a)\\1", false).err(), Some(BadRegex::BackReference));
    }

    #[test]
    fn only_what_stays_matched_hides_all_beneath() {
        assert!(filter(r"/\.git/", false).unwrap().hides_all_beneath(b"a/.git/"));
        assert!(!filter(r"/\.git$", false).unwrap().hides_all_beneath(b"a/.git"));
        assert!(!filter(r"a\>", false).unwrap().hides_all_beneath(b"a/"));
        assert!(!filter("b", false).unwrap().hides_all_beneath(b"a/"));
    }
}
