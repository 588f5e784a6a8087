//! Runs a script of writes and pops with a stream: the ring returns the same as the simple decoder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinotify::EventRing;

#[path = "../../tests/oracle/mod.rs"]
mod oracle;

fuzz_target!(|input: ([u8; 32], &[u8])| {
    let (script, stream) = input;
    oracle::check_ring(&mut EventRing::<17>::new(), stream, &script);
    oracle::check_ring(&mut EventRing::<24>::new(), stream, &script);
});
