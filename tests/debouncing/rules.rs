//! Each rule of merging.

use std::path::Path;

use tinotify::debounce::{Change, Debouncer};
use tinotify::{EventMask, NameChange, TreeChange, WatchEventBuf};

use super::{QUIET, flushed, merged, plain, renamed, renamed_dir, tree};

const CREATE: EventMask = EventMask::CREATE;
const MODIFY: EventMask = EventMask::MODIFY;
const CLOSE: EventMask = EventMask::CLOSE_WRITE;
const DELETE: EventMask = EventMask::DELETE;
const ATTRIB: EventMask = EventMask::ATTRIB;
const FROM: EventMask = EventMask::MOVED_FROM;
const TO: EventMask = EventMask::MOVED_TO;
const DIR: EventMask = EventMask::ISDIR;

fn at(path: &str, masks: &[EventMask]) -> Vec<WatchEventBuf> {
    masks.iter().map(|&mask| plain(mask, path, 0)).collect()
}

/// The groups of events that are given as lists.
fn groups<const N: usize>(events: [Vec<WatchEventBuf>; N]) -> Vec<String> {
    merged(events.into_iter().flatten())
}

fn rename(from: &str, to: &str) -> Vec<WatchEventBuf> {
    vec![renamed(from, to)]
}

fn halves(from: &str, to: &str, cookie: u32) -> Vec<WatchEventBuf> {
    vec![plain(FROM, from, cookie), plain(TO, to, cookie)]
}

