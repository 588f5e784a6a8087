//! Tests of `--gitignore`, with the real kernel, and with git where it is installed.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "trees/random.rs"]
mod random;
#[path = "tool/mod.rs"]
mod support;

use random::Random;
use support::scene::{Scene, repository, tool, watches};
use support::{Program, lossy, write};

#[test]
fn with_gitignore_what_git_ignores_is_hidden() {
    let scene = Scene::start(&["-r", "--gitignore", "-e", "create", "."], |dir| {
        repository(dir, &["sub/deep", "build"]);
        write(
            dir.join(".gitignore"),
            "# comment\n\n*.o\n!keep.o\n/anchored\nbuild/\nsub/deep/x\n**/y/z\n\\!odd\n{a,b}\nspace \r\n",
        );
        write(dir.join("sub/.gitignore"), "!also.o\nlocal\n");
    });
    scene.touch(&["a.o", "keep.o", "anchored", "sub/anchored", "build/x", "sub/build", "!odd"]);
    scene.touch(&["sub/also.o", "also.o", "local", "sub/local", "sub/deep/local", "sub/deep/x"]);
    scene.touch(&["sub/x", "a", "b", "{a,b}", "space", "sub/keep.o", ".git/HEAD"]);
    let expected = [
        "./keep.o",
        "./sub/anchored",
        "./sub/build",
        "./sub/also.o",
        "./local",
        "./sub/x",
        "./a",
        "./b",
        "./sub/keep.o",
    ];
    assert_eq!(scene.shown_until("end"), expected);
}

#[test]
fn with_gitignore_ignored_directories_and_git_are_not_watched() {
    let scene = Scene::start(&["-r", "--gitignore", "-e", "create", "."], |dir| {
        repository(dir, &[".git/objects/aa", "target/debug/deps", "src/target/x", "src/deep"]);
        write(dir.join(".gitignore"), "target\n");
    });
    // The root, src and src/deep.
    assert_eq!(scene.watches(), 3);
    fs::create_dir_all(scene.path("src/new/target/debug")).unwrap();
    scene.touch(&["src/new/target/debug/x"]);
    scene.until_watches(4);
    assert_eq!(scene.shown_until("end"), ["./src/new"]);
    assert_eq!(scene.watches(), 4);
}

#[test]
fn gitignore_applies_to_each_spelling_of_a_root() {
    let spellings = ["repo/sub", "repo/sub/", "./repo//sub//", "link", "link/", "ABSOLUTE"];
    for recursive in [&["-r"][..], &[]] {
        for spelling in spellings {
            let dir = tempfile::tempdir().unwrap();
            repository(&dir.path().join("repo"), &["sub/out"]);
            // The root is beneath the repository, whose rules apply.
            write(dir.path().join("repo/.gitignore"), "/sub/a\n*.o\nout/\n");
            symlink("repo/sub", dir.path().join("link")).unwrap();
            let absolute = dir.path().join("repo/sub").to_str().unwrap().to_owned();
            let root = if spelling == "ABSOLUTE" { &absolute } else { spelling };
            let args = [recursive, &["--gitignore", "-e", "create", root]].concat();
            let program = Program::established(&mut tool(dir.path(), &args));
            assert_eq!(watches(&program.child), 1, "{args:?}");
            let scene = Scene { dir, program };
            scene.touch(&["repo/sub/a", "repo/sub/b.o", "repo/sub/c"]);
            let shown = scene.shown_until("repo/sub/end");
            let slash = if root.ends_with('/') { "" } else { "/" };
            assert_eq!(shown, [format!("{root}{slash}c")], "{args:?}");
        }
    }
}

#[test]
fn each_of_several_roots_has_its_own_rules() {
    let scene =
        Scene::start(&["-r", "--gitignore", "-e", "create", "one", "two", "three"], |dir| {
            repository(&dir.join("one"), &[]);
            repository(&dir.join("two"), &["nested"]);
            // A repository within a repository.
            repository(&dir.join("two/nested"), &[]);
            fs::create_dir(dir.join("three")).unwrap();
            write(dir.join(".gitignore"), "*\n");
            write(dir.join("one/.gitignore"), "a\n");
            write(dir.join("two/.gitignore"), "b\n");
            // Without a repository, the root counts as one.
            write(dir.join("three/.gitignore"), "c\n");
        });
    for root in ["one", "two", "two/nested", "three"] {
        scene.touch(
            &["a", "b", "c"].map(|name| format!("{root}/{name}")).each_ref().map(|s| &s[..]),
        );
    }
    let expected = [
        "one/b",
        "one/c",
        "two/a",
        "two/c",
        "two/nested/a",
        "two/nested/b",
        "two/nested/c",
        "three/a",
        "three/b",
    ];
    assert_eq!(scene.shown_until("three/end"), expected);
}

