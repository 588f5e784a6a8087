//! Decodes any bytes: both decoders return the same as the simple one.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

fuzz_target!(|bytes: &[u8]| oracle::check_decoders(bytes));
