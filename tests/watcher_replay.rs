//! Event handlers can be tested without a kernel, with events that were built or recorded.

mod watching;

use std::path::{Path, PathBuf};
use std::time::Duration;

use quickcheck::quickcheck;
use tinotify::{
    DecodeErrorKind, Errno, Error, Event, EventMask, EventSource, MAX_RECORD_SIZE, Replay,
    StopReason, WatchError, WatchEventBuf, WatchMask, Watcher, Wd,
};
use watching::{Place, drained, overflow};

const STOPPED: WatchError = WatchError::Stopped(StopReason::Requested);
const TIMEOUT: Duration = Duration::from_secs(1);

/// Returns a `CREATE` event of a name in `/srv`.
fn created(name: &str) -> WatchEventBuf {
    WatchEventBuf::builder(EventMask::CREATE).directory("/srv").name(name).build()
}

/// Reads until the source is stopped. Returns the paths of events, and the numbers of errors.
fn handle(source: &mut impl EventSource) -> Vec<Result<PathBuf, Option<Errno>>> {
    let mut handled = Vec::new();
    loop {
        match source.recv() {
            Ok(event) => handled.push(Ok(event.path().to_owned())),
            Err(WatchError::Stopped(_)) => return handled,
            Err(error) => handled.push(Err(error.errno())),
        }
    }
}

#[test]
fn one_handler_reads_a_watcher_and_a_replay() {
    let place = Place::new();
    let mut watcher = Watcher::builder().stop_without_watches(true).build().unwrap();
    let dir = place.dir("dir");
    watcher.watch(&dir, WatchMask::CREATE).unwrap();
    place.file("dir/a");
    place.file("dir/b");
    std::fs::remove_dir_all(&dir).unwrap();
    let mut replay: Replay = ["a", "b"]
        .map(|name| WatchEventBuf::builder(EventMask::CREATE).directory(&dir).name(name).build())
        .into_iter()
        .collect();
    let mut expected = handle(&mut replay);
    // The path of the event that ends the watch.
    expected.push(Ok(dir.clone()));
    assert_eq!(handle(&mut watcher), expected);
    assert!(replay.is_empty());
}

#[test]
fn only_calls_with_a_timeout_see_a_pause() {
    let steps = || {
        let mut replay = Replay::new();
        replay.event(created("a")).pause().pause().event(created("b")).pause();
        replay
    };
    let mut replay = steps();
    assert_eq!(replay.recv().unwrap().path(), Path::new("/srv/a"));
    assert_eq!(replay.recv().unwrap().path(), Path::new("/srv/b"));
    assert_eq!(replay.recv().unwrap_err(), STOPPED);

    type Call = fn(&mut Replay) -> Result<Option<PathBuf>, WatchError>;
    let calls: [Call; 2] = [
        |replay| Ok(replay.try_recv()?.map(|event| event.path().to_owned())),
        |replay| Ok(replay.recv_timeout(TIMEOUT)?.map(|event| event.path().to_owned())),
    ];
    for call in calls {
        let mut replay = steps();
        let all: Vec<_> = (0..6).map(|_| call(&mut replay)).collect();
        let (a, b) = (PathBuf::from("/srv/a"), PathBuf::from("/srv/b"));
        assert_eq!(all, [Ok(Some(a)), Ok(None), Ok(None), Ok(Some(b)), Ok(None), Err(STOPPED)]);
    }
}

#[test]
fn an_error_is_returned_once_and_reading_continues() {
    let failed = WatchError::Inotify(Error::Poll(Errno::EINVAL));
    let mut replay = Replay::new();
    replay.error(failed).event(created("a"));
    let expected = [Err(Some(Errno::EINVAL)), Ok(PathBuf::from("/srv/a"))];
    assert_eq!(handle(&mut replay), expected);
}

