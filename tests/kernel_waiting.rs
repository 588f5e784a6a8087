//! Waiting with the real kernel: timeouts, blocking reads and signals. Checked on Linux 6.18.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod support;

use std::fs::File;
use std::path::Path;
use std::sync::mpsc;
use std::sync::{Barrier, Once};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::pthread::{Pthread, pthread_kill};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use support::{DEADLINE, OwnedEvent, decoded, drain, ev, instance, scratch};
use support::{events_of, watch, watching};
use tinotify::{Errno, Error, EventMask as E, EventRing, FillError, InitFlags, Inotify};
use tinotify::{RECORD_SIZE, WatchMask as W, Wd};

fn blocking(path: impl AsRef<Path>, mask: W) -> (Inotify, Wd) {
    let inotify = Inotify::init(InitFlags::empty()).unwrap();
    let wd = watch(&inotify, path, mask);
    (inotify, wd)
}

fn create(dir: impl AsRef<Path>, name: &str) {
    File::create(dir.as_ref().join(name)).unwrap();
}

#[test]
fn poll_with_a_zero_timeout_returns_at_once() {
    let dir = scratch();
    let (inotify, _) = watching(&dir, W::CREATE);
    assert_eq!(inotify.poll(Some(Duration::ZERO)), Ok(false));
    create(&dir, "file");
    assert_eq!(inotify.poll(Some(Duration::ZERO)), Ok(true));
    // It is ready until the event is read.
    assert_eq!(inotify.poll(Some(Duration::ZERO)), Ok(true));
    drain(&inotify);
    assert_eq!(inotify.poll(Some(Duration::ZERO)), Ok(false));
}

#[test]
fn poll_waits_for_the_whole_timeout_without_an_event() {
    let inotify = instance();
    for timeout in [Duration::from_nanos(1), Duration::from_millis(30)] {
        let start = Instant::now();
        assert_eq!(inotify.poll(Some(timeout)), Ok(false));
        assert!(start.elapsed() >= timeout);
    }
}

#[test]
fn poll_returns_at_once_with_any_timeout_if_an_event_is_queued() {
    let dir = scratch();
    let (inotify, _) = watching(&dir, W::CREATE);
    create(&dir, "file");
    for timeout in [None, Some(Duration::MAX), Some(Duration::from_secs(u64::MAX))] {
        assert_eq!(inotify.poll(timeout), Ok(true));
    }
}

#[test]
fn poll_returns_when_another_thread_causes_an_event() {
    for timeout in [None, Some(Duration::MAX), Some(DEADLINE)] {
        let dir = scratch();
        let (inotify, wd) = watching(&dir, W::CREATE);
        let start = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                create(&dir, "file");
            });
            assert_eq!(inotify.poll(Some(Duration::ZERO)), Ok(false));
            start.wait();
            assert_eq!(inotify.poll(timeout), Ok(true));
        });
        assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name("file")]);
    }
}

#[test]
fn a_blocking_read_waits_for_an_event() {
    let dir = scratch();
    let (inotify, wd) = blocking(&dir, W::CREATE);
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            create(&dir, "file");
        });
        let mut buffer = [0; RECORD_SIZE];
        start.wait();
        let bytes = inotify.read(&mut buffer).unwrap().remainder();
        assert_eq!(decoded(bytes), [ev(wd, E::CREATE).name("file")]);
    });
}

#[test]
fn a_blocking_fill_waits_for_an_event() {
    let dir = scratch();
    let (inotify, wd) = blocking(&dir, W::CREATE);
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            create(&dir, "file");
        });
        let mut ring = EventRing::<17>::new();
        start.wait();
        assert_eq!(inotify.fill(&mut ring), Ok(32));
        let event = OwnedEvent::from(ring.pop().unwrap().unwrap());
        assert_eq!(event, ev(wd, E::CREATE).name("file"));
    });
}

/// Runs `wait` in a new thread, and sends signals to that thread until `wait` returns.
fn interrupted<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    use std::os::unix::thread::JoinHandleExt;
    static HANDLER: Once = Once::new();
    extern "C" fn nothing(_: nix::libc::c_int) {}
    HANDLER.call_once(|| {
        // Without SA_RESTART, because the kernel would then continue the read.
        let action =
            SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing, so it is async-signal-safe. This program sets no other handler
        // for the signal.
        #[allow(unsafe_code)]
        unsafe {
            sigaction(Signal::SIGUSR1, &action).unwrap();
        }
    });
    let (send, done) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let result = wait();
        send.send(()).unwrap();
        result
    });
    let start = Instant::now();
    // A signal before the start of the call interrupts nothing, so send more.
    while done.recv_timeout(Duration::from_millis(1)).is_err() {
        assert!(start.elapsed() < DEADLINE, "no signal interrupts it");
        // The thread is not joined yet, so its handle is valid even if it has ended. The handle is a number
        // in the standard library, and with musl a pointer in nix.
        #[allow(clippy::unnecessary_cast)]
        let waiter = waiter.as_pthread_t() as Pthread;
        pthread_kill(waiter, Signal::SIGUSR1).unwrap();
    }
    waiter.join().unwrap()
}

#[test]
fn a_signal_interrupts_a_blocking_read_without_losing_events() {
    let dir = scratch();
    let (inotify, wd) = blocking(&dir, W::CREATE);
    let (inotify, error) = interrupted(move || {
        let error = inotify.read(&mut [0; RECORD_SIZE]).map(Iterator::count).unwrap_err();
        (inotify, error)
    });
    assert_eq!(error, Error::Read { errno: Errno::EINTR, room: RECORD_SIZE });
    assert!(error.is_interrupted() && !error.is_would_block());

    create(&dir, "after");
    assert_eq!(events_of(&inotify), [ev(wd, E::CREATE).name("after")]);
}

#[test]
fn a_signal_interrupts_a_blocking_fill_and_leaves_the_ring_unchanged() {
    let (inotify, _) = blocking("/", W::DELETE_SELF);
    let (error, ring) = interrupted(move || {
        let mut ring = EventRing::<17>::new();
        (inotify.fill(&mut ring).unwrap_err(), ring)
    });
    assert!(matches!(error, FillError::Read(error) if error.is_interrupted()), "{error:?}");
    assert!(ring.is_empty());
    assert_eq!((ring.free(), ring.fault()), (ring.capacity(), None));
}

#[test]
fn a_signal_interrupts_poll_with_any_timeout() {
    for timeout in [None, Some(Duration::MAX), Some(DEADLINE * 2)] {
        let inotify = instance();
        let result = interrupted(move || inotify.poll(timeout));
        assert_eq!(result, Err(Error::Poll(Errno::EINTR)));
        assert!(result.unwrap_err().is_interrupted());
    }
}
