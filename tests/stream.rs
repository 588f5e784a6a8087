//! What the asynchronous watcher promises, in tokio and in async-io alike.

mod watching;

use std::fs;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use futures_lite::{FutureExt, StreamExt, future};
use tinotify::stream::{AsyncWatcher, Runtime};
use tinotify::{
    AsyncIoWatcher, Errno, Error, EventKind, StopReason, TokioWatcher, WatchError, WatchEventBuf,
    WatchMask, WatchOptions, Watcher, wait_for_async_io, wait_for_tokio,
};
use watching::{LONG, Place, Watchdog, touch};

const CREATE: WatchMask = WatchMask::CREATE;
const STOPPED: WatchError = WatchError::Stopped(StopReason::Requested);
const SHORT: Duration = Duration::from_millis(20);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A runtime, as far as these tests need one.
trait Run {
    type In: Runtime + Unpin + Send + 'static;
    fn run<T>(future: impl Future<Output = T>) -> T;
    fn take(watcher: Watcher) -> AsyncWatcher<Self::In>;
    /// The runtime's own timeout.
    async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T>;
    fn wait_for(path: &Path, mask: WatchMask) -> Boxed<'_, Result<WatchEventBuf, WatchError>>;
}

struct Tokio;
struct TokioThreads;
struct AsyncIo;

macro_rules! in_tokio {
    ($($of:ident: $builder:ident,)*) => {$(
        impl Run for $of {
            type In = tinotify::stream::Tokio;

            fn run<T>(future: impl Future<Output = T>) -> T {
                let mut builder = tokio::runtime::Builder::$builder();
                builder.enable_all().build().unwrap().block_on(future)
            }

            fn take(watcher: Watcher) -> TokioWatcher {
                TokioWatcher::tokio(watcher).unwrap()
            }

            async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
                tokio::time::timeout(time, future).await.ok()
            }

            fn wait_for(
                path: &Path,
                mask: WatchMask,
            ) -> Boxed<'_, Result<WatchEventBuf, WatchError>> {
                Box::pin(wait_for_tokio(path, mask))
            }
        }
    )*};
}

in_tokio! {
    Tokio: new_current_thread,
    TokioThreads: new_multi_thread,
}

impl Run for AsyncIo {
    type In = tinotify::stream::AsyncIo;

    fn run<T>(future: impl Future<Output = T>) -> T {
        async_io::block_on(future)
    }

    fn take(watcher: Watcher) -> AsyncIoWatcher {
        AsyncIoWatcher::async_io(watcher).unwrap()
    }

    async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
        let late = async {
            async_io::Timer::after(time).await;
            None
        };
        async { Some(future.await) }.or(late).await
    }

    fn wait_for(path: &Path, mask: WatchMask) -> Boxed<'_, Result<WatchEventBuf, WatchError>> {
        Box::pin(wait_for_async_io(path, mask))
    }
}

/// Each promise is a test in each runtime.
macro_rules! promises {
    ($($promise:ident,)*) => {
        mod in_tokio {
            $(#[test] fn $promise() { super::$promise::<super::Tokio>(); })*
        }
        mod in_tokio_with_threads {
            $(#[test] fn $promise() { super::$promise::<super::TokioThreads>(); })*
        }
        mod in_async_io {
            $(#[test] fn $promise() { super::$promise::<super::AsyncIo>(); })*
        }
    };
}

promises! {
    next_gives_what_is_there_and_waits_for_what_comes,
    a_batch_is_what_one_read_gives,
    a_stream_gives_one_event_after_another_and_ends_when_stopped,
    a_stream_ends_without_watches_if_asked,
    waiting_for_one_event_is_one_call,
    waiting_for_what_is_not_there_is_an_error_that_names_it,
    a_timeout_is_the_runtimes_business,
    a_storm_of_filtered_events_keeps_no_timeout_from_its_time,
    a_dropped_future_loses_no_event,
    a_future_that_is_dropped_at_any_moment_loses_no_event,
    stopping_wakes_each_way_of_waiting,
    watches_can_come_and_go_while_a_task_waits,
    an_overflow_is_given_and_the_watcher_goes_on,
    a_watcher_can_leave_its_runtime_with_what_it_has,
    two_tasks_have_two_watchers,
    nothing_wakes_a_task_that_waits,
}

/// A watcher of one directory.
fn of<R: Run>(place: &Place) -> AsyncWatcher<R::In> {
    let watcher = R::take(Watcher::new().unwrap());
    watcher.get_ref().watch(place.path(), CREATE).unwrap();
    watcher
}

/// Runs something when a future was polled and waits: in another thread, as others would.
async fn once_it_waits<T>(future: impl Future<Output = T>, act: impl FnOnce() + Send) -> T {
    let mut future = pin!(future);
    let mut act = Some(act);
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if let (Poll::Pending, Some(act)) = (&polled, act.take()) {
            thread::scope(|scope| scope.spawn(act).join()).unwrap();
        }
        polled
    })
    .await
}

fn next_gives_what_is_there_and_waits_for_what_comes<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let mut watcher = of::<R>(&place);
        place.file("a");
        place.file("b");
        assert_eq!(watcher.recv().await.unwrap().path(), place.at("a"));
        assert_eq!(watcher.recv().await.unwrap().path(), place.at("b"));
        for name in ["c", "d", "e"] {
            let event = once_it_waits(watcher.recv(), || drop(place.file(name))).await.unwrap();
            assert_eq!((event.kind(), event.path()), (EventKind::Create, place.at(name)));
        }
    });
}

