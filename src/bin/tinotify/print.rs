//! How events and messages are shown.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tinotify::{Escaped, Event, EventMask};

use crate::args::Quiet;

/// Names in the order in which inotifywait prints them; the group stands behind its members.
const NAMES: [(EventMask, &str); 17] = [
    (EventMask::ACCESS, "ACCESS"),
    (EventMask::MODIFY, "MODIFY"),
    (EventMask::ATTRIB, "ATTRIB"),
    (EventMask::CLOSE_WRITE, "CLOSE_WRITE"),
    (EventMask::CLOSE_NOWRITE, "CLOSE_NOWRITE"),
    (EventMask::OPEN, "OPEN"),
    (EventMask::MOVED_FROM, "MOVED_FROM"),
    (EventMask::MOVED_TO, "MOVED_TO"),
    (EventMask::CREATE, "CREATE"),
    (EventMask::DELETE, "DELETE"),
    (EventMask::DELETE_SELF, "DELETE_SELF"),
    (EventMask::UNMOUNT, "UNMOUNT"),
    (EventMask::Q_OVERFLOW, "Q_OVERFLOW"),
    (EventMask::IGNORED, "IGNORED"),
    (EventMask::CLOSE, "CLOSE"),
    (EventMask::MOVE_SELF, "MOVE_SELF"),
    (EventMask::ISDIR, "ISDIR"),
];

/// Where events go, and messages beside them.
pub struct Output<W> {
    events: W,
    /// A terminal takes control characters in names for commands, a pipe wants names as they are.
    escape: bool,
    quiet: Quiet,
}

impl Output<BufWriter<StdoutLock<'static>>> {
    pub fn stdout(quiet: Quiet) -> Self {
        let stdout = io::stdout().lock();
        let escape = stdout.is_terminal();
        Self { events: BufWriter::new(stdout), escape, quiet }
    }
}

impl<W: Write> Output<W> {
    /// Shows one event as a line: `watched EVENT,NAMES name`.
    pub fn event(&mut self, watched: &Path, event: &Event<'_>) -> io::Result<()> {
        if self.quiet == Quiet::Events {
            return Ok(());
        }
        self.name(watched.as_os_str().as_bytes())?;
        let mut separator = " ";
        for (_, name) in NAMES.iter().filter(|(bits, _)| event.mask().intersects(*bits)) {
            write!(self.events, "{separator}{name}")?;
            separator = ",";
        }
        write!(self.events, " ")?;
        self.name(event.name().unwrap_or_default())?;
        writeln!(self.events)
    }

    /// Hands on what was shown.
    pub fn flush(&mut self) -> io::Result<()> {
        self.events.flush()
    }

    /// Tells how things go, on standard error.
    pub fn message(&self, text: &str) {
        if self.quiet == Quiet::No {
            eprintln!("{text}");
        }
    }

    fn name(&mut self, name: &[u8]) -> io::Result<()> {
        if self.escape {
            write!(self.events, "{}", Escaped(name))
        } else {
            self.events.write_all(name)
        }
    }
}
