//! An open directory.

use crate::sys::Fd;

/// An open directory: one inode, wherever it is moved.
///
/// It is opened with `O_PATH`, which makes no event and needs no permission to read; or to be listed.
pub(crate) struct Dir {
    pub(super) fd: Fd,
    /// Whether it was opened to be listed.
    pub(super) is_listable: bool,
    /// Unlike the descriptor's, this number is never given again.
    pub(super) number: u64,
}
