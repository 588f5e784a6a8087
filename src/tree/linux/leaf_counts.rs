//! Finds directories without subdirectories by their link counts.

use alloc::vec::Vec;

use crate::sys::{Fd, Links, Status, retry_on_eintr};

/// Each known device, and whether it counts subdirectories in link counts.
#[derive(Default)]
pub(super) struct LeafCounts {
    devices: Vec<(u64, bool)>,
}

impl LeafCounts {
    /// Forgets all devices, since device numbers may have been reused.
    pub(super) fn clear(&mut self) {
        self.devices.clear();
    }

    /// Returns `true` if a directory has no subdirectories for certain. `open` returns a descriptor of the
    /// directory; it is called once per device.
    pub(super) fn is_leaf(&mut self, status: Status, open: impl FnOnce() -> Option<Fd>) -> bool {
        status.is_dir && status.nlink == 2 && self.counts(status.dev, open)
    }

    /// Returns `true` if link counts on the device `dev` count subdirectories. `open` opens a file on that
    /// device.
    fn counts(&mut self, dev: u64, open: impl FnOnce() -> Option<Fd>) -> bool {
        if let Some((_, counts)) = self.devices.iter().find(|(known, _)| *known == dev) {
            return *counts;
        }
        let Some(fd) = open() else { return false };
        let counts =
            retry_on_eintr(|| fd.file_system()).is_ok_and(|magic| COUNTING.contains(&magic));
        // It may be another directory than the one of the status.
        let is_it = retry_on_eintr(|| Fd::stat(Some(&fd), c"", Links::Keep))
            .is_ok_and(|status| status.dev == dev);
        if is_it {
            self.devices.push((dev, counts));
        }
        is_it && counts
    }
}

/// File systems where a directory has two links and one more for each subdirectory, or one link if there are
/// too many to count (include/uapi/linux/magic.h). On network file systems and FUSE the server chooses the
/// count, so they are not here.
const COUNTING: [u32; 5] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0xF2F5_2010, // f2fs
];
