//! Starts the program faster than the standard library does. Only for glibc.
//!
//! Before `main`, the standard library reads `/proc/self/maps` to find the end of the stack, and maps a
//! second stack for a message about an overflow of the first. With the C library's `main` as the entry
//! point it does neither. The parts that the program needs are done here instead. The arguments need
//! nothing: glibc passes them to the standard library before `main`.
//!
//! A panic unwinds with libgcc_eh, which is linked statically. It has the same functions as libgcc_s.so,
//! which the dynamic linker would have to load.
//!
//! Without both, the time from the start until one directory is watched is a fifth shorter.

#![allow(unsafe_code, reason = "two attributes are unsafe; no unsafe function is called")]

use std::ffi::{c_char, c_int};
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::panic;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::FdFlags;
use signal_hook::consts::SIGPIPE;

#[link(name = "gcc_eh")]
unsafe extern "C" {}

/// The status of a Rust program that panicked.
const PANICKED: c_int = 101;

// SAFETY: no other symbol is named `main`, and this is the type of C's `main`.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    open_standard_streams();
    // With a handler, a write to a closed pipe fails instead of ending the program.
    let _ = signal_hook::flag::register(SIGPIPE, Arc::default());
    // It returns only by a panic.
    panic::catch_unwind(crate::main).map_or(PANICKED, |()| 0)
}

/// Opens `/dev/null` as each standard stream that is closed. Otherwise the next file would become that
/// stream, and messages would be written to it.
fn open_standard_streams() {
    use rustix::stdio::{stderr, stdin, stdout};

    let streams = [stdin(), stdout(), stderr()];
    let mut fds = streams.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
    if rustix::event::poll(&mut fds, Some(&Timespec::default())).is_err() {
        return;
    }
    for _closed in fds.iter().filter(|fd| fd.revents().contains(PollFlags::NVAL)) {
        // The kernel returns the lowest free number, which is that of the stream.
        if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
            // Commands inherit it.
            let _ = rustix::io::fcntl_setfd(&null, FdFlags::empty());
            let _ = null.into_raw_fd();
        }
    }
}
