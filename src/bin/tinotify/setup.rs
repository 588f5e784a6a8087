//! Sets up the watches.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tinotify::{TreeOptions, WatchId, WatchMask, Watcher};

use crate::args::{Options, Quiet};
use crate::failure::Failure;
use crate::filter::Filter;
use crate::output::Location;
use crate::paths::{self, Target, Targets};
use crate::progress::Progress;

/// The path of each watch, as events print it.
pub type Roots = HashMap<WatchId, Vec<u8>>;

/// The size of the buffer for events. It holds some hundred events with names of usual length. Each page of
/// it costs memory, and time at the start.
pub const BUFFER: usize = 8 * 1024;

/// What is watched.
pub struct Watched {
    pub watcher: Watcher,
    pub roots: Roots,
    /// The paths of the watches that are not trees.
    pub plain: Vec<Vec<u8>>,
}

/// Watches all paths. Not inlined, so that its stack and code do not stay in memory afterwards.
///
/// # Errors
///
/// [`Failure::Watch`] if the kernel refuses a watch.
#[inline(never)]
pub fn watch(options: &Options, filter: Option<&Arc<Filter>>) -> Result<Watched, Failure> {
    let mask = watch_mask(options);
    let watcher = Watcher::builder().buffer_size(BUFFER).build()?;
    let directories = Arc::new(AtomicU64::new(0));
    let _progress = match (options.recursive, options.quiet) {
        (true, Quiet::No) => Progress::on_terminal(&directories),
        _ => None,
    };
    let mut targets = Targets::new(&options.excluded);
    let mut roots = Roots::new();
    let mut plain = Vec::new();
    for path in &options.paths {
        let root = paths::printed(path, options);
        if options.follow {
            plain.push(root.clone());
            roots.insert(watcher.watch_name(path, mask)?, root);
            continue;
        }
        let watch = match targets.target(path, options.recursive, options.no_dereference) {
            Target::Nothing => continue,
            Target::One if options.existing && root.ends_with(b"/") => {
                let tree = TreeOptions::new().max_depth(0).report_existing(true);
                watcher.watch_tree(path, mask, tree)?
            }
            Target::One => {
                plain.push(root.clone());
                watcher.watch(path, mask)?
            }
            Target::Tree { without } => {
                let mut tree = TreeOptions::new().follow_links(options.follow_links);
                tree = tree.report_existing(options.existing).track_files(options.snapshot);
                tree = tree.exclude(count_in(&directories));
                if !without.is_empty() {
                    tree = tree.exclude(move |path| without.contains(path));
                }
                if let Some(filter) = filter.filter(|filter| filter.can_skip()) {
                    tree = tree.exclude(skipped_by(filter, &root));
                }
                watcher.watch_tree(path, mask, tree)?
            }
        };
        roots.insert(watch, root);
    }
    Ok(Watched { watcher, roots, plain })
}

/// Returns the mask for the kernel.
fn watch_mask(options: &Options) -> WatchMask {
    let mut mask = WatchMask::from_bits_retain(options.events.bits()) & WatchMask::ALL_EVENTS;
    if options.renames && mask.intersects(WatchMask::MOVE) {
        mask |= WatchMask::MOVE;
    }
    if options.existing {
        // A tree reports an existing entry only if a creation is selected.
        mask |= WatchMask::CREATE;
    }
    if options.gitignore {
        // What changes an ignore file. CLOSE_WRITE shows that it is complete.
        mask |= WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVE | WatchMask::CLOSE_WRITE;
    }
    if mask.is_empty() {
        // The other events are always reported, but the kernel refuses an empty mask.
        mask = WatchMask::DELETE_SELF;
    }
    if options.no_dereference {
        mask |= WatchMask::DONT_FOLLOW;
    }
    mask
}

/// Returns an exclude condition that counts the directories and excludes none.
fn count_in(directories: &Arc<AtomicU64>) -> impl Fn(&Path) -> bool + Send + use<> {
    let directories = Arc::clone(directories);
    move |_| {
        directories.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// Returns an exclude condition for the directories that the filter skips.
fn skipped_by(filter: &Arc<Filter>, root: &[u8]) -> impl Fn(&Path) -> bool + Send + use<> {
    let (filter, root) = (Arc::clone(filter), root.to_vec());
    move |path| {
        let dir = [&root, path.as_os_str().as_bytes(), b"/"].concat();
        filter.skips(Location::watched(&dir).in_root(root.len()))
    }
}
