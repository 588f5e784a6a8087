//! Where the root of a tree is looked for.

use alloc::ffi::CString;
use alloc::sync::Arc;

use crate::sys::{Errno, Fd, Links, retry_on_eintr};

/// The root of a tree: its path, and what holds it.
///
/// | path | leads from | descriptors |
/// |---|---|---|
/// | absolute | `/` | none |
/// | relative | the working directory at the time of [`new`](Self::new), wherever that is moved | that directory |
/// | any, after [`hold`](Self::hold) | the root itself, wherever it is moved | the root |
#[derive(Debug)]
pub(crate) struct Root {
    path: CString,
    home: Option<Arc<Fd>>,
    held: Option<Fd>,
    has_moved: bool,
}

impl Root {
    /// The root at a path, which need not exist.
    ///
    /// # Errors
    ///
    /// Those of openat(2), for the working directory.
    pub(crate) fn new(path: CString) -> Result<Self, Errno> {
        let home = if path.as_bytes().starts_with(b"/") {
            None
        } else {
            Some(Arc::new(retry_on_eintr(|| Fd::open_dir(None, c".", Links::Follow))?))
        };
        Ok(Self { path, home, held: None, has_moved: false })
    }

    /// Follows the directory that is there now, wherever it is moved. Its file system can't be
    /// unmounted from now on.
    ///
    /// # Errors
    ///
    /// Those of openat(2).
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher holds roots"))]
    pub(crate) fn hold(&mut self) -> Result<(), Errno> {
        self.held = Some(self.open_path()?);
        Ok(())
    }

    /// Goes on at the path of another root. What is held stays held.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher gives paths"))]
    pub(crate) fn move_to(&mut self, other: Self) {
        (self.path, self.home) = (other.path, other.home);
        if self.held.is_some() {
            self.find();
        }
    }

    /// Returns the directory that a relative path leads from.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher asks"))]
    pub(crate) fn home(&self) -> Option<Arc<Fd>> {
        self.home.clone()
    }

    /// Returns `true` if a root that is held was not at its path when it was last opened.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher asks"))]
    pub(crate) const fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Opens the root. Links may lead to it.
    pub(super) fn open(&mut self) -> Result<Fd, Errno> {
        if self.held.is_none() {
            return self.open_path();
        }
        self.find();
        retry_on_eintr(|| Fd::open_dir(self.held.as_ref(), c".", Links::Keep))
    }

    fn open_path(&self) -> Result<Fd, Errno> {
        retry_on_eintr(|| Fd::open_dir(self.home.as_deref(), &self.path, Links::Follow))
    }

    /// Looks whether the path leads to the directory that is held.
    fn find(&mut self) {
        let identity = |fd: &Fd| {
            let status = retry_on_eintr(|| Fd::stat(Some(fd), c"", Links::Keep)).ok()?;
            Some((status.dev, status.ino))
        };
        let found = self.open_path().ok().and_then(|fd| identity(&fd));
        self.has_moved = found.is_none() || found != self.held.as_ref().and_then(identity);
    }
}