fn a_batch_is_what_one_read_gives<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let mut watcher = of::<R>(&place);
        for name in ["a", "b", "c"] {
            place.file(name);
        }
        let batch = watcher.recv_batch().await.unwrap();
        assert_eq!(batch.iter().map(|e| e.name().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
        let act = || {
            place.file("d");
        };
        let batch = once_it_waits(watcher.recv_batch(), act).await.unwrap();
        assert_eq!(batch.iter().map(|e| e.name().unwrap()).collect::<Vec<_>>(), ["d"]);
    });
}

fn a_stream_gives_one_event_after_another_and_ends_when_stopped<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let mut watcher = of::<R>(&place);
        let stopper = watcher.get_ref().stop_handle();
        place.file("a");
        place.file("b");
        let first = StreamExt::next(&mut watcher).await.unwrap().unwrap();
        assert_eq!(first.path(), place.at("a"));
        let more = StreamExt::next(&mut watcher).await.unwrap().unwrap();
        assert_eq!(more.path(), place.at("b"));
        assert!(!futures_core::stream::FusedStream::is_terminated(&watcher));
        let end = once_it_waits(StreamExt::next(&mut watcher), move || stopper.stop()).await;
        assert!(end.is_none());
        assert!(futures_core::stream::FusedStream::is_terminated(&watcher));
        assert!(StreamExt::next(&mut watcher).await.is_none(), "and stays ended");
    });
}

fn a_stream_ends_without_watches_if_asked<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let watcher = Watcher::builder().stop_without_watches(true).build().unwrap();
        let once = watcher.watch(place.path(), CREATE | WatchMask::ONESHOT).unwrap();
        place.file("a");
        let all: Vec<_> = R::take(watcher).map(Result::unwrap).collect().await;
        let kinds: Vec<EventKind> = all.iter().map(WatchEventBuf::kind).collect();
        assert_eq!(kinds, [EventKind::Create, EventKind::Ignored]);
        assert!(all.iter().all(|event| event.watch() == Some(once)));

        // Also while it waits.
        let watcher = Watcher::builder().stop_without_watches(true).build().unwrap();
        let watch = watcher.watch(place.path(), CREATE).unwrap();
        let watches = watcher.watches();
        let mut watcher = R::take(watcher);
        let act = move || watches.unwatch(watch).unwrap();
        assert!(once_it_waits(StreamExt::next(&mut watcher), act).await.is_none());
    });
}

fn waiting_for_one_event_is_one_call<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let act = || drop(place.file("a"));
        let event = once_it_waits(R::wait_for(place.path(), CREATE), act).await.unwrap();
        assert_eq!((event.kind(), event.path()), (EventKind::Create, place.at("a")));
        let none = R::within(SHORT, R::wait_for(place.path(), WatchMask::DELETE)).await;
        assert!(none.is_none());
    });
}

fn waiting_for_what_is_not_there_is_an_error_that_names_it<R: Run>() {
    let place = Place::new();
    R::run(async {
        let path = place.at("none");
        let error = R::wait_for(&path, CREATE).await.unwrap_err();
        let expected = Error::AddWatch(Errno::ENOENT);
        assert_eq!(error, WatchError::Path { path: path.clone(), error: expected });
    });
}

