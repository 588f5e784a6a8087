//! The lines of `--json` follow `docs/tinotify.schema.json`, and that lists nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;
use schema::Schema;
use serde_json::Value;
use support::{Program, lossy, skip};
use tempfile::TempDir;

#[path = "mirroring/schema.rs"]
mod schema;
#[path = "tool/mod.rs"]
mod support;
#[path = "support/mod.rs"]
mod users;

/// Returns the schema, which refuses an unknown key and an unknown word.
fn schema() -> Schema {
    let schema = Schema::parse(include_str!("../docs/tinotify.schema.json"));
    let good: Value = serde_json::json!({"time": 1.5, "dir": "d/", "events": ["CREATE"]});
    schema.check(&good).unwrap();
    for (key, value) in [("other", "x"), ("why", "x"), ("name_hex", "f"), ("dir_hex", "FF")] {
        let mut bad = good.clone();
        bad[key] = value.into();
        assert!(schema.check(&bad).is_err(), "{bad}");
    }
    for events in [&["OTHER"][..], &[], &["EXISTING"], &["RENAMED"], &["CREATE", "EXISTING"]] {
        let mut bad = good.clone();
        bad["events"] = events.into();
        assert!(schema.check(&bad).is_err(), "{bad}");
    }
    schema
}

/// The running tool in a directory with the directory `d`.
struct Tool {
    dir: TempDir,
    program: Program,
}

impl Tool {
    fn start(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let dir = users::scratch();
        fs::create_dir(dir.path().join("d")).unwrap();
        prepare(dir.path());
        Self { program: Self::run(dir.path(), args), dir }
    }

