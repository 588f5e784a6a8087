//! Debouncers that read the events of real watchers, in a thread and in both runtimes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tinotify::debounce::{Change, Debouncer, Group};
use tinotify::{StopReason, TreeOptions, WatchError, Watcher};

use crate::watching::{LONG, Place, Watchdog};

const SHORT: Duration = Duration::from_millis(20);

/// Changes files as editors and builds do.
fn change_files(place: &Place) {
    fs::write(place.at("page.tmp"), "text").unwrap();
    fs::rename(place.at("page.tmp"), place.at("page")).unwrap();
    fs::create_dir(place.at("new")).unwrap();
    fs::write(place.at("new/file"), "text").unwrap();
    fs::rename(place.at("new"), place.at("dir")).unwrap();
    fs::write(place.at("known"), "text").unwrap();
    fs::rename(place.at("old"), place.at("renamed")).unwrap();
    fs::write(place.at("passing"), "text").unwrap();
    fs::remove_file(place.at("passing")).unwrap();
}

/// Returns a directory with two files, and a watcher of its tree.
fn small_tree() -> (Place, Watcher) {
    let place = Place::new();
    place.file("known");
    place.file("old");
    let watcher = Watcher::new().unwrap();
    watcher.watch_tree(place.path(), Watcher::CHANGES, TreeOptions::new()).unwrap();
    (place, watcher)
}

fn check(place: &Place, mut groups: Vec<Group>) {
    groups.retain(|group| !matches!(group.change(), Change::Event));
    groups.sort_by(|a, b| a.path().cmp(b.path()));
    let of = |group: &Group| {
        let path = group.path().strip_prefix(place.path()).unwrap().to_owned();
        let from = group.renamed_from().map(|from| from.strip_prefix(place.path()).unwrap());
        let kind = format!("{:?}", group.change());
        let kind = kind.split(' ').next().unwrap().to_owned();
        (kind, path, from.map(Path::to_owned))
    };
    let actual: Vec<_> = groups.iter().map(of).collect();
    let expected = [
        ("Created", "dir", None),
        ("Created", "dir/file", None),
        ("Modified", "known", None),
        ("Created", "page", None),
        ("Renamed", "renamed", Some("old")),
    ];
    let expected =
        expected.map(|(kind, path, from)| (kind.to_owned(), path.into(), from.map(Into::into)));
    assert_eq!(actual, expected);
}

/// The paths that [`check`] expects.
const PATHS: [&str; 5] = ["dir", "dir/file", "known", "page", "renamed"];

fn is_done(place: &Place, groups: &[Group]) -> bool {
    PATHS.iter().all(|path| groups.iter().any(|group| group.path() == place.at(path)))
}

#[test]
fn recv_from_returns_one_group_for_each_path() {
    let _watchdog = Watchdog::new();
    let (place, mut watcher) = small_tree();
    let mut debouncer = Debouncer::new(SHORT);
    change_files(&place);
    let mut groups = Vec::new();
    while !is_done(&place, &groups) {
        groups.push(debouncer.recv_from(&mut watcher).unwrap());
    }
    check(&place, groups);
}

#[test]
fn recv_deadline_from_keeps_pending_groups() {
    let _watchdog = Watchdog::new();
    let (place, mut watcher) = small_tree();
    let mut debouncer = Debouncer::new(LONG);
    change_files(&place);
    let mut groups = Vec::new();
    // Reads all queued events.
    while let Some(group) = debouncer.recv_deadline_from(&mut watcher, Instant::now()).unwrap() {
        assert_eq!(group.change(), Change::Event);
    }
    assert!(!debouncer.is_empty());
    groups.extend(std::iter::from_fn(|| debouncer.flush()));
    check(&place, groups);
}