#[test]
fn a_path_of_the_command_line_is_watched_though_git_ignores_it() {
    let args = ["--gitignore", "-e", "create,close_write", "target", "file.o"];
    let scene = Scene::start(&args, |dir| {
        repository(dir, &["target"]);
        write(dir.join(".gitignore"), "target\n*.o\n");
        write(dir.join("file.o"), "");
    });
    write(scene.path("file.o"), "text");
    scene.touch(&["target/x.o"]);
    assert_eq!(scene.shown_until("target/end"), ["file.o"]);
}

#[test]
fn ignore_files_of_all_kinds_count_in_the_order_of_git_and_ripgrep() {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path(), &["sub", "config/git"]);
    write(dir.path().join("config/git/ignore"), "global\nback\n/config\n");
    write(dir.path().join(".git/info/exclude"), "excluded\n!back\nsecond\n");
    write(dir.path().join(".gitignore"), "!second\nthird\nfourth\n");
    write(dir.path().join(".ignore"), "!third\nfifth\n");
    write(dir.path().join("sub/.gitignore"), "!fifth\n");
    let mut command = tool(dir.path(), &["-r", "--gitignore", "-e", "create", "."]);
    command.env("XDG_CONFIG_HOME", dir.path().join("config"));
    let program = Program::established(&mut command);
    let scene = Scene { dir, program };
    assert_eq!(scene.watches(), 2);
    scene.touch(&["global", "back", "excluded", "second", "third", "fourth", "fifth", "sub/fifth"]);
    assert_eq!(scene.shown_until("end"), ["./back", "./second", "./third"]);
}

#[test]
fn a_worktree_has_the_exclude_file_of_its_repository() {
    let scene = Scene::start(&["--gitignore", "-e", "create", "tree"], |dir| {
        repository(&dir.join("main"), &[".git/worktrees/tree"]);
        write(dir.join("main/.git/info/exclude"), "excluded\n");
        write(dir.join("main/.git/worktrees/tree/commondir"), "../..\n");
        fs::create_dir(dir.join("tree")).unwrap();
        write(dir.join("tree/.git"), "gitdir: ../main/.git/worktrees/tree\n");
    });
    scene.touch(&["tree/excluded", "tree/other"]);
    assert_eq!(scene.shown_until("tree/end"), ["tree/other"]);
}

#[test]
fn names_and_patterns_of_any_bytes_are_matched_or_named_in_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path(), &[]);
    let name = |bytes: &[u8]| dir.path().join(OsStr::from_bytes(bytes));
    fs::write(dir.path().join(".gitignore"), b"\xef\xbb\xbffirst\n\xff\n[z-a]\n*.o\n?x\n").unwrap();
    let program =
        Program::established(&mut tool(dir.path(), &["-r", "--gitignore", "-e", "create", "."]));
    for bytes in [&b"\xff.o"[..], b"first", b"\xff\xfe", b"new\nline.o", b"\xc3x"] {
        write(name(bytes), "");
    }
    write(name(b"end"), "");
    let events = program.events.until("end\n");
    assert_eq!(events, b"./\xff\xfe\n./end\n");
    let messages = lossy(&program.messages.until("is not used"));
    let expected = "invalid pattern in an ignore file: ";
    assert!(messages.contains(expected) && messages.contains(": line 2; the line"), "{messages}");
    assert_eq!(messages.matches(expected).count(), 1);
}

#[test]
fn an_ignore_file_that_is_no_file_is_not_read() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let scene = Scene::start(&["-r", "--gitignore", "-e", "create", "."], |dir| {
        repository(dir, &["fifo", "link", "dir/.gitignore", "big"]);
        let fifo = dir.join("fifo/.gitignore");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        write(dir.join("rules"), "x\n");
        symlink("../rules", dir.join("link/.gitignore")).unwrap();
        write(dir.join("big/.ignore"), &"x\n".repeat(600_000));
    });
    scene.touch(&["fifo/x", "link/x", "dir/x", "big/x"]);
    assert_eq!(scene.shown_until("end"), ["./fifo/x", "./link/x", "./dir/x", "./big/x"]);
    let messages = lossy(&scene.program.messages.until("is not used"));
    assert!(
        messages.contains("big/.ignore: it is bigger than 1 MiB; it is not used"),
        "{messages}"
    );
}

