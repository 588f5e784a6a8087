//! Parses the options of the output format.

use crate::args::error::UsageError;
use crate::args::opt::{Id, Opt};
use crate::args::options::Format;
use crate::args::reader::bytes;

/// `--csv`, `--json`, `--format` and the options that need it, so far.
#[derive(Default)]
pub struct Given {
    csv: bool,
    json: bool,
    no_newline: bool,
    format: Option<Vec<u8>>,
    timefmt: Option<Vec<u8>>,
}

impl Given {
    /// Takes one of the options, and its value.
    pub fn take(
        &mut self,
        option: &'static Opt,
        parser: &mut lexopt::Parser,
    ) -> Result<(), UsageError> {
        match option.id {
            Id::Csv => self.csv = true,
            Id::Json => self.json = true,
            Id::NoNewline => self.no_newline = true,
            Id::Timefmt => self.timefmt = Some(bytes(option, parser)?),
            _ => self.format = Some(bytes(option, parser)?),
        }
        Ok(())
    }

    /// Checks the combination of these options and `--null`.
    pub fn finish(self, null: bool) -> Result<Format, UsageError> {
        let Self { csv, json, no_newline, format, timefmt } = self;
        if no_newline && format.is_none() {
            return Err(UsageError::Needs("--no-newline", "--format"));
        }
        if timefmt.is_some() && format.is_none() {
            return Err(UsageError::Needs("--timefmt", "--format"));
        }
        match (csv, json, format) {
            (false, false, None) => Ok(Format::Lines),
            (true, false, None) => Ok(Format::Csv),
            (false, true, None) => Ok(Format::Json),
            (false, false, Some(format)) => {
                if timefmt.is_none() && format.windows(2).any(|pair| pair == b"%T") {
                    return Err(UsageError::Needs("%T in --format", "--timefmt"));
                }
                if no_newline && null {
                    return Err(UsageError::OnlyOne("--no-newline and --null"));
                }
                Ok(Format::Custom { format, newline: !no_newline, time: timefmt })
            }
            _ => Err(UsageError::OnlyOne("--csv, --format and --json")),
        }
    }
}
