//! A service for trying `init`: `probe NAME [stubborn|parent]` prints when it is started and when it is
//! asked to end. It ends at once; with `stubborn`, it never does. With `parent`, it starts another probe and
//! exits without waiting for it.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

use bare::process::{Command, Signal, Signals};
use bare::{Args, say, sys};

bare::main!(run);

fn run(args: Args) -> u8 {
    let name = args.get(1).unwrap_or(c"probe").to_bytes().escape_ascii();
    let Ok(signals) = Signals::block(&[Signal::TERM]) else { return 1 };
    say!("{name} is here");
    if args.get(2) == Some(c"parent") {
        let child = Command::parse(b"/probe child").map(|command| command.spawn(args));
        return u8::from(!matches!(child, Some(Ok(_))));
    }
    loop {
        if sys::poll([signals.as_raw()], None).is_ok() && signals.next().is_some() {
            say!("{name} is asked to end");
            if args.get(2).is_none() {
                return 0;
            }
        }
    }
}
