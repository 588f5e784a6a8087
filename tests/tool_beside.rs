//! Compares the tool with the real inotifywait. Both watch the same files during the same changes, and
//! must have the same output and exit status. tool_differences.rs has what differs.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use support::beside::{Both, both, make_changes, show, with_d};
use support::{Program, inotifywait, lossy, write};

#[path = "tool/mod.rs"]
mod support;

#[test]
fn all_events_of_a_directory_are_the_same() {
    let Some(both) = Both::start(&["-m", "d"], with_d) else { return };
    make_changes(&both);
    let text = both.agree_until_the_end("d");
    for word in ["ACCESS", "MODIFY", "ATTRIB", "CLOSE_NOWRITE,CLOSE", "MOVED_FROM", "DELETE,ISDIR"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn all_events_of_a_file_until_its_deletion_are_the_same() {
    let prepare = |dir: &Path| {
        with_d(dir);
        write(dir.join("d/f"), "");
    };
    let Some(both) = Both::start(&["-m", "d/f", "d"], prepare) else { return };
    write(both.path("d/f"), "text");
    fs::rename(both.path("d/f"), both.path("d/g")).unwrap();
    fs::remove_file(both.path("d/g")).unwrap();
    let text = both.agree_until_the_end("d");
    assert!(text.contains("d/f DELETE_SELF \n"), "{text}");
}

#[test]
fn each_name_of_an_event_selects_the_same() {
    let names = [
        "access",
        "modify",
        "attrib",
        "close_write",
        "close_nowrite",
        "close",
        "open",
        "moved_to",
        "moved_from",
        "move",
        "move_self",
        "create",
        "delete",
        "delete_self",
        "all_events",
        "CREATE",
        "Moved_To",
        "open,CLOSE",
        "create,delete,move",
    ];
    for name in names {
        // Two paths, so that each kind of event occurs.
        let Some(both) = Both::start(&["-e", name, "d", "d/own"], |dir| {
            fs::create_dir_all(dir.join("d/own")).unwrap();
        }) else {
            return;
        };
        make_changes(&both);
        fs::rename(both.path("d/own"), both.path("d/moved")).unwrap();
        fs::remove_dir(both.path("d/moved")).unwrap();
        both.agree();
    }
}

#[test]
fn csv_and_formats_print_the_same() {
    let cases: [&[&str]; 17] = [
        &["-c"],
        &["--csv"],
        &["--format", "%w%f"],
        &["--format", "%w|%f|%e|%:e|%,e|%.e|%T|", "--timefmt", "%Y"],
        &["--format=%c %e %f", "-e", "move,create"],
        &["--format", "%w%0%f%0", "--no-newline"],
        &["--format", "%f%n%%%e"],
        &["--format", "%f 100%% %x%q%E %-"],
        &["--format", "text %f"],
        &["--format", "%f%e%e%ee"],
        &["--format", "%w %f %T", "--timefmt", "%F %H %z %Z"],
        &["--format", "%f %T", "--timefmt", "%A %d %b %j %%"],
        &["--format", "%f %T", "--timefmt", "plain"],
        &["--forma", "%f|", "--no-n"],
        &["--format", "%f\t\\n\\t"],
        &["--format", "\u{e9} %f"],
        &["--format", "%%f %%%f %"],
    ];
    for case in cases {
        let args = [&["-m", "d"], case].concat();
        let Some(both) = Both::start(&args, with_d) else { return };
        for name in ["a", "a b", "a,b", "\"", " a", "a ", "a\"b,c", "new\nline", "\u{e9}", "%f%w"] {
            write(both.path("d").join(name), "");
            fs::rename(both.path("d").join(name), both.path("d/z")).unwrap();
        }
        both.agree_until_the_end("d");
    }
}

#[test]
fn regular_expressions_hide_the_same_events() {
    // Each pattern with a name that matches, and one that does not.
    let patterns = [
        ("a", "END a", "END"),
        ("^d/[a-c]+$", "cabcab", "END"),
        ("\\.txt$", "END.txt", "END"),
        ("[[:digit:]]", "END1", "END"),
        ("x|B", "ENDB", "END"),
        ("a{2}", "ENDaa", "END"),
        ("(^|/)d/.*(a|\\.)", "END.", "END"),
        ("^d/[^/].?$", "q", "END"),
    ];
    let options =
        [("--exclude", false), ("--excludei", false), ("--include", true), ("--includei", true)];
    for (option, shows) in options {
        for (pattern, yes, no) in patterns {
            let args = ["-m", "-e", "create,delete,moved_to", option, pattern, "d"];
            let Some(both) = Both::start(&args, with_d) else { return };
            for name in ["a", "A", "b", "B", "aa", "x.txt", "1", "b.TXT", "\u{e9}", "nothing"] {
                write(both.path("d").join(name), "");
                fs::rename(both.path("d").join(name), both.path("d/other")).unwrap();
                fs::remove_file(both.path("d/other")).unwrap();
            }
            both.agree_until("d", if shows { yes } else { no });
        }
    }
}

#[test]
fn both_end_with_status_0_after_the_first_event() {
    let Some(both) = Both::start(&["-e", "create", "d"], with_d) else { return };
    write(both.path("d/a"), "");
    assert_eq!(both.agree(), "d/ CREATE a\n");
}

#[test]
fn both_end_with_status_1_when_a_watch_ends() {
    let Some(both) = Both::start(&["-e", "create", "d"], with_d) else { return };
    fs::remove_dir(both.path("d")).unwrap();
    assert_eq!(both.agree(), "");
}

#[test]
fn all_forms_of_options_are_accepted() {
    let cases: [&[&str]; 20] = [
        &["-m", "-e", "create", "d"],
        &["-me", "create", "d"],
        &["-mecreate", "d"],
        &["d", "-m", "-e", "create"],
        &["-m", "d", "--event", "create"],
        &["-m", "--event=create", "--", "d"],
        &["--mon", "--ev", "create", "d"],
        &["--monitor", "--ev=create", "d"],
        &["-mPe", "create", "d"],
        &["-m", "-t0", "-e", "create", "d"],
        &["-m", "-t", "100", "-e", "create", "d"],
        &["-m", "--timeo", "100", "-e", "create", "d"],
        &["-m", "--timeout=100", "-e", "create", "d"],
        &["-m", "-e", "create", "--exclude", "x", "d"],
        &["-m", "-e", "create", "d", "", "@"],
        &["-mm", "-e", "create", "-e", "create", "d"],
        &["-m", "--no-d", "-e", "create", "d"],
        &["-m", "--cs", "-e", "create", "d"],
        &["-m", "-e", "create", "d/.", "d"],
        &["-m", "-e", "create", "d//"],
    ];
    for args in cases {
        let start = |command: &mut Command| Program::watching(command, 1);
        let Some(both) = Both::start_with(args, with_d, start) else { return };
        write(both.path("d/x"), "");
        both.agree_until_the_end("d");
    }
}

#[test]
fn quiet_suppresses_messages_and_quiet_twice_events_too() {
    let start = |command: &mut Command| Program::watching(command, 1);
    for args in [["-q", "-e", "create", "d"], ["-qq", "-e", "create", "d"]] {
        let Some(both) = Both::start_with(&args, with_d, start) else { return };
        write(both.path("d/a"), "");
        let events = both.agree();
        assert_eq!(events, if args[0] == "-q" { "d/ CREATE a\n" } else { "" });
    }
}

#[test]
fn both_end_with_status_2_after_the_timeout() {
    for args in [["-t", "1", "d"], ["-mrqt1", "d", "f"], ["--timeout=1", "-P", "f"]] {
        let Some([theirs, ours]) = both(&args) else { return };
        assert_eq!(show(&ours), show(&theirs), "{args:?}");
        assert_eq!(ours.code, Some(2));
    }
}

#[test]
fn both_refuse_invalid_usage_with_a_message_and_status_1() {
    let cases: [&[&str]; 33] = [
        &[],
        &["@d"],
        &["-e", "nope", "d"],
        &["-e", "onlydir", "d"],
        &["-x", "d"],
        &["--bogus", "d"],
        &["--exclude", "x", "--include", "y", "d"],
        &["--exclude", "x", "--excludei", "y", "d"],
        &["--include", "x", "--includei", "y", "d"],
        &["-c", "--format", "x", "d"],
        &["--format", "%T", "d"],
        &["--timefmt", "x", "d"],
        &["--no-newline", "d"],
        &["-d", "d"],
        &["--fromfile", "a", "--fromfile", "b", "d"],
        &["-o", "a", "-o", "b", "d"],
        &["-e"],
        &["-t"],
        &["-t", "x", "d"],
        &["-t", "1x", "d"],
        &["-t", "", "d"],
        &["--exc", "x", "d"],
        &["--in", "x", "d"],
        &["--time", "1", "d"],
        &["--mo=x", "d"],
        &["-f", "d"],
        &["--filename", "d"],
        &["nope"],
        &["-r", "nope"],
        &["d", "nope"],
        &["--exclude", "(", "d"],
        &["--exclude", "*", "d"],
        &["-o", "/nope/x", "d"],
    ];
    for args in cases {
        let Some([theirs, ours]) = both(args) else { return };
        assert_eq!((ours.code, theirs.code), (Some(1), Some(1)), "{args:?}");
        assert_eq!(ours.events, theirs.events, "{args:?}");
        // The messages differ (difference 5), but not whether the set-up has started.
        let before = |messages: &str| messages.contains("Setting up watches.");
        assert_eq!(before(&ours.messages), before(&theirs.messages), "{args:?}");
        assert!(!ours.messages.is_empty() && !theirs.messages.is_empty(), "{args:?}");
    }
}

#[test]
fn paths_are_read_from_a_file_and_excluded_by_at() {
    let list = |dir: &Path| {
        for path in ["a", "b/in", "b/out/deep", "c"] {
            fs::create_dir_all(dir.join(path)).unwrap();
        }
        write(dir.join("list"), "a\nb\n@b/out\n@\n");
    };
    let args = ["-mr", "-e", "create", "--fromfile", "list", "c", "@a/none"];
    let Some(both) = Both::start(&args, list) else { return };
    for path in ["a/1", "b/2", "b/in/3", "b/out/4", "b/out/deep/5", "c/6"] {
        write(both.path(path), "");
    }
    let text = both.agree_until_the_end("c");
    assert_eq!(text, "a/ CREATE 1\nb/ CREATE 2\nb/in/ CREATE 3\nc/ CREATE 6\nc/ CREATE ");
}

#[test]
fn paths_are_read_from_standard_input() {
    let Some((program, _)) = inotifywait() else { return };
    let dir = tempfile::tempdir().unwrap();
    with_d(dir.path());
    let args = ["-t", "1", "--fromfile", "-"];
    let run = |mut command: Command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = support::spawn(&mut command).unwrap();
        child.stdin.take().unwrap().write_all(b"d\nno such\n").unwrap();
        child.wait_with_output().unwrap()
    };
    let theirs = run(support::program(&program, dir.path(), &args));
    let ours = run(support::tool(dir.path(), &args));
    assert_eq!((ours.status.code(), theirs.status.code()), (Some(1), Some(1)));
    assert!(lossy(&theirs.stderr).contains("no such") && lossy(&ours.stderr).contains("no such"));
}

#[test]
fn events_are_appended_to_a_file() {
    let Some((program, _)) = inotifywait() else { return };
    let dir = tempfile::tempdir().unwrap();
    with_d(dir.path());
    let start = |command: &mut Command| Program::established(command);
    let mut both =
        [(program.as_os_str(), "theirs"), (env!("CARGO_BIN_EXE_tinotify").as_ref(), "ours")].map(
            |(program, file)| {
                write(dir.path().join(file), "before\n");
                let args = ["-e", "create", "-o", file, "d"];
                start(&mut support::program(program, dir.path(), &args))
            },
        );
    write(dir.path().join("d/a"), "");
    let [theirs, ours] = both.each_mut().map(|program| program.end());
    assert_eq!(show(&ours), show(&theirs));
    let read = |file| fs::read_to_string(dir.path().join(file)).unwrap();
    assert_eq!(read("ours"), "before\nd/ CREATE a\n");
    assert_eq!(read("ours"), read("theirs"));
}

#[test]
fn links_are_followed_or_watched_themselves() {
    let prepare = |dir: &Path| {
        with_d(dir);
        write(dir.join("target"), "");
        symlink("../target", dir.join("d/link")).unwrap();
        symlink("d", dir.join("dirlink")).unwrap();
    };
    for args in [
        &["-m", "-e", "create,attrib,modify,delete_self", "d/link", "d"][..],
        &["-mP", "-e", "create,attrib,modify,delete_self", "d/link", "d"],
        &["-mP", "-e", "create,attrib", "dirlink", "d"],
    ] {
        let Some(both) = Both::start(args, prepare) else { return };
        write(both.path("target"), "text");
        fs::set_permissions(both.path("target"), Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(both.path("d/link")).unwrap();
        write(both.path("d/new"), "");
        both.agree_until_the_end("d");
    }
}

#[test]
fn events_of_existing_directories_of_a_tree_are_the_same() {
    let prepare = |dir: &Path| {
        for path in ["d/a/b/c", "d/e", "d/\u{e9} x/y"] {
            fs::create_dir_all(dir.join(path)).unwrap();
        }
        write(dir.join("d/a/old"), "");
    };
    for args in [
        &["-mr", "-e", "create,modify,delete,close_write,attrib,moved_to,moved_from", "d"][..],
        &["-mrc", "-e", "create,delete", "d"],
        &["-mr", "-e", "create,delete,move", "--exclude", "/a/b", "d"],
        &["--monitor", "--recursive", "-e", "create", "d/", "--format", "%w %f"],
        &["-mr", "-e", "create", "d/a", "d/e"],
    ] {
        let Some(both) = Both::start(args, prepare) else { return };
        for path in ["d/a/1", "d/a/b/2", "d/a/b/c/3", "d/e/4", "d/\u{e9} x/y/5"] {
            write(both.path(path), "text");
        }
        fs::rename(both.path("d/a/1"), both.path("d/e/1")).unwrap();
        fs::set_permissions(both.path("d/e/4"), Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(both.path("d/a/b/c/3")).unwrap();
        both.agree_until_the_end("d/e");
    }
}

#[test]
fn a_tree_without_monitor_ends_after_its_first_event() {
    let prepare = |dir: &Path| fs::create_dir_all(dir.join("d/a/b")).unwrap();
    let Some(both) = Both::start(&["-r", "-e", "create", "d"], prepare) else { return };
    write(both.path("d/a/b/x"), "");
    assert_eq!(both.agree(), "d/a/b/ CREATE x\n");
}

#[test]
fn a_file_that_is_given_by_two_paths_has_events_with_the_first() {
    let prepare = |dir: &Path| write(dir.join("f"), "");
    let Some(both) = Both::start(&["-e", "modify", "f", "./f"], prepare) else { return };
    write(both.path("f"), "text");
    assert_eq!(both.agree(), "f MODIFY \n");
}