fn a_timeout_is_the_runtimes_business<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let mut watcher = of::<R>(&place);
        assert!(R::within(SHORT, watcher.recv()).await.is_none());
        assert!(R::within(SHORT, watcher.recv_batch()).await.is_none());
        assert!(R::within(SHORT, StreamExt::next(&mut watcher)).await.is_none());
        place.file("a");
        assert_eq!(R::within(LONG, watcher.recv()).await.unwrap().unwrap().path(), place.at("a"));
    });
}

fn a_storm_of_filtered_events_keeps_no_timeout_from_its_time<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("file");
    let over = AtomicBool::new(false);
    let storming = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                touch(&file);
                storming.store(true, Ordering::Relaxed);
            }
        });
        R::run(async {
            let mut watcher = R::take(Watcher::new().unwrap());
            let options = WatchOptions::new().filter(|_| false);
            watcher.get_ref().watch_with(&file, WatchMask::ATTRIB, options).unwrap();
            watching::until(|| storming.load(Ordering::Relaxed));
            let begin = std::time::Instant::now();
            assert!(R::within(SHORT, watcher.recv()).await.is_none());
            assert!(begin.elapsed() < SHORT * 50, "{:?}", begin.elapsed());
            over.store(true, Ordering::Relaxed);
        });
    });
}

fn a_dropped_future_loses_no_event<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let mut watcher = of::<R>(&place);
        for round in 0..20 {
            // Polled, dropped, and the event comes after, or before it is polled again.
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

/// A small generator of numbers, the same each time.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn a_future_that_is_dropped_at_any_moment_loses_no_event<R: Run>() {
    let _watchdog = Watchdog::new();
    const FILES: u32 = 10_000;
    let place = Place::new();
    let seen = Arc::new(AtomicU32::new(0));
    R::run(async {
        let mut watcher = of::<R>(&place);
        let writer = thread::spawn({
            let (dir, seen) = (place.path().to_owned(), Arc::clone(&seen));
            move || {
                for i in 0..FILES {
                    while i > seen.load(Ordering::Relaxed) + 2000 {
                        thread::yield_now();
                    }
                    fs::write(dir.join(i.to_string()), "").unwrap();
                }
            }
        });
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = 0;
        let (mut dropped, mut waited) = (0_u32, 0_u32);
        let mut take = |event: &WatchEventBuf| {
            assert_eq!(event.name().unwrap().to_str().unwrap(), next.to_string());
            next += 1;
            seen.store(next, Ordering::Relaxed);
            next
        };
        loop {
            let polls = random(&mut state) % 4;
            let mut given = Vec::new();
            {
                let mut next: Boxed<'_, _> = match random(&mut state) % 3 {
                    0 => Box::pin(async { vec![watcher.recv().await.unwrap().to_buf()] }),
                    1 => Box::pin(async { watcher.recv_batch().await.unwrap() }),
                    _ => Box::pin(async {
                        vec![StreamExt::next(&mut watcher).await.unwrap().unwrap()]
                    }),
                };
                // After a few polls, or a little time, or when it is done.
                if polls == 3 {
                    let time = Duration::from_micros(random(&mut state) % 300);
                    waited += 1;
                    given.extend(R::within(time, &mut next).await.unwrap_or_default());
                } else {
                    for _ in 0..=polls {
                        if let Some(events) = future::poll_once(&mut next).await {
                            given = events;
                            break;
                        }
                        future::yield_now().await;
                    }
                }
            }
            dropped += u32::from(given.is_empty());
            if given.iter().map(&mut take).last() == Some(FILES) {
                break;
            }
        }
        writer.join().unwrap();
        assert!(future::poll_once(watcher.recv()).await.is_none(), "none twice");
        assert!(dropped > 10 && waited > 10, "{dropped} dropped, {waited} with a timer");
    });
    assert_eq!(seen.load(Ordering::Relaxed), FILES);
}

