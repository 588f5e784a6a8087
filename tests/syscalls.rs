//! Each layer makes all system calls that `docs/syscalls.md` lists for it, and no others.
//!
//! Needs strace, and prints SKIPPED if it is missing or may not trace. strace runs this program again, which
//! uses a layer between two marks, while a second thread makes changes to watch. The tool is traced as a
//! whole program, with the options that add calls.

mod traced;

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod lists {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::process::{Command, ExitCode};
    use std::sync::mpsc;
    use std::time::Duration;
    use std::{env, fs, io, thread};

    use tinotify::{
        EventRing, InitFlags, Inotify, NameChange, TreeOptions, WatchMask, Watcher, WatcherBuilder,
    };

    use crate::traced::{self, calls, documented};

    const LAYER: &str = "TINOTIFY_LAYER";

    /// The layers, each with those that it uses.
    const LAYERS: [(&str, &[&str]); 5] = [
        ("The core", &[]),
        ("Watcher", &["The core"]),
        ("Trees", &["The core", "Watcher"]),
        (BARE, &["The core", "Watcher", "Trees"]),
        ("tokio", &["The core", "Watcher"]),
    ];

    /// This layer runs in a namespace, where it hides /proc.
    const BARE: &str = "Trees without /proc and unshare";
    const NAMESPACE: [&str; 2] = ["unshare", "-Urm"];

    pub fn main() -> ExitCode {
        if let Ok(layer) = env::var(LAYER) {
            use_layer(&layer);
            return ExitCode::SUCCESS;
        }
        if !traced::works() {
            eprintln!("SKIPPED: lists of system calls: {}", traced::MISSING);
            return ExitCode::SUCCESS;
        }
        let mut failed = false;
        for (layer, below) in LAYERS {
            if layer == "tokio" && cfg!(not(feature = "tokio")) {
                eprintln!("SKIPPED: calls of tokio: the feature is off");
                continue;
            }
            if layer == BARE && !has_namespaces() {
                eprintln!("SKIPPED: calls of trees without /proc: no user namespace");
                continue;
            }
            failed |= !as_documented(layer, below, &made(layer));
        }
        #[cfg(feature = "cli")]
        {
            failed |= !tool::as_documented();
        }
        if cfg!(not(feature = "cli")) {
            eprintln!("SKIPPED: calls of the tool: the feature cli is off");
        }
        if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn has_namespaces() -> bool {
        let tried = Command::new(NAMESPACE[0]).args(&NAMESPACE[1..]).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    }

    /// Returns `true` if all calls on the layer's list were made, and no others except those of the layers
    /// below.
    fn as_documented(layer: &str, below: &[&str], made: &BTreeSet<String>) -> bool {
        let own = documented(layer);
        let mut permitted = documented("The standard library");
        below.iter().for_each(|below| permitted.extend(documented(below)));
        let missing: Vec<_> = own.difference(made).collect();
        permitted.extend(own.iter().cloned());
        let unknown: Vec<_> = made.difference(&permitted).collect();
        if missing.is_empty() && unknown.is_empty() {
            println!("{layer}: {} calls, as documented", own.len());
            return true;
        }
        println!("{layer}: FAILED: never made: {missing:?}; not documented: {unknown:?}");
        false
    }

    /// Returns the calls of a run between its marks, without those of the thread that makes changes.
    fn made(layer: &str) -> BTreeSet<String> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let status = Command::new("strace")
            .args(["-f", "-qq", "-e", "signal=none", "-o"])
            .arg(log.path())
            .args(if layer == BARE { &NAMESPACE[..] } else { &[] })
            .arg(env::current_exe().unwrap())
            .env(LAYER, layer)
            .status()
            .unwrap();
        assert!(status.success(), "{layer}: {status}");
        let log = fs::read_to_string(log.path()).unwrap();
        let lines: Vec<_> = calls(&log).collect();
        let (changer, _) = lines.iter().find(|(_, call)| *call == CHANGER).unwrap();
        let mut sections = lines.split(|(_, call)| *call == MARK);
        let own = sections.nth(1).unwrap();
        assert_eq!(sections.count(), 1, "{layer}: two marks");
        own.iter().filter(|(t, _)| t != changer).map(|(_, call)| (*call).to_owned()).collect()
    }

    /// Calls that only the marks and the changing thread make.
    const MARK: &str = "getppid";
    const CHANGER: &str = "getpriority";

    fn mark() {
        let _ = rustix::process::getppid();
    }

    type Step = Box<dyn FnOnce() + Send>;

    /// A thread that makes changes, so that its calls are not counted for the layer.
    struct Changer {
        changes: mpsc::Sender<Step>,
        done: mpsc::Receiver<()>,
    }

    impl Changer {
        fn new() -> Self {
            let (changes, received) = mpsc::channel::<Step>();
            let (sender, done) = mpsc::channel();
            thread::spawn(move || {
                rustix::process::getpriority_process(None).unwrap();
                sender.send(()).unwrap();
                for change in received {
                    change();
                    sender.send(()).unwrap();
                }
            });
            done.recv().unwrap();
            Self { changes, done }
        }

        fn make(&self, change: impl FnOnce() -> io::Result<()> + Send + 'static) {
            self.changes.send(Box::new(|| change().unwrap())).unwrap();
            self.done.recv().unwrap();
        }
    }

    fn use_layer(layer: &str) {
        let dir = tempfile::tempdir().unwrap();
        let changer = Changer::new();
        match layer {
            "The core" => core(dir.path(), &changer),
            "Watcher" => watcher(dir.path(), &changer),
            "Trees" => trees(dir.path(), &changer),
            BARE => {
                hide_proc_and_refuse_unshare();
                trees(dir.path(), &changer);
            }
            #[cfg(feature = "tokio")]
            "tokio" => tokio(dir.path(), &changer),
            other => unreachable!("{other}"),
        }
    }

    fn core(dir: &Path, changer: &Changer) {
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(dir.as_os_str().as_bytes()).unwrap();
        mark();
        let inotify = Inotify::init(InitFlags::NONBLOCK).unwrap();
        let wd = inotify.add_watch(&path, WatchMask::CREATE).unwrap();
        let file = dir.join("file");
        changer.make(|| fs::write(file, ""));
        assert!(inotify.poll(None).unwrap());
        assert!(inotify.queued_bytes().unwrap() > 0);
        let mut ring = EventRing::<64>::new();
        inotify.fill(&mut ring).unwrap();
        assert_eq!(ring.pop().unwrap().unwrap().name(), Some(&b"file"[..]));
        inotify.rm_watch(wd).unwrap();
        assert_eq!(inotify.read(&mut [0; 272]).unwrap().count(), 1);
        drop(inotify);
        mark();
    }

    fn watcher(dir: &Path, changer: &Changer) {
        let link = dir.join("link");
        changer.make(|| std::os::unix::fs::symlink("name", link));
        let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let queue: usize = queue.trim().parse().unwrap();
        mark();
        let mut watcher = WatcherBuilder::default().inheritable(true).build().unwrap();
        let mask = WatchMask::CREATE | WatchMask::CLOSE_WRITE | WatchMask::MOVE;
        let watch = watcher.watch(dir, mask).unwrap();
        watcher.watch_name(dir.join("link"), mask).unwrap();
        let name = dir.join("name");
        changer.make(|| fs::write(name, ""));
        while watcher.recv().unwrap().name_change() != Some(NameChange::Appeared) {}
        while watcher.recv_timeout(Duration::from_millis(1)).unwrap().is_some() {}
        // More renames than the queue can hold; each is two events.
        let names = [dir.join("name"), dir.join("other")];
        changer.make(move || {
            (0..queue / 2 + 2).try_for_each(|n| fs::rename(&names[n % 2], &names[(n + 1) % 2]))
        });
        while !watcher.recv().unwrap().is_overflow() {}
        while watcher.recv_timeout(Duration::from_millis(1)).unwrap().is_some() {}
        watcher.unwatch(watch).unwrap();
        watcher.stop_handle().stop();
        while watcher.recv().is_ok() {}
        drop(watcher);
        mark();
    }

    fn trees(dir: &Path, changer: &Changer) {
        let root = dir.join("a");
        changer.make(move || fs::create_dir_all(root.join("b/c")));
        mark();
        let mut watcher = Watcher::new().unwrap();
        let mask = WatchMask::CREATE | WatchMask::CLOSE_WRITE;
        let root = dir.join("a");
        let watch = watcher.watch_tree(&root, mask, TreeOptions::new()).unwrap();
        let new = root.join("b/new");
        changer.make(move || {
            fs::create_dir_all(new.join("deep"))?;
            fs::write(new.join("deep/file"), "")
        });
        while !watcher.recv().unwrap().path().ends_with("deep/file") {}
        while watcher.recv_timeout(Duration::from_millis(1)).unwrap().is_some() {}
        watcher.unwatch(watch).unwrap();
        while watcher.recv_timeout(Duration::from_millis(1)).unwrap().is_some() {}
        drop(watcher);
        mark();
    }

    fn hide_proc_and_refuse_unshare() {
        use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
        use std::os::unix::fs::MetadataExt;
        let (proc, flags) = (Path::new("/proc"), rustix::mount::MountFlags::empty());
        let before = fs::metadata(proc).unwrap().dev();
        rustix::mount::mount(c"none", proc, c"tmpfs", flags, None).unwrap();
        assert_ne!(fs::metadata(proc).unwrap().dev(), before);
        let filter = SeccompFilter::new(
            [(i64::from(syscalls::Sysno::unshare.id()), Vec::new())].into(),
            SeccompAction::Allow,
            SeccompAction::Errno(1),
            TargetArch::x86_64,
        );
        let filter: BpfProgram = filter.unwrap().try_into().unwrap();
        seccompiler::apply_filter(&filter).unwrap();
    }

    #[cfg(feature = "tokio")]
    fn tokio(dir: &Path, changer: &Changer) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            mark();
            let watcher = Watcher::new().unwrap();
            watcher.watch(dir, WatchMask::CREATE).unwrap();
            let mut watcher = tinotify::TokioWatcher::tokio(watcher).unwrap();
            let nothing = tokio::time::timeout(Duration::from_millis(1), watcher.recv()).await;
            assert!(nothing.is_err());
            let file = dir.join("file");
            changer.make(|| fs::write(file, ""));
            assert!(watcher.recv().await.unwrap().path().ends_with("file"));
            drop(watcher);
            mark();
        });
    }

    #[cfg(feature = "cli")]
    mod tool {
        use std::cell::RefCell;
        use std::collections::BTreeSet;
        use std::ffi::OsStr;
        use std::fs;
        use std::os::unix::process::ExitStatusExt;
        use std::path::{Path, PathBuf};
        use std::process::{Child, Command, ExitStatus, Stdio};
        use std::time::Duration;

        use rustix::process::{Pid, Signal, kill_process};
        use tempfile::NamedTempFile;
        use tinotify::{WatchMask, Watcher};

        const TOOL: &str = env!("CARGO_BIN_EXE_tinotify");

        /// The time after which a test fails instead of waiting.
        const DEADLINE: Duration = Duration::from_secs(60);

        /// First checks everything but `-r`, and then with `-r`, which also uses trees.
        pub fn as_documented() -> bool {
            let dir = tempfile::tempdir().unwrap();
            let mut made = ended_by_a_signal(dir.path());
            made.extend(commands(dir.path()));
            made.extend(in_the_background(dir.path()));
            let below = ["The start of a program", "The core", "Watcher"];
            let flat = super::as_documented("The tool", &below, &made);
            made.extend(tree(dir.path()));
            let below = [&below[..], &["Trees"]].concat();
            let whole = super::as_documented("The tool", &below, &made);
            flat && whole
        }

        fn ended_by_a_signal(dir: &Path) -> BTreeSet<String> {
            let watched = new_dir(dir, "signal");
            let out = dir.join("out");
            // The command is the tool too, because its calls are also traced.
            let command = ["--run-at-start", "--exec", TOOL, "-m", ".", ";"];
            let args = [&["-m", "--stats"], &command[..], &["-o"]].concat();
            let run = Run::new(args, [&out, &watched]);
            run.until("Watches established", 2);
            fs::write(watched.join("file"), "").unwrap();
            kill_process(run.pid(), Signal::USR1).unwrap();
            run.until("SIGUSR1 {", 1);
            kill_process(run.pid(), Signal::TERM).unwrap();
            let (status, calls) = run.end();
            assert_eq!(status.signal(), Some(Signal::TERM.as_raw()), "{status}");
            calls
        }

        /// The command is the tool too, because its calls are also traced.
        fn commands(dir: &Path) -> BTreeSet<String> {
            let watched = new_dir(dir, "commands");
            let args = ["-m", "-e", "create", "--timefmt", "%H", "--format", "%T", "--exec", TOOL];
            let run = Run::new(args, [OsStr::new("--version"), OsStr::new(";"), watched.as_ref()]);
            run.until("Watches established", 1);
            // The second command starts after the tool has seen the end of the first.
            for file in 1..=2 {
                fs::write(watched.join(file.to_string()), "").unwrap();
                run.until("write(1, \"tinotify ", file);
            }
            fs::remove_dir_all(&watched).unwrap();
            let (status, calls) = run.end();
            assert_eq!(status.code(), Some(1));
            calls
        }

        fn in_the_background(dir: &Path) -> BTreeSet<String> {
            let watched = new_dir(dir, "background");
            let out = dir.join("out");
            let run = Run::new(["-d", "-s", "-o"], [&out, &watched]);
            run.until("+++ exited with 0", 1);
            fs::remove_dir(&watched).unwrap();
            let (status, calls) = run.end();
            assert!(status.success(), "{status}");
            calls
        }

        fn tree(dir: &Path) -> BTreeSet<String> {
            let watched = new_dir(dir, "tree");
            fs::create_dir_all(watched.join("a/b")).unwrap();
            let run = Run::new(["-m", "-r", "-e", "create", "--format", "%f"], [&watched]);
            run.until("Watches established", 1);
            let new = watched.join("a/b/new/deep");
            fs::create_dir_all(&new).unwrap();
            fs::write(new.join("file"), "").unwrap();
            run.until("file\\n", 1);
            kill_process(run.pid(), Signal::TERM).unwrap();
            let (status, calls) = run.end();
            assert_eq!(status.signal(), Some(Signal::TERM.as_raw()), "{status}");
            calls
        }

        fn new_dir(dir: &Path, name: &str) -> PathBuf {
            let path = dir.join(name);
            fs::create_dir(&path).unwrap();
            path
        }

        /// A run of the tool under strace.
        struct Run {
            strace: Child,
            log: NamedTempFile,
            /// Reports each write to the log.
            writes: RefCell<Watcher>,
        }

        impl Run {
            fn new<A: AsRef<OsStr>, P: AsRef<OsStr>>(
                args: impl IntoIterator<Item = A>,
                paths: impl IntoIterator<Item = P>,
            ) -> Self {
                let log = NamedTempFile::new().unwrap();
                let writes = Watcher::new().unwrap();
                writes.watch(log.path(), WatchMask::MODIFY).unwrap();
                let strace = Command::new("strace")
                    .args(["-f", "-q", "-o"])
                    .arg(log.path())
                    .arg(TOOL)
                    .args(args)
                    .args(paths)
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                Self { strace, log, writes: writes.into() }
            }

            fn log(&self) -> String {
                fs::read_to_string(self.log.path()).unwrap()
            }

            /// Waits until the log has a text at least `times` times.
            fn until(&self, what: &str, times: usize) {
                while self.log().matches(what).count() < times {
                    if self.writes.borrow_mut().recv_timeout(DEADLINE).unwrap().is_none() {
                        let _ = kill_process(self.pid(), Signal::KILL);
                        panic!("no {what:?} in: {}", self.log());
                    }
                }
            }

            fn pid(&self) -> Pid {
                let log = self.log();
                let (pid, _) = log.split_once(' ').unwrap();
                Pid::from_raw(pid.parse().unwrap()).unwrap()
            }

            fn end(mut self) -> (ExitStatus, BTreeSet<String>) {
                let status = self.strace.wait().unwrap();
                let log = self.log();
                (status, crate::traced::calls(&log).map(|(_, call)| call.to_owned()).collect())
            }
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    lists::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
fn main() {
    eprintln!("SKIPPED: lists of system calls: they are those of x86-64 and glibc");
}
