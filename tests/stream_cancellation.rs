//! What the asynchronous watcher promises when futures are dropped, time out, are stopped, or wait.

#[macro_use]
mod runtimes;
mod watching;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_lite::{StreamExt, future};
use runtimes::{Boxed, TestRuntime, once_pending, watcher_of};
use tinotify::stream::AsyncWatcher;
use tinotify::{StopReason, WatchError, WatchEventBuf, WatchMask, WatchOptions, Watcher};
use watching::{LONG, Place, Watchdog, touch};

const STOPPED: WatchError = WatchError::Stopped(StopReason::Requested);
const SHORT: Duration = Duration::from_millis(20);

in_each_runtime! {
    recv_works_with_the_timeout_of_the_runtime,
    filtered_events_do_not_delay_a_timeout,
    a_dropped_future_loses_no_event,
    a_future_dropped_at_any_moment_loses_no_event,
    a_stop_wakes_each_waiting_future,
    a_waiting_task_is_not_woken_without_an_event,
}

fn recv_works_with_the_timeout_of_the_runtime<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        assert!(R::timeout(SHORT, watcher.recv()).await.is_none());
        assert!(R::timeout(SHORT, watcher.recv_batch()).await.is_none());
        assert!(R::timeout(SHORT, StreamExt::next(&mut watcher)).await.is_none());
        place.file("a");
        assert_eq!(R::timeout(LONG, watcher.recv()).await.unwrap().unwrap().path(), place.at("a"));
    });
}

fn filtered_events_do_not_delay_a_timeout<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let is_over = AtomicBool::new(false);
    let storming = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                touch(&file);
                storming.store(true, Ordering::Relaxed);
            }
        });
        R::block_on(async {
            let mut watcher = R::register(Watcher::new().unwrap());
            let options = WatchOptions::new().filter(|_| false);
            watcher.get_ref().watch_with(&file, WatchMask::ATTRIB, options).unwrap();
            watching::until(|| storming.load(Ordering::Relaxed));
            let begin = std::time::Instant::now();
            assert!(R::timeout(SHORT, watcher.recv()).await.is_none());
            assert!(begin.elapsed() < SHORT * 50, "{:?}", begin.elapsed());
            is_over.store(true, Ordering::Relaxed);
        });
    });
}

fn a_dropped_future_loses_no_event<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        for round in 0..20 {
            // Dropped while it was pending, and before it was polled.
            assert!(future::poll_once(watcher.recv()).await.is_none());
            drop(watcher.recv());
            place.file(format!("{round}"));
            drop(watcher.recv());
            drop(watcher.recv_batch());
            let event = watcher.recv().await.unwrap();
            assert_eq!(event.path(), place.at(format!("{round}")));
        }
        assert!(future::poll_once(watcher.recv()).await.is_none());
    });
}

/// xorshift64: the same numbers in each run.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Makes `count` files with numbers, at most 2,000 ahead of those that were `seen`.
fn make_files(dir: &Path, count: u32, seen: &AtomicU32) {
    for i in 0..count {
        while i > seen.load(Ordering::Relaxed) + 2000 {
            thread::yield_now();
        }
        fs::write(dir.join(i.to_string()), "").unwrap();
    }
}

/// Waits for events with one of three calls.
fn receive<R: TestRuntime>(
    watcher: &mut AsyncWatcher<R::Runtime>,
    call: u64,
) -> Boxed<'_, Vec<WatchEventBuf>> {
    match call {
        0 => Box::pin(async { vec![watcher.recv().await.unwrap().to_buf()] }),
        1 => Box::pin(async { watcher.recv_batch().await.unwrap() }),
        _ => Box::pin(async { vec![StreamExt::next(watcher).await.unwrap().unwrap()] }),
    }
}

/// Polls a future a few times and drops it. Returns its events if it was ready.
async fn poll_and_drop(
    mut future: Boxed<'_, Vec<WatchEventBuf>>,
    polls: u64,
) -> Vec<WatchEventBuf> {
    for _ in 0..polls {
        if let Some(events) = future::poll_once(&mut future).await {
            return events;
        }
        future::yield_now().await;
    }
    Vec::new()
}

fn a_future_dropped_at_any_moment_loses_no_event<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    const FILES: u32 = 10_000;
    let place = Place::new();
    let seen = Arc::new(AtomicU32::new(0));
    R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        let writer = thread::spawn({
            let (dir, seen) = (place.path().to_owned(), Arc::clone(&seen));
            move || make_files(&dir, FILES, &seen)
        });
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = 0;
        let (mut dropped, mut timed) = (0_u32, 0_u32);
        while next < FILES {
            let polls = random(&mut state) % 4;
            let future = receive::<R>(&mut watcher, random(&mut state) % 3);
            let events = if polls == 3 {
                timed += 1;
                let time = Duration::from_micros(random(&mut state) % 300);
                R::timeout(time, future).await.unwrap_or_default()
            } else {
                poll_and_drop(future, polls + 1).await
            };
            dropped += u32::from(events.is_empty());
            for event in events {
                assert_eq!(event.name().unwrap().to_str().unwrap(), next.to_string());
                next += 1;
                seen.store(next, Ordering::Relaxed);
            }
        }
        writer.join().unwrap();
        assert!(future::poll_once(watcher.recv()).await.is_none(), "no event comes twice");
        assert!(dropped > 10 && timed > 10, "{dropped} dropped, {timed} with a timer");
    });
    assert_eq!(seen.load(Ordering::Relaxed), FILES);
}

fn a_stop_wakes_each_waiting_future<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        let stop = watcher.get_ref().stop_handle();
        let stopped = once_pending(watcher.recv(), || stop.stop()).await.map(|e| e.to_buf());
        assert_eq!(stopped.unwrap_err(), STOPPED);
        // Later calls are stopped too, even with an event queued. The event stays.
        place.file("a");
        assert_eq!(watcher.recv().await.unwrap_err(), STOPPED);
        assert_eq!(watcher.recv_batch().await.unwrap_err(), STOPPED);
        assert!(StreamExt::next(&mut watcher).await.is_none());
        assert_eq!(watcher.into_inner().try_iter().count(), 1);

        let mut watcher = watcher_of::<R>(&place);
        let stop = watcher.get_ref().stop_handle();
        let stopped = once_pending(watcher.recv_batch(), || stop.clone().stop()).await;
        assert_eq!(stopped.unwrap_err(), STOPPED);
    });
}

/// Counts wake-ups.
struct Counter(AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn a_waiting_task_is_not_woken_without_an_event<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let woken = Arc::new(Counter(AtomicU32::new(0)));
    R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        let waker = Waker::from(Arc::clone(&woken));
        let mut next = pin!(watcher.recv());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let before = woken.0.load(Ordering::SeqCst);
        assert!(R::timeout(Duration::from_millis(200), future::pending::<()>()).await.is_none());
        assert_eq!(woken.0.load(Ordering::SeqCst), before);
        place.file("a");
        while woken.0.load(Ordering::SeqCst) == before {
            R::timeout(Duration::from_millis(1), future::pending::<()>()).await;
        }
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    });
}
