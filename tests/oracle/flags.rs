//! Checks the parser of flags with any text.

use std::fmt::Display;
use std::str::FromStr;

use tinotify::{EventMask, InitFlags, ParseFlagsError, WatchMask};

/// Parses a text as each type of flags, and checks the result.
pub fn check_parse(text: &str) {
    check::<InitFlags>(text);
    check::<WatchMask>(text);
    check::<EventMask>(text);
}

/// Checks that accepted text is parsed the same in any case and after printing, and that an error has the
/// range of the first invalid word.
fn check<F>(text: &str)
where
    F: FromStr<Err = ParseFlagsError> + Display + PartialEq + std::fmt::Debug,
{
    let result = text.parse::<F>();
    assert_eq!(text.to_ascii_lowercase().parse::<F>(), result);
    assert_eq!(text.to_ascii_uppercase().parse::<F>(), result);
    match result {
        Ok(flags) => assert_eq!(flags.to_string().parse::<F>(), Ok(flags)),
        Err(error) => {
            let range = error.range();
            let word = &text[range.clone()];
            assert!(!word.contains([',', '|', ' ', '\t', '\n', '\r', '\x0c']), "{word:?}");
            assert_eq!(word.parse::<F>().map_err(|error| error.range()), Err(0..word.len()));
            assert!(!error.to_string().is_empty());
            // With a valid word in its place, the text up to there is valid.
            let end = range.start + "0x0".len();
            let corrected = format!("{}0x0{}", &text[..range.start], &text[range.end..]);
            assert!(corrected[..end].parse::<F>().is_ok(), "{:?}", &corrected[..end]);
            if let Err(next) = corrected.parse::<F>() {
                assert!(next.range().start >= end, "{corrected:?}");
            }
        }
    }
}
