//! The events of any bytes: each comes out once, joined as by the naive window.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

fuzz_target!(|bytes: &[u8]| {
    oracle::check_moves::<1>(bytes);
    oracle::check_moves::<4>(bytes);
});
