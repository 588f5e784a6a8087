//! Messages: to standard error, or to syslog.

use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::process;

use crate::args::Quiet;

/// The socket of syslog(3).
const SYSLOG: &str = "/dev/log";

#[derive(Debug)]
pub struct Messages {
    quiet: Quiet,
    syslog: Option<UnixDatagram>,
}

impl Messages {
    /// Sends messages to syslog if `syslog` is set and the socket accepts connections. Sends them to
    /// standard error otherwise.
    pub fn new(quiet: Quiet, syslog: bool) -> Self {
        let connect = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect(SYSLOG)?;
            io::Result::Ok(socket)
        };
        Self { quiet, syslog: if syslog { connect().ok() } else { None } }
    }

    /// Sends a message about progress. `--quiet` suppresses it.
    pub fn inform(&self, text: impl Display) {
        if self.quiet == Quiet::No {
            self.send(6, &text.to_string());
        }
    }

    /// Sends a warning or an error. `--quiet` does not suppress it, `-qq` does.
    pub fn warn(&self, text: impl Display) {
        if self.quiet != Quiet::Events {
            self.send(4, &format!("tinotify: {text}"));
        }
    }

    /// Sends one message with a severity of syslog(3).
    fn send(&self, severity: u8, text: &str) {
        const DAEMON: u8 = 3 << 3;
        if let Some(socket) = &self.syslog {
            let text = text.strip_prefix("tinotify: ").unwrap_or(text);
            let line = format!("<{}>tinotify[{}]: {text}", DAEMON | severity, process::id());
            if socket.send(line.as_bytes()).is_ok() {
                return;
            }
        }
        // One write, so that the lines of two programs do not mix. An error can't be reported.
        let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_to_syslog_has_facility_severity_program_and_text() {
        let (socket, other) = UnixDatagram::pair().unwrap();
        let messages = Messages { quiet: Quiet::No, syslog: Some(socket) };
        messages.inform("Watches established.");
        messages.warn("a loss");
        for (severity, text) in [(30, "Watches established."), (28, "a loss")] {
            let mut buffer = [0; 200];
            let len = other.recv(&mut buffer).unwrap();
            let expected = format!("<{severity}>tinotify[{}]: {text}", process::id());
            assert_eq!(buffer[..len], *expected.as_bytes());
        }
    }
}
