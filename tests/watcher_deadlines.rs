//! Deadlines and stops are kept while filtered events keep coming, and in forked processes.

mod watching;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use rustix::time::{ClockId, clock_gettime};
use tinotify::{StopReason, WatchError, WatchMask, WatchOptions, Watcher};
use watching::{Place, Watchdog, touch};

const ATTRIB: WatchMask = WatchMask::ATTRIB;
/// The number of queued events that the filter discards.
const QUEUED: u32 = 1000;

/// Returns a watcher with many queued events. Its filter calls `each` for each event and discards it.
fn filtered(place: &Place, each: impl Fn() + Send + Sync + 'static) -> (Watcher, Arc<AtomicU32>) {
    let (a, b) = (place.file("a"), place.file("b"));
    let watcher = Watcher::new().unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let options = WatchOptions::new().filter(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        each();
        false
    });
    watcher.watch_with(place.path(), ATTRIB, options).unwrap();
    for i in 0..QUEUED {
        // Two files in turn, since identical events would merge.
        touch(if i % 2 == 0 { &a } else { &b });
    }
    (watcher, calls)
}

#[test]
fn a_deadline_is_kept_while_filtered_events_are_queued() {
    let place = Place::new();
    // The filter returns at the deadline.
    let deadline = Arc::new(Mutex::new(Instant::now()));
    let end = Arc::clone(&deadline);
    let (mut watcher, calls) = filtered(&place, move || {
        while Instant::now() < *end.lock().unwrap() {
            std::hint::spin_loop();
        }
    });
    for call in 1..=5 {
        let time = Instant::now() + Duration::from_millis(20);
        *deadline.lock().unwrap() = time;
        assert!(watcher.recv_deadline(time).unwrap().is_none());
        assert!(calls.load(Ordering::Relaxed) <= call, "one record per call");
    }
    // A zero timeout reads all queued events.
    assert!(watcher.recv_timeout(Duration::ZERO).unwrap().is_none());
    assert_eq!(calls.load(Ordering::Relaxed), QUEUED);
}

#[test]
fn a_stop_ends_a_wait_while_filtered_events_are_queued() {
    let place = Place::new();
    let stop = Arc::new(Mutex::new(None));
    let handle = Arc::clone(&stop);
    let (mut watcher, calls) = filtered(&place, move || {
        let handle: &Mutex<Option<tinotify::StopHandle>> = &handle;
        handle.lock().unwrap().as_ref().unwrap().stop();
    });
    *stop.lock().unwrap() = Some(watcher.stop_handle());
    let stopped = watcher.recv().map(|event| event.to_buf());
    assert!(matches!(stopped, Err(WatchError::Stopped(StopReason::Requested))), "{stopped:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    // Calls that do not wait first read all queued events.
    let stopped = watcher.try_recv().map(|event| event.map(|event| event.to_buf()));
    assert_eq!(stopped.err(), Some(WatchError::Stopped(StopReason::Requested)));
    assert_eq!(calls.load(Ordering::Relaxed), QUEUED);
}

/// Returns the processor time of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

#[test]
fn a_stop_in_a_forked_child_does_not_affect_the_parent() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.path(), WatchMask::CREATE).unwrap();
    let stop = watcher.stop_handle();
    // SAFETY: the child only makes system calls and atomic accesses, and ends without unwinding.
    #[allow(unsafe_code)]
    let forked = unsafe { fork() }.unwrap();
    let child = match forked {
        ForkResult::Child => {
            stop.stop();
            stop.stop();
            let is_stopped = stop.is_stopped() && watcher.recv().is_err();
            rustix::process::kill_process(
                rustix::process::getpid(),
                if is_stopped {
                    rustix::process::Signal::USR1
                } else {
                    rustix::process::Signal::KILL
                },
            )
            .unwrap();
            loop {
                std::hint::spin_loop();
            }
        }
        ForkResult::Parent { child } => child,
    };
    let status = waitpid(child, None).unwrap();
    let WaitStatus::Signaled(_, signal, _) = status else { panic!("{status:?}") };
    assert_eq!(signal, nix::sys::signal::Signal::SIGUSR1, "the child was stopped");

    assert!(!watcher.is_stopped() && !stop.is_stopped());
    let (begin, wait) = (processor_time(), Duration::from_millis(300));
    assert!(watcher.recv_timeout(wait).unwrap().is_none());
    let used = processor_time() - begin;
    assert!(used < wait / 2, "the parent spins: {used:?} of processor time in {wait:?}");
    place.file("a");
    assert_eq!(watcher.recv().unwrap().name().unwrap(), "a");
    stop.stop();
    assert!(matches!(watcher.recv(), Err(WatchError::Stopped(StopReason::Requested))));
}

#[test]
fn a_zero_timeout_reads_only_events_queued_before_the_call() {
    let place = Place::new();
    let (a, b) = (place.file("a"), place.file("b"));
    let storm = {
        let (a, b) = (a.clone(), b.clone());
        let which = Mutex::new(Cell::new(false));
        move || {
            // Each filtered event causes two others.
            let which = which.lock().unwrap();
            which.set(!which.get());
            touch(if which.get() { &a } else { &b });
            touch(if which.get() { &b } else { &a });
        }
    };
    let (mut watcher, calls) = filtered(&place, storm);
    assert!(watcher.recv_timeout(Duration::ZERO).unwrap().is_none());
    let calls = calls.load(Ordering::Relaxed);
    assert!((QUEUED..QUEUED + 2).contains(&calls), "{calls} events filtered, of {QUEUED}");
}

#[test]
fn an_iterator_ends_after_a_fatal_error() {
    let mut watcher = Watcher::new().unwrap();
    // A directory replaces the inotify instance: poll(2) says that it is readable, and read(2) fails.
    let raw = std::os::fd::AsRawFd::as_raw_fd(&watcher.inotify_fd());
    let directory = std::fs::File::open("/").unwrap();
    // SAFETY: `raw` is open. The watcher still owns it: `ManuallyDrop` prevents a second close.
    #[allow(unsafe_code)]
    let mut borrowed = std::mem::ManuallyDrop::new(unsafe {
        <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(raw)
    });
    rustix::io::dup2(&directory, &mut borrowed).unwrap();
    for round in 0..2 {
        let mut errors = watcher.iter().filter_map(Result::err).take(3);
        assert!(errors.next().unwrap().is_fatal(), "round {round}");
        assert_eq!(errors.next(), None);
        assert_eq!(watcher.try_iter().count(), 1);
        let mut items = watcher.iter_timeout(Duration::from_millis(1));
        assert!(items.next().unwrap().is_err() && items.next().is_none());
    }
}

#[test]
fn try_recv_returns_although_filtered_events_keep_coming() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let files = ["a", "b"].map(|name| place.at(name));
    let which = AtomicU32::new(0);
    let (mut watcher, calls) = filtered(&place, move || {
        // Each filtered event causes another one.
        touch(&files[which.fetch_add(1, Ordering::Relaxed) as usize % 2]);
    });
    assert!(watcher.try_recv().unwrap().is_none());
    let calls = calls.load(Ordering::Relaxed);
    assert!((QUEUED..10 * QUEUED).contains(&calls), "{calls} events filtered");
    // poll(2) shows that more events are queued.
    let mut fds = [rustix::event::PollFd::new(&watcher, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&now)).unwrap(), 1);
}
