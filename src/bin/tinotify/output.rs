//! Prints events to standard output or a file, in one of four formats. With `stat`, counts them, and prints
//! the counts.
//!
//! ```text
//! Output ──► Format: counts ──► csv, json, template ──► clock, event, text
//! ```

mod clock;
mod counts;
mod csv;
mod event;
mod json;
mod template;
mod text;

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::args::{self, Options, Quiet};

use counts::Counts;
pub use event::{Event, Location};
use template::Template;

/// Prints events.
pub struct Output {
    to: File,
    /// The path of `--outfile`.
    path: Option<PathBuf>,
    buffer: Vec<u8>,
    format: Format,
    /// `true` for a terminal: control characters in names are escaped. A pipe gets names unchanged.
    escape: bool,
    /// The bytes after each event.
    end: &'static [u8],
    silent: bool,
    /// The device and the inode of the output if it is a regular file. It may be in a watched directory.
    file: Option<(u64, u64)>,
}

enum Format {
    Template(Template),
    Csv {
        from: bool,
    },
    Json,
    /// `tinotify stat`
    Counts(Counts),
}

/// The buffer is written when it has this size.
const BUFFER: usize = 16 * 1024;

impl Output {
    /// Opens the output.
    ///
    /// # Errors
    ///
    /// Fails if `--outfile` cannot be opened.
    pub fn new(options: &Options) -> io::Result<Self> {
        let (to, path) = match &options.outfile {
            Some(path) => (open(path)?, Some(path.clone())),
            None => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
        };
        let format = match &options.format {
            _ if options.counting.is_some() => Format::Counts(Counts::new(options)),
            args::Format::Lines => Format::Template(Template::lines(options.null, options.renames)),
            args::Format::Custom { format, time, .. } => {
                Format::Template(Template::custom(format, time.as_deref(), options.renames))
            }
            args::Format::Csv => Format::Csv { from: options.renames },
            args::Format::Json => Format::Json,
        };
        let end: &[u8] = match options.format {
            args::Format::Custom { newline: false, .. } => b"",
            _ if options.null => b"\0",
            _ => b"\n",
        };
        let escape = to.is_terminal();
        let silent = options.quiet == Quiet::Events;
        let file = identity(&to);
        Ok(Self { to, path, buffer: Vec::new(), format, escape, end, silent, file })
    }

    /// Prints an event to the buffer. [`flush`](Self::flush) writes it.
    pub fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if self.silent {
            return Ok(());
        }
        match &mut self.format {
            Format::Template(template) => template.write(&mut self.buffer, event, self.escape),
            Format::Csv { from } => csv::write(&mut self.buffer, event, *from, self.escape),
            Format::Json => json::write(&mut self.buffer, event),
            Format::Counts(counts) => {
                counts.count(event);
                return Ok(());
            }
        }
        self.buffer.extend_from_slice(self.end);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Returns `true` if the output is the file at this path. An event of it would cause the next one.
    pub fn is_at(&self, path: &[u8]) -> bool {
        let Some(file) = self.file else { return false };
        let metadata = fs::symlink_metadata(OsStr::from_bytes(path));
        metadata.is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == file)
    }

    pub fn is_json(&self) -> bool {
        matches!(self.format, Format::Json)
    }

    pub fn is_counting(&self) -> bool {
        matches!(self.format, Format::Counts(_))
    }

    /// Adds a path without events to the counts of `stat`.
    pub fn expect(&mut self, path: Vec<u8>) {
        if let Format::Counts(counts) = &mut self.format {
            counts.expect(path);
        }
    }

    /// Prints the counts of `stat` to the buffer. Returns the number of rows, or `None` without `stat`.
    pub fn print_counts(&mut self) -> Option<usize> {
        match &self.format {
            Format::Counts(counts) if !self.silent => {
                Some(counts.write(&mut self.buffer, self.escape))
            }
            _ => None,
        }
    }

    /// Writes the buffered events.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.to.write_all(&self.buffer);
        self.buffer.clear();
        result
    }

    /// Opens `--outfile` again, because the old file may have been moved away.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.flush()?;
        if let Some(path) = &self.path {
            self.to = open(path)?;
            self.file = identity(&self.to);
        }
        Ok(())
    }

    /// Returns the descriptor, which reports an error when its reader has closed it. `None` if the output
    /// is silent.
    pub fn reader(&self) -> Option<BorrowedFd<'_>> {
        (!self.silent).then(|| self.to.as_fd())
    }
}

/// Returns the device and the inode of a regular file.
fn identity(file: &File) -> Option<(u64, u64)> {
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    Some((metadata.dev(), metadata.ino()))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
