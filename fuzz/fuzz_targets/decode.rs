//! Decodes any bytes: no panic, and accepted records are encoded to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinotify::{Events, MAX_RECORD_SIZE};

fuzz_target!(|bytes: &[u8]| {
    let mut events = Events::new(bytes);
    let mut at = 0;
    while let Some(Ok(event)) = events.next() {
        let mut buffer = [0xaa; MAX_RECORD_SIZE];
        let size = event.encode(&mut buffer).expect("any accepted record");
        assert_eq!(buffer[..size], bytes[at..events.offset()]);
        assert!(!format!("{event} {event:?} {:?}", event.kind()).contains(char::is_control));
        at = events.offset();
    }
    assert_eq!(events.remainder(), &bytes[at..]);
});
