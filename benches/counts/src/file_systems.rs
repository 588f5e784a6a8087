//! The set-up on file systems of several types.
//!
//! A file system that is not mounted on this machine is mounted in a mount namespace, from a file. This needs
//! root, and the program that creates such a file system.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::count::{Measured, count, measure_here, output};
use crate::places::{NEW_TMPFS, TMPFS, has_tmpfs, name_of};
use crate::rows::{Row, rows};
use crate::skip;
use crate::work::Work;
use crate::world::{self, World};

/// Returns the value of a row on this file system.
pub fn measure(name: &str, row: &Row) -> Measured {
    if let Some(place) = place_on(name) {
        return measure_in(&place, row);
    }
    let is_root = fs::read_dir("/proc/1/fd").is_ok();
    let mut command = Command::new("unshare");
    command.arg(if is_root { "-m" } else { "-Urm" });
    command.arg(std::env::current_exe().unwrap()).args(["mounted", name, &row.name, row.unit]);
    if has_tmpfs() && name != "overlayfs" && name != NEW_TMPFS {
        // Faster than a disk.
        command.env("TMPDIR", TMPFS);
    }
    let output = output(&mut command)?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap())
}

/// Returns a directory of this machine that is on this file system.
fn place_on(name: &str) -> Option<PathBuf> {
    let places = [PathBuf::from(TMPFS), std::env::temp_dir()];
    places.into_iter().find(|place| name_of(place).as_deref() == Some(name))
}

fn measure_in(place: &Path, row: &Row) -> Measured {
    let world = World::start_in(place, &forest(row.work));
    measure_below(&world.root, row)
}

fn measure_below(root: &Path, row: &Row) -> Measured {
    Ok(count(row.what, row.work, Some(root))? / row.units())
}

fn forest(work: Work) -> String {
    work.name().replace("set-up", "forest")
}

/// Prints the value of a row on a file system that is mounted first.
pub fn print_mounted(file_system: &str, name: &str, unit: &str) {
    let row = rows().into_iter().find(|row| row.name == name && row.unit == unit).unwrap();
    let place = world::path_for(file_system);
    fs::create_dir(&place).unwrap();
    let measured = measure_mounted(file_system, &place, &row);
    let _ = fs::remove_dir_all(&place);
    match measured {
        Ok(value) => println!("{value}"),
        Err(why) => skip(&why),
    }
}

fn measure_mounted(file_system: &str, place: &Path, row: &Row) -> Measured {
    if file_system == NEW_TMPFS {
        perform("mount", &["-t", "tmpfs", "tmpfs", TMPFS].map(AsRef::as_ref))?;
        return measure_here(row);
    }
    let at = mount_point(place, "mounted");
    if file_system != "overlayfs" {
        mount_image(file_system, place, &at)?;
        let measured = measure_in(&at, row);
        unmount(&at);
        return measured;
    }
    // The layers are on ext4, because the count may depend on the file system of the layers.
    if name_of(place).as_deref() == Some("ext4") {
        return measure_on_overlay(place, &at, row);
    }
    let layers = mount_point(place, "layers");
    mount_image("ext4", place, &layers)?;
    let measured = measure_on_overlay(&layers, &at, row);
    unmount(&layers);
    measured
}

fn mount_point(place: &Path, name: &str) -> PathBuf {
    let at = place.join(name);
    fs::create_dir(&at).unwrap();
    at
}

/// Measures where all directories are in the lower layer, as those of an image of a container are.
fn measure_on_overlay(layers: &Path, at: &Path, row: &Row) -> Measured {
    let lower = World::start_in(layers, &forest(row.work));
    let [upper, work_dir] = ["upper", "work"].map(|name| mount_point(layers, name));
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.root.display(),
        upper.display(),
        work_dir.display()
    );
    let arguments = ["-t", "overlay", "overlay", "-o", &options].map(AsRef::as_ref);
    perform("mount", &[&arguments[..], &[at.as_os_str()]].concat())?;
    let measured = measure_below(at, row);
    unmount(at);
    measured
}

/// Mounts a new file system in a sparse file.
fn mount_image(name: &str, place: &Path, at: &Path) -> Result<(), String> {
    let image = place.join("image");
    File::create(&image).unwrap().set_len(1 << 30).unwrap();
    perform(&format!("mkfs.{name}"), &["-q".as_ref(), image.as_os_str()])?;
    perform("mount", &["-o".as_ref(), "loop".as_ref(), image.as_os_str(), at.as_os_str()])
}

/// Unmounts, so that the directory can be removed.
fn unmount(at: &Path) {
    perform("umount", &["-l".as_ref(), at.as_os_str()]).unwrap();
}

fn perform(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
