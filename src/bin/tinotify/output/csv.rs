//! `--csv`: comma-separated values (RFC 4180).

use crate::output::event::Event;
use crate::output::text;

/// Appends `watched,"EVENT,NAMES",name`, and with `from` the old path.
pub fn write(out: &mut Vec<u8>, event: &Event<'_>, from: bool, escape: bool) {
    let mut names = Vec::new();
    text::joined(&mut names, event.names(), b',');
    field(out, event.dir, escape);
    out.push(b',');
    field(out, &names, false);
    out.push(b',');
    field(out, event.name, escape);
    if from {
        out.push(b',');
        field(out, event.from, escape);
    }
}

/// Appends a field. Quotes it if it has a special character, or a space at an end.
pub fn field(out: &mut Vec<u8>, field: &[u8], escape: bool) {
    let start = out.len();
    text::name(out, field, escape);
    if is_plain(&out[start..]) {
        return;
    }
    let unquoted = out.split_off(start);
    out.push(b'"');
    for byte in unquoted {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn is_plain(field: &[u8]) -> bool {
    !field.iter().any(|byte| b"\",\n\r".contains(byte))
        && field.first() != Some(&b' ')
        && field.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_special_characters_are_quoted() {
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
        for (text, expected) in cases {
            let mut out = b"x".to_vec();
            field(&mut out, text.as_bytes(), false);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{expected}"));
        }
    }
}
