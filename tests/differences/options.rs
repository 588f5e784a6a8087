//! Differences in what is accepted, and in the exit status.

use std::fs;
use std::path::Path;

use crate::support::{self, Program};
use crate::{Who, compare, compare_versions};

/// The status after `-t 1`: the watches were set up.
const TIMED_OUT: Option<i32> = Some(2);
const REFUSED: Option<i32> = Some(1);

fn code(args: &'static [&'static str]) -> impl Fn(&Who) -> Option<i32> {
    |who| who.run(args).code
}

// Difference 3.
#[test]
fn a_negative_timeout_sets_up_the_watches_and_ends_with_status_1() {
    let ended = |who: &Who| {
        if who.version.is_none_or(|major| major >= 4) {
            let ended = who.run(&["-t", "-1", "d"]);
            assert!(ended.messages.contains(support::ESTABLISHED), "{}", ended.messages);
            return ended.code;
        }
        let waiting = who.start(&["-t", "-1", "-e", "create", "d"], &["d"]);
        waiting.until_new("d/a");
        waiting.end().code
    };
    compare_versions(|major| major < 4, ended, &Some(0), &Some(1));
    compare_versions(|major| major >= 4, ended, &Some(1), &Some(1));
}

// Difference 4.
#[test]
fn the_help_ends_with_status_0() {
    compare(code(&["--help"]), &Some(1), &Some(0));
}

// Difference 5.
#[test]
fn errors_have_other_texts_and_the_same_status() {
    let text = |args: &'static [&'static str]| move |who: &Who| who.run(args).messages;
    let ours = text(&["nope"])(&Who::ours());
    assert!(ours.contains("cannot watch: nope: ENOENT"), "{ours}");
    for args in [&["nope"][..], &["-x", "d"], &["--bogus", "d"], &["-e", "nope", "d"]] {
        let Some(theirs) = Who::theirs() else { return };
        assert_ne!(text(args)(&theirs), text(args)(&Who::ours()));
        assert_eq!((code(args)(&theirs), code(args)(&Who::ours())), (REFUSED, REFUSED));
    }
}

// Difference 8.
#[test]
fn fanotify_is_refused_before_the_set_up() {
    for args in [&["-F", "d"][..], &["-S", "d"], &["--fanotify", "d"], &["--filesystem", "d"]] {
        let ended = Who::ours().run(args);
        assert_eq!(ended.code, REFUSED);
        assert!(ended.messages.contains("fanotify is not supported"), "{}", ended.messages);
    }
    let is_known = |who: &Who| !who.run(&["-F", "nope"]).messages.contains("not supported");
    compare(is_known, &true, &false);
}

// Difference 17.
#[test]
fn a_timeout_can_have_a_fraction() {
    compare(code(&["-t", "0.01", "d"]), &REFUSED, &TIMED_OUT);
}

// Difference 18.
#[test]
fn an_empty_event_and_isdir_are_refused() {
    compare(code(&["-t", "1", "-e", "", "d"]), &TIMED_OUT, &REFUSED);
    compare(code(&["-t", "1", "-e", "create,", "d"]), &TIMED_OUT, &REFUSED);
    compare(code(&["-t", "1", "-e", "isdir", "d"]), &TIMED_OUT, &REFUSED);
}

// Difference 20.
#[test]
fn a_missing_file_of_paths_is_an_error() {
    let is_refused = |who: &Who| who.run(&["-t", "1", "--fromfile", "nope", "d"]).code == REFUSED;
    compare(is_refused, &false, &true);
}

// Difference 22.
#[test]
fn messages_go_to_standard_error_if_there_is_no_syslog() {
    if Path::new("/dev/log").exists() {
        support::skip("messages without a syslog: this machine has one");
        return;
    }
    let is_shown = |who: &Who| who.run(&["-s", "nope"]).messages.contains("nope");
    compare(is_shown, &false, &true);
}

// Difference 23.
#[test]
fn a_daemon_creates_its_file_and_reports_what_fails_before_its_watches_are_set_up() {
    // A daemon ends when its directory is removed.
    compare(code(&["-d", "-o", "log", "d"]), &REFUSED, &Some(0));
    let unwatched = |who: &Who| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        support::write(dir.path().join("log"), "");
        Program::start(&mut who.command(dir.path(), &["-d", "-o", "log", "nope"])).end().code
    };
    compare(unwatched, &Some(0), &REFUSED);
}

// Difference 27.
#[test]
fn back_references_are_refused() {
    compare(code(&["-t", "1", "--exclude", "(a)\\1", "d"]), &TIMED_OUT, &REFUSED);
}

// Difference 30.
#[test]
fn stat_as_the_first_argument_is_a_command() {
    let is_watched = |who: &Who| {
        let ended = who.run(&["stat", "-t", "1"]);
        // There is no such path in the directory.
        (ended.code, ended.messages.contains("no path to watch"))
    };
    compare(is_watched, &(Some(1), false), &(Some(1), true));
}
