//! Paths of roots, and paths beneath them.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::error::WatchError;
use crate::sys::Fd;

/// Returns a path as the kernel takes it.
///
/// # Errors
///
/// [`WatchError::Nul`].
pub(super) fn c_path(path: &Path) -> Result<CString, WatchError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| WatchError::Nul(path.to_owned()))
}

/// Returns the path beneath the root of a directory that is given by an absolute path, or as events show
/// it. `None` if it is not beneath the root, is the root, or leads out of it.
///
/// A relative root begins at the directory `home`, which may have been moved.
pub(super) fn path_beneath(path: &Path, root: &Path, home: Option<&Fd>) -> Option<PathBuf> {
    let shown = path.strip_prefix(root).ok().map(Path::to_owned);
    let beneath = shown.or_else(|| {
        let home = home.filter(|_| path.is_absolute())?;
        let home = fs::read_link(format!("/proc/self/fd/{}", home.as_raw())).ok()?;
        path.strip_prefix(home.join(root).canonicalize().ok()?).ok().map(Path::to_owned)
    })?;
    let names = beneath.components().map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let beneath: PathBuf = names.collect::<Option<_>>()?;
    (!beneath.as_os_str().is_empty()).then_some(beneath)
}
