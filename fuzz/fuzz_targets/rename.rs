//! Pairs the events of any bytes: each is returned once, as by the simple pairer.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

fuzz_target!(|bytes: &[u8]| {
    oracle::check_rename_pairs::<1>(bytes);
    oracle::check_rename_pairs::<4>(bytes);
});
