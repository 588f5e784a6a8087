//! Waits for changes to files and prints them. Accepts the command line of inotifywait.
//!
//! ```text
//! start
//!  ▼
//! main ──► watch ──► session ──► report ──► renames, debounce ──► emit ──► sink ──► output, exec, stats
//!  │         │  │       └─────► rewatch ───────────────────────────┴──► filter, cookies
//!  │         │  ├──► setup ──► paths, progress, filter
//!  │         │  └──► existing ──► emit
//!  │         └─────► supervisor ──► signals
//!  └─────► args
//! ```

#![cfg_attr(all(target_env = "gnu", not(test)), no_main)]
#![deny(unsafe_code)]
#![deny(clippy::too_many_lines)]

mod args;
mod cookies;
mod coverage;
mod daemon;
mod debounce;
mod emit;
mod exec;
mod existing;
mod failure;
mod filter;
mod limits;
mod messages;
mod output;
mod paths;
mod progress;
mod renames;
mod report;
mod rewatch;
mod session;
mod setup;
mod signals;
mod sink;
#[cfg(all(target_env = "gnu", not(test)))]
mod start;
mod stats;
mod status;
mod supervisor;
mod timeout;
mod watch;

use std::fmt::Display;
use std::io;
use std::process;

use args::{Command, Options, Quiet};
use messages::Messages;
use session::Outcome;
use status::{FAILURE, SUCCESS, TIMED_OUT};

fn main() {
    process::exit(run().into());
}

/// Runs the command line. Returns the exit status.
fn run() -> u8 {
    let command = match args::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return refuse(format_args!("{error}\nTry 'tinotify --help'.")),
    };
    match command {
        Command::Usage => print(&args::usage()),
        Command::Help => print(&args::help()),
        Command::StatHelp => print(&args::stat_help()),
        Command::Version => print(concat!("tinotify ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Generate(document) => print(&args::generate(document)),
        Command::Watch(options) if options.daemon && !daemon::is_in_background() => {
            match daemon::start() {
                Ok(code) => code,
                Err(error) => refuse(format_args!("cannot start in the background: {error}")),
            }
        }
        Command::Watch(options) => watch(*options),
    }
}

fn watch(options: Options) -> u8 {
    // In the background too, standard error is that of the terminal until the watches are set up.
    let messages = Messages::new(options.quiet, options.syslog);
    options.warnings.iter().for_each(|warning| messages.warn(warning));
    let is_stat = options.counting.is_some();
    match watch::run(options, &messages) {
        // The counts were printed.
        Ok(_) if is_stat => SUCCESS,
        Ok(Outcome::Seen) => SUCCESS,
        Ok(Outcome::TimedOut) => TIMED_OUT,
        Ok(Outcome::Ended | Outcome::Killed) => FAILURE,
        Ok(Outcome::Failed(status)) => status,
        Err(error) => {
            if !error.is_closed_pipe() {
                messages.warn(&error);
            }
            FAILURE
        }
    }
}

/// Prints an error to standard error. Returns status 1.
fn refuse(error: impl Display) -> u8 {
    Messages::new(Quiet::No, false).warn(error);
    FAILURE
}

/// Prints a text to standard output.
fn print(text: &str) -> u8 {
    match io::Write::write_all(&mut io::stdout(), text.as_bytes()) {
        Ok(()) => SUCCESS,
        Err(_) => FAILURE,
    }
}
