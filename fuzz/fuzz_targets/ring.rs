//! A script and a stream: the ring gives what the naive decoder gives, and never loses its count.
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
