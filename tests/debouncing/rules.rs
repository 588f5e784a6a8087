//! Tests of each rule of merging.

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

/// Returns the groups of these lists of events.
fn groups<const N: usize>(events: [Vec<WatchEventBuf>; N]) -> Vec<String> {
    merged(events.into_iter().flatten())
}

fn rename(from: &str, to: &str) -> Vec<WatchEventBuf> {
    vec![renamed(from, to)]
}

fn moved_events(from: &str, to: &str, cookie: u32) -> Vec<WatchEventBuf> {
    vec![plain(FROM, from, cookie), plain(TO, to, cookie)]
}

#[test]
fn a_new_file_stays_created_after_later_events() {
    assert_eq!(groups([at("/a", &[CREATE, MODIFY, CLOSE, ATTRIB])]), [r#"Created "/a""#]);
}

#[test]
fn a_file_that_is_created_and_deleted_has_no_group() {
    assert_eq!(groups([at("/a", &[CREATE, CLOSE, DELETE])]), [""; 0]);
    let twice = [CREATE, DELETE, CREATE, DELETE];
    assert_eq!(groups([at("/a", &twice)]), [""; 0]);
    assert_eq!(groups([at("/a", &[CREATE, DELETE, CREATE])]), [r#"Created "/a""#]);
}

#[test]
fn a_removal_that_is_reported_twice_is_one_group() {
    let both = [CREATE | DIR, EventMask::DELETE_SELF, DELETE | DIR];
    assert_eq!(groups([at("/a", &both)]), [""; 0]);
    assert_eq!(groups([at("/a", &[EventMask::DELETE_SELF, DELETE])]), [r#"Removed "/a""#]);
}

#[test]
fn several_modifications_are_one_group() {
    assert_eq!(groups([at("/a", &[MODIFY, ATTRIB, MODIFY, CLOSE])]), [r#"Modified "/a""#]);
    assert_eq!(groups([at("/a", &[MODIFY, DELETE])]), [r#"Removed "/a""#]);
}

#[test]
fn changes_of_metadata_and_reads_are_other() {
    let masks = [EventMask::OPEN, ATTRIB, EventMask::CLOSE_NOWRITE];
    assert_eq!(groups([at("/a", &masks)]), [r#"Other "/a""#]);
}

#[test]
fn a_file_that_is_deleted_and_created_is_replaced() {
    assert_eq!(groups([at("/a", &[DELETE, CREATE, CLOSE])]), [r#"Replaced "/a""#]);
    assert_eq!(groups([at("/a", &[DELETE, CREATE, DELETE])]), [r#"Removed "/a""#]);
}

#[test]
fn a_chain_of_renames_is_one_group() {
    let expected = [r#"Renamed "/a" "/c""#, r#"Absent "/b""#];
    assert_eq!(groups([rename("/a", "/b"), rename("/b", "/c")]), expected);
    assert_eq!(groups([moved_events("/a", "/b", 1), moved_events("/b", "/c", 2)]), expected);
    // The path in between is known to be free.
    let events =
        [at("/b", &[DELETE]), rename("/b2", "/b3"), rename("/a", "/b"), rename("/b", "/c")];
    let expected = [r#"Removed "/b""#, r#"Renamed "/b2" "/b3""#, r#"Renamed "/a" "/c""#];
    let mut is = groups(events);
    is.sort_by_key(|group| expected.iter().position(|other| other == group));
    assert_eq!(is, expected);
}

#[test]
fn a_file_that_is_created_and_renamed_is_created() {
    assert_eq!(groups([at("/a", &[CREATE, CLOSE]), rename("/a", "/b")]), [r#"Created "/b""#]);
    assert_eq!(
        groups([at("/a", &[CREATE, CLOSE]), moved_events("/a", "/b", 1)]),
        [r#"Created "/b""#]
    );
}

#[test]
fn a_file_that_is_modified_and_renamed_is_both() {
    let mut debouncer = Debouncer::new(QUIET);
    let now = std::time::Instant::now();
    debouncer.push(plain(MODIFY, "/a", 0), now);
    debouncer.push(renamed("/a", "/b"), now);
    // Neither event has a watch, so both count as one watch.
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
fn an_atomic_save_replaces_a_known_file() {
    let save = || [at("/t", &[CREATE, CLOSE]), rename("/t", "/f")].concat();
    assert_eq!(groups([save()]), [r#"Created "/f""#]);
    assert_eq!(groups([save(), save()]), [r#"Created "/f""#]);
    assert_eq!(groups([at("/f", &[MODIFY]), save()]), [r#"Replaced "/f""#]);
}

#[test]
fn a_save_with_a_deleted_backup_replaces_the_file() {
    let save = [rename("/f", "/f~"), at("/f", &[CREATE, CLOSE]), at("/f~", &[DELETE])];
    assert_eq!(groups(save), [r#"Replaced "/f""#, r#"Absent "/f~""#]);
}

#[test]
fn a_file_renamed_away_and_back_is_modified_or_has_no_group() {
    let back = || [rename("/a", "/b"), rename("/b", "/a")].concat();
    assert_eq!(groups([back()]), [r#"Absent "/b""#]);
    assert_eq!(groups([at("/a", &[MODIFY]), back()]), [r#"Modified "/a""#, r#"Absent "/b""#]);
}

#[test]
fn a_file_that_is_renamed_and_deleted_is_removed() {
    let events = [rename("/a", "/b"), at("/b", &[DELETE])];
    assert_eq!(groups(events), [r#"Removed "/a""#, r#"Absent "/b""#]);
}

#[test]
fn a_log_rotation_stays_in_order() {
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
fn an_exchange_through_a_third_name_is_three_renames() {
    let events = [rename("/a", "/t"), rename("/b", "/a"), rename("/t", "/b")];
    let expected = [r#"Renamed "/a" "/t""#, r#"Renamed "/b" "/a""#, r#"Renamed "/t" "/b""#];
    assert_eq!(groups(events), expected);
}

#[test]
fn unpaired_events_are_removals_and_creations() {
    assert_eq!(groups([at("/a", &[CREATE]), vec![plain(FROM, "/a", 3)]]), [""; 0]);
    assert_eq!(groups([vec![plain(FROM, "/a", 3)]]), [r#"Removed "/a""#]);
    assert_eq!(groups([vec![plain(TO, "/a", 3)]]), [r#"Created "/a""#]);
    // A new file at the old path comes before the `MOVED_TO`, so that is not the same rename.
    let events = [vec![plain(FROM, "/a", 3)], at("/a", &[CREATE]), vec![plain(TO, "/b", 3)]];
    assert_eq!(groups(events), [r#"Replaced "/a""#, r#"Created "/b""#]);
}

#[test]
fn pending_renames_over_the_limit_are_removals() {
    let many: Vec<_> = (0..20).map(|i| plain(FROM, format!("/{i}"), i + 1)).collect();
    let removed: Vec<_> = (0..20).map(|i| format!("Removed \"/{i}\"")).collect();
    assert_eq!(groups([many]), removed);
}

#[test]
fn a_renamed_directory_renames_the_groups_beneath_it() {
    let events = [at("/d/x", &[CREATE]), at("/d/y", &[MODIFY]), vec![renamed_dir("/d", "/e")]];
    let expected = [r#"Renamed "/d" "/e""#, r#"Created "/e/x""#, r#"Modified "/e/y""#];
    assert_eq!(groups(events), expected);
    let events = [at("/d", &[CREATE | DIR]), at("/d/x", &[CREATE]), vec![renamed_dir("/d", "/e")]];
    assert_eq!(groups(events), [r#"Created "/e""#, r#"Created "/e/x""#]);
    // A path with the same prefix is not beneath.
    let events = [at("/d-", &[CREATE]), vec![renamed_dir("/d", "/e")]];
    assert_eq!(groups(events), [r#"Created "/d-""#, r#"Renamed "/d" "/e""#]);
}

#[test]
fn a_deleted_directory_merges_the_groups_beneath_it() {
    let events = [
        at("/d/x", &[MODIFY, DELETE]),
        at("/d/y", &[CREATE]),
        rename("/a", "/d/z"),
        at("/d", &[DELETE | DIR]),
    ];
    assert_eq!(groups(events), [r#"Removed "/d""#, r#"Removed "/a""#]);
}

#[test]
fn a_file_moved_out_of_a_deleted_directory_comes_first() {
    let events = [at("/d", &[MODIFY | DIR]), rename("/d/x", "/x"), at("/d", &[DELETE | DIR])];
    assert_eq!(groups(events), [r#"Renamed "/d/x" "/x""#, r#"Removed "/d""#]);
}

#[test]
fn exchanged_directories_exchange_the_groups_beneath_them() {
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
fn discovered_changes_are_merged() {
    let found = |mask, path| tree(mask, path, TreeChange::Discovered);
    assert_eq!(
        merged([found(CREATE | DIR, "/d"), found(CREATE, "/d/x")]),
        [r#"Created "/d""#, r#"Created "/d/x""#]
    );
    assert_eq!(merged([found(DELETE, "/x"), found(CREATE, "/x")]), [r#"Replaced "/x""#]);
    assert_eq!(merged([found(MODIFY, "/x"), found(MODIFY, "/x")]), [r#"Modified "/x""#]);
}

#[test]
fn changes_of_followed_names_are_merged() {
    let of = |change| WatchEventBuf::builder(MODIFY).directory("/f").name_change(change).build();
    let groups = |changes: &[NameChange]| merged(changes.iter().map(|&change| of(change)));
    use NameChange::{Appeared, Changed, Replaced, Vanished};
    assert_eq!(groups(&[Appeared, Changed]), [r#"Created "/f""#]);
    assert_eq!(groups(&[Changed, Replaced]), [r#"Replaced "/f""#]);
    assert_eq!(groups(&[Vanished, Appeared, Changed]), [r#"Replaced "/f""#]);
    assert_eq!(groups(&[Appeared, Vanished]), [""; 0]);
}
