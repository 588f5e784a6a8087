//! What must hold for any text that is read as flags.

use std::fmt::Display;
use std::str::FromStr;

use tinotify::{EventMask, InitFlags, ParseFlagsError, WatchMask};

/// Reads a text as each type of flags.
pub fn check_parse(text: &str) {
    check::<InitFlags>(text);
    check::<WatchMask>(text);
    check::<EventMask>(text);
}

/// What is read can be printed and read again, whatever the case; what is refused is refused at the
/// first word that is none.
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
            // With a good word in its place, all up to there is good.
            let end = range.start + "0x0".len();
            let mended = format!("{}0x0{}", &text[..range.start], &text[range.end..]);
            assert!(mended[..end].parse::<F>().is_ok(), "{:?}", &mended[..end]);
            if let Err(later) = mended.parse::<F>() {
                assert!(later.range().start >= end, "{mended:?}");
            }
        }
    }
}