/// Changes of an ignore file, and whether `target` is ignored then.
type Change = (&'static str, fn(&Path), bool);

#[test]
fn each_kind_of_change_of_an_ignore_file_takes_effect() {
    let changes: [Change; 8] = [
        ("written", |dir| write(dir.join(".gitignore"), "target/\n"), true),
        ("written again", |dir| write(dir.join(".gitignore"), "other\n"), false),
        (
            "replaced",
            |dir| {
                write(dir.join("new"), "target\n");
                fs::rename(dir.join("new"), dir.join(".gitignore")).unwrap();
            },
            true,
        ),
        ("moved away", |dir| fs::rename(dir.join(".gitignore"), dir.join("new")).unwrap(), false),
        ("linked", |dir| fs::hard_link(dir.join("new"), dir.join(".ignore")).unwrap(), true),
        ("removed", |dir| fs::remove_file(dir.join(".ignore")).unwrap(), false),
        ("written beside", |dir| write(dir.join(".ignore"), "target\n"), true),
        ("overruled", |dir| write(dir.join(".ignore"), "!target\n"), false),
    ];
    // Neither CLOSE_WRITE nor DELETE is selected.
    let args = ["-r", "--gitignore", "-e", "attrib,create", "."];
    let scene = Scene::start(&args, |dir| repository(dir, &["target/debug"]));
    scene.until_watches(3);
    for (number, (what, change, ignored)) in (0..).zip(changes) {
        change(scene.dir.path());
        scene.until_watches(if ignored { 1 } else { 3 });
        let name = format!("target/debug/{number}");
        write(scene.path(&name), "");
        let shown = scene.shown_until(&format!("end{number}"));
        assert_eq!(shown.contains(&format!("./{name}")), !ignored, "{what}: {shown:?}");
    }
}

#[test]
fn what_is_no_longer_ignored_is_discovered() {
    let args = ["-r", "--gitignore", "-e", "create", "--format", "%e %w%f", "."];
    let scene = Scene::start(&args, |dir| {
        repository(dir, &["target/debug"]);
        write(dir.join("target/debug/x"), "");
        write(dir.join(".gitignore"), "target\n");
    });
    assert_eq!(scene.watches(), 1);
    write(scene.path(".gitignore"), "");
    scene.until_watches(3);
    let shown = lossy(&scene.program.events.until("debug/x\n"));
    assert_eq!(shown, "CREATE,ISDIR ./target/debug\nCREATE ./target/debug/x\n");
}

#[test]
fn a_half_written_ignore_file_does_not_stick() {
    let scene = Scene::start(&["-r", "--gitignore", "-e", "modify,create", "."], |dir| {
        repository(dir, &["target/debug", "src"]);
    });
    scene.until_watches(4);
    let mut file = fs::File::create(scene.path(".gitignore")).unwrap();
    file.write_all(b"src\n").unwrap();
    // The tool has seen both events of the file.
    scene.program.events.until("./.gitignore\n./.gitignore\n");
    file.write_all(b"!src\ntarget\n").unwrap();
    drop(file);
    scene.until_watches(2);
    scene.touch(&["src/x", "target/x"]);
    let shown = scene.shown_until("end");
    assert!(shown.contains(&"./src/x".to_owned()), "{shown:?}");
    assert!(!shown.contains(&"./target/x".to_owned()), "{shown:?}");
}

#[test]
fn rules_move_with_their_directory() {
    let scene = Scene::start(&["-r", "--gitignore", "-e", "create", "."], |dir| {
        repository(dir, &["one/x", "two/x", "one/y"]);
        write(dir.join("one/.gitignore"), "x\n");
    });
    // The root, one, one/y, two and two/x.
    scene.until_watches(5);
    fs::rename(scene.path("two"), scene.path("three")).unwrap();
    fs::rename(scene.path("one"), scene.path("two")).unwrap();
    scene.until_watches(5);
    scene.touch(&["three/x/seen", "two/y/seen", "two/x/unseen"]);
    assert_eq!(scene.shown_until("end"), ["./three/x/seen", "./two/y/seen"]);
    fs::remove_dir_all(scene.path("two")).unwrap();
    fs::create_dir_all(scene.path("two/x")).unwrap();
    scene.until_watches(5);
    scene.touch(&["two/x/seen"]);
    scene.program.events.until("./two/x/seen\n");
}

#[test]
fn rules_in_a_new_directory_apply() {
    let scene = Scene::start(&["-r", "--gitignore", "-e", "create", "."], |dir| {
        repository(dir, &[]);
    });
    // It comes with all its content.
    fs::create_dir_all(scene.path(".git/new/out/deep")).unwrap();
    write(scene.path(".git/new/.gitignore"), "out\n");
    fs::rename(scene.path(".git/new"), scene.path("new")).unwrap();
    scene.until_watches(2);
    // It is filled while it is watched.
    fs::create_dir_all(scene.path("late/out/deep")).unwrap();
    scene.until_watches(5);
    write(scene.path("late/.gitignore"), "out\n");
    scene.until_watches(3);
    scene.touch(&["new/out/x", "late/out/x", "late/y"]);
    let shown = scene.shown_until("end");
    assert!(shown.contains(&"./late/y".to_owned()), "{shown:?}");
    assert!(!shown.iter().any(|path| path.ends_with("/x")), "{shown:?}");
}

impl Random {
    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.index(of.len())]
    }

    fn pattern(&mut self) -> String {
        const PARTS: [&str; 18] = [
            "a", "b", "c", "d", "a.b", "*", "a*", "?", "[ab]", "[!a]", "**", "*.b", "{a,b}", "a?b",
            "\\a", "[a-c]", "*b*", "ab",
        ];
        let mut pattern = String::from(self.one(&["", "", "", "!", "!"]));
        pattern.push_str(self.one(&["", "", "", "/"]));
        let parts: Vec<_> = (0..=self.index(3)).map(|_| self.one(&PARTS)).collect();
        pattern + &parts.join("/") + self.one(&["", "", "/"]) + self.one(&["", "", "", " ", "\r"])
    }
}

