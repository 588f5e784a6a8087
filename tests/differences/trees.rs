//! Differences in trees.

use std::fs;
use std::process::Command;

use crate::support::{self, Program};
use crate::{Who, compare, compare_versions, prepared};

// Difference 1.
#[test]
fn a_new_directory_is_watched_though_its_name_is_not_included() {
    let is_watched = |who: &Who| {
        let run = who.start(&["-mr", "-e", "create", "--include", "txt", "d"], &["d"]);
        fs::create_dir(run.path("d/sub")).unwrap();
        run.write("d/sub/a.txt");
        run.until_new("d/end.txt").contains("a.txt")
    };
    // Version 4 loses the file if its directory is watched too late (difference 10).
    compare_versions(|major| major < 4, is_watched, &false, &true);
}

// Difference 10.
#[test]
fn what_is_in_a_new_directory_before_its_watch_is_shown() {
    let is_shown = |who: &Who| {
        let run = who.start(&["-mr", "-e", "create,moved_to", "d"], &["d", "new"]);
        run.write("new/file");
        run.rename("new", "d/new");
        run.until_new("d/end").contains("d/new/ CREATE file")
    };
    compare(is_shown, &false, &true);
}

// Difference 11.
#[test]
fn a_directory_that_was_moved_out_is_not_watched_under_a_path_that_is_not_its_own() {
    let is_false = |who: &Who| {
        let run = who.start(&["-mr", "-e", "create,move", "d"], &["d/a", "other"]);
        run.rename("d/a", "out");
        run.rename("other", "d/z");
        run.write("out/file");
        run.until_new("d/end").contains("d/z/ CREATE file")
    };
    compare(is_false, &true, &false);
    let run = Who::ours().start(&["-mr", "-e", "create,move", "d"], &["d/a/b"]);
    run.rename("d/a", "d/z");
    run.write("d/z/b/file");
    run.until("d/z/b/ CREATE file\n");
}

// Difference 12.
#[test]
fn the_removal_of_a_subdirectory_is_reported_once() {
    let count = |who: &Who| {
        let run = who.start(&["-mr", "-e", "create,delete,delete_self", "d"], &["d/sub"]);
        fs::remove_dir(run.path("d/sub")).unwrap();
        run.until_new("d/end").matches("DELETE").count()
    };
    compare(count, &2, &1);
}

// Difference 13.
#[test]
fn a_tree_without_monitor_sees_new_directories() {
    let event = |who: &Who| {
        let run = who.start(&["-r", "-e", "close_write", "d"], &["d"]);
        fs::create_dir(run.path("d/sub")).unwrap();
        run.write("d/sub/first");
        run.write("d/second");
        String::from_utf8(run.end().events).unwrap()
    };
    let [theirs, ours] = ["d/ CLOSE_WRITE,CLOSE second\n", "d/sub/ CLOSE_WRITE,CLOSE first\n"];
    compare(event, &theirs.to_owned(), &ours.to_owned());
}

// Difference 15.
#[test]
fn the_set_up_of_a_tree_shows_no_events_of_its_own() {
    let shows_own = |who: &Who| {
        let run = who.start(&["-mr", "-e", "open", "d", "d/sub"], &["d/sub/x"]);
        run.until_new("d/end").contains("OPEN,ISDIR")
    };
    compare(shows_own, &true, &false);
}

// Difference 16.
#[test]
fn the_limit_of_watches_is_an_error_that_names_the_directory_and_the_sysctl() {
    let limit = "echo 3 > /proc/sys/user/max_inotify_watches";
    let unshare = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-Ur", "sh", "-c", &format!("{limit} && exec \"$@\""), "sh"]).args(args);
        command
    };
    if !support::output(&mut unshare(&["true"])).is_ok_and(|output| output.status.success()) {
        support::skip("the limit of watches: no user namespace");
        return;
    }
    let result = |who: &Who| {
        let dir = prepared(&["d/1/2/3/4/5"]);
        let program = who.program.to_str().unwrap();
        let mut command = unshare(&[program, "-mr", "d"]);
        let ended = Program::start(command.current_dir(dir.path())).end();
        let sysctl = if who.is_ours() { "max_inotify_watches is 3;" } else { "max_user_watches" };
        assert!(ended.messages.contains(sysctl), "{}", ended.messages);
        (ended.code, ended.messages.contains("d/1"))
    };
    compare(result, &(Some(1), false), &(Some(1), true));
}

// Difference 31.
#[test]
fn the_cookies_of_a_tree_are_numbers_of_the_tool() {
    let cookies = |who: &Who| {
        let run = who.start(&["-mr", "-e", "move", "--format", "%c %f", "d"], &["d/a"]);
        run.rename("d/a", "d/b");
        run.rename("d/b", "d/c");
        let text = run.until(" c\n");
        let cookies: Vec<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(cookies[0] == cookies[1] && cookies[2] == cookies[3], "{text}");
        cookies[0] == "1" && cookies[2] == "2"
    };
    compare(cookies, &false, &true);
}
