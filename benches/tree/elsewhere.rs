//! The set-up on file systems whose link counts do not count subdirectories.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::forest::{FILES, Forest};
use crate::rivals::{MASK, Naive, tinotify_tree};
use crate::support::{Mode, alternate, median};
use crate::table::{Table, estimate, milliseconds, ratios};

/// The argument with which this program runs itself in a mount namespace.
pub const NAMES: [&str; 2] = ["overlayfs", "btrfs"];

/// Measures on file systems whose link counts do not count subdirectories. Printed, not checked.
pub fn measure(forest: &Forest, mode: &Mode, table: &mut Table) {
    for name in NAMES {
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
        match said.split_once('\t') {
            Some((value, beside)) => {
                table.row(&format!("set-up on {name}"), value.to_owned(), beside.to_owned());
            }
            None => {
                println!("{said} (set-up on {name})");
                table.row(&format!("set-up on {name}"), "SKIPPED".to_owned(), String::new());
            }
        }
    }
}

fn skip(why: impl std::fmt::Display) -> ! {
    eprintln!("SKIPPED: {why}");
    std::process::exit(1);
}

/// Measures the set-up beside the naive loop on another file system, in a mount namespace.
pub fn set_up(name: &str, root: &Path, rounds: usize) {
    let place = tempfile::tempdir().unwrap();
    let at = place.path().join("mounted");
    fs::create_dir(&at).unwrap();
    let root = match name {
        "overlayfs" => {
            let [upper, work] = ["upper", "work"].map(|dir| place.path().join(dir));
            [&upper, &work].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                root.display(),
                upper.display(),
                work.display()
            );
            let options = CString::new(options).unwrap();
            let flags = MountFlags::empty();
            if let Err(error) = mount("overlay", &at, "overlay", flags, options.as_c_str()) {
                skip(format_args!("overlayfs can't be mounted: {error}"));
            }
            at.clone()
        }
        _ => {
            mount_btrfs(place.path(), &at);
            let directories = count_directories(root);
            Forest::create(at.join("forest"), directories, FILES).root
        }
    };
    // Warm up.
    drop(Naive::of(&root));
    let times = alternate(1, 2, rounds, |_, rival| {
        let start = Instant::now();
        if rival == 0 {
            let _naive = Naive::of(&root);
            start.elapsed()
        } else {
            let _watcher = tinotify_tree(&root, MASK);
            start.elapsed()
        }
    });
    let [naive, tinotify] = &times[0][..] else { unreachable!() };
    let (ratio, plus_minus) = estimate(&ratios(tinotify, naive));
    let [tinotify, naive] = [tinotify, naive].map(|times| milliseconds(median(times)));
    println!("{tinotify:.1} ms\tnaive loop {naive:.1} ms: {ratio:.3} ±{plus_minus:.3}");
    if let Err(error) = unmount(&at, UnmountFlags::DETACH) {
        panic!("{error}");
    }
}

fn count_directories(root: &Path) -> usize {
    Naive::of(root).watches
}

/// Needs mkfs.btrfs, and root for a loop device.
fn mount_btrfs(place: &Path, at: &Path) {
    let image = place.join("image");
    File::create(&image).unwrap().set_len(1 << 30).unwrap();
    for (program, arguments) in [
        ("mkfs.btrfs", vec!["-q".as_ref(), image.as_os_str()]),
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
