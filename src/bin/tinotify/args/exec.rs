//! Parses `--exec` and the options that need it.

use std::ffi::OsString;
use std::time::Duration;

use rustix::process::Signal;

use crate::args::error::UsageError;
use crate::args::opt::{Id, Opt};
use crate::args::options::{Exec, OnBusy};
use crate::args::reader::text;
use crate::args::values;

/// The meanings of the values of `--on-busy`, in their order in the table.
const ON_BUSY: [OnBusy; 4] = [OnBusy::Queue, OnBusy::Ignore, OnBusy::Restart, OnBusy::Signal];

/// The default of `--stop-timeout`.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// `--exec` and the options that need it, so far.
#[derive(Default)]
pub struct Given {
    words: Option<Vec<OsString>>,
    on_busy: Option<OnBusy>,
    signal: Option<Signal>,
    stop_timeout: Option<Duration>,
    run_at_start: bool,
    exit_on_error: bool,
}

impl Given {
    /// Takes one of the options, and its value.
    pub fn take(
        &mut self,
        option: &'static Opt,
        parser: &mut lexopt::Parser,
    ) -> Result<(), UsageError> {
        match option.id {
            Id::ExitOnError => self.exit_on_error = true,
            Id::OnBusy => {
                self.on_busy = Some(values::choice(option, text(option, parser)?, &ON_BUSY)?);
            }
            Id::Restart => self.on_busy = Some(OnBusy::Restart),
            Id::RunAtStart => self.run_at_start = true,
            Id::Signal => self.signal = Some(values::signal(option, text(option, parser)?)?),
            Id::StopTimeout => {
                self.stop_timeout = Some(values::stop_timeout(&text(option, parser)?)?);
            }
            _ => self.words = Some(command(parser)?),
        }
        Ok(())
    }

    /// Checks the combination of these options.
    pub fn finish(self) -> Result<Option<Exec>, UsageError> {
        let needing = [
            (self.on_busy.is_some(), "--on-busy"),
            (self.signal.is_some(), "--signal"),
            (self.stop_timeout.is_some(), "--stop-timeout"),
            (self.run_at_start, "--run-at-start"),
            (self.exit_on_error, "--exit-on-error"),
        ];
        let Some(words) = self.words else {
            return match needing.iter().find(|(given, _)| *given) {
                Some((_, option)) => Err(UsageError::Needs(option, "--exec")),
                None => Ok(None),
            };
        };
        Ok(Some(Exec {
            words,
            on_busy: self.on_busy.unwrap_or_default(),
            signal: self.signal.unwrap_or(Signal::TERM),
            stop_timeout: self.stop_timeout.unwrap_or(STOP_TIMEOUT),
            run_at_start: self.run_at_start,
            exit_on_error: self.exit_on_error,
        }))
    }
}

/// Takes the words of a command: all arguments up to `;` or the end.
fn command(parser: &mut lexopt::Parser) -> Result<Vec<OsString>, UsageError> {
    let mut command: Vec<OsString> = parser.optional_value().into_iter().collect();
    command.extend(parser.raw_args()?.take_while(|word| word != ";"));
    match command.first() {
        Some(program) if !program.is_empty() => Ok(command),
        _ => Err(UsageError::NoCommand),
    }
}
