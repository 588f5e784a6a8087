//! An open directory.

use crate::sys::Fd;

/// An open directory: one inode, wherever it is moved.
///
/// It is opened with `O_PATH`, which causes no event and needs no permission to read, or for listing.
pub(crate) struct Dir {
    pub(super) fd: Fd,
    /// Whether it was opened for listing.
    pub(super) is_listable: bool,
    /// Unlike the descriptor, this number is never reused.
    pub(super) number: u64,
}
