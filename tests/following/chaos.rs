//! A kernel with random results, and random events, including those that no kernel has. They must not
//! cause a panic.

use tinotify::follow::{Entry, Follower, Kernel};
use tinotify::{Errno, Event, EventMask, WatchMask, Wd};

use super::choices::Choices;
use super::inode::NAMES;

struct Chaos(Choices);

const WDS: [i32; 7] = [1, 2, 3, 0, -1, i32::MAX, i32::MIN];

impl Chaos {
    fn wd(&mut self) -> Wd {
        Wd::from_raw(WDS[self.0.below(WDS.len() as u32) as usize])
    }

    fn text(&mut self) -> Vec<u8> {
        let texts: [&[u8]; 12] = [
            b"a", b"", b"/", b"..", b"../..", b"///", b"a\0b", b"\xFF/", b"./.", b"..//f", b"b/.",
            b"c/a",
        ];
        let text = texts[self.0.below(texts.len() as u32) as usize];
        text.repeat(1 + self.0.below(3) as usize)
    }

    fn error(&mut self) -> Result<(), Errno> {
        let all = [Errno::EACCES, Errno::ENOENT, Errno::ENOSPC, Errno::EINTR, Errno::from_raw(0)];
        if self.0.chance(1, 8) { Err(all[self.0.below(5) as usize]) } else { Ok(()) }
    }
}

impl Kernel for Chaos {
    fn watch(&mut self, path: &[u8], _: WatchMask) -> Result<Wd, Errno> {
        assert!(path.starts_with(b"/"));
        self.error()?;
        Ok(self.wd())
    }

    fn unwatch(&mut self, _: Wd) {}

    fn stat(&mut self, _: &[u8]) -> Result<Entry, Errno> {
        self.error()?;
        if self.0.chance(1, 4) {
            return Ok(Entry::Link(self.text()));
        }
        Ok(Entry::File { dev: u64::MAX, ino: u64::from(self.0.below(2)) })
    }
}

/// Walks and feeds with random results and events.
pub fn run(seed: u64) {
    let mut chaos = Chaos(Choices::seeded(seed));
    let path = chaos.text();
    let mask = WatchMask::from_bits_retain(chaos.0.below(u32::MAX));
    let mut follower = Follower::new(&path, mask);
    for _ in 0..20 {
        let name = NAMES[chaos.0.below(NAMES.len() as u32) as usize];
        let name = chaos.0.chance(1, 2).then_some(name);
        let mask = EventMask::from_bits_retain(1 << chaos.0.below(32));
        let _ = follower.feed(&Event::new(chaos.wd(), mask, 0, name));
        match follower.walk(&mut chaos) {
            Ok(_) => assert!(!follower.is_pending()),
            Err(_) => assert!(follower.is_pending()),
        }
        assert!(follower.watches().count() < 500);
    }
}
