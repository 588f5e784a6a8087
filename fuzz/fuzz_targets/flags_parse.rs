//! Any text: read and printed and read again, or refused at its first bad word.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/oracle/flags.rs"]
mod oracle;

fuzz_target!(|text: &str| oracle::check_parse(text));
