//! The same changes of the simulated world and of a real directory queue the same events.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tinotify::tree::Kernel;
use tinotify::{Event, EventMask, Inotify, WatchMask as W};

use crate::simulated::changes::Op;
use crate::simulated::choices::Choices;
use crate::simulated::names::{Name, bytes};
use crate::simulated::rules::Rules;
use crate::simulated::world::World;
use crate::support::{as_plain_user, c, instance, is_root, scratch, skipped};

fn path(top: &Path, names: &[Name]) -> PathBuf {
    let mut path = top.to_path_buf();
    path.extend(names.iter().map(|name| OsStr::from_bytes(bytes(*name))));
    path
}

/// Makes a change of the world on the disk. Returns `false` if it is not possible.
fn redo(op: Op, paths: &[PathBuf], held: &mut HashMap<usize, File>) -> bool {
    let one = &paths[0];
    match op {
        Op::Mkdir(..) => fs::create_dir(one).is_ok(),
        Op::Create(..) => File::create_new(one).is_ok(),
        Op::Symlink(..) => symlink("/", one).is_ok(),
        Op::Link { .. } => {
            // link(2) of a symbolic link links the link itself; the world links files only.
            !one.is_symlink() && fs::hard_link(one, &paths[1]).is_ok()
        }
        Op::Write(..) => {
            let file = OpenOptions::new().append(true).custom_open(one);
            file.is_ok_and(|mut file| file.write_all(b"x").is_ok())
        }
        Op::Chmod { read, search, .. } => {
            let mode = 0o200 | u32::from(read) << 8 | u32::from(search) << 6;
            !one.is_symlink() && fs::set_permissions(one, PermissionsExt::from_mode(mode)).is_ok()
        }
        Op::Remove(..) => fs::remove_file(one).is_ok() || fs::remove_dir(one).is_ok(),
        Op::Rename { .. } => fs::rename(one, &paths[1]).is_ok(),
        Op::Whiteout { .. } => {
            renameat_with(CWD, one, CWD, &paths[1], RenameFlags::WHITEOUT).is_ok()
        }
        Op::Exchange { .. } => {
            renameat_with(CWD, one, CWD, &paths[1], RenameFlags::EXCHANGE).is_ok()
        }
        Op::Hold(dir) => match File::open(one) {
            Ok(file) => held.insert(dir, file).is_none(),
            Err(_) => false,
        },
        Op::Release(dir) => held.remove(&dir).is_some(),
        Op::Unmount(_) | Op::Cover { .. } | Op::Uncover(_) => {
            unreachable!("mounts are not made on the disk")
        }
    }
}

trait Opening {
    /// Opens an entry, but not through a symbolic link.
    fn custom_open(&mut self, path: &Path) -> std::io::Result<File>;
}

