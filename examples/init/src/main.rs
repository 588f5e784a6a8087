//! A first process: starts the services that the files of a directory name, restarts services that die or
//! change, and ends them in order. README.md describes its use.
//!
//! An example of tinotify's core in a program without libc, heap or threads. All tables have a fixed size, so
//! that nothing fails for lack of memory once it runs.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod directories;
mod services;

use core::time::Duration;

use bare::process::{self, Machine, Signal, Signals};
use bare::{Args, say, sys};

use directories::{Change, Directories};
use services::Services;

bare::main!(run);

/// What to do after all services have ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shutdown {
    Exit,
    Machine(Machine),
}

/// How often to check a missing directory, whose creation may make no event.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

fn run(args: Args) -> u8 {
    sys::fill_standard_descriptors();
    // The kernel passes unknown words of its command line to the first process.
    let argument = args.get(1).filter(|path| path.to_bytes().starts_with(b"/"));
    let directory = argument.unwrap_or(c"/etc/services");
    let blocked = [Signal::CHLD, Signal::HUP, Signal::INT, Signal::TERM, Signal::USR2];
    let signals = match Signals::block(&blocked) {
        Ok(signals) => signals,
        Err(errno) => {
            say!("init: cannot block signals: {errno}");
            return 1;
        }
    };
    let mut directories = Directories::new(directory);
    let mut services = Services::new(directory, args);
    match serve(&signals, &mut directories, &mut services) {
        Shutdown::Exit => 0,
        Shutdown::Machine(what) => {
            say!("init: cannot restart or switch off the machine: {}", process::reboot(what));
            1
        }
    }
}

/// Runs the services until a shutdown is requested and all services have ended.
fn serve(signals: &Signals, directories: &mut Directories, services: &mut Services) -> Shutdown {
    let mut shutdown = None;
    loop {
        // Watch first, check second: what changes after the check is an event.
        if directories.watch() {
            services.check_all();
        }
        match shutdown {
            Some(shutdown) if services.end() => return shutdown,
            Some(_) => {}
            None => services.start_and_kill_due(),
        }
        let due = services.next_due().map(|until| until.saturating_sub(sys::now()));
        let check = (!directories.are_watched()).then_some(CHECK_INTERVAL);
        let timeout = due.into_iter().chain(check).min();
        // After an error, both are read as well.
        let _ = sys::poll([signals.as_raw(), directories.as_raw()], timeout);

        while let Some(signal) = signals.next() {
            match signal {
                Signal::HUP => directories.check_again(),
                Signal::TERM => shutdown = shutdown.or(Some(Shutdown::Exit)),
                Signal::INT => shutdown = shutdown.or(Some(Shutdown::Machine(Machine::Restart))),
                Signal::USR2 => shutdown = shutdown.or(Some(Shutdown::Machine(Machine::PowerOff))),
                // `reap` is called below in any case, because pending signals of one kind merge.
                _ => {}
            }
        }
        while let Some((pid, exit)) = process::reap() {
            services.note_exit(pid, exit);
        }
        directories.read(|change| match change {
            Change::Service { name, is_complete } => services.check(name, is_complete),
            Change::Request(b"exit") => shutdown = shutdown.or(Some(Shutdown::Exit)),
            Change::Request(b"reboot") => {
                shutdown = shutdown.or(Some(Shutdown::Machine(Machine::Restart)))
            }
            Change::Request(b"poweroff") => {
                shutdown = shutdown.or(Some(Shutdown::Machine(Machine::PowerOff)))
            }
            Change::Request(request) => match request.strip_prefix(b"restart-") {
                Some(name) => services.restart(name),
                None => say!("init: no such request: {}", request.escape_ascii()),
            },
        });
    }
}
