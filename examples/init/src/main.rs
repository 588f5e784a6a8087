//! A first process: starts the services that the files of a directory name, restarts what dies or
//! changes, and ends them in order. Its README.md says how it is used.
//!
//! An example of tinotify's core in a program without libc, heap and threads: all tables are of fixed
//! sizes, so that nothing fails for want of memory after it has begun.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

mod places;
mod services;

use core::time::Duration;

use bare::process::{self, Machine, Signal, Signals};
use bare::{Args, say, sys};

use places::{News, Places};
use services::Services;

bare::main!(run);

/// What is done when all services have ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Exit,
    Machine(Machine),
}

/// A directory that is not there is looked for that often; there may be nothing that tells.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

fn run(args: Args) -> u8 {
    sys::fill_standard_descriptors();
    // The kernel gives words of its command line that it does not know to its first process.
    let given = args.get(1).filter(|path| path.to_bytes().starts_with(b"/"));
    let directory = given.unwrap_or(c"/etc/services");
    let taken = [Signal::CHLD, Signal::HUP, Signal::INT, Signal::TERM, Signal::USR2];
    let signals = match Signals::take(&taken) {
        Ok(signals) => signals,
        Err(errno) => {
            say!("init: no signals: {errno}");
            return 1;
        }
    };
    let mut places = Places::new(directory);
    let mut services = Services::new(directory, args);
    match turns(&signals, &mut places, &mut services) {
        Then::Exit => 0,
        Then::Machine(what) => {
            say!("init: the machine is not ours: {}", process::reboot(what));
            1
        }
    }
}

/// One turn after another, until all is to end and has ended.
fn turns(signals: &Signals, places: &mut Places, services: &mut Services) -> Then {
    let mut then = None;
    loop {
        // First watch and then look, or what happens between is missed.
        if places.watch() {
            services.look_at_all();
        }
        match then {
            Some(then) if services.end() => return then,
            Some(_) => {}
            None => services.turn(),
        }
        let due = services.next_turn().map(|until| until.saturating_sub(sys::now()));
        let look_again = (!places.are_watched()).then_some(LOOK_AGAIN);
        let timeout = due.into_iter().chain(look_again).min();
        // An error says no more than that there may be something.
        let _ = sys::poll([signals.as_raw(), places.as_raw()], timeout);

        while let Some(signal) = signals.next() {
            match signal {
                Signal::HUP => places.forget(),
                Signal::TERM => then = then.or(Some(Then::Exit)),
                Signal::INT => then = then.or(Some(Then::Machine(Machine::Restart))),
                Signal::USR2 => then = then.or(Some(Then::Machine(Machine::PowerOff))),
                // What has ended is asked for below, for signals of one kind become one.
                _ => {}
            }
        }
        while let Some((pid, how)) = process::reap() {
            services.ended(pid, how);
        }
        places.read(|news| match news {
            News::Service { name, complete } => services.look_at(name, complete),
            News::Request(b"exit") => then = then.or(Some(Then::Exit)),
            News::Request(b"reboot") => then = then.or(Some(Then::Machine(Machine::Restart))),
            News::Request(b"poweroff") => then = then.or(Some(Then::Machine(Machine::PowerOff))),
            News::Request(request) => match request.strip_prefix(b"restart-") {
                Some(name) => services.restart(name),
                None => say!("init: no such request: {}", request.escape_ascii()),
            },
        });
    }
}