#[test]
fn a_stop_keeps_pending_groups() {
    let _watchdog = Watchdog::new();
    let (place, mut watcher) = small_tree();
    let mut debouncer = Debouncer::new(LONG);
    change_files(&place);
    watcher.stop_handle().stop();
    let mut groups = Vec::new();
    let error = loop {
        match debouncer.recv_from(&mut watcher) {
            Ok(group) => groups.push(group),
            Err(error) => break error,
        }
    };
    assert_eq!(error, WatchError::Stopped(StopReason::Requested));
    groups.extend(std::iter::from_fn(|| debouncer.flush()));
    check(&place, groups);
}

#[test]
fn the_end_of_a_watch_is_emitted_at_once() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let file = place.file("a");
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(&file, Watcher::CHANGES).unwrap();
    let mut debouncer = Debouncer::new(LONG);
    fs::write(&file, "text").unwrap();
    fs::remove_file(&file).unwrap();
    let group = debouncer.recv_from(&mut watcher).unwrap();
    assert_eq!((group.change(), group.path()), (Change::Removed, &*file));
    assert!(debouncer.recv_from(&mut watcher).unwrap().last_event().is_ignored());
}

#[test]
fn a_file_moved_between_watched_directories_is_one_group() {
    let _watchdog = Watchdog::new();
    let place = Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch(place.dir("tmp"), Watcher::CHANGES).unwrap();
    let new = watcher.watch(place.dir("new"), Watcher::CHANGES).unwrap();
    fs::write(place.at("tmp/mail"), "text").unwrap();
    fs::rename(place.at("tmp/mail"), place.at("new/mail")).unwrap();
    let group = Debouncer::new(SHORT).recv_from(&mut watcher).unwrap();
    assert_eq!((group.change(), group.path()), (Change::Created, &*place.at("new/mail")));
    assert_eq!(group.watch(), Some(new));
}

#[cfg(all(feature = "tokio", feature = "async-io"))]
mod in_a_runtime {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use futures_lite::future::block_on;
    use tinotify::{AsyncIoWatcher, TokioWatcher};

    use super::*;

    fn in_tokio<T>(future: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn tokio_returns_one_group_for_each_path() {
        let _watchdog = Watchdog::new();
        let (place, watcher) = small_tree();
        in_tokio(async {
            let mut watcher = TokioWatcher::tokio(watcher).unwrap();
            let mut debouncer = Debouncer::new(SHORT);
            let sleep = |time: Instant| tokio::time::sleep_until(time.into());
            change_files(&place);
            let mut groups = Vec::new();
            while !is_done(&place, &groups) {
                groups.push(debouncer.recv_from_async(&mut watcher, sleep).await.unwrap());
            }
            check(&place, groups);
        });
    }

    #[test]
    fn async_io_returns_one_group_for_each_path() {
        let _watchdog = Watchdog::new();
        let (place, watcher) = small_tree();
        block_on(async {
            let mut watcher = AsyncIoWatcher::async_io(watcher).unwrap();
            let mut debouncer = Debouncer::new(SHORT);
            change_files(&place);
            let mut groups = Vec::new();
            while !is_done(&place, &groups) {
                groups.push(debouncer.recv_from_async_io(&mut watcher).await.unwrap());
            }
            check(&place, groups);
        });
    }

    #[test]
    fn a_dropped_future_keeps_pending_groups() {
        let _watchdog = Watchdog::new();
        let (place, watcher) = small_tree();
        in_tokio(async {
            let mut watcher = TokioWatcher::tokio(watcher).unwrap();
            let mut debouncer = Debouncer::new(LONG);
            change_files(&place);
            let mut groups = Vec::new();
            while !has_read_all(&debouncer) {
                let future =
                    pin!(debouncer.recv_from_async(&mut watcher, |_| std::future::pending::<()>()));
                let mut future = future;
                let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
                if let Poll::Ready(group) = polled {
                    groups.push(group.unwrap());
                }
                tokio::task::yield_now().await;
            }
            groups.extend(std::iter::from_fn(|| debouncer.flush()));
            check(&place, groups);
        });
    }

    /// Returns `true` if all six paths are pending: those of [`PATHS`], and the one without a net effect.
    fn has_read_all(debouncer: &Debouncer) -> bool {
        debouncer.len() > PATHS.len()
    }
}
