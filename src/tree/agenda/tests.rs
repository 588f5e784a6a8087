//! Tests of the agenda alone.

#![allow(clippy::unwrap_used)]

use alloc::vec::Vec;

use super::{Agenda, Check, LastEvent, Seen, Task, When};
use crate::tree::event::TreeKind;
use crate::tree::nodes::ROOT;

fn seen(seen: Seen) -> Check {
    Check { seen: Some(seen), ..Check::default() }
}

/// Returns the kinds of the tasks that are due, in order, as letters.
fn due(agenda: &mut Agenda, at: u64) -> Vec<u8> {
    core::iter::from_fn(|| agenda.next(at))
        .map(|task| match task {
            Task::Close(_) => b'c',
            Task::Window(_) => b'w',
            Task::Check(_, check) if check.last => b'L',
            Task::Check(..) => b'n',
            Task::Listed(_) => b'l',
            Task::Compare(_) => b'C',
            Task::Complete(_) => b'e',
        })
        .collect()
}

#[test]
fn tasks_due_at_one_position_run_in_the_order_of_phases() {
    let mut agenda = Agenda::default();
    agenda.check(ROOT, b"last", Check { last: true, ..Check::default() }, When::At(8));
    agenda.listed(ROOT);
    agenda.check(ROOT, b"name", Check::default(), When::At(8));
    agenda.window(ROOT, When::At(8));
    agenda.close(1, 8);
    assert_eq!(due(&mut agenda, 7), b"", "nothing is due yet");
    assert_eq!(due(&mut agenda, 8), b"cwnL");
    agenda.seal(9, false);
    assert_eq!(due(&mut agenda, 9), b"l");
    assert!(agenda.is_empty());
}

#[test]
fn fresh_tasks_are_due_at_the_end_of_the_queue_and_idle_ones_when_it_is_empty() {
    let mut agenda = Agenda::default();
    agenda.check(ROOT, b"a", Check::default(), When::End);
    agenda.check(ROOT, b"b", Check::default(), When::Idle);
    assert!(agenda.is_fresh() && agenda.is_idle());
    agenda.seal(16, false);
    assert!(!agenda.is_fresh() && agenda.is_idle());
    assert!(!agenda.is_due(15) && agenda.is_due(16));
    assert_eq!(due(&mut agenda, 1_000), b"n");
    agenda.seal(32, true);
    assert_eq!(due(&mut agenda, 32), b"n");
    assert!(agenda.is_empty());
}

#[test]
fn two_checks_of_a_name_merge_into_one() {
    let mut agenda = Agenda::default();
    agenda.check(ROOT, b"a", Check { deep: true, tries: 3, ..Check::unreported_file() }, When::End);
    let reported_file = Check { reported_file: true, ..seen(Seen::Nothing) };
    agenda.check(ROOT, b"a", reported_file, When::End);
    assert!(agenda.has_deep());
    let check = agenda.take(ROOT, b"a").unwrap();
    assert!(check.unreported_file && check.reported_file && check.deep && !check.unreached);
    assert_eq!(check.tries, 3);
    assert_eq!(check.seen, None, "no directory, which says nothing of files");
    assert!(agenda.is_empty() && !agenda.has_deep());
}

#[test]
fn a_check_with_a_reason_overrides_one_of_an_unreached_directory() {
    let mut agenda = Agenda::default();
    let unreached = || Check { unreached: true, ..Check::default() };
    agenda.check(ROOT, b"a", unreached(), When::End);
    assert!(!agenda.is_uncertain(ROOT, b"a"));
    agenda.check(ROOT, b"a", Check::default(), When::End);
    assert!(agenda.is_uncertain(ROOT, b"a"));
    agenda.check(ROOT, b"a", unreached(), When::End);
    assert!(agenda.is_uncertain(ROOT, b"a"), "the reason is still there");
}

#[test]
fn an_event_discards_a_scan_of_its_name_but_a_leaving_file_no_scan_of_a_directory() {
    for (shown, file_left, stays) in [
        (Seen::Known(ROOT), false, false),
        (Seen::Known(ROOT), true, true),
        (Seen::Unknown, true, true),
        (Seen::File, true, false),
        (Seen::Nothing, true, false),
    ] {
        let mut agenda = Agenda::default();
        agenda.check(ROOT, b"a", seen(shown), When::End);
        agenda.invalidate(ROOT, b"a", file_left);
        let left = agenda.take(ROOT, b"a").unwrap().seen;
        assert_eq!(left, Some(shown).filter(|_| stays), "{shown:?}, a file left: {file_left}");
    }
}

#[test]
fn a_parked_check_is_due_when_its_directory_has_been_listed() {
    let mut agenda = Agenda::default();
    agenda.check(ROOT, b"a", Check::default(), When::End);
    agenda.park(ROOT, b"a", Check::unreported_file());
    assert!(agenda.has_parked(ROOT) && agenda.is_empty() && agenda.has_checks());
    assert!(!agenda.is_scheduled(ROOT, b"a"));
    agenda.unpark(ROOT);
    agenda.listed(ROOT);
    assert!(!agenda.has_parked(ROOT) && agenda.is_scheduled(ROOT, b"a"));
    agenda.seal(0, false);
    assert_eq!(due(&mut agenda, 0), b"nl");
}

#[test]
fn the_end_of_a_comparison_waits_for_all_deep_checks() {
    let mut agenda = Agenda::default();
    agenda.complete(TreeKind::Resynced, When::At(0));
    agenda.deepen(ROOT, b"a");
    assert_eq!(due(&mut agenda, 0), b"");
    agenda.seal(0, true);
    assert_eq!(due(&mut agenda, 0), b"ne");
}

#[test]
fn a_missing_directory_waits_for_one_found_elsewhere() {
    let mut agenda = Agenda::default();
    let elsewhere = Some(((ROOT, b"old"[..].into()), false));
    agenda.check(ROOT, b"old", Check { last: true, ..seen(Seen::Nothing) }, When::At(0));
    agenda.check(ROOT, b"new", Check { elsewhere, ..seen(Seen::Known(ROOT)) }, When::At(8));
    assert_eq!(due(&mut agenda, 0), b"", "it may be the one that moves");
    assert_eq!(due(&mut agenda, 8), b"n");
    agenda.seal(8, false);
    assert_eq!(due(&mut agenda, 8), b"L");
}

#[test]
fn the_last_event_of_a_name_is_kept_only_while_a_check_is_pending() {
    let mut agenda = Agenda::default();
    agenda.set_last_event(ROOT, b"a", LastEvent::Came);
    assert_eq!(agenda.last_event(ROOT, b"a"), None);
    agenda.check(ROOT, b"a", Check::added(ROOT), When::End);
    agenda.set_last_event(ROOT, b"a", LastEvent::Left);
    agenda.check(ROOT, b"a", Check::default(), When::End);
    assert_eq!(agenda.last_event(ROOT, b"a"), Some(LastEvent::Left));
    assert!(agenda.is_ahead(ROOT, b"a"));
    agenda.forget(ROOT);
    assert!(agenda.is_empty() && agenda.last_event(ROOT, b"a").is_none());
}
