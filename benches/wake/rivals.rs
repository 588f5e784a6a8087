//! The rivals. Each one is made for a directory, and is a function that waits for one event.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::mpsc;

use inotify::Inotify;
use notify::{EventKind, RecursiveMode, Watcher as _};
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll, eventfd};
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use tinotify::{WatchEvent, WatchMask, Watcher};

use crate::support::consume;

pub const BUFFER: usize = 4112;

/// Waits for one event.
pub type Wait = Box<dyn FnMut()>;

/// An inotify instance without any library.
pub fn bare(dir: &Path) -> OwnedFd {
    let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
    let inotify = rustix::fs::inotify::init(flags).unwrap();
    rustix::fs::inotify::add_watch(&inotify, dir, WatchFlags::MODIFY).unwrap();
    inotify
}

/// Reads the only event of a bare instance.
pub fn read(inotify: &impl AsFd, buffer: &mut [u8]) -> rustix::io::Result<()> {
    let len = rustix::io::read(inotify, &mut *buffer)?;
    consume(0, 0, 0, Some(&buffer[..len]));
    Ok(())
}

pub fn ppoll(dir: &Path) -> Wait {
    let (inotify, mut buffer) = (bare(dir), vec![0; BUFFER]);
    Box::new(move || {
        let mut fds = [PollFd::new(&inotify, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None), Ok(1));
        read(&inotify, &mut buffer).unwrap();
    })
}

/// The least that a loop does which other threads can end, and which is an epoll(7) instance for others.
pub fn ppoll_of_two(dir: &Path) -> Wait {
    let (inotify, mut buffer) = (bare(dir), vec![0; BUFFER]);
    let wakeup = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
    let instance = epoll_of(&inotify);
    Box::new(move || {
        let _ = &instance;
        let mut fds = [PollFd::new(&inotify, PollFlags::IN), PollFd::new(&wakeup, PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None), Ok(1));
        read(&inotify, &mut buffer).unwrap();
    })
}

pub fn watcher(dir: &Path) -> Watcher {
    let watcher = Watcher::builder().buffer_size(BUFFER).build().unwrap();
    watcher.watch(dir, WatchMask::MODIFY).unwrap();
    watcher
}

/// Uses the parts of an event of ours that the other rivals have too.
pub fn consume_ours(event: &WatchEvent<'_>) {
    let name = event.name().map(OsStrExt::as_bytes);
    consume(event.watch(), event.mask().bits(), event.cookie(), name);
}

pub fn watcher_recv(dir: &Path) -> Wait {
    let mut watcher = watcher(dir);
    Box::new(move || consume_ours(&watcher.recv().unwrap()))
}

fn epoll_of(fd: impl AsFd) -> OwnedFd {
    let instance = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    epoll::add(&instance, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
    instance
}

fn wait_on(instance: &OwnedFd, ready: &mut Vec<epoll::Event>) {
    ready.clear();
    assert_eq!(epoll::wait(instance, spare_capacity(ready), None), Ok(1));
}

pub fn epoll(dir: &Path) -> Wait {
    let (inotify, mut buffer) = (bare(dir), vec![0; BUFFER]);
    let (instance, mut ready) = (epoll_of(&inotify), Vec::with_capacity(1));
    Box::new(move || {
        wait_on(&instance, &mut ready);
        read(&inotify, &mut buffer).unwrap();
    })
}

/// The least that a loop does whose instance combines several descriptors.
pub fn epoll_of_epoll(dir: &Path) -> Wait {
    let (inotify, mut buffer) = (bare(dir), vec![0; BUFFER]);
    let inner = epoll_of(&inotify);
    let (instance, mut ready) = (epoll_of(&inner), Vec::with_capacity(1));
    Box::new(move || {
        let _ = &inner;
        wait_on(&instance, &mut ready);
        read(&inotify, &mut buffer).unwrap();
    })
}

pub fn watcher_epoll(dir: &Path) -> Wait {
    let mut watcher = watcher(dir);
    let (instance, mut ready) = (epoll_of(&watcher), Vec::with_capacity(1));
    Box::new(move || {
        wait_on(&instance, &mut ready);
        consume_ours(&watcher.try_recv().unwrap().unwrap());
    })
}

pub fn inotify_rs(dir: &Path) -> Inotify {
    let inotify = Inotify::init().unwrap();
    inotify.watches().add(dir, inotify::WatchMask::MODIFY).unwrap();
    inotify
}

pub fn inotify_rs_blocking(dir: &Path) -> Wait {
    let (mut inotify, mut buffer) = (inotify_rs(dir), vec![0; BUFFER]);
    Box::new(move || {
        let event = inotify.read_events_blocking(&mut buffer).unwrap().next().unwrap();
        consume(event.wd, event.mask.bits(), event.cookie, event.name.map(OsStrExt::as_bytes));
    })
}

/// notify reads in a thread of its own, which sends each event to this one.
pub fn notify(dir: &Path) -> Wait {
    let (sender, receiver) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).unwrap();
    watcher.watch(dir, RecursiveMode::NonRecursive).unwrap();
    Box::new(move || {
        let _ = &watcher;
        // The child may open its file after the watch was added, which notify reports.
        let event = receiver.iter().find(|event| is_write(event.as_ref().unwrap()));
        let event = event.unwrap().unwrap();
        consume(event.kind, 0, 0, Some(event.paths[0].as_os_str().as_bytes()));
    })
}

fn is_write(event: &notify::Event) -> bool {
    matches!(event.kind, EventKind::Modify(_))
}
