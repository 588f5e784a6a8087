//! `--exclude` and `--include`: POSIX extended regular expressions on bytes.
//!
//! inotifywait matches in the C locale, where a character is one byte. `regex_lite` matches text. So a
//! path that is not ASCII is matched as text with one character per byte: U+0000 to U+00FF.

use std::sync::{Mutex, PoisonError};

use regex_lite::{Regex, RegexBuilder};

use crate::args::Pattern;
use crate::filter::kind::Kind;
use crate::filter::posix::{self, PatternError};
use crate::output::Location;

/// One regular expression.
pub struct RegexFilter {
    regex: Regex,
    exclude: bool,
    /// `true` if each path that starts with an excluded path is excluded too.
    by_prefix: bool,
    /// The path that is being matched, if it is not ASCII. Kept to reuse its memory.
    text: Mutex<String>,
}

impl RegexFilter {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// [`PatternError`] if the regular expression is invalid or too big.
    pub fn new(pattern: &Pattern) -> Result<Self, PatternError> {
        let translated = posix::translate(&pattern.regex)?;
        let regex = RegexBuilder::new(&translated)
            .case_insensitive(pattern.ignore_case)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| PatternError::TooBig)?;
        let by_prefix = pattern.exclude && !posix::depends_on_what_follows(&pattern.regex);
        Ok(Self { regex, exclude: pattern.exclude, by_prefix, text: Mutex::default() })
    }

    /// Returns `true` if no path beneath a directory is shown. `dir` must end with a slash.
    fn hides_all_beneath(&self, dir: &[u8]) -> bool {
        self.by_prefix && self.matches(dir)
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

impl Kind for RegexFilter {
    fn hides(&self, at: Location<'_>, is_dir: bool) -> bool {
        if self.exclude { self.matches(at.path()) } else { is_dir || !self.matches(at.path()) }
    }

    fn can_skip(&self) -> bool {
        self.by_prefix
    }

    fn skips(&self, dir: Location<'_>) -> bool {
        self.hides_all_beneath(dir.path())
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const PATTERNS: [&str; 86] = [
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

    const TEXTS: [&str; 36] = [
        "", "a", "b", "ab", "abc", "aab", "aaab", "ac", "A", "AB", "x", "a.c", "a+", "(", ")", "]",
        "}", "\\", "-", "a-b", "a b", "9", "x9", "_", "a\nb", "\n", "d", "n", "*", "^", "$", "é",
        "dir/a.c", "#&~", "(?i)a", "^a",
    ];

    fn filter(pattern: &str, ignore_case: bool) -> Result<RegexFilter, PatternError> {
        let regex = pattern.as_bytes().to_vec();
        RegexFilter::new(&Pattern { regex, ignore_case, exclude: true })
    }

    /// Matches texts with regcomp(3) and regexec(3), by a condition of bash. Returns one result per text,
    /// or `None` if the pattern is invalid.
    ///
    /// # Errors
    ///
    /// Fails if bash is not installed.
    fn libc_matches(
        pattern: &str,
        texts: &[&str],
        ignore_case: bool,
    ) -> Result<Option<Vec<bool>>, ()> {
        let script = r#"[ -z "$1" ] || shopt -s nocasematch
            pattern=$2; shift 2
            for text; do
                [[ $text =~ $pattern ]]
                case $? in 0) echo 1;; 1) echo 0;; *) exit 2;; esac
            done"#;
        let output = Command::new("bash")
            .args(["-c", script, "bash", if ignore_case { "i" } else { "" }, pattern])
            .args(texts)
            .env("LC_ALL", "C")
            .stderr(Stdio::null())
            .output()
            .map_err(drop)?;
        let answers = output.stdout.iter().filter(|byte| **byte != b'\n').map(|byte| *byte == b'1');
        Ok(output.status.success().then(|| answers.collect()))
    }

    #[test]
    fn regular_expressions_match_as_in_libc() {
        let mut faults = Vec::new();
        for pattern in PATTERNS {
            for ignore_case in [false, true] {
                let ours = filter(pattern, ignore_case);
                let Ok(libc) = libc_matches(pattern, &TEXTS, ignore_case) else {
                    eprintln!("SKIPPED: no bash to compare regular expressions with");
                    return;
                };
                let ours =
                    ours.ok().map(|filter| TEXTS.map(|text| filter.matches(text.as_bytes())));
                if ours.map(Vec::from) != libc {
                    faults.push(format!("{pattern:?} ({ignore_case}): {ours:?}, in libc {libc:?}"));
                }
            }
        }
        assert!(faults.is_empty(), "{faults:#?}");
    }

    #[test]
    fn a_byte_that_is_not_text_is_matched_as_one_character() {
        assert!(filter("^a.b$", false).unwrap().matches(b"a\xffb"));
        assert!(filter("^a..b$", false).unwrap().matches("aéb".as_bytes()));
        assert!(!filter("^a.b$", false).unwrap().matches("aéb".as_bytes()));
    }

    #[test]
    fn back_references_are_refused() {
        assert_eq!(filter("(a)\\1", false).err(), Some(PatternError::BackReference));
    }

    #[test]
    fn a_directory_is_pruned_only_if_every_path_beneath_it_is_hidden() {
        assert!(filter(r"/\.git/", false).unwrap().hides_all_beneath(b"a/.git/"));
        assert!(!filter(r"/\.git$", false).unwrap().hides_all_beneath(b"a/.git"));
        assert!(!filter(r"a\>", false).unwrap().hides_all_beneath(b"a/"));
        assert!(!filter("b", false).unwrap().hides_all_beneath(b"a/"));
    }
}