/// Fills a directory at random. Returns all paths.
fn random_tree(random: &mut Random, dir: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "a.b", "ab", "axb", "{a,b}"];
    for name in NAMES {
        let path = dir.join(name);
        match random.index(5) {
            0 | 1 => fs::write(&path, "").unwrap(),
            2 | 3 if depth > 0 => {
                fs::create_dir(&path).unwrap();
                random_tree(random, &path, depth - 1, paths);
            }
            _ => continue,
        }
        paths.push(path);
    }
    if random.index(3) == 0 {
        let lines: Vec<_> = (0..=random.index(5)).map(|_| random.pattern()).collect();
        fs::write(dir.join(".gitignore"), lines.join("\n")).unwrap();
    }
}

#[test]
fn random_trees_are_ignored_as_git_check_ignore_says() {
    if support::output(Command::new("git").arg("--version")).is_err() {
        support::skip("comparison with git check-ignore: git is not installed");
        return;
    }
    let mut counts = [0; 2];
    for seed in 1..=24 {
        let mut random = Random::new(seed);
        let dir = tempfile::tempdir().unwrap();
        let git = |args: &[&str]| {
            let mut command = support::program(OsStr::new("git"), dir.path(), args);
            command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
            command.env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
            command
        };
        let output = support::output(git(&["init", "-q"]).env("GIT_TEMPLATE_DIR", "")).unwrap();
        assert!(output.status.success(), "{}", lossy(&output.stderr));
        let mut paths = Vec::new();
        random_tree(&mut random, dir.path(), 2, &mut paths);
        let names: Vec<_> = paths
            .iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().to_str().unwrap())
            .collect();
        let args = [&["check-ignore", "--"][..], &names].concat();
        let ignored = lossy(&support::output(&mut git(&args)).unwrap().stdout);
        let ignored: Vec<_> = ignored.lines().map(|line| line.trim_matches('"')).collect();

        // git does not read it, so the last file is shown in any case.
        write(dir.path().join(".ignore"), "!end\n");
        let args = ["-r", "--gitignore", "-e", "attrib,create", "."];
        let program = Program::established(&mut tool(dir.path(), &args));
        for path in &paths {
            fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        write(dir.path().join("end"), "");
        let shown = lossy(&program.events.until("./end\n"));
        let shown: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix("./")).collect();
        for name in names {
            let is_ignored = ignored.contains(&name);
            assert_eq!(!shown.contains(&name), is_ignored, "seed {seed}: {name}");
            counts[usize::from(is_ignored)] += 1;
        }
    }
    assert!(counts.iter().all(|&count| count > 50), "shown, ignored: {counts:?}");
}
