//! The location of a tree's root.

use alloc::ffi::CString;
use alloc::sync::Arc;

use crate::sys::{Errno, Fd, Links, retry_on_eintr};

/// The root of a tree: its path, and descriptors for it.
///
/// | path | begins at | descriptors |
/// |---|---|---|
/// | absolute | `/` | none |
/// | relative | the working directory at the time of [`new`](Self::new), wherever that is moved | that directory |
/// | any, after [`follow`](Self::follow) | the root itself, wherever it is moved | the root |
#[derive(Debug)]
pub(crate) struct Root {
    path: CString,
    base: Option<Arc<Fd>>,
    followed: Option<Fd>,
    has_moved: bool,
}

impl Root {
    /// Creates the root at a path, which need not exist.
    ///
    /// # Errors
    ///
    /// Those of openat(2) for the working directory.
    pub(crate) fn new(path: CString) -> Result<Self, Errno> {
        let base = if path.as_bytes().starts_with(b"/") {
            None
        } else {
            Some(Arc::new(retry_on_eintr(|| Fd::open_dir(None, c".", Links::Follow))?))
        };
        Ok(Self { path, base, followed: None, has_moved: false })
    }

    /// Follows the directory that is at the path now, wherever it is moved. Its file system can't be
    /// unmounted from now on.
    ///
    /// # Errors
    ///
    /// Those of openat(2).
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher follows roots"))]
    pub(crate) fn follow(&mut self) -> Result<(), Errno> {
        self.followed = Some(self.open_path()?);
        Ok(())
    }

    /// Replaces the path by that of another root. A followed directory stays the same.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher sets paths"))]
    pub(crate) fn move_to(&mut self, other: Self) {
        (self.path, self.base) = (other.path, other.base);
        if self.followed.is_some() {
            self.find();
        }
    }

    /// Returns the directory at which a relative path begins.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher calls it"))]
    pub(crate) fn base(&self) -> Option<Arc<Fd>> {
        self.base.clone()
    }

    /// Returns `true` if a followed root was not at its path when it was last opened.
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "the watcher calls it"))]
    pub(crate) const fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Opens the root, through links if the path has any.
    pub(super) fn open(&mut self) -> Result<Fd, Errno> {
        if self.followed.is_none() {
            return self.open_path();
        }
        self.find();
        retry_on_eintr(|| Fd::open_dir(self.followed.as_ref(), c".", Links::Keep))
    }

    fn open_path(&self) -> Result<Fd, Errno> {
        retry_on_eintr(|| Fd::open_dir(self.base.as_deref(), &self.path, Links::Follow))
    }

    /// Checks whether the path leads to the followed directory.
    fn find(&mut self) {
        let identity = |fd: &Fd| {
            let status = retry_on_eintr(|| Fd::stat(Some(fd), c"", Links::Keep)).ok()?;
            Some((status.dev, status.ino))
        };
        let found = self.open_path().ok().and_then(|fd| identity(&fd));
        self.has_moved = found.is_none() || found != self.followed.as_ref().and_then(identity);
    }
}