#[test]
fn a_replay_is_an_iterator_like_that_of_a_watcher() {
    let failed = WatchError::Inotify(Error::Poll(Errno::EINVAL));
    let mut replay = Replay::new();
    replay.event(created("a")).pause().error(failed.clone()).event(created("b")).pause();
    let all: Vec<_> = replay.by_ref().collect();
    assert_eq!(all, [Ok(created("a")), Err(failed), Ok(created("b"))]);
    assert!(replay.is_empty() && replay.next().is_none());
}

#[cfg(any(feature = "tokio", feature = "async-io"))]
#[test]
fn a_replay_is_a_stream_like_an_asynchronous_watcher() {
    use futures_lite::StreamExt;
    let mut replay = Replay::new();
    replay.event(created("a")).pause().event(created("b"));
    let all: Vec<_> = futures_lite::future::block_on(StreamExt::collect(&mut replay));
    assert_eq!(all, [Ok(created("a")), Ok(created("b"))]);
}

/// Encodes events as records of the kernel.
fn record(events: &[WatchEventBuf]) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; MAX_RECORD_SIZE]);
    for event in events {
        let len = event.event().encode(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..len]);
    }
    bytes
}

#[test]
fn recorded_events_are_replayed_unchanged() {
    let place = Place::new();
    let dir = place.dir("dir");
    let mut watcher = Watcher::new().unwrap();
    let mask = Watcher::CHANGES;
    watcher.watch(place.path(), mask).unwrap();
    watcher.watch(&dir, mask).unwrap();
    place.file("dir/a");
    std::fs::rename(place.at("dir/a"), place.at("b")).unwrap();
    let mut events = drained(&mut watcher);
    if overflow(&dir) {
        events.extend(drained(&mut watcher));
        assert!(events.iter().any(WatchEventBuf::is_overflow));
    }
    let directory = |wd: Wd| {
        let event = events.iter().find(|event| event.event().wd() == wd)?;
        event.directory().map(Path::to_owned)
    };
    let mut replay = Replay::from_records(&record(&events), directory).unwrap();
    for event in &events {
        let replayed = replay.recv().unwrap();
        assert_eq!(replayed.event(), event.event());
        assert_eq!((replayed.path(), replayed.to_string()), (event.path(), event.to_string()));
        assert_eq!(replayed.directory(), event.directory());
    }
    assert!(replay.is_empty());
}

#[test]
fn events_of_watch_descriptors_without_a_path_are_skipped() {
    let event = |wd| WatchEventBuf::builder(EventMask::MODIFY).wd(Wd::from_raw(wd)).build();
    let bytes = record(&[event(1), event(2), event(1)]);
    let directory = |wd: Wd| (wd == Wd::from_raw(2)).then(|| "/two".into());
    let mut replay = Replay::from_records(&bytes, directory).unwrap();
    assert_eq!(handle(&mut replay), [Ok("/two".into())]);
}

#[test]
fn a_truncated_record_is_an_error() {
    let bytes = record(&[created("a"), created("b")]);
    let error = Replay::from_records(&bytes[..40], |_| None).unwrap_err();
    assert_eq!((error.offset(), error.kind()), (32, DecodeErrorKind::HeaderCut { have: 8 }));
}

quickcheck! {
    fn any_bytes_make_a_replay_or_an_error(bytes: Vec<u8>) -> bool {
        match Replay::from_records(&bytes, |_| Some("/srv".into())) {
            Ok(mut replay) => handle(&mut replay).len() <= bytes.len() / 16,
            Err(error) => error.offset() <= bytes.len(),
        }
    }

    fn each_record_becomes_one_event(wds: Vec<(i32, u32, u32)>) -> bool {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16];
        for &(wd, mask, cookie) in &wds {
            let mask = EventMask::from_bits_retain(mask);
            Event::new(Wd::from_raw(wd), mask, cookie, None).encode(&mut buffer).unwrap();
            bytes.extend_from_slice(&buffer);
        }
        handle(&mut Replay::from_records(&bytes, |_| Some("/srv".into())).unwrap()).len() == wds.len()
    }
}
