//! Scripted worlds: steps with names, which mean the same whatever the engine does.
//!
//! One step a line; `#` begins a comment. Paths are absolute, and links in them are not followed.
//!
//! | step | what it does |
//! |---|---|
//! | `follow PATH MASK` | the first line |
//! | `file P`, `dir P`, `link P TEXT`, `hard P Q`, `rm P`, `mv P Q`, `exchange P Q`, `write P` | a change; before `start` it is there from the beginning |
//! | `chmod MODE P` | 4 is read, 1 is search |
//! | `hold P`, `release INODE` | somebody has a file open; writes to it and closes it |
//! | `mount P`, `umount P` | a new file system over P; and away again |
//! | `user P`, `nouser P` | another subscriber watches P; no more |
//! | `limit N` | the queue holds so many records |
//! | `start` | the world is furnished. The first walk is a step, too: `walk` or `rest` |
//! | `walk` | walks, if that is pending |
//! | `read N` | reads so many records |
//! | `feed` | feeds one of them |
//! | `mask MASK` | asks for other events |
//! | `before CALL PATH: STEP` | a change, or `fail ERRNO`, just before the next such call of the engine: `watch` or `look` of that path, or `unwatch` |
//! | `rest` | reads, feeds and walks until nothing is left to do, and compares everything |
//! | `told WORDS` | what was announced since the last `told` |

use tinotify::{Errno, WatchMask};

use super::choices::Choices;
use super::distributions::Rules;
use super::driver::Run;
use super::world::{Ambush, AmbushStep, World};

fn errno(name: &str) -> Result<Errno, String> {
    let all = [
        Errno::ENOSPC,
        Errno::ENOMEM,
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::EACCES,
        Errno::EIO,
        Errno::ENOENT,
    ];
    let found = all.into_iter().find(|errno| errno.name() == Some(name));
    found.ok_or_else(|| format!("no errno {name}"))
}

fn number(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is no number"))
}

/// A mask, by the names of its bits.
pub fn mask(text: &str) -> Result<WatchMask, String> {
    text.parse().map_err(|_| format!("{text:?} is no mask"))
}

/// The path and the mask of the first line, and the other lines.
pub fn head(text: &str) -> Result<(&str, WatchMask, impl Iterator<Item = &str>), String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut lines = lines.filter(|line| !line.is_empty());
    let first = lines.next().and_then(|line| line.strip_prefix("follow ")).ok_or("no `follow`")?;
    let (path, words) = first.split_once(' ').ok_or("no mask")?;
    Ok((path, mask(words)?, lines))
}

impl Run {
    fn step(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "limit" => self.world.queue.limit = number(rest)? as usize,
            "start" => {
                self.world.flush(false);
                // Others may have been told of what was before.
                self.world.touched = 1 + self.world.queue.len() as u32;
                self.world.is_silent = false;
            }
            "walk" if self.follower.is_pending() => {
                self.walk()?;
            }
            "walk" => {}
            "read" => self.read(number(rest)?),
            "feed" => {
                self.feed()?;
            }
            "mask" => self.set_mask(mask(rest)?),
            "before" => {
                let (call, step) = rest.split_once(": ").ok_or("no step")?;
                let step = match step.strip_prefix("fail ") {
                    Some(name) => AmbushStep::Fail(errno(name)?),
                    None => AmbushStep::Op(step.to_owned()),
                };
                self.world.ambush.push(Ambush { call: call.trim().to_owned(), step });
            }
            "rest" => self.rest()?,
            "told" => {
                let told: Vec<String> = self.told.drain(..).map(|it| format!("{it:?}")).collect();
                if told.join(" ") != rest {
                    return Err(format!("told {told:?}"));
                }
            }
            _ => {
                let op = self.world.op(line)?;
                self.world.apply(op);
                while let Some(op) = self.world.plan.pop_front() {
                    self.world.apply(op);
                }
            }
        }
        Ok(())
    }
}

/// Runs a script, which must be right.
pub fn run(text: &str) -> Result<(), String> {
    let (path, mask, lines) = head(text)?;
    let rules = Rules { mask, ..Rules::plain() };
    let mut world = World::new(Choices::list(Vec::new()), rules);
    world.follow(path.as_bytes());
    let mut run = Run::new(world);
    for line in lines {
        run.step(line).map_err(|why| format!("at {line:?}: {why}"))?;
    }
    run.rest().map_err(|why| format!("at the end: {why}"))?;
    run.end()?;
    match run.world.ambush.first() {
        Some(ambush) => Err(format!("no such call: {:?}", ambush.call)),
        None => Ok(()),
    }
}
