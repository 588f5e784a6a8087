//! The child process of a tree leaves nothing behind, and its end loses no call.

use rustix::process::{Pid, Signal, getpid, kill_process};
use syscalls::Sysno;

use super::*;

/// Returns the children of this process that run.
fn children() -> Vec<Pid> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        // It may have ended meanwhile.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let mut fields = fields.split(' ');
        let runs = fields.next().is_some_and(|state| !matches!(state, "Z" | "X"));
        if runs && fields.next() == Some(&getpid().to_string()) {
            children.push(pid);
        }
    }
    children
}

#[test]
fn a_child_process_is_invisible_to_the_program() {
    if !in_child("tree::linux::tests::children::a_child_process_is_invisible_to_the_program", &[]) {
        return;
    }
    let signalled = std::sync::Arc::new(AtomicBool::new(false));
    #[cfg(feature = "cli")]
    signal_hook::flag::register(signal_hook::consts::SIGCHLD, signalled.clone()).unwrap();
    let before = std::env::current_dir().unwrap();
    let dir = tree();
    let inotify = instance();
    with(Method::Child, &inotify, dir.path(), |linux| {
        let top = linux.open(b"root").unwrap();
        assert_eq!(children(), []);
        linux.watch_child(&top, b"a", MASK).unwrap();
        assert_eq!(linux.watch_child(&top, b"none", MASK), Err(Errno::ENOENT));
        assert_eq!(linux.watch_child(&top, &[b'x'; 4090], MASK), Err(Errno::ENAMETOOLONG));
        linux.watch(&top, MASK).unwrap();
        assert_eq!(children().len(), 1, "one child makes all calls");
    });
    assert_eq!(children(), []);
    assert!(!signalled.load(Ordering::Relaxed));
    assert_eq!(std::env::current_dir().unwrap(), before);
    assert_eq!(watches(&inotify).len(), 2);
}

#[test]
fn a_child_process_that_was_killed_is_replaced() {
    if !in_child("tree::linux::tests::children::a_child_process_that_was_killed_is_replaced", &[]) {
        return;
    }
    let dir = tree();
    let inotify = instance();
    with(Method::Child, &inotify, &dir.path().join("root"), |linux| {
        let top = linux.open(b"").unwrap();
        let a = linux.open(b"a").unwrap();
        let wds = [
            linux.watch(&top, MASK).unwrap(),
            linux.watch(&a, MASK).unwrap(),
            linux.watch_child(&a, b"b", MASK).unwrap(),
        ];
        for _ in 0..3 {
            children().into_iter().for_each(|child| kill_process(child, Signal::KILL).unwrap());
            // The new child starts in another directory.
            assert_eq!(linux.watch_child(&a, b"b", MASK), Ok(wds[2]));
            assert_eq!(linux.watch_child(&top, b"a", MASK), Ok(wds[1]));
            assert_eq!(linux.watch(&top, MASK), Ok(wds[0]));
        }
        children().into_iter().for_each(|child| kill_process(child, Signal::KILL).unwrap());
    });
    assert_eq!(children(), []);
}

/// So none is left if this process was killed, or executed another program.
#[test]
fn a_child_process_ends_when_it_gets_no_requests() {
    if !in_child("tree::linux::tests::children::a_child_process_ends_when_it_gets_no_requests", &[])
    {
        return;
    }
    let dir = tree();
    let inotify = instance();
    with(Method::Child, &inotify, &dir.path().join("root"), |linux| {
        let top = linux.open(b"").unwrap();
        let wd = linux.watch_child(&top, b"a", MASK).unwrap();
        support::until("the child ends", || children().is_empty());
        assert_eq!(linux.watch_child(&top, b"a", MASK), Ok(wd));
    });
}

#[test]
fn a_child_process_that_can_not_make_its_calls_is_an_error() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
    const NAME: &str =
        "tree::linux::tests::children::a_child_process_that_can_not_make_its_calls_is_an_error";
    let arch = std::env::consts::ARCH;
    let Ok(arch) = arch.try_into() else {
        return skipped(NAME, format_args!("no seccomp filter for {arch}"));
    };
    if !in_child(NAME, &[]) {
        return;
    }
    let (dir, inotify) = (tree(), instance());
    // Only the child calls fchdir(2).
    for (action, errno) in [
        (SeccompAction::Errno(Errno::ENOSYS.as_raw().unsigned_abs()), Errno::ENOSYS),
        (SeccompAction::KillProcess, Errno::EPERM),
    ] {
        let rules = [(i64::from(Sysno::fchdir.id()), Vec::new())].into();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch).unwrap();
        if let Err(error) = apply_filter(&BpfProgram::try_from(filter).unwrap()) {
            return skipped(NAME, format_args!("no seccomp filter: {error}"));
        }
        with(Method::Child, &inotify, &dir.path().join("root"), |linux| {
            let top = linux.open(b"").unwrap();
            for _ in 0..2 {
                assert_eq!(linux.watch_child(&top, b"a", MASK), Err(errno));
            }
        });
        assert_eq!(children(), []);
    }
    assert!(watches(&inotify).is_empty());
}
