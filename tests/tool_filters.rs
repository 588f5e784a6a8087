//! Tests of the filters by globs, extensions, types and the ignore files of git, with the real kernel.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use tempfile::TempDir;

#[path = "tool/mod.rs"]
mod support;

use support::{Program, lossy, write};

/// The running tool in a new directory, with its watches set up.
struct Scene {
    dir: TempDir,
    program: Program,
}

impl Scene {
    /// Starts the tool with `-m` in a new directory, after `prepare`. It prints one path a line.
    fn start(args: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let program = Program::established(&mut tool(dir.path(), args));
        Self { dir, program }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn touch(&self, names: &[&str]) {
        names.iter().for_each(|name| write(self.path(name), ""));
    }

    /// Creates a file with this name, and returns the lines before its line.
    fn shown_until(&self, last: &str) -> Vec<String> {
        write(self.path(last), "");
        let last = last.rsplit('/').next().unwrap();
        let text = lossy(&self.program.events.until(format!("{last}\n")));
        let lines = text.lines().map(str::to_owned);
        lines.take_while(|line| line.rsplit('/').next() != Some(last)).collect()
    }

    fn watches(&self) -> usize {
        watches(&self.program.child)
    }

    /// Waits until the tool has exactly this number of watches.
    fn until_watches(&self, count: usize) {
        let begin = Instant::now();
        while self.watches() != count {
            assert!(begin.elapsed() < support::DEADLINE, "not {count}, but {}", self.watches());
            std::thread::yield_now();
        }
    }
}

/// Returns the number of watches that the kernel lists for a program.
fn watches(child: &Child) -> usize {
    let infos = fs::read_dir(format!("/proc/{}/fdinfo", child.id())).unwrap().flatten();
    let texts = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    texts.map(|text| text.matches("inotify wd:").count()).sum()
}

/// Returns a command that runs the tool without the user's own ignore file.
fn tool(dir: &Path, args: &[&str]) -> Command {
    let mut command = support::tool(dir, &["-m", "--format", "%w%f"]);
    command.args(args).env("GIT_CONFIG_NOSYSTEM", "1").env_remove("GIT_CONFIG_GLOBAL");
    command.env("HOME", "/nonexistent").env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

fn directories(dir: &Path, beneath: &[&str]) {
    beneath.iter().for_each(|name| fs::create_dir_all(dir.join(name)).unwrap());
}

/// Makes a directory the root of a repository, and creates directories in it.
fn repository(dir: &Path, beneath: &[&str]) {
    directories(dir, &[".git/info"]);
    directories(dir, beneath);
}

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
    let expected = ["CREATE,ISDIR ./target/debug", "CREATE ./target/debug/x"];
    let shown: Vec<_> = scene.shown_until("target/end").into_iter().collect();
    assert_eq!(shown, expected);
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
    let shown = scene.shown_until("end2");
    assert!(shown.contains(&"./two/x/seen".to_owned()), "{shown:?}");
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

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn pattern(&mut self) -> String {
        const PARTS: [&str; 18] = [
            "a", "b", "c", "d", "a.b", "*", "a*", "?", "[ab]", "[!a]", "**", "*.b", "{a,b}", "a?b",
            "\\a", "[a-c]", "*b*", "ab",
        ];
        let mut pattern = String::from(self.one(&["", "", "", "!", "!"]));
        pattern.push_str(self.one(&["", "", "", "/"]));
        let parts: Vec<_> = (0..=self.below(3)).map(|_| self.one(&PARTS)).collect();
        pattern + &parts.join("/") + self.one(&["", "", "/"]) + self.one(&["", "", "", " ", "\r"])
    }
}

/// Fills a directory at random. Returns all paths.
fn random_tree(random: &mut Random, dir: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "a.b", "ab", "axb", "{a,b}"];
    for name in NAMES {
        let path = dir.join(name);
        match random.below(5) {
            0 | 1 => fs::write(&path, "").unwrap(),
            2 | 3 if depth > 0 => {
                fs::create_dir(&path).unwrap();
                random_tree(random, &path, depth - 1, paths);
            }
            _ => continue,
        }
        paths.push(path);
    }
    if random.below(3) == 0 {
        let lines: Vec<_> = (0..=random.below(5)).map(|_| random.pattern()).collect();
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
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ seed);
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

#[test]
fn an_excluded_glob_matches_names_or_paths_beneath_the_root() {
    let args = [
        "-r",
        "-e",
        "create",
        "--exclude-glob",
        "*.{o,tmp}",
        "--exclude-glob",
        "/top",
        "--exclude-glob",
        "sub/x",
        "--exclude-glob",
        "out/",
        "--exclude-glob",
        "**/deep/*.c",
        "root",
    ];
    let scene = Scene::start(&args, |dir| {
        directories(dir, &["root/sub/out/more", "root/top", "root/sub/top", "root/deep"]);
    });
    // The root, sub, sub/top and deep.
    assert_eq!(scene.watches(), 4);
    scene.touch(&["root/a.o", "root/a.oo", "root/sub/a.tmp", "root/top/a", "root/sub/top/a"]);
    scene.touch(&[
        "root/sub/x",
        "root/x",
        "root/out",
        "root/sub/out/a",
        "root/deep/a.c",
        "root/a.c",
    ]);
    fs::create_dir_all(scene.path("root/new/out/more")).unwrap();
    scene.until_watches(5);
    let expected = ["root/a.oo", "root/sub/top/a", "root/x", "root/out", "root/a.c", "root/new"];
    assert_eq!(scene.shown_until("root/end"), expected);
}

#[test]
fn an_included_glob_hides_other_files_and_directories_but_watches_them() {
    let args = ["-r", "-e", "create", "--include-glob=*.rs", "--include-glob", "doc/**/*.md", "."];
    let scene = Scene::start(&args, |dir| {
        directories(dir, &["src", "doc/a/b", "x.rs"]);
    });
    assert_eq!(scene.watches(), 6);
    scene.touch(&["a.rs", "src/b.rs", "src/b.c", "x.rs/c", "doc/d.md", "doc/a/b/e.md", "f.md"]);
    fs::create_dir(scene.path("dir.rs")).unwrap();
    scene.until_watches(7);
    assert_eq!(
        scene.shown_until("end.rs"),
        ["./a.rs", "./src/b.rs", "./doc/d.md", "./doc/a/b/e.md"]
    );
}

#[test]
fn globs_match_the_name_of_a_watched_file() {
    let args =
        ["-e", "close_write", "--exclude-glob", "*.log", "--ext", "log,txt", "a.log", "d/b.txt"];
    let scene = Scene::start(&args, |dir| {
        fs::create_dir(dir.join("d")).unwrap();
        write(dir.join("a.log"), "");
        write(dir.join("d/b.txt"), "");
    });
    scene.touch(&["a.log", "d/b.txt"]);
    assert_eq!(lossy(&scene.program.events.until("b.txt\n")), "d/b.txt\n");
}

#[test]
fn ext_shows_only_files_with_an_extension() {
    let scene = Scene::start(&["-re", "create", "-x", "rs,.toml", "--ext", "tar.gz", "."], |dir| {
        fs::create_dir(dir.join("sub.rs")).unwrap();
    });
    fs::create_dir(scene.path("new.rs")).unwrap();
    scene.touch(&[
        "a.rs",
        "a.RS",
        "a.c",
        "rs",
        ".rs",
        "sub.rs/b.toml",
        "c.tar.gz",
        "c.gz",
        "d.rs.c",
    ]);
    write(scene.path(OsStr::from_bytes(b"\xff.rs")), "");
    let shown = scene.shown_until("end.rs");
    assert_eq!(shown, ["./a.rs", "./sub.rs/b.toml", "./c.tar.gz", "./\u{fffd}.rs"]);
}

#[test]
fn type_shows_only_files_or_only_directories() {
    for (types, expected) in [
        (&["--type", "f"][..], "./a\n./b\n"),
        (&["--type=d"], "./sub\n./sub\n"),
        (&["--type", "f,d"], "./sub\n./a\n./b\n./sub\n"),
        (&["--type", "f", "--type", "d"], "./sub\n./a\n./b\n./sub\n"),
    ] {
        let args = [&["-r", "-e", "create,delete", "."], types].concat();
        let scene = Scene::start(&args, |_| ());
        fs::create_dir(scene.path("sub")).unwrap();
        scene.touch(&["a", "b"]);
        fs::remove_dir(scene.path("sub")).unwrap();
        assert_eq!(lossy(&scene.program.events.until(expected)), expected, "{types:?}");
    }
}

#[test]
fn the_removal_of_a_watched_directory_is_of_type_d() {
    for (kind, expected) in [("d", "d/\n"), ("f", "")] {
        let mut scene = Scene::start(&["-e", "delete_self", "--type", kind, "d"], |dir| {
            fs::create_dir(dir.join("d")).unwrap();
        });
        fs::remove_dir(scene.path("d")).unwrap();
        assert_eq!(lossy(&scene.program.end().events), expected);
    }
}

#[test]
fn a_path_is_shown_if_no_filter_hides_it() {
    let args = [
        "-re",
        "create",
        "--gitignore",
        "--exclude-glob",
        "gen_*",
        "--include-glob",
        "src/**",
        "-x",
        "rs,c",
        "--type",
        "f",
        "--exclude",
        "/test_",
        "--stats",
        ".",
    ];
    let mut scene = Scene::start(&args, |dir| {
        repository(dir, &["src"]);
        write(dir.join(".gitignore"), "*.c\n!main.c\n");
    });
    scene.touch(&["src/a.rs", "src/a.c", "src/main.c", "src/gen_a.rs", "src/test_a.rs", "a.rs"]);
    scene.touch(&["src/a.o"]);
    fs::create_dir(scene.path("src/d.rs")).unwrap();
    assert_eq!(scene.shown_until("src/end.rs"), ["./src/a.rs", "./src/main.c"]);
    scene.program.signal(rustix::process::Signal::TERM);
    let messages = scene.program.end().messages;
    assert!(messages.contains("3 shown, 6 hidden, 0 overflows"), "{messages}");
}

#[test]
fn a_rename_with_one_hidden_half_is_shown_as_the_other() {
    let args = ["-r", "--renames", "-e", "move", "--format", "%e %w%f %o", "--gitignore", "."];
    for args in [&args[..], &args[1..]] {
        let scene = Scene::start(args, |dir| {
            repository(dir, &[]);
            write(dir.join(".gitignore"), "*.o\n");
            write(dir.join("a"), "");
            write(dir.join("b.o"), "");
        });
        for (from, to) in [("a", "a.o"), ("a.o", "b"), ("b.o", "c.o"), ("b", "c"), ("c", "end")] {
            fs::rename(scene.path(from), scene.path(to)).unwrap();
        }
        let expected = "MOVED_FROM ./a \nMOVED_TO ./b \nRENAMED ./c ./b\nRENAMED ./end ./c\n";
        assert_eq!(lossy(&scene.program.events.until("./end ./c\n")), expected, "{args:?}");
    }
}

#[test]
fn bad_values_of_filters_are_refused_with_exact_messages() {
    let cases: [(&[&str], &str); 14] = [
        (&["-x", ""], "invalid extension \"\": expected a list such as rs,toml"),
        (&["-x", "."], "invalid extension \".\": expected a list such as rs,toml"),
        (&["--ext", "rs,,c"], "invalid extension \"rs,,c\": expected a list such as rs,toml"),
        (&["--ext=a/b"], "invalid extension \"a/b\": expected a list such as rs,toml"),
        (
            &["--type", ""],
            "invalid type \"\": expected f, d or f,d; events do not tell other types from files",
        ),
        (
            &["--type", "l"],
            "invalid type \"l\": expected f, d or f,d; events do not tell other types from files",
        ),
        (
            &["--type=f;d"],
            "invalid type \"f;d\": expected f, d or f,d; events do not tell other types from files",
        ),
        (&["--exclude-glob", "[a"], "invalid glob \"[a\": unclosed character class; missing ']'"),
        (
            &["--exclude-glob", "a{b"],
            "invalid glob \"a{b\": unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
        ),
        (&["--include-glob", "[z-a]"], "invalid glob \"[z-a]\": invalid range; 'z' > 'a'"),
        (&["--include-glob", ""], "invalid glob \"\": it matches nothing"),
        (&["--include-glob", "/"], "invalid glob \"/\": it matches nothing"),
        (
            &["--exclude-glob", "\u{202e}["],
            "invalid glob \"\\u{202e}[\": unclosed character class; missing ']'",
        ),
        (&["--gitignore=yes"], "unexpected argument for option '--gitignore': \"yes\""),
    ];
    for (args, expected) in cases {
        let args = [args, &["."]].concat();
        let ended = Program::start(&mut tool(Path::new("."), &args)).end();
        assert_eq!(ended.code, Some(1), "{args:?}");
        let first = ended.messages.lines().next().unwrap_or_default();
        assert_eq!(first, format!("tinotify: {expected}"), "{args:?}");
    }
}
