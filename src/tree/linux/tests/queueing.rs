//! Reading ahead changes neither the records nor their positions.

use super::super::queue::Queue;
use super::*;

/// Makes this many changes of two names, which don't merge.
fn change(dir: &Path, count: usize) {
    let files = ["a", "b"].map(|name| fs::File::create(dir.join(name)).unwrap());
    for number in 0..count {
        files[number % 2].set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn the_stream_is_the_same_whether_it_is_read_ahead_or_not() {
    let dir = scratch();
    let mask = WatchMask::ATTRIB | WatchMask::CREATE | WatchMask::DELETE;
    let (ahead, direct) = (instance(), instance());
    for inotify in [&ahead, &direct] {
        inotify.add_watch(&c(dir.path()), mask).unwrap();
    }
    let (mut queue, mut took, mut want) = (Queue::default(), Vec::new(), Vec::new());
    let mut positions = Vec::new();
    for count in [1, 10, 3000, 5000, 2] {
        change(dir.path(), count);
        want.extend(support::raw_bytes(&direct));
        assert_eq!(queue.end(&ahead), want.len() as u64);
        queue.read_ahead(&ahead, 1000);
        assert_eq!(queue.end(&ahead), want.len() as u64);
        assert_eq!(queue.is_empty(), count < 1000);
        while let Some((position, records)) = queue.take() {
            positions.push((position, took.len() as u64));
            took.extend_from_slice(&records);
        }
        let rest = support::raw_bytes(&ahead);
        queue.read(rest.len());
        took.extend(rest);
        assert_eq!(queue.consumed(), want.len() as u64);
    }
    assert!(positions.len() > 2);
    assert!(positions.iter().all(|(position, taken)| position == taken), "{positions:?}");
    assert_eq!(took, want);
}

#[test]
fn nothing_is_read_ahead_before_the_queue_is_long() {
    let dir = scratch();
    let inotify = instance();
    inotify.add_watch(&c(dir.path()), WatchMask::ATTRIB).unwrap();
    change(dir.path(), 400);
    let mut queue = Queue::default();
    for _ in 0..1000 {
        queue.read_ahead(&inotify, 1);
    }
    assert!(queue.is_empty());
    change(dir.path(), 400);
    queue.read_ahead(&inotify, 1000);
    assert!(!queue.is_empty());
    assert!(is_silent(&inotify));
}
