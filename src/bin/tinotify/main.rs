//! Waits for changes to files and shows them: a stand-in for inotifywait.

#![forbid(unsafe_code)]

mod clock;
mod commands;
mod daemon;
mod filter;
mod json;
mod manual;
mod messages;
mod options;
mod output;
mod paths;
mod progress;
mod signals;
mod stats;
mod watch;

use std::io;
use std::process::ExitCode;

use messages::Messages;
use options::{Command, Options};
use watch::Outcome;

fn main() -> ExitCode {
    let command = match options::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return wrong(&error),
    };
    match command {
        Command::Help => print(&manual::help()),
        Command::Version => print(concat!("tinotify ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Generate(what) => match manual::generate(&what) {
            Some(text) => print(&text),
            None => wrong(&"--generate knows man, bash, zsh and fish"),
        },
        Command::Watch(options) if options.daemon && !daemon::is_in_background() => {
            match daemon::start() {
                Ok(code) => code,
                Err(error) => wrong(&format!("cannot go to the background: {error}")),
            }
        }
        Command::Watch(options) => watch(*options),
    }
}

fn watch(options: Options) -> ExitCode {
    // The one in the background has a terminal for its errors until it is ready.
    let messages = Messages::new(options.quiet, options.syslog);
    options.warnings.iter().for_each(|warning| messages.warn(warning));
    match watch::run(options, &messages) {
        Ok(Outcome::Seen) => ExitCode::SUCCESS,
        Ok(Outcome::TimedOut) => ExitCode::from(2),
        Ok(Outcome::Ended) => ExitCode::FAILURE,
        Ok(Outcome::Killed(signal)) => {
            signals::die_of(signal);
            ExitCode::FAILURE
        }
        Err(error) => {
            if !error.is_closed_pipe() {
                messages.warn(&error);
            }
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the command line.
fn wrong(error: &dyn std::fmt::Display) -> ExitCode {
    let messages = Messages::new(options::Quiet::No, false);
    messages.warn(format_args!("{error}\nTry 'tinotify --help'."));
    ExitCode::FAILURE
}

/// Prints what was asked for instead of events.
fn print(text: &str) -> ExitCode {
    match io::Write::write_all(&mut io::stdout(), text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