#[test]
fn what_is_created_is_created_whatever_follows() {
    assert_eq!(groups([at("/a", &[CREATE, MODIFY, CLOSE, ATTRIB])]), [r#"Created "/a""#]);
}

#[test]
fn what_is_created_and_deleted_is_nothing() {
    assert_eq!(groups([at("/a", &[CREATE, CLOSE, DELETE])]), [""; 0]);
    let again = [CREATE, DELETE, CREATE, DELETE];
    assert_eq!(groups([at("/a", &again)]), [""; 0]);
    assert_eq!(groups([at("/a", &[CREATE, DELETE, CREATE])]), [r#"Created "/a""#]);
}

#[test]
fn a_removal_that_is_reported_twice_is_one() {
    let both = [CREATE | DIR, EventMask::DELETE_SELF, DELETE | DIR];
    assert_eq!(groups([at("/a", &both)]), [""; 0]);
    assert_eq!(groups([at("/a", &[EventMask::DELETE_SELF, DELETE])]), [r#"Removed "/a""#]);
}

#[test]
fn modifications_are_one() {
    assert_eq!(groups([at("/a", &[MODIFY, ATTRIB, MODIFY, CLOSE])]), [r#"Modified "/a""#]);
    assert_eq!(groups([at("/a", &[MODIFY, DELETE])]), [r#"Removed "/a""#]);
}

#[test]
fn metadata_and_reading_are_other() {
    let masks = [EventMask::OPEN, ATTRIB, EventMask::CLOSE_NOWRITE];
    assert_eq!(groups([at("/a", &masks)]), [r#"Other "/a""#]);
}

#[test]
fn what_is_deleted_and_created_is_replaced() {
    assert_eq!(groups([at("/a", &[DELETE, CREATE, CLOSE])]), [r#"Replaced "/a""#]);
    assert_eq!(groups([at("/a", &[DELETE, CREATE, DELETE])]), [r#"Removed "/a""#]);
}

#[test]
fn a_chain_of_renames_is_one() {
    let expected = [r#"Renamed "/a" "/c""#, r#"Absent "/b""#];
    assert_eq!(groups([rename("/a", "/b"), rename("/b", "/c")]), expected);
    assert_eq!(groups([halves("/a", "/b", 1), halves("/b", "/c", 2)]), expected);
    // The place in between was known to be free.
    let events =
        [at("/b", &[DELETE]), rename("/b2", "/b3"), rename("/a", "/b"), rename("/b", "/c")];
    let expected = [r#"Removed "/b""#, r#"Renamed "/b2" "/b3""#, r#"Renamed "/a" "/c""#];
    let mut is = groups(events);
    is.sort_by_key(|group| expected.iter().position(|other| other == group));
    assert_eq!(is, expected);
}

#[test]
fn what_is_created_and_renamed_is_created() {
    assert_eq!(groups([at("/a", &[CREATE, CLOSE]), rename("/a", "/b")]), [r#"Created "/b""#]);
    assert_eq!(groups([at("/a", &[CREATE, CLOSE]), halves("/a", "/b", 1)]), [r#"Created "/b""#]);
}

#[test]
fn what_is_modified_and_renamed_is_both() {
    let mut debouncer = Debouncer::new(QUIET);
    let now = std::time::Instant::now();
    debouncer.push(plain(MODIFY, "/a", 0), now);
    debouncer.push(renamed("/a", "/b"), now);
    // The plain watch and the tree are one here, as both events have no watch.
    let groups = flushed(&mut debouncer);
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!(group.change(), Change::Renamed { from: Path::new("/a") });
    assert_eq!(group.renamed_from(), Some(Path::new("/a")));
    assert!(group.is_modified());
    assert_eq!(group.mask(), MODIFY | TO);
    assert_eq!((group.events(), group.first_at(), group.last_at()), (2, now, now));
    assert_eq!(group.last_event(), &renamed("/a", "/b"));
}

#[test]
fn an_atomic_save_replaces_what_is_known() {
    let save = || [at("/t", &[CREATE, CLOSE]), rename("/t", "/f")].concat();
    assert_eq!(groups([save()]), [r#"Created "/f""#]);
    assert_eq!(groups([save(), save()]), [r#"Created "/f""#]);
    assert_eq!(groups([at("/f", &[MODIFY]), save()]), [r#"Replaced "/f""#]);
}

#[test]
fn a_save_with_a_backup_that_is_deleted_replaces() {
    let save = [rename("/f", "/f~"), at("/f", &[CREATE, CLOSE]), at("/f~", &[DELETE])];
    assert_eq!(groups(save), [r#"Replaced "/f""#, r#"Absent "/f~""#]);
}

#[test]
fn renamed_away_and_back_is_nothing_or_modified() {
    let back = || [rename("/a", "/b"), rename("/b", "/a")].concat();
    assert_eq!(groups([back()]), [r#"Absent "/b""#]);
    assert_eq!(groups([at("/a", &[MODIFY]), back()]), [r#"Modified "/a""#, r#"Absent "/b""#]);
}

#[test]
fn renamed_and_deleted_is_removed() {
    let events = [rename("/a", "/b"), at("/b", &[DELETE])];
    assert_eq!(groups(events), [r#"Removed "/a""#, r#"Absent "/b""#]);
}

#[test]
fn a_rotation_of_logs_stays_in_its_order() {
    let events = [
        at("/log", &[MODIFY]),
        rename("/log.1", "/log.2"),
        rename("/log", "/log.1"),
        at("/log", &[CREATE, MODIFY]),
    ];
    let expected =
        [r#"Renamed "/log.1" "/log.2""#, r#"Renamed "/log" "/log.1""#, r#"Created "/log""#];
    assert_eq!(groups(events), expected);
}

#[test]
fn an_exchange_by_way_of_a_third_name_stays_as_it_is() {
    let events = [rename("/a", "/t"), rename("/b", "/a"), rename("/t", "/b")];
    let expected = [r#"Renamed "/a" "/t""#, r#"Renamed "/b" "/a""#, r#"Renamed "/t" "/b""#];
    assert_eq!(groups(events), expected);
}

#[test]
fn lone_halves_are_removed_and_created() {
    assert_eq!(groups([at("/a", &[CREATE]), vec![plain(FROM, "/a", 3)]]), [""; 0]);
    assert_eq!(groups([vec![plain(FROM, "/a", 3)]]), [r#"Removed "/a""#]);
    assert_eq!(groups([vec![plain(TO, "/a", 3)]]), [r#"Created "/a""#]);
    // Something else is at the old path before the new name comes: it can't be the same rename.
    let events = [vec![plain(FROM, "/a", 3)], at("/a", &[CREATE]), vec![plain(TO, "/b", 3)]];
    assert_eq!(groups(events), [r#"Replaced "/a""#, r#"Created "/b""#]);
}

#[test]
fn more_halves_than_are_kept_are_removed() {
    let many: Vec<_> = (0..20).map(|i| plain(FROM, format!("/{i}"), i + 1)).collect();
    let removed: Vec<_> = (0..20).map(|i| format!("Removed \"/{i}\"")).collect();
    assert_eq!(groups([many]), removed);
}

#[test]
fn a_directory_takes_what_is_pending_beneath_along() {
    let events = [at("/d/x", &[CREATE]), at("/d/y", &[MODIFY]), vec![renamed_dir("/d", "/e")]];
    let expected = [r#"Renamed "/d" "/e""#, r#"Created "/e/x""#, r#"Modified "/e/y""#];
    assert_eq!(groups(events), expected);
    let events = [at("/d", &[CREATE | DIR]), at("/d/x", &[CREATE]), vec![renamed_dir("/d", "/e")]];
    assert_eq!(groups(events), [r#"Created "/e""#, r#"Created "/e/x""#]);
    // A name that begins alike is not beneath.
    let events = [at("/d-", &[CREATE]), vec![renamed_dir("/d", "/e")]];
    assert_eq!(groups(events), [r#"Created "/d-""#, r#"Renamed "/d" "/e""#]);
}

#[test]
fn a_directory_that_is_deleted_takes_all_along() {
    let events = [
        at("/d/x", &[MODIFY, DELETE]),
        at("/d/y", &[CREATE]),
        rename("/a", "/d/z"),
        at("/d", &[DELETE | DIR]),
    ];
    assert_eq!(groups(events), [r#"Removed "/d""#, r#"Removed "/a""#]);
}

#[test]
fn what_was_moved_out_of_a_deleted_directory_comes_first() {
    let events = [at("/d", &[MODIFY | DIR]), rename("/d/x", "/x"), at("/d", &[DELETE | DIR])];
    assert_eq!(groups(events), [r#"Renamed "/d/x" "/x""#, r#"Removed "/d""#]);
}

#[test]
fn directories_that_change_places_take_all_along() {
    let change = TreeChange::Exchanged { with: Path::new("/b") };
    let events = [
        at("/a/x", &[CREATE]),
        at("/b/y", &[MODIFY]),
        vec![tree(TO | DIR, "/a", change)],
        at("/a/y", &[MODIFY]),
    ];
    let expected = [r#"Exchanged "/b" "/a""#, r#"Created "/b/x""#, r#"Modified "/a/y""#];
    assert_eq!(groups(events), expected);
}

#[test]
fn what_a_tree_discovers_is_merged() {
    let found = |mask, path| tree(mask, path, TreeChange::Discovered);
    assert_eq!(
        merged([found(CREATE | DIR, "/d"), found(CREATE, "/d/x")]),
        [r#"Created "/d""#, r#"Created "/d/x""#]
    );
    assert_eq!(merged([found(DELETE, "/x"), found(CREATE, "/x")]), [r#"Replaced "/x""#]);
    assert_eq!(merged([found(MODIFY, "/x"), found(MODIFY, "/x")]), [r#"Modified "/x""#]);
}

#[test]
fn followed_names_are_merged() {
    let of = |change| WatchEventBuf::builder(MODIFY).directory("/f").name_change(change).build();
    let groups = |changes: &[NameChange]| merged(changes.iter().map(|&change| of(change)));
    use NameChange::{Appeared, Changed, Replaced, Vanished};
    assert_eq!(groups(&[Appeared, Changed]), [r#"Created "/f""#]);
    assert_eq!(groups(&[Changed, Replaced]), [r#"Replaced "/f""#]);
    assert_eq!(groups(&[Vanished, Appeared, Changed]), [r#"Replaced "/f""#]);
    assert_eq!(groups(&[Appeared, Vanished]), [""; 0]);
}
