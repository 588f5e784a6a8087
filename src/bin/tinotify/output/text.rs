//! Appends the text of an event to a buffer.

use std::fmt::Arguments;
use std::io::Write;

use tinotify::Escaped;

/// Appends a name. With `escape`, escapes control characters, because a terminal would obey them.
pub fn name(out: &mut Vec<u8>, name: &[u8], escape: bool) {
    if escape {
        formatted(out, format_args!("{}", Escaped(name)));
    } else {
        out.extend_from_slice(name);
    }
}

pub fn formatted(out: &mut Vec<u8>, text: Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}

/// Appends words with a separator between them.
pub fn joined(out: &mut Vec<u8>, words: impl Iterator<Item = &'static str>, separator: u8) {
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(separator);
        }
        out.extend_from_slice(word.as_bytes());
    }
}
