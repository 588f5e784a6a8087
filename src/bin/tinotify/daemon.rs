//! `-d`: in the background.
//!
//! A process can't leave its parent without fork(2), which is not safe to call from safe Rust. So the
//! program starts itself again, in a session of its own, and the first one ends once the second says
//! that it is ready, or has failed: then with its exit status.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::process::{Command, ExitCode, Stdio};

/// The variable that tells the second process what it is.
pub const MARK: &str = "TINOTIFY_IN_BACKGROUND";

pub fn is_in_background() -> bool {
    env::var_os(MARK).is_some()
}

/// Starts the second process, and waits until it is ready.
pub fn start() -> io::Result<ExitCode> {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    // Without /proc, the shell may know where the program is.
    let program = env::current_exe().unwrap_or_else(|_| name.into());
    let mut child =
        Command::new(program).args(args).env(MARK, "1").stdout(Stdio::piped()).spawn()?;
    let mut ready = [0];
    if let Some(mut stdout) = child.stdout.take() {
        if stdout.read(&mut ready)? == 1 {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// In the second process, at its beginning: leaves the terminal.
pub fn leave() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// In the second process: says that it is ready, and lets go of what the first one gave it.
pub fn ready() -> io::Result<()> {
    io::stdout().write_all(b"\n")?;
    io::stdout().flush()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
