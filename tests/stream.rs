//! What the asynchronous watcher promises of events, in tokio and in async-io.

#[macro_use]
mod runtimes;
mod watching;

use std::fs;
use std::time::Duration;

use futures_lite::{StreamExt, future};
use runtimes::{TestRuntime, TokioThreads, once_pending, watcher_of};
use tinotify::{
    AsyncIoWatcher, Errno, Error, EventKind, TokioWatcher, WatchError, WatchEventBuf, WatchMask,
    Watcher,
};
use watching::{Place, Watchdog, touch};

const CREATE: WatchMask = WatchMask::CREATE;
const SHORT: Duration = Duration::from_millis(20);

in_each_runtime! {
    recv_returns_queued_events_and_waits_for_new_ones,
    a_batch_is_the_events_of_one_read,
    a_stream_returns_each_event_and_ends_after_a_stop,
    stop_without_watches_ends_a_stream,
    wait_for_returns_one_event,
    wait_for_returns_an_error_that_names_a_missing_path,
    watches_can_be_added_and_removed_while_a_task_waits,
    an_overflow_is_reported_and_the_watcher_continues,
    a_watcher_keeps_its_events_when_it_leaves_its_runtime,
    two_tasks_can_read_two_watchers,
}

fn recv_returns_queued_events_and_waits_for_new_ones<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        place.file("a");
        place.file("b");
        assert_eq!(watcher.recv().await.unwrap().path(), place.at("a"));
        assert_eq!(watcher.recv().await.unwrap().path(), place.at("b"));
        for name in ["c", "d", "e"] {
            let event = once_pending(watcher.recv(), || drop(place.file(name))).await.unwrap();
            assert_eq!(
                (event.kind(), event.path().to_owned()),
                (EventKind::Create, place.at(name))
            );
        }
    });
}

fn a_batch_is_the_events_of_one_read<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        for name in ["a", "b", "c"] {
            place.file(name);
        }
        let batch = watcher.recv_batch().await.unwrap();
        assert_eq!(batch.iter().map(|e| e.name().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
        let action = || {
            place.file("d");
        };
        let batch = once_pending(watcher.recv_batch(), action).await.unwrap();
        assert_eq!(batch.iter().map(|e| e.name().unwrap()).collect::<Vec<_>>(), ["d"]);
    });
}

fn a_stream_returns_each_event_and_ends_after_a_stop<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        let stop = watcher.get_ref().stop_handle();
        place.file("a");
        place.file("b");
        let first = StreamExt::next(&mut watcher).await.unwrap().unwrap();
        assert_eq!(first.path(), place.at("a"));
        let second = StreamExt::next(&mut watcher).await.unwrap().unwrap();
        assert_eq!(second.path(), place.at("b"));
        assert!(!futures_core::stream::FusedStream::is_terminated(&watcher));
        let end = once_pending(StreamExt::next(&mut watcher), move || stop.stop()).await;
        assert!(end.is_none());
        assert!(futures_core::stream::FusedStream::is_terminated(&watcher));
        assert!(StreamExt::next(&mut watcher).await.is_none(), "and it stays ended");
    });
}

fn stop_without_watches_ends_a_stream<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let watcher = Watcher::builder().stop_without_watches(true).build().unwrap();
        let once = watcher.watch(place.path(), CREATE | WatchMask::ONESHOT).unwrap();
        place.file("a");
        let events: Vec<_> = R::register(watcher).map(Result::unwrap).collect().await;
        let kinds: Vec<EventKind> = events.iter().map(WatchEventBuf::kind).collect();
        assert_eq!(kinds, [EventKind::Create, EventKind::Ignored]);
        assert!(events.iter().all(|event| event.watch() == Some(once)));

        // The same while the stream waits.
        let watcher = Watcher::builder().stop_without_watches(true).build().unwrap();
        let watch = watcher.watch(place.path(), CREATE).unwrap();
        let watches = watcher.watches();
        let mut watcher = R::register(watcher);
        let action = move || watches.unwatch(watch).unwrap();
        assert!(once_pending(StreamExt::next(&mut watcher), action).await.is_none());
    });
}

