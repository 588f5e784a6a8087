//! Lines on standard error.

use core::fmt;

use heapless::Vec;

use crate::sys;

/// Buffers what is written, so that one write(2) prints a line of up to 512 bytes.
#[derive(Default)]
pub struct Message(Vec<u8, 512>);

impl Message {
    fn flush(&mut self) {
        let mut rest = &self.0[..];
        while let Ok(len @ 1..) = sys::write(2, rest) {
            rest = rest.get(len..).unwrap_or_default();
        }
        self.0.clear();
    }
}

impl fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.0.is_full() {
                self.flush();
            }
            // There is room after the flush.
            let _ = self.0.push(byte);
        }
        Ok(())
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Prints a line to standard error, as `eprintln` does. Errors are ignored.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {{
        use ::core::fmt::Write as _;
        let _ = ::core::writeln!($crate::Message::default(), $($words)*);
    }};
}
