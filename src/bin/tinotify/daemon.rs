//! `--daemon`: runs in the background.
//!
//! Safe Rust cannot call fork(2). So the program starts itself again, and the second process creates its
//! own session. The first process waits until the second one
//!
//! - writes a byte to its standard output: it is ready, and the exit status is 0, or
//! - ends: the exit status is that of the second process.

use std::env;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use crate::status::{FAILURE, SUCCESS};

/// The environment variable of the second process.
pub const MARK: &str = "TINOTIFY_IN_BACKGROUND";

/// Returns `true` in the second process.
pub fn is_in_background() -> bool {
    env::var_os(MARK).is_some()
}

/// Starts the second process, and waits until it is ready. Returns the exit status of the first.
pub fn start() -> io::Result<u8> {
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    // Without /proc, use the name that the shell used.
    let program = env::current_exe().unwrap_or_else(|_| name.into());
    let mut child =
        Command::new(program).args(args).env(MARK, "1").stdout(Stdio::piped()).spawn()?;
    let mut ready = [0];
    if let Some(mut stdout) = child.stdout.take() {
        if stdout.read(&mut ready)? == 1 {
            return Ok(SUCCESS);
        }
    }
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.unwrap_or(FAILURE))
}

/// Leaves the terminal. Call it at the start of the second process.
pub fn leave_terminal() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

/// Reports to the first process that the second is ready, then closes the inherited standard streams.
pub fn report_ready() -> io::Result<()> {
    io::stdout().write_all(b"\n")?;
    io::stdout().flush()?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
