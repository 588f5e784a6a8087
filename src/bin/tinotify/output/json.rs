//! `--json`: prints an event as a JSON object (RFC 8259).
//!
//! Names are bytes, but JSON strings are text. A name that is not UTF-8 is printed twice: as text, with
//! U+FFFD for invalid bytes, and in a second field as hexadecimal bytes.

use std::fmt;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::output::event::Event;

/// Appends an event as one object. Fields without a value are omitted.
pub fn write(out: &mut Vec<u8>, event: &Event<'_>) {
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
    if event.discovered {
        object.number("found", format_args!("true"));
    }
    if !event.why.is_empty() {
        object.key("why", "");
        string(object.out, event.why);
    }
    object.end();
}

/// An object that is being written. It has at least one field.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    pub fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Appends a number, or `true`.
    pub fn number(&mut self, key: &str, value: fmt::Arguments<'_>) {
        self.key(key, "");
        // Writing to memory does not fail.
        let _ = self.out.write_fmt(value);
    }

    /// Appends an array of words.
    fn words(&mut self, key: &str, words: impl Iterator<Item = &'static str>) {
        self.key(key, "");
        self.out.push(b'[');
        for (index, word) in words.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            string(self.out, word);
        }
        self.out.push(b']');
    }

    /// Appends a name. If it is not UTF-8, appends its bytes under `key` followed by `_hex` too.
    pub fn name(&mut self, key: &str, name: &[u8]) {
        self.key(key, "");
        match std::str::from_utf8(name) {
            Ok(text) => string(self.out, text),
            Err(_) => {
                string(self.out, &String::from_utf8_lossy(name));
                self.key(key, "_hex");
                self.out.push(b'"');
                for byte in name {
                    let _ = write!(self.out, "{byte:02x}");
                }
                self.out.push(b'"');
            }
        }
    }

    pub fn end(self) {
        self.out.push(b'}');
    }

    /// Appends a key, which needs no escapes.
    fn key(&mut self, key: &str, suffix: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        let _ = write!(self.out, "\"{key}{suffix}\":");
    }
}

/// Appends a string. Escapes all characters that do not print, because a terminal obeys some of them: control
/// characters, the ends of lines and of paragraphs, and those that change the direction of the text.
fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for char in text.chars() {
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' => out.extend_from_slice(b"\\t"),
            ' '..='~' => out.push(char as u8),
            // One character that is not escaped.
            char if char.escape_debug().len() == 1 => {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            char => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tinotify::EventMask;

    use super::*;
    use crate::output::event::Location;

    #[test]
    fn fields_without_a_value_are_omitted() {
        let mut out = Vec::new();
        let mask = EventMask::CREATE | EventMask::ISDIR;
        write(&mut out, &Event::new(Location::new(b"d/n", 1), mask));
        let text = String::from_utf8(out).unwrap();
        let rest = text.split_once(",\"dir\"").unwrap().1;
        assert_eq!(rest, r#":"d/","name":"n","events":["CREATE","ISDIR"]}"#);
    }

    fn field(value: &Value, key: &str) -> Vec<u8> {
        match value.get(format!("{key}_hex")) {
            Some(hex) => {
                let digits = hex.as_str().unwrap().as_bytes();
                let byte = |pair: &[u8]| {
                    u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()
                };
                digits.chunks(2).map(byte).collect()
            }
            None => value[key].as_str().unwrap().as_bytes().to_vec(),
        }
    }

    fn is_parsed_back(names: &[Vec<u8>; 2]) -> bool {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.name("dir", &names[0]);
        object.number("cookie", format_args!("{}", names[0].len()));
        object.name("name", &names[1]);
        object.words("events", ["CREATE", "ISDIR"].into_iter());
        object.end();
        let control = |char: char| char.is_control();
        let text = String::from_utf8(out).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        !text.contains(control)
            && field(&value, "dir") == names[0]
            && field(&value, "name") == names[1]
            && value["cookie"] == names[0].len()
            && value["events"][1] == "ISDIR"
    }

    #[test]
    fn any_bytes_are_parsed_back_exactly() {
        for byte in 0..=u8::MAX {
            assert!(is_parsed_back(&[vec![byte], vec![b'a', byte, b'z']]), "{byte}");
        }
        quickcheck::quickcheck(
            (|dir, name| is_parsed_back(&[dir, name])) as fn(Vec<u8>, Vec<u8>) -> bool,
        );
    }

    #[test]
    fn any_text_is_parsed_back_without_a_second_field() {
        fn text(text: String) -> bool {
            let mut out = Vec::new();
            string(&mut out, &text);
            serde_json::from_slice::<String>(&out).unwrap() == text
        }
        assert!(text((0..0x2100).filter_map(char::from_u32).collect()));
        quickcheck::quickcheck(text as fn(String) -> bool);
    }
}
