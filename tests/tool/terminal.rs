//! A program on a pseudoterminal.

use std::fs::File;
use std::io;
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{self, Program, Text, lossy};

/// A program that reads from and writes to one terminal. Dropping it kills the program.
pub struct OnTerminal {
    /// Its events are everything that the terminal shows.
    pub program: Program,
    /// What is written here is typed.
    pub keyboard: File,
}

impl OnTerminal {
    /// Starts a program. Returns `None`, and prints a message, if it or a terminal is missing.
    pub fn start(command: &mut Command) -> Option<Self> {
        let started = terminal().and_then(|(keyboard, terminal)| {
            command.stdin(terminal.try_clone()?).stdout(terminal.try_clone()?).stderr(terminal);
            let child = support::spawn(command);
            // The command must not keep the terminal open, or its end could not be read.
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let events = Text::of(keyboard.try_clone()?);
            Ok(Self {
                program: Program { child: child?, events, messages: Text::default() },
                keyboard,
            })
        });
        match started {
            Ok(started) => Some(started),
            Err(error) => {
                support::skip(&format!("{command:?} on a terminal: {error}"));
                None
            }
        }
    }
}

/// Opens a new pseudoterminal, and returns both ends.
fn terminal() -> io::Result<(File, File)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let terminal = File::options().read(true).write(true).open(lossy(name.to_bytes()))?;
    Ok((File::from(master), terminal))
}
