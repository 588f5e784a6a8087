//! The two watched directories: the one with the services, and /run with the requests.

use core::ffi::{CStr, c_int};

use bare::{say, sys};
use tinotify::{Errno, Event, EventMask, InitFlags, Inotify, MAX_RECORD_SIZE, WatchMask, Wd};

use crate::services;

/// The directory of the requests, and the beginning of their names. The rest of a name is the request.
const REQUESTS: &CStr = c"/run";
const PREFIX: &[u8] = b"init-";

/// What changed in the directories.
pub enum Change<'a> {
    /// The file of a service changed. If not `is_complete`, it may still be written to.
    Service { name: &'a CStr, is_complete: bool },
    /// A request was made. Its file is already removed.
    Request(&'a [u8]),
}

/// A directory and its watch.
struct Directory {
    path: &'static CStr,
    mask: WatchMask,
    wd: Option<Wd>,
    /// `true` if the path may lead to another directory now.
    is_stale: bool,
    /// `true` if the error of watching it was reported.
    is_reported: bool,
}

pub struct Directories {
    inotify: Option<Inotify>,
    services: Directory,
    requests: Directory,
    /// `true` if all services must be checked.
    must_check: bool,
}

impl Directories {
    pub fn new(services: &'static CStr) -> Self {
        let inotify = Inotify::init(InitFlags::NONBLOCK);
        let inotify =
            inotify.inspect_err(|error| say!("init: cannot watch anything: {error}")).ok();
        let directory =
            |path, mask| Directory { path, mask, wd: None, is_stale: true, is_reported: false };
        let ends = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF | WatchMask::ONLYDIR;
        let added = WatchMask::CREATE | WatchMask::MOVED_TO;
        let removed = WatchMask::DELETE | WatchMask::MOVED_FROM;
        Self {
            inotify,
            services: directory(services, added | removed | ends | WatchMask::CLOSE_WRITE),
            requests: directory(REQUESTS, added | ends),
            must_check: true,
        }
    }

    /// Watches the directories that are not watched. Returns `true` if all services must be checked.
    pub fn watch(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return core::mem::take(&mut self.must_check) };
        if self.requests.watch(inotify) {
            // Requests from before are out of date.
            self.clear_requests();
        }
        let watched = self.services.watch(inotify);
        core::mem::take(&mut self.must_check) || watched
    }

    pub fn are_watched(&self) -> bool {
        self.inotify.is_none() || !(self.services.is_stale || self.requests.is_stale)
    }

    /// Has both directories watched and checked again: another file system may be mounted there now.
    pub fn check_again(&mut self) {
        (self.services.is_stale, self.requests.is_stale, self.must_check) = (true, true, true);
    }

    /// Returns the descriptor to poll, or -1, which ppoll(2) ignores, if there is none.
    pub fn as_raw(&self) -> c_int {
        self.inotify.as_ref().map_or(-1, Inotify::as_raw)
    }

    /// Reads all queued events, and calls `each` for every change.
    pub fn read(&mut self, mut each: impl FnMut(Change<'_>)) {
        let Self { inotify: Some(inotify), services, requests, must_check } = self else { return };
        let mut is_lost = false;
        let mut buffer = [0; MAX_RECORD_SIZE];
        while let Ok(events) = inotify.read(&mut buffer) {
            // The bytes of the kernel are valid events.
            for event in events.flatten() {
                if event.is_overflow() {
                    is_lost = true;
                } else if services.is_of(event) {
                    if let Some(name) = services.name(event) {
                        let is_complete = !event.mask().contains(EventMask::CREATE);
                        each(Change::Service { name, is_complete });
                    }
                } else if requests.is_of(event) {
                    take_request(requests.name(event), &mut each);
                }
            }
        }
        if is_lost {
            say!("init: events were lost");
            *must_check = true;
            let path = requests.path;
            let _ = sys::list(path, |name| take_request(Some(name), &mut each));
        }
    }

    fn clear_requests(&self) {
        let _ = sys::list(self.requests.path, |name| take_request(Some(name), &mut |_| {}));
    }
}

impl Directory {
    /// Watches the directory if its path is stale. Returns `true` if another directory is watched now.
    fn watch(&mut self, inotify: &Inotify) -> bool {
        if !self.is_stale {
            return false;
        }
        match inotify.add_watch(self.path, self.mask) {
            Ok(wd) => {
                (self.is_stale, self.is_reported) = (false, false);
                let before = self.wd.replace(wd);
                if let Some(before) = before.filter(|&before| before != wd) {
                    // The old watch may have ended already.
                    let _ = inotify.rm_watch(before);
                }
                before != Some(wd)
            }
            Err(error) if !self.is_reported => {
                say!("init: {}: {error}", self.path.to_bytes().escape_ascii());
                self.is_reported = true;
                false
            }
            Err(_) => false,
        }
    }

    fn is_of(&self, event: Event<'_>) -> bool {
        self.wd == Some(event.wd())
    }

    /// Returns the name of the entry that an event is about. An event of the directory itself makes the path
    /// stale.
    fn name<'e>(&mut self, event: Event<'e>) -> Option<&'e CStr> {
        if event.name().is_none() {
            self.is_stale = true;
        }
        event.name_cstr()
    }
}

/// Removes the file of a request, and calls `each` for the request.
fn take_request(name: Option<&CStr>, each: &mut impl FnMut(Change<'_>)) {
    let Some(request) = name.and_then(|name| name.to_bytes().strip_prefix(PREFIX)) else { return };
    let Some(path) = name.and_then(|name| services::join(REQUESTS, name)) else { return };
    match sys::remove(&path) {
        Ok(()) => each(Change::Request(request)),
        // It was handled already.
        Err(Errno::ENOENT) => {}
        Err(errno) => say!("init: {}: not removed: {errno}", path.to_bytes().escape_ascii()),
    }
}
