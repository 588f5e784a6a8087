//! The same changes of the simulated world and of a real directory give the same events.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use tinotify::{Event, EventMask, Inotify, WatchMask as W};

use crate::simulated::choices::Choices;
use crate::simulated::names::{Name, bytes};
use crate::simulated::queue::Record;
use crate::simulated::rules::Rules;
use crate::simulated::world::{Op, World};
use crate::support::{c, instance, scratch};

fn path(top: &Path, names: &[Name]) -> PathBuf {
    let mut path = top.to_path_buf();
    path.extend(names.iter().map(|name| OsStr::from_bytes(bytes(*name))));
    path
}

/// Does to the disk what was done to the world: whether it was possible.
fn redo(op: Op, paths: &[PathBuf], held: &mut HashMap<usize, File>) -> bool {
    let one = &paths[0];
    match op {
        Op::Mkdir(..) => fs::create_dir(one).is_ok(),
        Op::Create(..) => File::create_new(one).is_ok(),
        Op::Symlink(..) => symlink("/", one).is_ok(),
        Op::Link { .. } => {
            // link(2) of a link links the link; the world links files only.
            !one.is_symlink() && fs::hard_link(one, &paths[1]).is_ok()
        }
        Op::Write(..) => {
            let file = OpenOptions::new().append(true).custom_open(one);
            file.is_ok_and(|mut file| file.write_all(b"x").is_ok())
        }
        Op::Chmod(..) => {
            !one.is_symlink() && fs::set_permissions(one, PermissionsExt::from_mode(0o755)).is_ok()
        }
        Op::Remove(..) => fs::remove_file(one).is_ok() || fs::remove_dir(one).is_ok(),
        Op::Rename { .. } => fs::rename(one, &paths[1]).is_ok(),
        Op::Exchange { .. } => {
            renameat_with(CWD, one, CWD, &paths[1], RenameFlags::EXCHANGE).is_ok()
        }
        Op::Hold(dir) => match File::open(one) {
            Ok(file) => held.insert(dir, file).is_none(),
            Err(_) => false,
        },
        Op::Release(dir) => held.remove(&dir).is_some(),
        Op::Unmount(_) => unreachable!("no mounts here"),
    }
}

trait Opening {
    /// Opens what is there, but nothing through a link.
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

/// An event whose cookie is how manieth it is.
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

fn run_script(seed: u64) -> usize {
    let scratch = scratch();
    let inotify = instance();
    let mut held = HashMap::new();
    let (mut here, mut there) = (Cookies(vec![0]), Cookies(vec![0]));
    let rules = Rules {
        names: 5,
        held: true,
        exchanges: true,
        superuser: true,
        root_moves: seed % 4 == 1,
        root_dies: seed % 4 == 2,
        ..Rules::plain()
    };
    let mut world = World::new(Choices::seeded(seed), rules);
    let top = scratch.path();
    // What `new` made before anyone logged.
    fs::create_dir(path(top, &world.names_to(1))).unwrap();
    fs::create_dir(path(top, &world.names_to(2))).unwrap();
    world.logging = true;
    world.ops = u32::MAX;
    let mut trace = Vec::new();
    let mut compared = 0;
    for _ in 0..120 {
        match world.choices.below(16) {
            0..=2 => {
                let dir = world.some_dir();
                let masks = [W::ALL_EVENTS - (W::OPEN | W::ACCESS | W::CLOSE_NOWRITE), W::CREATE];
                let options = [W::empty(), W::MASK_ADD, W::MASK_CREATE];
                let mask = world.choices.pick(&masks).unwrap();
                let mask = mask | world.choices.pick(&options).unwrap();
                let real = path(top, &world.names_to(dir));
                let mine = world.add_watch(dir, mask).ok();
                let its = inotify.add_watch(&c(&real), mask).ok().map(|wd| wd.as_raw());
                trace.push(format!("watch {real:?} {mask}: {mine:?}"));
                assert_eq!(mine, its, "seed {seed}: {trace:#?}");
            }
            3 => {
                let wd = 1 + world.choices.below(8) as i32;
                let mine = world.remove_watch(wd).is_ok();
                // The crate says that no harm is done where the watch has ended.
                let _ = inotify.rm_watch(tinotify::Wd::from_raw(wd));
                trace.push(format!("unwatch {wd}: {mine}"));
            }
            4..=5 => {
                assert_eq!(
                    world.queue.bytes(),
                    inotify.queued_bytes().unwrap() as u64,
                    "seed {seed}: {trace:#?}"
                );
                let room = 32 + world.choices.below(300) as usize;
                let mine: Vec<Record> = {
                    let mut left = room as u64;
                    std::iter::from_fn(|| {
                        let record = world.queue.pop(left)?;
                        left -= record.size();
                        Some(record)
                    })
                    .collect()
                };
                let mine: Vec<Seen> = mine.iter().map(|r| here.seen(r.event())).collect();
                let its = events(&mut there, &inotify, room.max(32));
                trace.push(format!("read {room}: {mine:?}"));
                assert_eq!(mine, its, "seed {seed}: mine left, its right: {trace:#?}");
                compared += mine.len();
            }
            _ => {
                world.change();
                for (op, paths, done) in world.log.drain(..) {
                    let paths: Vec<PathBuf> = paths.iter().map(|names| path(top, names)).collect();
                    trace.push(format!("{op:?} {paths:?}: {done}"));
                    // The world knows more reasons why not: it is not as deep.
                    if done {
                        assert!(redo(op, &paths, &mut held), "seed {seed}: {trace:#?}");
                    }
                }
            }
        }
    }
    loop {
        let mine: Vec<Seen> = std::iter::from_fn(|| world.queue.pop(u64::MAX))
            .map(|record| here.seen(record.event()))
            .collect();
        let its = events(&mut there, &inotify, 1 << 16);
        assert_eq!(mine, its, "seed {seed}: mine left, its right: {trace:#?}");
        compared += mine.len();
        if mine.is_empty() {
            return compared;
        }
    }
}

#[test]
fn the_simulated_kernel_tells_what_the_real_one_tells() {
    let compared: usize = (0..300).map(run_script).sum();
    assert!(compared > 5_000, "only {compared} events were compared");
}
