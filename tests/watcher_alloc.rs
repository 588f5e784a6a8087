//! In steady state an event costs no allocation. The global allocator of this test counts allocations.

mod watching;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tinotify::{TreeOptions, WatchMask, WatchOptions, Watcher};
use watching::{Place, touch};

thread_local! {
    /// The number of allocations of this thread. The variable itself needs no allocation or destructor.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    COUNT.with(|count| count.set(count.get() + 1));
}

/// Counts the allocations of each thread, and passes them on to the system's allocator.
struct Counting;

#[allow(unsafe_code)]
// SAFETY: each call is passed unchanged to the system's allocator, which keeps the contract. Counting
// accesses a constant-initialised thread-local without destructor, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on: `block` came from `System`.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on: `block` came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the number of allocations that this thread makes in `run`.
fn allocations(run: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    run();
    COUNT.get() - before
}

#[test]
fn the_allocator_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(100)))), 1);
    assert_eq!(allocations(|| {}), 0);
}

/// Directories whose events have short and long names, and go to one watch, to several or to none.
struct Scene {
    place: Place,
    dirs: Vec<PathBuf>,
    files: Vec<PathBuf>,
    watcher: Watcher,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let mut watcher = Watcher::new().unwrap();
        // More watch descriptors than a cache is likely to hold.
        let dirs: Vec<PathBuf> = (0..300).map(|i| place.dir(format!("dir {i}"))).collect();
        let mut files = Vec::new();
        for (i, dir) in dirs.iter().enumerate() {
            let mask = WatchMask::ATTRIB;
            watcher.watch(dir, mask).unwrap();
            if i % 3 == 0 {
                let options = WatchOptions::new().alias(i.to_string()).filter(|e| !e.is_dir());
                watcher.watch_with(dir, mask, options).unwrap();
                watcher.watch_with(dir, mask, WatchOptions::new().filter(|_| false)).unwrap();
            }
            for len in [1, 15, 16, 255] {
                let file = dir.join("n".repeat(len));
                fs::write(&file, "").unwrap();
                files.push(file);
            }
        }
        watcher.try_iter().for_each(drop);
        let mut scene = Self { place, dirs, files, watcher };
        // The first events of each directory allocate what is kept for it.
        for _ in 0..6 {
            scene.cause_events();
            while scene.watcher.try_recv().unwrap().is_some() {}
        }
        scene
    }

    /// Causes [`Self::EVENTS`] events.
    fn cause_events(&self) {
        for file in &self.files {
            touch(file);
        }
        for dir in &self.dirs {
            touch(dir);
        }
    }

    /// 1,200 of files, 300 of directories, and 400 of files once more for the second watch of 100
    /// directories.
    const EVENTS: u64 = 1200 + 300 + 400;
}

#[test]
fn an_event_with_its_path_allocates_nothing() {
    let mut scene = Scene::new();
    for round in 0..3 {
        scene.cause_events();
        let allocated = allocations(|| {
            for _ in 0..Scene::EVENTS {
                let event = scene.watcher.recv().unwrap();
                assert!(event.path().starts_with(scene.place.path()));
            }
        });
        assert_eq!(allocated, 0, "round {round}");
        assert!(scene.watcher.try_recv().unwrap().is_none());
    }
}

/// In one directory, in more than a cache has at first, and in more than it ever has.
#[test]
fn an_event_of_a_tree_with_its_path_allocates_nothing() {
    for dirs in [1, 200, 4_400] {
        let place = Place::new();
        let deep = place.path().join("1/2/3/4/5/6/7/8");
        let files: Vec<PathBuf> = (0..dirs)
            .map(|dir| {
                let dir = deep.join(format!("directory-{dir:04}"));
                fs::create_dir_all(&dir).unwrap();
                fs::write(dir.join("file"), "").unwrap();
                dir.join("file")
            })
            .collect();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch_tree(place.path(), WatchMask::ATTRIB, TreeOptions::new()).unwrap();
        watcher.try_iter().for_each(drop);
        for round in 0..5 {
            files.iter().for_each(touch);
            let allocated = allocations(|| {
                for file in &files {
                    assert_eq!(watcher.recv().unwrap().path(), file);
                }
            });
            let is_warm = round >= 3;
            assert!(allocated == 0 || !is_warm, "{allocated} for {dirs} directories");
            assert!(allocated <= 4 * 4_400, "{allocated} for {dirs} directories");
        }
        assert!(watcher.try_recv().unwrap().is_none());
    }
}

#[test]
fn no_call_that_lends_an_event_allocates() {
    let mut scene = Scene::new();
    scene.cause_events();
    let far = Duration::from_secs(600);
    let mut received = 0_u64;
    let allocated = allocations(|| {
        loop {
            let event = match received % 4 {
                0 => scene.watcher.try_recv().unwrap(),
                1 => scene.watcher.recv_timeout(Duration::ZERO).unwrap(),
                2 => scene.watcher.recv_deadline(Instant::now()).unwrap(),
                _ => scene.watcher.recv_timeout(far).unwrap(),
            };
            let Some(event) = event else { break };
            std::hint::black_box((event.kind(), event.alias(), event.name(), event.cookie()));
            received += 1;
            if received == Scene::EVENTS {
                break;
            }
        }
    });
    assert_eq!((allocated, received), (0, Scene::EVENTS));
    // Calls without an event allocate nothing either.
    let allocated = allocations(|| {
        assert!(scene.watcher.try_recv().unwrap().is_none());
        assert!(scene.watcher.recv_timeout(Duration::from_millis(5)).unwrap().is_none());
        assert!(scene.watcher.try_iter().next().is_none());
        assert!(scene.watcher.recv_batch_timeout(Duration::ZERO).unwrap().is_empty());
    });
    assert_eq!(allocated, 0);
}

#[test]
fn events_without_a_watch_allocate_nothing() {
    let mut scene = Scene::new();
    for info in scene.watcher.watches().list() {
        scene.watcher.watches().set_mask(info.watch, WatchMask::MODIFY).unwrap();
    }
    scene.cause_events();
    let allocated = allocations(|| assert!(scene.watcher.try_recv().unwrap().is_none()));
    assert_eq!(allocated, 0);
}
