//! Any bytes: both decoders say what the naive one says.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

fuzz_target!(|bytes: &[u8]| oracle::check_decoders(bytes));
