//! Which directories have no subdirectories, by their link counts.

use alloc::vec::Vec;

use crate::sys::{Fd, Links, Status, retry_on_eintr};

/// For the devices seen, whether subdirectories are counted in link counts.
#[derive(Default)]
pub(super) struct LeafCounts {
    devices: Vec<(u64, bool)>,
}

impl LeafCounts {
    /// Forgets all: device numbers may have been given to others.
    pub(super) fn clear(&mut self) {
        self.devices.clear();
    }

    /// Whether a directory surely has no subdirectories. `open` gives a descriptor of what the status is
    /// of; it is called once for a device.
    pub(super) fn is_leaf(&mut self, status: Status, open: impl FnOnce() -> Option<Fd>) -> bool {
        status.is_dir && status.nlink == 2 && self.counts(status.dev, open)
    }

    /// Whether a directory's link count says how many subdirectories it has, on the device `dev`. `open`
    /// opens something on that device.
    fn counts(&mut self, dev: u64, open: impl FnOnce() -> Option<Fd>) -> bool {
        if let Some((_, counts)) = self.devices.iter().find(|(known, _)| *known == dev) {
            return *counts;
        }
        let Some(fd) = open() else { return false };
        let counts =
            retry_on_eintr(|| fd.file_system()).is_ok_and(|magic| COUNTING.contains(&magic));
        // It may be another directory than the one that was looked at.
        let is_it = retry_on_eintr(|| Fd::stat(Some(&fd), c"", Links::Keep))
            .is_ok_and(|status| status.dev == dev);
        if is_it {
            self.devices.push((dev, counts));
        }
        is_it && counts
    }
}

/// File systems where a directory has two links and one for each subdirectory, or one where there are
/// too many to be counted (include/uapi/linux/magic.h). On network file systems and FUSE the server
/// chooses the count, so they are not here.
const COUNTING: [u32; 5] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0xF2F5_2010, // f2fs
];