fn wait_for_returns_one_event<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let action = || drop(place.file("a"));
        let event = once_pending(R::wait_for(place.path(), CREATE), action).await.unwrap();
        assert_eq!((event.kind(), event.path().to_owned()), (EventKind::Create, place.at("a")));
        let none = R::timeout(SHORT, R::wait_for(place.path(), WatchMask::DELETE)).await;
        assert!(none.is_none());
    });
}

fn wait_for_returns_an_error_that_names_a_missing_path<R: TestRuntime>() {
    let place = Place::new();
    R::block_on(async {
        let path = place.at("none");
        let error = R::wait_for(&path, CREATE).await.unwrap_err();
        let expected = Error::AddWatch(Errno::ENOENT);
        assert_eq!(error, WatchError::Path { path: path.clone(), error: expected });
    });
}

fn watches_can_be_added_and_removed_while_a_task_waits<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let (one, two) = (place.dir("one"), place.dir("two"));
    R::block_on(async {
        let mut watcher = R::register(Watcher::new().unwrap());
        let watches = watcher.get_ref().watches();
        let action = || {
            let removed = watches.watch(&one, CREATE).unwrap();
            watches.watch(&two, CREATE).unwrap();
            fs::write(one.join("a"), "").unwrap();
            watches.unwatch(removed).unwrap();
            fs::write(two.join("b"), "").unwrap();
        };
        let event = once_pending(watcher.recv(), action).await.unwrap();
        assert_eq!(event.path(), two.join("b"));
    });
}

fn an_overflow_is_reported_and_the_watcher_continues<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let mut watcher = R::register(Watcher::new().unwrap());
        watcher.get_ref().watch(place.path(), WatchMask::ATTRIB).unwrap();
        if !watching::overflow(place.path()) {
            return;
        }
        while !watcher.recv().await.unwrap().is_overflow() {}
        let action = || touch(place.at("a"));
        let event = once_pending(watcher.recv(), action).await.unwrap();
        assert_eq!((event.kind(), event.path().to_owned()), (EventKind::Attrib, place.at("a")));
    });
}

fn a_watcher_keeps_its_events_when_it_leaves_its_runtime<R: TestRuntime>() {
    let place = Place::new();
    let mut watcher = R::block_on(async {
        let mut watcher = watcher_of::<R>(&place);
        for name in ["a", "b", "c"] {
            place.file(name);
        }
        watcher.recv().await.unwrap();
        watcher.into_inner()
    });
    assert!(watcher.has_buffered());
    assert_eq!(watching::drained(&mut watcher).len(), 2);
    // It can be registered in another runtime.
    place.file("d");
    R::block_on(async {
        let mut watcher = R::register(watcher);
        assert_eq!(watcher.recv().await.unwrap().path(), place.at("d"));
    });
}

fn two_tasks_can_read_two_watchers<R: TestRuntime>() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    R::block_on(async {
        let (mut one, mut two) = (watcher_of::<R>(&place), watcher_of::<R>(&place));
        let both = future::zip(one.recv(), two.recv());
        let (one, two) = once_pending(both, || drop(place.file("a"))).await;
        assert_eq!(one.unwrap().path(), two.unwrap().path());
    });
}

#[test]
fn an_asynchronous_watcher_can_be_sent_to_another_thread() {
    fn assert_send<T: Send + 'static>() {}
    assert_send::<TokioWatcher>();
    assert_send::<AsyncIoWatcher>();
    let _watchdog = Watchdog::new();
    let place = Place::new();
    TokioThreads::block_on(async {
        let mut watcher = watcher_of::<TokioThreads>(&place);
        let task =
            tokio::spawn(async move { watcher.recv().await.map(|event| event.path().to_owned()) });
        place.file("a");
        assert_eq!(task.await.unwrap(), Ok(place.at("a")));
    });
}
