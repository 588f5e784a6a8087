//! Parses any text: it is the same after printing and parsing, or is refused at its first invalid word.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/oracle/flags.rs"]
mod oracle;

fuzz_target!(|text: &str| oracle::check_parse(text));