    fn run(dir: &Path, args: &[&str]) -> Program {
        Program::established(&mut support::tool(dir, &[&["-m", "--json"], args].concat()))
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str) {
        support::write(self.path(name), "text");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn exchange(&self, one: &str, other: &str) {
        let (one, other) = (self.path(one), self.path(other));
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
    }

    fn until(&self, text: &str) {
        self.program.events.until(text);
    }

    /// Returns all lines after SIGTERM.
    fn lines(self) -> Vec<Value> {
        self.program.signal(Signal::TERM);
        lines(&self.program.events.to_end())
    }
}

fn lines(text: &[u8]) -> Vec<Value> {
    lossy(text).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn path(line: &Value) -> String {
    line["dir"].as_str().unwrap().to_owned() + line["name"].as_str().unwrap_or_default()
}

/// Lines of a tree: all kinds but those of overflows and mounts.
fn tree() -> Vec<Value> {
    let tool = Tool::start(&["-r", "--existing", "--renames", "d"], |dir| {
        fs::create_dir_all(dir.join("d/one/sub")).unwrap();
        support::write(dir.join("d/file"), "text");
    });
    tool.write("d/new");
    fs::read(tool.path("d/new")).unwrap();
    fs::set_permissions(tool.path("d/new"), Permissions::from_mode(0o600)).unwrap();
    tool.rename("d/new", "d/newer");
    tool.rename("d/newer", "out");
    tool.rename("out", "d/in");
    fs::create_dir_all(tool.path("d/two/sub")).unwrap();
    tool.until("\"name\":\"two\"");
    tool.exchange("d/one", "d/two");
    tool.until("EXCHANGED");
    fs::remove_file(tool.path("d/in")).unwrap();
    tool.rename("d", "moved");
    tool.until("MOVE_SELF");
    fs::remove_dir_all(tool.path("moved")).unwrap();
    tool.until("IGNORED");
    tool.lines()
}

/// Lines of a directory, a file and a name.
fn others() -> Vec<Value> {
    let tool = Tool::start(&["--existing", "d", "file"], |dir| {
        support::write(dir.join("d/entry"), "text");
        support::write(dir.join("file"), "text");
    });
    fs::remove_file(tool.path("file")).unwrap();
    tool.until("IGNORED");
    let name = Tool::start(&["--follow", "d/name"], |_| ());
    name.write("d/name");
    name.until("APPEARED");
    name.write("d/other");
    name.rename("d/other", "d/name");
    name.until("REPLACED");
    fs::remove_file(name.path("d/name")).unwrap();
    name.until("VANISHED");
    [tool.lines(), name.lines()].concat()
}

/// Lines about a directory that a plain user cannot read, and about lost events.
fn unreadable() -> Vec<Value> {
    let dir = support::scratch_in_memory();
    let d = dir.path().join("d");
    fs::create_dir_all(d.join("known")).unwrap();
    if users::is_root() {
        for path in [&d, &d.join("known")] {
            chown(path, Some(65534), Some(65534)).unwrap();
        }
    }
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    users::as_plain_user(|| {
        let args = ["-r", "--snapshot", "d"];
        let version = support::output(Command::new(env!("CARGO_BIN_EXE_tinotify")).arg("-V"));
        if version.is_err() {
            skip("directories without permission: this user cannot run the tool");
            return Vec::new();
        }
        let program = Tool::run(dir.path(), &args);
        program.signal(Signal::STOP);
        support::fill_queue(&d);
        mode(&d.join("known"), 0);
        program.signal(Signal::CONT);
        program.events.until("UNLISTED");
        program.events.until("RESYNCED");
        mode(&d.join("known"), 0o755);
        program.events.until("[\"WATCHED\"");
        program.signal(Signal::STOP);
        fs::create_dir(d.join("closed")).unwrap();
        mode(&d.join("closed"), 0);
        program.signal(Signal::CONT);
        program.events.until("UNWATCHED");
        mode(&d.join("closed"), 0o755);
        program.signal(Signal::TERM);
        lines(&program.events.to_end())
    })
}

/// Lines about unmounted file systems. Empty if this user cannot mount one.
fn unmounted() -> Vec<Value> {
    let dir = users::scratch();
    fs::create_dir_all(dir.path().join("d/disk")).unwrap();
    fs::create_dir(dir.path().join("root")).unwrap();
    let script = "mount -t tmpfs none d/disk && mount -t tmpfs none root && mkfifo pipe || exit 99
        \"$0\" -mrq --json -e create,unmount d root >pipe &
        while read -r line; do
            echo \"$line\"
            case $line in
                *root/*ESTABLISHED*) umount d/disk && umount root;;
                *IGNORED*) kill $!;;
            esac
        done <pipe";
    let args = ["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_tinotify")];
    let mut command = support::program(OsStr::new("unshare"), dir.path(), &args);
    match support::output(&mut command) {
        Ok(output) if !output.stdout.is_empty() => lines(&output.stdout),
        other => {
            skip(&format!("unmounted file systems: this user cannot mount one: {other:?}"));
            Vec::new()
        }
    }
}

#[test]
fn each_line_follows_the_schema_and_each_word_of_the_schema_is_printed() {
    let schema = schema();
    let [unreadable, unmounted] = [unreadable(), unmounted()];
    let all_ran = !unreadable.is_empty() && !unmounted.is_empty();
    let mut words = BTreeSet::new();
    for line in [tree(), others(), unreadable, unmounted].iter().flatten() {
        schema.check(line).unwrap_or_else(|fault| panic!("{fault}: {line}"));
        let events = line["events"].as_array().unwrap().iter();
        words.extend(events.map(|word| word.as_str().unwrap().to_owned()));
    }
    if all_ran {
        assert_eq!(words, schema.words());
    }
}

#[test]
fn the_page_shows_each_word_with_lines_that_follow_the_schema() {
    let schema = schema();
    let page = include_str!("../docs/json.md");
    let examples: Vec<&str> = page.lines().filter(|line| line.starts_with('{')).collect();
    for line in &examples {
        let fault = schema.check(&serde_json::from_str(line).unwrap()).err();
        assert_eq!(fault, None, "{line}");
    }
    let own = schema.words().into_iter().filter(|word| {
        let events = "ACCESS MODIFY ATTRIB CLOSE_NOWRITE OPEN DELETE_SELF MOVE_SELF";
        !events.split(' ').any(|event| event == word)
    });
    for word in own {
        let quoted = format!("\"{word}\"");
        assert!(examples.iter().any(|line| line.contains(&quoted)), "no example of {word}");
    }
}

/// Checks that a cookie is on at most two lines, and that these are one of the renames.
fn check_cookies(lines: &[Value], renames: &[(&str, &str)]) {
    let mut by_cookie = BTreeMap::<u64, Vec<&Value>>::new();
    for line in lines {
        if let Some(cookie) = line["cookie"].as_u64() {
            by_cookie.entry(cookie).or_default().push(line);
        }
    }
    let mut pairs = Vec::new();
    for lines in by_cookie.values() {
        match lines[..] {
            [_] => {}
            [from, to] => {
                // Of two trees, either line can come first.
                let is_first = from["events"][0] == "MOVED_FROM";
                let (from, to) = if is_first { (from, to) } else { (to, from) };
                assert_eq!(from["events"][0], "MOVED_FROM", "{lines:?}");
                assert_eq!(to["events"][0], "MOVED_TO", "{lines:?}");
                pairs.push((path(from), path(to)));
            }
            _ => panic!("more than two lines have one cookie: {lines:?}"),
        }
    }
    let mut expected: Vec<_> =
        renames.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect();
    pairs.sort();
    expected.sort();
    assert_eq!(pairs, expected);
}

#[test]
fn a_cookie_is_on_two_lines_only_if_they_are_one_rename() {
    let tool = Tool::start(&["-r", "-e", "create,move", "--exclude", "hidden", "d", "e"], |dir| {
        fs::create_dir_all(dir.join("d/one/sub")).unwrap();
        fs::create_dir_all(dir.join("d/two/sub")).unwrap();
        fs::create_dir(dir.join("e")).unwrap();
        support::write(dir.join("d/file"), "text");
        support::write(dir.join("d/next"), "text");
    });
    // The kernel's next cookie is that of the next rename.
    tool.exchange("d/one", "d/two");
    tool.rename("d/next", "d/later");
    tool.rename("d/file", "d/hidden");
    tool.rename("d/hidden", "d/shown");
    tool.rename("d/later", "e/moved");
    tool.rename("e/moved", "out");
    tool.write("d/end");
    tool.until("\"end\"");
    let renames =
        [("d/one", "d/two"), ("d/two", "d/one"), ("d/next", "d/later"), ("d/later", "e/moved")];
    tool.write("e/end");
    tool.until("\"dir\":\"e/\",\"name\":\"end\"");
    check_cookies(&tool.lines(), &renames);
}

#[test]
fn two_paths_of_one_directory_have_a_cookie_each() {
    let tool = Tool::start(&["-r", "-e", "create,move", "--follow-links", "d", "e"], |dir| {
        fs::create_dir(dir.join("e")).unwrap();
        symlink("../d", dir.join("e/link")).unwrap();
        support::write(dir.join("d/a"), "text");
    });
    tool.rename("d/a", "d/b");
    tool.write("d/end");
    tool.until("\"dir\":\"d/\",\"name\":\"end\"");
    tool.until("\"dir\":\"e/link/\",\"name\":\"end\"");
    check_cookies(&tool.lines(), &[("d/a", "d/b"), ("e/link/a", "e/link/b")]);
}

#[test]
fn a_followed_directory_that_is_given_twice_has_a_cookie_for_each_path() {
    let tool = Tool::start(&["--follow", "-e", "create,move", "d", "./d"], |dir| {
        support::write(dir.join("d/a"), "text");
    });
    tool.rename("d/a", "d/b");
    tool.write("d/end");
    tool.until("end\"");
    let lines = tool.lines();
    let cookies: BTreeSet<_> = lines.iter().filter_map(|line| line["cookie"].as_u64()).collect();
    let moved = lines.iter().filter(|line| line["cookie"].is_u64()).count();
    assert_eq!(moved, 2 * cookies.len(), "{lines:?}");
}

/// Returns the output of the tool up to a text.
fn printed(args: &[&str], prepare: impl FnOnce(&Path), until: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let program = Program::established(&mut support::tool(dir.path(), args));
    support::write(dir.path().join("d/new"), "");
    lossy(&program.events.until(until))
}

fn with_entries(dir: &Path) {
    fs::create_dir_all(dir.join("d/sub/deep")).unwrap();
    support::write(dir.join("d/sub/deep/file"), "");
    support::write(dir.join("f"), "");
}

#[test]
fn existing_entries_are_printed_parents_first_whatever_is_selected() {
    let args = ["-mr", "-e", "close_write", "--existing", "d", "f"];
    let expected = "f EXISTING \nd/ EXISTING,ISDIR sub\nd/sub/ EXISTING,ISDIR deep\n\
                    d/sub/deep/ EXISTING file\nd/ CLOSE_WRITE,CLOSE new\n";
    assert_eq!(printed(&args, with_entries, "new\n"), expected);
}

#[test]
fn without_recursion_existing_entries_of_a_directory_are_printed() {
    for option in ["--exclude=x", "--exclude=sub", "--include=new"] {
        let args = ["-m", "-e", "create", "--existing", option, "--csv", "d"];
        let text = printed(&args, with_entries, "new\n");
        let is_shown = text.contains("d/,\"EXISTING,ISDIR\",sub\n");
        assert_eq!(is_shown, option == "--exclude=x", "{text}");
        assert!(!text.contains("deep"), "{text}");
    }
}

#[test]
fn without_monitor_the_tool_prints_what_exists_and_waits_for_an_event() {
    let args = ["-e", "create", "--existing", "d"];
    let text = printed(&args, with_entries, "new\n");
    assert_eq!(text, "d/ EXISTING,ISDIR sub\nd/ CREATE new\n");
}

#[test]
fn a_name_that_does_not_exist_yet_is_not_existing() {
    let prepare = |dir: &Path| fs::create_dir(dir.join("d")).unwrap();
    let args = ["-m", "-e", "create", "--existing", "--follow", "d/new"];
    assert_eq!(printed(&args, prepare, "\n"), "d/new APPEARED \n");
}

#[test]
fn an_entry_that_is_created_after_the_set_up_is_not_existing() {
    let text = printed(&["-mr", "-e", "create", "--existing", "d"], with_entries, "new\n");
    assert!(text.ends_with("d/ CREATE new\n"), "{text}");
}
