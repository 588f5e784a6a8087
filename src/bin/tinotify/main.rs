//! Waits for changes to files and shows them: a stand-in for inotifywait.

#![forbid(unsafe_code)]

mod args;
mod print;
mod watch;

use std::io;
use std::process::ExitCode;

use args::Command;
use watch::Outcome;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("tinotify: {error}\nTry 'tinotify --help'.");
            return ExitCode::FAILURE;
        }
    };
    let options = match command {
        Command::Watch(options) => options,
        Command::Tell(text) => return tell(&text),
    };
    match watch::run(&options, &mut print::Output::stdout(options.quiet)) {
        Ok(Outcome::Seen) => ExitCode::SUCCESS,
        Ok(Outcome::TimedOut) => ExitCode::from(2),
        Ok(Outcome::Ended) => ExitCode::FAILURE,
        Err(error) => {
            if !error.is_closed_pipe() {
                eprintln!("tinotify: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Prints help or the version.
fn tell(text: &str) -> ExitCode {
    match io::Write::write_all(&mut io::stdout(), text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