impl Opening for OpenOptions {
    fn custom_open(&mut self, path: &Path) -> std::io::Result<File> {
        if path.is_symlink() {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        self.open(path)
    }
}

/// An event with the index of its cookie in place of the cookie.
type Seen = (i32, EventMask, u32, Option<Vec<u8>>);

struct Cookies(Vec<u32>);

impl Cookies {
    fn seen(&mut self, event: Event<'_>) -> Seen {
        let cookie = event.cookie();
        let at = self.0.iter().position(|known| *known == cookie).unwrap_or_else(|| {
            self.0.push(cookie);
            self.0.len() - 1
        });
        (event.wd().as_raw(), event.mask(), at as u32, event.name().map(<[u8]>::to_vec))
    }
}

fn events(cookies: &mut Cookies, inotify: &Inotify, room: usize) -> Vec<Seen> {
    let mut buffer = vec![0; room];
    match inotify.read(&mut buffer) {
        Ok(events) => events.map(|event| cookies.seen(event.unwrap())).collect(),
        Err(error) if error.is_would_block() => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

/// Returns `true` if the file system of scratch directories has whiteouts: overlayfs and old kernels have
/// none.
fn has_whiteouts() -> bool {
    let scratch = scratch();
    let (one, other) = (scratch.path().join("one"), scratch.path().join("other"));
    File::create_new(&one).unwrap();
    renameat_with(CWD, &one, CWD, &other, RenameFlags::WHITEOUT).is_ok()
}

/// A simulated world and a real directory with the same changes.
struct Pair {
    seed: u64,
    world: World,
    top: PathBuf,
    inotify: Inotify,
    held: HashMap<usize, File>,
    simulated_cookies: Cookies,
    real_cookies: Cookies,
    trace: Vec<String>,
    compared: usize,
}

fn rules(seed: u64) -> Rules {
    Rules {
        names: 5,
        open_dirs: true,
        exchanges: true,
        superuser: true,
        chmods: if is_root() { u32::from(seed.is_multiple_of(3)) * 3 } else { 0 },
        whiteouts: if has_whiteouts() { u32::from(seed.is_multiple_of(5)) * 3 } else { 0 },
        root_moves: seed % 4 == 1,
        root_dies: seed % 4 == 2,
        ..Rules::plain()
    }
}

impl Pair {
    fn new(seed: u64, top: &Path) -> Self {
        let mut world = World::new(Choices::seeded(seed), rules(seed));
        // The changes that `new` made before they were recorded.
        fs::create_dir(path(top, &world.names_to(1))).unwrap();
        fs::create_dir(path(top, &world.names_to(2))).unwrap();
        world.logging = true;
        world.ops = u32::MAX;
        Self {
            seed,
            world,
            top: top.into(),
            inotify: instance(),
            held: HashMap::new(),
            simulated_cookies: Cookies(vec![0]),
            real_cookies: Cookies(vec![0]),
            trace: Vec::new(),
            compared: 0,
        }
    }

    fn assert_same<T: PartialEq + std::fmt::Debug>(&self, simulated: T, real_result: T) {
        let Self { seed, trace, .. } = self;
        assert_eq!(simulated, real_result, "seed {seed}: simulated left, real right: {trace:#?}");
    }

    fn watch(&mut self) {
        let dir = self.world.some_dir();
        let masks = [W::ALL_EVENTS - (W::OPEN | W::ACCESS | W::CLOSE_NOWRITE), W::CREATE];
        let options = [W::empty(), W::MASK_ADD, W::MASK_CREATE];
        let mask = self.world.choices.pick(&masks).unwrap();
        let mask = mask | self.world.choices.pick(&options).unwrap();
        let real = path(&self.top, &self.world.names_to(dir));
        let simulated = self.world.add_watch(dir, mask).ok();
        let real_result = self.inotify.add_watch(&c(&real), mask).ok().map(|wd| wd.as_raw());
        self.trace.push(format!("watch {real:?} {mask}: {simulated:?}"));
        self.assert_same(simulated, real_result);
    }

    fn unwatch(&mut self) {
        let wd = 1 + self.world.choices.below(8) as i32;
        let simulated = self.world.remove_watch(wd).is_ok();
        // The crate promises that a call for a watch that has ended does no harm.
        let _ = self.inotify.rm_watch(tinotify::Wd::from_raw(wd));
        self.trace.push(format!("unwatch {wd}: {simulated}"));
    }

    fn read(&mut self, room: usize) -> usize {
        self.assert_same(self.world.queue.bytes(), self.inotify.queued_bytes().unwrap() as u64);
        let mut left = room as u64;
        let mut simulated = Vec::new();
        while let Some(record) = self.world.queue.pop(left) {
            left -= record.size();
            simulated.push(self.simulated_cookies.seen(record.event()));
        }
        let real_result = events(&mut self.real_cookies, &self.inotify, room.max(32));
        self.trace.push(format!("read {room}: {simulated:?}"));
        self.compared += simulated.len();
        let read = simulated.len();
        self.assert_same(simulated, real_result);
        read
    }

    fn change(&mut self) {
        self.world.change();
        for (op, paths, done) in std::mem::take(&mut self.world.log) {
            let paths: Vec<PathBuf> = paths.iter().map(|names| path(&self.top, names)).collect();
            self.trace.push(format!("{op:?} {paths:?}: {done}"));
            // The world refuses more changes, since its depth is limited.
            if done {
                let redone = redo(op, &paths, &mut self.held);
                assert!(redone, "seed {}: {:#?}", self.seed, self.trace);
            }
        }
    }
}

fn run_script(seed: u64) -> usize {
    let scratch = scratch();
    let mut pair = Pair::new(seed, scratch.path());
    for _ in 0..120 {
        match pair.world.choices.below(16) {
            0..=2 => pair.watch(),
            3 => pair.unwatch(),
            4..=5 => {
                let room = 32 + pair.world.choices.below(300) as usize;
                pair.read(room);
            }
            _ => pair.change(),
        }
    }
    while pair.read(1 << 16) > 0 {}
    pair.compared
}

#[test]
fn the_simulated_kernel_queues_the_events_of_the_real_one() {
    if !is_root() {
        skipped("changes of permissions", "they need root");
    }
    if !has_whiteouts() {
        skipped("whiteouts", "not supported by this file system");
    }
    let compared: usize = (0..300).map(run_script).sum();
    assert!(compared > 5_000, "only {compared} events were compared");
}

/// What a normal user may do with a directory and its entries: open it with `O_PATH`, watch it, list
/// it; stat an entry, open it, watch it.
type Permitted = [bool; 6];

fn permitted_on_the_disk(dir: &Path) -> Permitted {
    use rustix::fs::{AtFlags, Mode, OFlags, openat, statat};
    let open = |at, path: &Path, flags| openat(at, path, flags | OFlags::CLOEXEC, Mode::empty());
    let inotify = instance();
    let fd = open(CWD, dir, OFlags::PATH);
    let pinned = |name: &str| {
        use std::os::fd::AsRawFd;
        let number = fd.as_ref().map(AsRawFd::as_raw_fd).unwrap();
        c(Path::new(&format!("/proc/self/fd/{number}{name}")))
    };
    [
        fd.is_ok(),
        inotify.add_watch(&pinned(""), W::CREATE).is_ok(),
        fs::read_dir(OsStr::from_bytes(pinned("").to_bytes())).is_ok(),
        statat(CWD, dir.join("b"), AtFlags::empty()).is_ok(),
        open(CWD, &dir.join("b"), OFlags::PATH).is_ok(),
        inotify.add_watch(&pinned("/b"), W::CREATE).is_ok(),
    ]
}

fn permitted_in_the_simulation(read: bool, search: bool) -> Permitted {
    let rules = Rules { unreadable: true, ..Rules::plain() };
    let mut world = World::new(Choices::list(Vec::new()), rules);
    let at = (world.root, 1);
    world.apply(Op::Mkdir(at.0, at.1));
    world.apply(Op::Mkdir(world.nodes.len() - 1, 2));
    world.apply(Op::Chmod { at, read, search });
    let opened = world.open(b"a");
    let mut dir = opened.unwrap();
    [
        true,
        world.watch(&dir, W::CREATE).is_ok(),
        world.list(&mut dir, &mut |_, _| {}).is_ok(),
        world.stat_child(&dir, b"b").is_ok(),
        world.open_child(&dir, b"b").is_ok(),
        world.watch_child(&dir, b"b", W::CREATE).is_ok(),
    ]
}

#[test]
fn the_simulated_kernel_permits_the_calls_of_the_real_one() {
    let scratch = scratch();
    let dir = scratch.path().join("a");
    fs::create_dir_all(dir.join("b")).unwrap();
    for (read, search) in [(false, false), (false, true), (true, false), (true, true)] {
        let digit = u32::from(read) * 4 + u32::from(search);
        fs::set_permissions(&dir, PermissionsExt::from_mode(digit * 0o111)).unwrap();
        let real = as_plain_user(|| permitted_on_the_disk(&dir));
        fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(
            permitted_in_the_simulation(read, search),
            real,
            "simulated left: read {read}, search {search}"
        );
    }
}
