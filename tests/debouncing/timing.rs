//! When groups are emitted, and in which order.

use std::time::{Duration, Instant};

use tinotify::debounce::{Change, Debouncer, Group};
use tinotify::{EventMask, TreeChange, WatchEventBuf, WatchId, Watcher};

use super::{QUIET, flushed, plain, popped, renamed_dir, tree};
use crate::watching::Place;

const CREATE: EventMask = EventMask::CREATE;
const MODIFY: EventMask = EventMask::MODIFY;

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn shown(groups: &[Group]) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

fn ids<const N: usize>() -> [WatchId; N] {
    let place = Place::new();
    let watcher = Watcher::new().unwrap();
    std::array::from_fn(|i| {
        let path = place.dir(i.to_string());
        watcher.watch(path, Watcher::CHANGES).unwrap()
    })
}

fn of(watch: WatchId, mask: EventMask, name: &str, cookie: u32) -> WatchEventBuf {
    let builder = WatchEventBuf::builder(mask).watch(watch).cookie(cookie);
    builder.directory("/r").name(name).build()
}

#[test]
fn an_event_restarts_only_the_quiet_time_of_its_path() {
    let mut debouncer = Debouncer::new(QUIET);
    let start = Instant::now();
    debouncer.push(plain(MODIFY, "/a", 0), start);
    debouncer.push(plain(MODIFY, "/b", 0), start + ms(1));
    debouncer.push(plain(MODIFY, "/a", 0), start + ms(60));
    assert_eq!(debouncer.next_deadline(), Some(start + ms(101)));
    assert!(debouncer.pop(start + ms(100)).is_none());
    assert_eq!(shown(&popped(&mut debouncer, start + ms(101))), [r#"Modified "/b""#]);
    assert_eq!(debouncer.next_deadline(), Some(start + ms(160)));
    assert_eq!(shown(&popped(&mut debouncer, start + ms(160))), [r#"Modified "/a""#]);
    assert!(debouncer.is_empty());
}

#[test]
fn max_delay_ends_a_group_and_the_next_event_starts_another() {
    let mut debouncer = Debouncer::new(QUIET).max_delay(ms(150));
    let start = Instant::now();
    for time in [0, 50, 100, 140] {
        debouncer.push(plain(MODIFY, "/a", 0), start + ms(time));
    }
    assert_eq!(debouncer.next_deadline(), Some(start + ms(150)));
    let group = debouncer.pop(start + ms(150)).unwrap();
    assert_eq!((group.change(), group.events()), (Change::Modified, 4));
    assert_eq!((group.first_at(), group.last_at()), (start, start + ms(140)));
    debouncer.push(plain(MODIFY, "/a", 0), start + ms(151));
    assert_eq!(debouncer.next_deadline(), Some(start + ms(251)));
}

#[test]
fn groups_that_are_due_together_are_ordered_by_their_first_event() {
    let mut debouncer = Debouncer::new(QUIET);
    let start = Instant::now();
    for (i, path) in ["/c", "/a", "/b", "/c"].iter().enumerate() {
        debouncer.push(plain(MODIFY, path, 0), start + ms(i as u64));
    }
    let expected = [r#"Modified "/c""#, r#"Modified "/a""#, r#"Modified "/b""#];
    assert_eq!(shown(&popped(&mut debouncer, start + ms(900))), expected);
}

#[test]
fn a_new_file_waits_for_its_new_directory() {
    let mut debouncer = Debouncer::new(QUIET).max_delay(ms(250));
    let start = Instant::now();
    let dir = EventMask::ISDIR;
    debouncer.push(plain(CREATE | dir, "/d", 0), start);
    debouncer.push(plain(CREATE, "/d/x", 0), start + ms(10));
    debouncer.push(plain(EventMask::ATTRIB | dir, "/d", 0), start + ms(90));
    assert!(debouncer.pop(start + ms(110)).is_none());
    assert_eq!(debouncer.next_deadline(), Some(start + ms(190)));
    let expected = [r#"Created "/d""#, r#"Created "/d/x""#];
    assert_eq!(shown(&popped(&mut debouncer, start + ms(190))), expected);
}

#[test]
fn max_delay_also_emits_the_groups_that_must_come_first() {
    let mut debouncer = Debouncer::new(QUIET).max_delay(ms(150));
    let start = Instant::now();
    debouncer.push(plain(CREATE, "/d/x", 0), start);
    debouncer.push(renamed_dir("/d", "/e"), start + ms(60));
    debouncer.push(plain(MODIFY, "/e/x", 0), start + ms(140));
    let groups = popped(&mut debouncer, start + ms(150));
    assert_eq!(shown(&groups), [r#"Renamed "/d" "/e""#, r#"Created "/e/x""#]);
}

#[test]
fn an_overflow_is_emitted_after_all_pending_groups() {
    let [one, two] = ids();
    let mut debouncer = Debouncer::new(QUIET);
    let start = Instant::now();
    debouncer.push(of(two, MODIFY, "b", 0), start);
    debouncer.push(of(one, EventMask::MOVED_FROM, "a", 7), start);
    let overflow = WatchEventBuf::builder(EventMask::Q_OVERFLOW).build();
    debouncer.push(overflow, start + ms(1));
    debouncer.push(of(one, MODIFY, "c", 0), start + ms(2));
    assert_eq!(debouncer.next_deadline(), Some(start + ms(1)));
    let groups = popped(&mut debouncer, start + ms(2));
    assert_eq!(shown(&groups[..2]), [r#"Modified "/r/b""#, r#"Removed "/r/a""#]);
    assert!(groups[2].is_overflow());
    assert_eq!((groups.len(), groups[2].change()), (3, Change::Event));
    assert_eq!(debouncer.next_deadline(), Some(start + ms(102)));
}

#[test]
fn a_change_of_a_tree_is_emitted_after_the_pending_groups_of_its_watch() {
    let [one, two] = ids();
    for change in [TreeChange::Established, TreeChange::Resynced, TreeChange::RootMoved] {
        let mut debouncer = Debouncer::new(QUIET);
        let start = Instant::now();
        debouncer.push(of(two, MODIFY, "b", 0), start);
        debouncer.push(of(one, MODIFY, "a", 0), start);
        let report = WatchEventBuf::builder(EventMask::empty()).watch(one).directory("/r");
        debouncer.push(report.tree_change(change).build(), start);
        let groups = popped(&mut debouncer, start);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0].to_string(), r#"Modified "/r/a""#);
        assert_eq!(groups[1].last_event().tree_change(), Some(change));
        assert_eq!(groups[1].watch(), Some(one));
        assert_eq!(shown(&flushed(&mut debouncer)), [r#"Modified "/r/b""#]);
    }
}

#[test]
fn each_watch_has_its_own_group() {
    let [one, two] = ids();
    let mut debouncer = Debouncer::new(QUIET);
    let start = Instant::now();
    for mask in [CREATE, EventMask::DELETE] {
        debouncer.push(of(one, mask, "a", 0), start);
    }
    debouncer.push(of(two, CREATE, "a", 0), start);
    let groups = flushed(&mut debouncer);
    assert_eq!(shown(&groups), [r#"Created "/r/a""#]);
    assert_eq!(groups[0].watch(), Some(two));
}

#[test]
fn a_rename_between_two_watches_is_one_group() {
    let [one, two] = ids();
    let mut debouncer = Debouncer::new(QUIET);
    let start = Instant::now();
    debouncer.push(of(one, EventMask::MOVED_FROM, "a", 7), start);
    debouncer.push(of(two, EventMask::MOVED_TO, "b", 7), start);
    let groups = flushed(&mut debouncer);
    assert_eq!(shown(&groups), [r#"Renamed "/r/a" "/r/b""#]);
    assert_eq!(groups[0].watch(), Some(two));
    assert_eq!(groups[0].events(), 2);
}

#[test]
fn renames_are_paired_within_a_watch_first() {
    let [one, two] = ids();
    let mut debouncer = Debouncer::new(QUIET);
    let start = Instant::now();
    // Both watch the same directory.
    for mask in [EventMask::MOVED_FROM, EventMask::MOVED_TO] {
        let name = if mask == EventMask::MOVED_FROM { "a" } else { "b" };
        debouncer.push(of(one, mask, name, 7), start);
        debouncer.push(of(two, mask, name, 7), start);
    }
    let groups = flushed(&mut debouncer);
    assert_eq!(shown(&groups), [r#"Renamed "/r/a" "/r/b""#; 2]);
    assert_eq!([groups[0].watch(), groups[1].watch()], [Some(one), Some(two)]);
}

#[test]
fn per_watch_the_quiet_time_is_that_of_the_whole_watch() {
    let [one, two] = ids();
    let mut debouncer = Debouncer::new(QUIET).per_watch();
    let start = Instant::now();
    debouncer.push(of(one, CREATE, "a", 0), start);
    debouncer.push(of(two, CREATE, "c", 0), start + ms(10));
    debouncer.push(of(one, CREATE, "b", 0), start + ms(90));
    assert_eq!(debouncer.next_deadline(), Some(start + ms(110)));
    assert_eq!(shown(&popped(&mut debouncer, start + ms(110))), [r#"Created "/r/c""#]);
    assert_eq!(debouncer.next_deadline(), Some(start + ms(190)));
    let expected = [r#"Created "/r/a""#, r#"Created "/r/b""#];
    assert_eq!(shown(&popped(&mut debouncer, start + ms(190))), expected);
    assert!(debouncer.is_empty());
}

#[test]
fn memory_does_not_grow_with_the_events_of_one_path() {
    let mut debouncer = Debouncer::new(QUIET);
    let start = Instant::now();
    for i in 0..10_000 {
        debouncer.push(plain(MODIFY, "/a", 0), start + ms(i));
        debouncer.push(tree(CREATE, "/b", TreeChange::Reported), start + ms(i));
        debouncer.push(tree(EventMask::DELETE, "/b", TreeChange::Reported), start + ms(i));
        debouncer.push(plain(EventMask::MOVED_FROM, "/c", 2 * i as u32 + 1), start + ms(i));
        debouncer.push(plain(EventMask::MOVED_TO, "/d", 2 * i as u32 + 1), start + ms(i));
        assert!(debouncer.len() <= 5, "{}", debouncer.len());
    }
}

#[test]
fn a_deadline_after_the_end_of_time_is_none() {
    let mut debouncer = Debouncer::new(Duration::MAX).max_delay(Duration::MAX);
    let start = Instant::now();
    debouncer.push(plain(MODIFY, "/a", 0), start);
    debouncer.push(plain(EventMask::MOVED_FROM, "/b", 1), start);
    assert_eq!(debouncer.next_deadline(), None);
    assert!(debouncer.pop(start + ms(1_000_000)).is_none());
    assert_eq!(flushed(&mut debouncer).len(), 2);
}
