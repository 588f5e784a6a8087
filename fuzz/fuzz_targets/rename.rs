//! The events of any bytes: each comes out once, joined as by the naive window.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

fuzz_target!(|bytes: &[u8]| {
    oracle::check_rename_pairs::<1>(bytes);
    oracle::check_rename_pairs::<4>(bytes);
});
