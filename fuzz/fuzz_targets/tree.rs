//! The bytes decide the changes of a simulated world and their order. The tree's reports must stay true.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/simulated/mod.rs"]
mod simulated;

use simulated::choices::Choices;
use simulated::schedule;

fuzz_target!(|bytes: &[u8]| {
    if let (Err(why), ..) = schedule::run(Choices::bytes(bytes), false) {
        panic!("{why}\n{}", schedule::explain(Choices::bytes(bytes)));
    }
});
