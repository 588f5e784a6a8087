//! Finds directories without subdirectories by their link counts.
//!
//! On overlayfs, a directory that is in one layer only has the link count of the layer, and any other has 1
//! (`ovl_getattr`). The layer may be on a file system of any type, which statx(2) does not return, but with the
//! flags that this file system has. The file systems below have the flag "do not dump" (`STATX_ATTR_NODUMP`).
//! FUSE and network file systems, where the server chooses the count, don't (Linux 6.18).

use alloc::vec::Vec;

use crate::sys::{Fd, Links, Status, retry_on_eintr};

/// What the link counts of a device count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    Subdirectories,
    /// Those of a layer that is on one of [`COUNTING`].
    OfLayer,
    Unknown,
}

impl Counts {
    /// Returns `true` if the link count of a directory counts its subdirectories.
    const fn are_true_of(self, status: Status) -> bool {
        match self {
            Self::Subdirectories => true,
            Self::OfLayer => status.has_nodump,
            Self::Unknown => false,
        }
    }
}

/// Each known device, and what its link counts count.
#[derive(Default)]
pub(super) struct LeafCounts {
    devices: Vec<(u64, Counts)>,
}

impl LeafCounts {
    /// Forgets all devices, since device numbers may have been reused.
    pub(super) fn clear(&mut self) {
        self.devices.clear();
    }

    /// Returns `true` if a directory has no subdirectories for certain. `open` returns a descriptor of the
    /// directory; it is called once per device.
    pub(super) fn is_leaf(&mut self, status: Status, open: impl FnOnce() -> Option<Fd>) -> bool {
        status.is_dir && status.nlink == 2 && self.counts(status.dev, open).are_true_of(status)
    }

    /// Returns what link counts on the device `dev` count. `open` opens a file on that device.
    fn counts(&mut self, dev: u64, open: impl FnOnce() -> Option<Fd>) -> Counts {
        if let Some((_, counts)) = self.devices.iter().find(|(known, _)| *known == dev) {
            return *counts;
        }
        let Some(fd) = open() else { return Counts::Unknown };
        let counts = match retry_on_eintr(|| fd.file_system()) {
            Ok(OVERLAYFS) => Counts::OfLayer,
            Ok(magic) if COUNTING.contains(&magic) => Counts::Subdirectories,
            _ => Counts::Unknown,
        };
        // It may be another directory than the one of the status.
        let is_it = retry_on_eintr(|| Fd::stat(Some(&fd), c"", Links::Keep))
            .is_ok_and(|status| status.dev == dev);
        if !is_it {
            return Counts::Unknown;
        }
        self.devices.push((dev, counts));
        counts
    }
}

// include/uapi/linux/magic.h.
const OVERLAYFS: u32 = 0x794C_7630;

/// File systems where a directory has two links and one more for each subdirectory, or one link if there are
/// too many to count. On network file systems and FUSE the server chooses the count, so they are not here.
const COUNTING: [u32; 5] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0xF2F5_2010, // f2fs
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The status of a directory without subdirectories, on device 7.
    const LEAF: Status = Status {
        is_dir: true,
        is_link: false,
        nlink: 2,
        has_nodump: true,
        dev: 7,
        ino: 1,
        size: 0,
        mtime: (0, 0),
    };

    fn is_leaf(counts: Counts, status: Status) -> bool {
        let mut known = LeafCounts { devices: alloc::vec![(7, counts)] };
        known.is_leaf(status, || None)
    }

    #[test]
    fn a_link_count_is_used_only_where_it_counts_subdirectories() {
        // The file system of the layer is FUSE or a network file system, or the kernel has no statx(2).
        let of_server = Status { has_nodump: false, ..LEAF };
        assert!(is_leaf(Counts::Subdirectories, LEAF));
        assert!(is_leaf(Counts::Subdirectories, of_server));
        assert!(is_leaf(Counts::OfLayer, LEAF));
        assert!(!is_leaf(Counts::OfLayer, of_server));
        assert!(!is_leaf(Counts::Unknown, LEAF));
        for counts in [Counts::Subdirectories, Counts::OfLayer] {
            // Merged from several layers, or with a subdirectory.
            assert!(!is_leaf(counts, Status { nlink: 1, ..LEAF }));
            assert!(!is_leaf(counts, Status { nlink: 3, ..LEAF }));
            assert!(!is_leaf(counts, Status { is_dir: false, ..LEAF }));
            assert!(!is_leaf(counts, Status { dev: 8, ..LEAF }));
        }
    }
}