fn stopping_wakes_each_way_of_waiting<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let mut watcher = of::<R>(&place);
        let stopper = watcher.get_ref().stop_handle();
        let ended = once_it_waits(watcher.recv(), || stopper.stop()).await.map(|e| e.to_buf());
        assert_eq!(ended.unwrap_err(), STOPPED);
        // Ever after, though events wait; and they stay.
        place.file("a");
        assert_eq!(watcher.recv().await.unwrap_err(), STOPPED);
        assert_eq!(watcher.recv_batch().await.unwrap_err(), STOPPED);
        assert!(StreamExt::next(&mut watcher).await.is_none());
        assert_eq!(watcher.into_inner().try_iter().count(), 1);

        let mut watcher = of::<R>(&place);
        let stopper = watcher.get_ref().stop_handle();
        let ended = once_it_waits(watcher.recv_batch(), || stopper.clone().stop()).await;
        assert_eq!(ended.unwrap_err(), STOPPED);
    });
}

fn watches_can_come_and_go_while_a_task_waits<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (one, two) = (place.dir("one"), place.dir("two"));
    R::run(async {
        let mut watcher = R::take(Watcher::new().unwrap());
        let watches = watcher.get_ref().watches();
        let act = || {
            let gone = watches.watch(&one, CREATE).unwrap();
            watches.watch(&two, CREATE).unwrap();
            fs::write(one.join("a"), "").unwrap();
            watches.unwatch(gone).unwrap();
            fs::write(two.join("b"), "").unwrap();
        };
        let event = once_it_waits(watcher.recv(), act).await.unwrap();
        assert_eq!(event.path(), two.join("b"));
    });
}

fn an_overflow_is_given_and_the_watcher_goes_on<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let mut watcher = R::take(Watcher::new().unwrap());
        watcher.get_ref().watch(place.path(), WatchMask::ATTRIB).unwrap();
        if !watching::overflow(place.path()) {
            return;
        }
        while !watcher.recv().await.unwrap().is_overflow() {}
        let act = || touch(place.at("a"));
        let event = once_it_waits(watcher.recv(), act).await.unwrap();
        assert_eq!((event.kind(), event.path()), (EventKind::Attrib, place.at("a")));
    });
}

fn a_watcher_can_leave_its_runtime_with_what_it_has<R: Run>() {
    let place = Place::new();
    let mut watcher = R::run(async {
        let mut watcher = of::<R>(&place);
        for name in ["a", "b", "c"] {
            place.file(name);
        }
        watcher.recv().await.unwrap();
        watcher.into_inner()
    });
    assert!(watcher.has_buffered());
    assert_eq!(watching::drained(&mut watcher).len(), 2);
    // And enter another one.
    place.file("d");
    R::run(async {
        let mut watcher = R::take(watcher);
        assert_eq!(watcher.recv().await.unwrap().path(), place.at("d"));
    });
}

fn two_tasks_have_two_watchers<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::run(async {
        let (mut one, mut two) = (of::<R>(&place), of::<R>(&place));
        let both = future::zip(one.recv(), two.recv());
        let (one, two) = once_it_waits(both, || drop(place.file("a"))).await;
        assert_eq!(one.unwrap().path(), two.unwrap().path());
    });
}

/// Counts how often it is woken.
struct Counter(AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn nothing_wakes_a_task_that_waits<R: Run>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let woken = Arc::new(Counter(AtomicU32::new(0)));
    R::run(async {
        let mut watcher = of::<R>(&place);
        let waker = Waker::from(Arc::clone(&woken));
        let mut next = pin!(watcher.recv());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let before = woken.0.load(Ordering::SeqCst);
        assert!(R::within(Duration::from_millis(200), future::pending::<()>()).await.is_none());
        assert_eq!(woken.0.load(Ordering::SeqCst), before);
        place.file("a");
        while woken.0.load(Ordering::SeqCst) == before {
            R::within(Duration::from_millis(1), future::pending::<()>()).await;
        }
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    });
}

#[test]
fn an_asynchronous_watcher_goes_to_other_threads() {
    fn moves<T: Send + 'static>() {}
    moves::<TokioWatcher>();
    moves::<AsyncIoWatcher>();
    let _watchdog = Watchdog::new();
    let place = Place::new();
    TokioThreads::run(async {
        let mut watcher = of::<TokioThreads>(&place);
        let task = tokio::spawn(async move { watcher.recv().await.map(|event| event.path()) });
        place.file("a");
        assert_eq!(task.await.unwrap(), Ok(place.at("a")));
    });
}
