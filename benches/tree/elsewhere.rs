//! The set-up on other file systems, and where the fastest way to add watches is refused.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::floor;
use crate::forest::{FILES, Forest};
use crate::rivals::{MASK, Naive, tinotify_tree};
use crate::support::{Mode, alternate, median};
use crate::table::{Table, estimate, milliseconds, ratios};

/// An argument with which this program runs itself in a mount namespace, and the limit of the set-up as a
/// multiple of the naive loop.
const CASES: [(&str, Option<f64>); 6] = [
    ("on tmpfs", Some(0.55)),
    ("on overlayfs", Some(0.48)),
    ("on btrfs", Some(0.95)),
    ("on xfs", None),
    ("without unshare(2)", Some(0.65)),
    ("without unshare(2) and /proc", Some(1.0)),
];

/// Returns `true` for an argument with which this program runs itself.
pub fn is_case(name: &str) -> bool {
    CASES.iter().any(|case| case.0 == name)
}

/// Measures all cases.
pub fn measure(forest: &Forest, mode: &Mode, table: &mut Table) {
    for (name, limit) in CASES {
        let unshare = if rustix::process::geteuid().is_root() { "-m" } else { "-Urm" };
        let output = Command::new("unshare")
            .arg(unshare)
            .arg(std::env::current_exe().unwrap())
            .args([name.as_ref(), forest.root.as_os_str()])
            .arg(mode.rounds(11).to_string())
            .output();
        let said = match output {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                let why = said.lines().find(|line| line.starts_with("SKIPPED"));
                why.unwrap_or_else(|| panic!("{name}: {said}")).to_owned()
            }
            Err(error) => format!("SKIPPED: unshare(1): {error}"),
        };
        let row = format!("set-up {name}");
        let [value, beside, ratio, plus_minus] = said.split('\t').collect::<Vec<_>>()[..] else {
            println!("{said} ({row})");
            table.row(&row, "SKIPPED".to_owned(), String::new());
            continue;
        };
        table.row(&row, value.to_owned(), beside.to_owned());
        if let Some(limit) = limit {
            let what = format!("{row} / naive loop");
            let [ratio, plus_minus] = [ratio, plus_minus].map(|number| number.parse().unwrap());
            table.verdicts.at_most(&what, limit, ratio, plus_minus);
        }
    }
}

fn skip(why: impl std::fmt::Display) -> ! {
    eprintln!("SKIPPED: {why}");
    std::process::exit(1);
}

/// Measures the set-up beside the naive loop, in a mount namespace, and prints the results.
pub fn set_up(name: &str, root: &Path, rounds: usize) {
    let place = tempfile::tempdir().unwrap();
    let at = place.path().join("mounted");
    fs::create_dir(&at).unwrap();
    let is_refused = name.starts_with("without");
    let root = match name {
        "on overlayfs" => mount_overlay(root, place.path(), &at),
        "on tmpfs" => {
            if let Err(error) = mount("tmpfs", &at, "tmpfs", MountFlags::empty(), None) {
                skip(format_args!("tmpfs can't be mounted: {error}"));
            }
            grow(&at, root)
        }
        "on btrfs" | "on xfs" => {
            mount_image(name.trim_start_matches("on "), place.path(), &at);
            grow(&at, root)
        }
        _ => {
            if name.ends_with("/proc") && unmount("/proc", UnmountFlags::DETACH).is_err() {
                skip("/proc can't be unmounted");
            }
            refuse_unshare();
            root.to_owned()
        }
    };
    let counts_links = name != "on btrfs";
    let times = alternate(1, if is_refused { 2 } else { 3 }, rounds, |_, rival| {
        let start = Instant::now();
        // Ends are not measured.
        match rival {
            0 => {
                let _naive = Naive::of(&root);
                start.elapsed()
            }
            1 => {
                let _watcher = tinotify_tree(&root, MASK);
                start.elapsed()
            }
            _ => {
                let _inotify = floor::set_up(&root, counts_links);
                start.elapsed()
            }
        }
    });
    let [naive, tinotify, floor @ ..] = &times[0][..] else { unreachable!() };
    let (ratio, plus_minus) = estimate(&ratios(tinotify, naive));
    let [ours, theirs] = [tinotify, naive].map(|times| milliseconds(median(times)));
    print!("{ours:.1} ms\tnaive loop {theirs:.1} ms: {ratio:.3} ±{plus_minus:.3}");
    if let [floor] = floor {
        print!("; bare calls: {:.3}", estimate(&ratios(floor, naive)).0);
    }
    println!("\t{ratio}\t{plus_minus}");
    if !is_refused {
        unmount(&at, UnmountFlags::DETACH).unwrap();
    }
}

/// Creates as many directories as `like` has.
fn grow(at: &Path, like: &Path) -> PathBuf {
    Forest::create(at.join("forest"), Naive::of(like).watches, FILES).root
}

fn mount_overlay(lower: &Path, place: &Path, at: &Path) -> PathBuf {
    let [upper, work] = ["upper", "work"].map(|dir| place.join(dir));
    [&upper, &work].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
    let (lower, upper, work) = (lower.display(), upper.display(), work.display());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let options = CString::new(options).unwrap();
    if let Err(error) = mount("overlay", at, "overlay", MountFlags::empty(), options.as_c_str()) {
        skip(format_args!("overlayfs can't be mounted: {error}"));
    }
    at.to_owned()
}

/// Needs mkfs, and root for a loop device.
fn mount_image(name: &str, place: &Path, at: &Path) {
    let image = place.join("image");
    File::create(&image).unwrap().set_len(1 << 30).unwrap();
    let mkfs = format!("mkfs.{name}");
    for (program, arguments) in [
        (&*mkfs, vec!["-q".as_ref(), image.as_os_str()]),
        ("mount", vec!["-o".as_ref(), "loop".as_ref(), image.as_os_str(), at.as_os_str()]),
    ] {
        match Command::new(program).args(arguments).output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                skip(format_args!("{program}: {}", said.trim()));
            }
            Err(error) => skip(format_args!("{program}: {error}")),
        }
    }
}

/// Makes unshare(2) fail with `EPERM`, as the filters of containers do.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
fn refuse_unshare() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

    let number = if cfg!(target_arch = "x86_64") { 272 } else { 97 };
    let filter = SeccompFilter::new(
        [(number, Vec::new())].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(1),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    apply_filter(&BpfProgram::try_from(filter.unwrap()).unwrap()).unwrap();
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn refuse_unshare() {
    skip("no seccomp filter for this processor");
}
