//! Tests of the filters by globs, extensions and types, with the real kernel.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[path = "tool/mod.rs"]
mod support;

use support::scene::{Scene, directories, repository, tool};
use support::{Program, lossy, write};

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
    let cases: [(&[&str], &str); 13] = [
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
    ];
    for (args, expected) in cases {
        let args = [args, &["."]].concat();
        let ended = Program::start(&mut tool(Path::new("."), &args)).end();
        assert_eq!(ended.code, Some(1), "{args:?}");
        let first = ended.messages.lines().next().unwrap_or_default();
        assert_eq!(first, format!("tinotify: {expected}"), "{args:?}");
    }
}
