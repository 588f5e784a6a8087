//! The two directories that are watched: that of the services, and /run for requests.

use core::ffi::{CStr, c_int};

use bare::{say, sys};
use tinotify::{Errno, Event, EventMask, InitFlags, Inotify, MAX_RECORD_SIZE, WatchMask, Wd};

use crate::services;

/// Where requests are made, as files of these names; the rest of the name says what is wanted.
const REQUESTS: &CStr = c"/run";
const PREFIX: &[u8] = b"init-";

/// What there is to look at.
pub enum News<'a> {
    /// The file of a service; not `complete` where it may still be written to.
    Service { name: &'a CStr, complete: bool },
    /// A request, which is removed already.
    Request(&'a [u8]),
}

/// A directory, and whether it is watched.
struct Place {
    path: &'static CStr,
    mask: WatchMask,
    wd: Option<Wd>,
    /// Whether the path may lead elsewhere now.
    doubtful: bool,
    /// Whether it was told that it can't be.
    told: bool,
}

pub struct Places {
    inotify: Option<Inotify>,
    services: Place,
    requests: Place,
    /// Whether all services are to be looked at.
    look: bool,
}

impl Places {
    pub fn new(directory: &'static CStr) -> Self {
        let inotify = Inotify::init(InitFlags::NONBLOCK);
        let inotify = inotify.inspect_err(|error| say!("init: nothing is watched: {error}")).ok();
        let place = |path, mask| Place { path, mask, wd: None, doubtful: true, told: false };
        let ends = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF | WatchMask::ONLYDIR;
        let comes = WatchMask::CREATE | WatchMask::MOVED_TO;
        let goes = WatchMask::DELETE | WatchMask::MOVED_FROM;
        Self {
            inotify,
            services: place(directory, comes | goes | ends | WatchMask::CLOSE_WRITE),
            requests: place(REQUESTS, comes | ends),
            look: true,
        }
    }

    /// Watches what is not watched. Gives whether the services are to be looked at, all of them.
    pub fn watch(&mut self) -> bool {
        let Some(inotify) = &self.inotify else { return core::mem::take(&mut self.look) };
        if self.requests.watch(inotify) {
            // These are from before: nobody knows what they were for.
            self.clear_requests();
        }
        let watched = self.services.watch(inotify);
        core::mem::take(&mut self.look) || watched
    }

    pub fn are_watched(&self) -> bool {
        self.inotify.is_none() || !(self.services.doubtful || self.requests.doubtful)
    }

    /// Begins anew: something else may be mounted there now.
    pub fn forget(&mut self) {
        (self.services.doubtful, self.requests.doubtful, self.look) = (true, true, true);
    }

    /// The descriptor to wait for; none is -1, which ppoll(2) passes over.
    pub fn as_raw(&self) -> c_int {
        self.inotify.as_ref().map_or(-1, Inotify::as_raw)
    }

    /// Reads all events that are queued.
    pub fn read(&mut self, mut each: impl FnMut(News<'_>)) {
        let Self { inotify: Some(inotify), services, requests, look } = self else { return };
        let mut lost = false;
        let mut buffer = [0; MAX_RECORD_SIZE];
        while let Ok(events) = inotify.read(&mut buffer) {
            // The kernel's bytes are events.
            for event in events.flatten() {
                if event.is_overflow() {
                    lost = true;
                } else if services.is_of(event) {
                    if let Some(name) = services.name(event) {
                        let complete = !event.mask().contains(EventMask::CREATE);
                        each(News::Service { name, complete });
                    }
                } else if requests.is_of(event) {
                    take_request(requests.name(event), &mut each);
                }
            }
        }
        if lost {
            say!("init: events were lost");
            *look = true;
            let path = requests.path;
            let _ = sys::list(path, |name| take_request(Some(name), &mut each));
        }
    }

    fn clear_requests(&self) {
        let _ = sys::list(self.requests.path, |name| take_request(Some(name), &mut |_| {}));
    }
}

impl Place {
    /// Gives whether another directory is watched now.
    fn watch(&mut self, inotify: &Inotify) -> bool {
        if !self.doubtful {
            return false;
        }
        match inotify.add_watch(self.path, self.mask) {
            Ok(wd) => {
                (self.doubtful, self.told) = (false, false);
                let before = self.wd.replace(wd);
                if let Some(before) = before.filter(|&before| before != wd) {
                    // It may have ended already.
                    let _ = inotify.rm_watch(before);
                }
                before != Some(wd)
            }
            Err(error) if !self.told => {
                say!("init: {}: {error}", self.path.to_bytes().escape_ascii());
                self.told = true;
                false
            }
            Err(_) => false,
        }
    }

    fn is_of(&self, event: Event<'_>) -> bool {
        self.wd == Some(event.wd())
    }

    /// The name of the entry that an event is about. If it is about the directory itself, another one
    /// may be there now.
    fn name<'e>(&mut self, event: Event<'e>) -> Option<&'e CStr> {
        if event.name().is_none() {
            self.doubtful = true;
        }
        event.name_cstr()
    }
}

/// Takes a request away, if it is one.
fn take_request(name: Option<&CStr>, each: &mut impl FnMut(News<'_>)) {
    let Some(request) = name.and_then(|name| name.to_bytes().strip_prefix(PREFIX)) else { return };
    let Some(path) = name.and_then(|name| services::join(REQUESTS, name)) else { return };
    match sys::remove(&path) {
        Ok(()) => each(News::Request(request)),
        // It was taken already.
        Err(Errno::ENOENT) => {}
        Err(errno) => say!("init: {}: not removed: {errno}", path.to_bytes().escape_ascii()),
    }
}
