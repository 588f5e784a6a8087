//! Waits until a path exists.
//!
//! An example of tinotify's core in a program of a few kilobytes, without libc, heap or threads.

#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::ffi::CStr;
use core::time::Duration;

use bare::{Args, say, sys};
use tinotify::{Errno, Error, Event, InitFlags, Inotify, MAX_RECORD_SIZE, RECORD_SIZE, WatchMask};

bare::main!(run);

const USAGE: &str = "\
usage: wait-for-file PATH [SECONDS]
Exits with 0 when PATH exists, with 2 after SECONDS, and with 1 if it can't wait.";

/// How often to check without an event. A path can appear without one: by a mount on the way, at the end of
/// a link, or in /proc and /sys.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

fn run(args: Args) -> u8 {
    let timeout = args.get(2).map(|text| seconds(text.to_bytes()));
    let (2..=3, Some(path), None | Some(Some(_))) = (args.count(), args.get(1), timeout) else {
        say!("{USAGE}");
        return 1;
    };
    let until = timeout.flatten().map(|timeout| sys::now().saturating_add(timeout));
    match wait(path, until) {
        Ok(true) => 0,
        Ok(false) => 2,
        Err(error) => {
            report(path, error);
            1
        }
    }
}

/// Returns `true` when the path exists, or `false` at the time `until`.
fn wait(path: &CStr, until: Option<Duration>) -> Result<bool, Error> {
    let inotify = Inotify::init(InitFlags::NONBLOCK)?;
    loop {
        // Watch first, check second: what is created after the check is an event.
        let watched = watch_parents(&inotify, path);
        match sys::check_exists(path) {
            Ok(()) => return Ok(true),
            Err(Errno::ENOENT | Errno::ENOTDIR) => watched?,
            // A loop of links or a name that is too long: waiting does not help.
            Err(errno) => return watched.and(Err(Error::AddWatch(errno))),
        }
        loop {
            let now = sys::now();
            let rest = until.map_or(CHECK_INTERVAL, |until| until.saturating_sub(now));
            if rest.is_zero() {
                return Ok(false);
            }
            match inotify.poll(Some(rest.min(CHECK_INTERVAL))) {
                Ok(true) => match must_check::<RECORD_SIZE>(&inotify, path) {
                    Ok(false) => {}
                    Ok(true) => break,
                    // Some file systems have longer names.
                    Err(error) if error.errno() == Some(Errno::EINVAL) => {
                        must_check::<MAX_RECORD_SIZE>(&inotify, path)?;
                        break;
                    }
                    Err(error) => return Err(error),
                },
                Ok(false) => break,
                Err(error) if error.is_interrupted() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Watches each existing directory on the path. Returns the result for the last of them. The directories above
/// it only report the rare case that one of them is renamed or removed.
fn watch_parents(inotify: &Inotify, path: &CStr) -> Result<(), Error> {
    const MASK: WatchMask = WatchMask::CREATE
        .union(WatchMask::MOVED_TO)
        .union(WatchMask::DELETE_SELF)
        .union(WatchMask::MOVE_SELF)
        .union(WatchMask::ONLYDIR);
    let bytes = path.to_bytes();
    let is_relative = !bytes.starts_with(b"/");
    let mut watched = if is_relative { inotify.add_watch(c".", MASK).map(drop) } else { Ok(()) };
    // Only the part that is written to takes memory.
    let mut parent = heapless::CString::<4097>::new();
    for name in bytes.split_inclusive(|&byte| byte == b'/').filter(|name| name.ends_with(b"/")) {
        if parent.extend_from_bytes(name).is_err() {
            break; // Longer than any path that the kernel accepts; `check_exists` fails then.
        }
        match inotify.add_watch(&parent, MASK) {
            Err(Error::AddWatch(Errno::ENOENT | Errno::ENOTDIR)) => break,
            result => watched = result.map(drop),
        }
    }
    watched
}

/// Reads all queued events. Returns `true` if the path may exist now.
#[inline(never)]
fn must_check<const ROOM: usize>(inotify: &Inotify, path: &CStr) -> Result<bool, Error> {
    let is_on_the_path =
        |name: &[u8]| path.to_bytes().split(|&b| b == b'/').any(|part| part == name);
    // An event without a name is about a directory on the path, or reports lost events.
    let is_relevant = |event: Event<'_>| event.name().is_none_or(is_on_the_path);
    let mut is_found = false;
    loop {
        match inotify.read(&mut [0; ROOM]) {
            Ok(mut events) => is_found |= events.any(|event| event.map_or(true, is_relevant)),
            Err(error) if error.is_would_block() => return Ok(is_found),
            Err(error) if error.is_interrupted() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Prints an error. `say!("{error}")` would need a table of all error numbers, half as large as the program.
fn report(path: &CStr, error: Error) {
    let what = match error {
        Error::Init(_) => "cannot create an inotify instance",
        Error::AddWatch(_) => "cannot watch",
        _ => "cannot read events",
    };
    let number = error.errno().map_or(0, Errno::as_raw);
    let why = match error.errno() {
        Some(Errno::EACCES) => "no permission",
        Some(Errno::ELOOP) => "too many symbolic links on the way",
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOSPC) => "a limit is reached",
        Some(Errno::ENAMETOOLONG) => "a name on the way is too long",
        Some(Errno::ENOMEM) => "the kernel has no memory left",
        _ => "see errno(3)",
    };
    let remedy = error.remedy().unwrap_or("no remedy is known");
    let path = path.to_bytes().escape_ascii();
    say!("wait-for-file: {path}: {what}: error {number}: {why}; {remedy}");
}

/// Parses a number such as `10` or `0.5`.
fn seconds(text: &[u8]) -> Option<Duration> {
    let text = str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let unit = 10_u32.pow(9 - fraction.len() as u32);
    Some(Duration::new(whole.parse().ok()?, fraction.parse::<u32>().ok()? * unit))
}
