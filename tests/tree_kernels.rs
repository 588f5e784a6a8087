//! Trees on kernels that lack a system call, and in sandboxes that refuse one: either everything is watched
//! and reported as usual, or the error names the reason.
//!
//! A seccomp filter answers as such a kernel or sandbox does. Each test runs in its own process, since a
//! filter can't be removed.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]

mod support;
mod trees;
mod watching;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use support::{in_child, in_namespace};
use syscalls::{Errno, Sysno};
use tinotify::{TreeOptions, WatchError, WatchMask, Watcher};
use trees::{Mirror, NoteKind, Scene};
use watching::{kernel_watches, overflow};

/// Makes a system call fail from now on, in new threads and processes too. Of inotify_add_watch(2), only
/// calls with `MASK_CREATE`.
fn refuse(call: Sysno, errno: Errno) {
    let rules = if call == Sysno::inotify_add_watch {
        let bit = u64::from(WatchMask::MASK_CREATE.bits());
        let is_set = SeccompCmpOp::MaskedEq(bit);
        let mask = SeccompCondition::new(2, SeccompCmpArgLen::Dword, is_set, bit).unwrap();
        vec![SeccompRule::new(vec![mask]).unwrap()]
    } else {
        Vec::new()
    };
    let arch = if cfg!(target_arch = "x86_64") {
        TargetArch::x86_64
    } else if cfg!(target_arch = "aarch64") {
        TargetArch::aarch64
    } else {
        TargetArch::riscv64
    };
    let errno = u32::try_from(errno.into_raw()).unwrap();
    let filter = SeccompFilter::new(
        BTreeMap::from([(i64::from(call.id()), rules)]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        arch,
    );
    let filter: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
}

fn refused(call: Sysno) -> Option<Errno> {
    // SAFETY: the arguments are invalid, and none is a pointer to memory.
    unsafe { syscalls::syscall5(call, usize::MAX, 0, 0, usize::MAX, 0) }.err()
}

/// Sets up a tree, adds, renames and removes directories, and makes the queue overflow. `last` is called
/// before the disk is compared with the reports.
fn exercise(track_files: bool, last: impl FnOnce()) {
    let options = TreeOptions::new().track_files(track_files);
    let mut tree = Scene::with(trees::NAMES | WatchMask::ATTRIB, options, |root| {
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::create_dir(root.join("leaf")).unwrap();
        fs::create_dir(root.join("noise")).unwrap();
        fs::write(root.join("a/file"), "text").unwrap();
        symlink("../outside", root.join("a/link")).unwrap();
    });
    tree.mirror =
        std::mem::replace(&mut tree.mirror, Mirror::empty(false)).with_tracked_files(track_files);
    let step = |tree: &mut Scene| {
        let notes = tree.notes();
        notes.iter().for_each(|note| tree.mirror.apply(note));
        notes
    };
    fs::create_dir_all(tree.at("leaf/new/deep/er")).unwrap();
    fs::write(tree.at("leaf/new/deep/file"), "text").unwrap();
    assert_eq!(step(&mut tree).len(), 4);
    fs::rename(tree.at("leaf/new"), tree.at("a/b/moved")).unwrap();
    assert_eq!(step(&mut tree).len(), 1);
    fs::write(tree.at("a/b/moved/deep/er/file"), "text").unwrap();
    let notes = step(&mut tree);
    assert!(notes.iter().all(|note| note.path == Path::new("a/b/moved/deep/er/file")));
    fs::remove_dir(tree.at("a/b/c")).unwrap();
    fs::rename(tree.at("leaf"), tree.outside("leaf")).unwrap();
    fs::rename(tree.outside("leaf"), tree.at("back")).unwrap();
    step(&mut tree);
    if overflow(&tree.at("noise")) {
        fs::rename(tree.at("a/b"), tree.at("b")).unwrap();
        fs::create_dir_all(tree.at("x/y")).unwrap();
        fs::write(tree.at("x/y/file"), "text").unwrap();
        let notes = step(&mut tree);
        assert!(notes.iter().any(|note| note.kind == NoteKind::Overflow), "{notes:?}");
    }
    last();
    tree.check();
}

/// Does the same with followed links.
fn exercise_links() {
    let options = TreeOptions::new().follow_links(true);
    let mut tree = Scene::with(trees::NAMES, options, |root| {
        for name in ["1/one", "2/two"] {
            fs::create_dir_all(root.join("../outside").join(name)).unwrap();
        }
        fs::create_dir(root.join("noise")).unwrap();
        symlink("../outside/1", root.join("link")).unwrap();
        symlink("nothing", root.join("dangling")).unwrap();
        symlink(".", root.join("loop")).unwrap();
    });
    assert_eq!(tree.lines(), ["unwatched loop: WatchedElsewhere"]);
    fs::create_dir_all(tree.at("link/one/new/inner")).unwrap();
    assert_eq!(tree.lines(), ["create link/one/new/", "found link/one/new/inner/"]);
    symlink("../outside/2", tree.at("new")).unwrap();
    assert_eq!(tree.lines(), ["create new/", "found new/two/"]);
    fs::rename(tree.at("new"), tree.at("link")).unwrap();
    assert_eq!(tree.lines(), ["rename new/ -> link/"]);
    fs::rename(tree.outside("2"), tree.outside("3")).unwrap();
    assert_eq!(tree.lines(), ["missing link/", "found link"]);
    symlink("../outside/3", tree.at("again")).unwrap();
    assert_eq!(tree.lines(), ["create again/", "found again/two/"]);
    if overflow(&tree.at("noise")) {
        fs::remove_file(tree.at("again")).unwrap();
        symlink("../outside/1", tree.at("late")).unwrap();
        let lines = tree.lines();
        for line in ["missing again/", "found late/", "found late/one/new/inner/"] {
            assert!(lines.iter().any(|other| other == line), "{line}: {:?}", lines.last());
        }
    }
}

fn exercise_all() {
    exercise(false, || ());
    exercise(true, || ());
    exercise_links();
    let place = watching::Place::new();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch_name(place.at("name"), WatchMask::CREATE | WatchMask::CLOSE_WRITE).unwrap();
    place.file("name");
    let event = watcher.recv_timeout(support::DEADLINE).unwrap().unwrap();
    assert!(event.path().ends_with("name"));
}

macro_rules! kernels {
    ($($(#[$doc:meta])* $name:ident: $($call:ident $errno:ident),*;)*) => {
        $($(#[$doc])* #[test] fn $name() {
            // Twice: the child has the filter from its start, so its standard library knows no other kernel.
            $(refuse(Sysno::$call, Errno::$errno);)*
            if in_child(stringify!($name), &[]) {
                $(if Sysno::$call != Sysno::inotify_add_watch {
                    assert_eq!(refused(Sysno::$call), Some(Errno::$errno));
                })*
                exercise_all();
            }
        })*
    };
}

kernels! {
    /// For comparison.
    a_tree_lives_here: ;
    a_tree_lives_before_openat2: openat2 ENOSYS;
    a_tree_lives_where_openat2_is_refused: openat2 EPERM;
    /// A kernel before 4.18 ignores the bit; some filters may refuse it.
    a_tree_lives_where_mask_create_is_refused: inotify_add_watch EINVAL;
    a_tree_lives_before_statx: statx ENOSYS;
    a_tree_lives_where_statx_is_refused: statx EPERM;
    a_tree_lives_before_clone3: clone3 ENOSYS;
    a_tree_lives_on_linux_4_10:
        openat2 ENOSYS, statx ENOSYS, clone3 ENOSYS, inotify_add_watch EINVAL;
    a_tree_lives_under_a_filter_from_those_days:
        openat2 EPERM, statx EPERM, clone3 ENOSYS, inotify_add_watch EINVAL;
    a_tree_lives_where_unshare_is_refused: unshare EPERM;
    a_tree_lives_where_unshare_is_missing: unshare ENOSYS;
}

const LIMIT: &str = "/proc/sys/fs/inotify/max_queued_events";

/// Hides /proc, except for the limit that tests read.
fn hide_proc() {
    let limit = fs::read(LIMIT).unwrap();
    mount(c"none", c"/proc", c"tmpfs", MountFlags::empty(), None).unwrap();
    fs::create_dir_all(Path::new(LIMIT).parent().unwrap()).unwrap();
    fs::write(LIMIT, limit).unwrap();
}

fn show_proc() {
    unmount("/proc", UnmountFlags::DETACH).unwrap();
}

#[test]
fn a_tree_works_without_proc() {
    if in_namespace("a_tree_works_without_proc") {
        hide_proc();
        exercise_links();
        exercise(true, show_proc);
    }
}

#[test]
fn a_tree_works_without_proc_and_unshare() {
    if in_namespace("a_tree_works_without_proc_and_unshare") {
        refuse(Sysno::unshare, Errno::EPERM);
        hide_proc();
        exercise_links();
        exercise(true, show_proc);
    }
}

#[test]
fn a_tree_works_without_proc_and_threads() {
    if in_namespace("a_tree_works_without_proc_and_threads") {
        refuse(Sysno::clone3, Errno::EPERM);
        hide_proc();
        exercise_links();
        exercise(true, show_proc);
    }
}

#[test]
fn without_any_method_a_directory_is_not_watched_and_the_error_is_eperm() {
    if !in_namespace("without_any_method_a_directory_is_not_watched_and_the_error_is_eperm") {
        return;
    }
    let tree = Scene::new(|root| fs::create_dir(root.join("a")).unwrap());
    refuse(Sysno::unshare, Errno::EPERM);
    refuse(Sysno::clone, Errno::EPERM);
    let watcher = Watcher::new().unwrap();
    hide_proc();
    let answer = watcher.watch_tree(&tree.root, trees::NAMES, TreeOptions::new());
    show_proc();
    let is_eperm = matches!(&answer, Err(WatchError::Path { error, .. })
        if error.errno() == Some(tinotify::Errno::EPERM));
    assert!(is_eperm, "{answer:?}");
    assert!(kernel_watches(&watcher).is_empty());
}
