//! Scripted worlds: lists of named steps, which keep their meaning when the engine changes.
//!
//! Each line is one step; `#` starts a comment. Paths are absolute, and links in them are not followed.
//!
//! | step | what it does |
//! |---|---|
//! | `follow PATH MASK` | the first line |
//! | `file P`, `dir P`, `link P TEXT`, `hard P Q`, `rm P`, `mv P Q`, `exchange P Q`, `write P` | makes a change; the changes before `start` make the initial files |
//! | `chmod MODE P` | sets the permissions: 4 is read, 1 is search |
//! | `hold P` | another process opens a file |
//! | `release INODE` | that process writes to the file and closes it |
//! | `mount P`, `umount P` | mounts a new file system over P; unmounts it |
//! | `user P`, `nouser P` | another subscriber watches P; ends its watch |
//! | `limit N` | limits the queue to N records |
//! | `start` | ends the initial changes. The first walk is a step too: `walk` or `rest` |
//! | `walk` | walks, if a walk is pending |
//! | `read N` | reads N records |
//! | `feed` | feeds one of them |
//! | `mask MASK` | changes the mask |
//! | `before CALL PATH: STEP` | makes a change, or `fail ERRNO`, before the next such call of the engine: `watch` or `stat` of that path, or `unwatch` |
//! | `rest` | reads, feeds and walks until nothing is left to do, then checks everything |
//! | `expect WORDS` | checks the changes reported since the last `expect` |

use tinotify::{Errno, WatchMask};

use super::choices::Choices;
use super::distributions::Rules;
use super::driver::Run;
use super::world::{InjectedStep, Injection, World};

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
    found.ok_or_else(|| format!("unknown errno {name}"))
}

fn number(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| format!("{text:?}: expected a number"))
}

/// Parses a mask.
pub fn mask(text: &str) -> Result<WatchMask, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// Returns the path and the mask of the first line, and the other lines.
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
                // Other subscribers may have events of the initial changes.
                self.world.relevant_changes = 1 + self.world.queue.len() as u32;
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
                    Some(name) => InjectedStep::Fail(errno(name)?),
                    None => InjectedStep::Op(step.to_owned()),
                };
                self.world.injections.push(Injection { call: call.trim().to_owned(), step });
            }
            "rest" => self.rest()?,
            "expect" => {
                let reported: Vec<String> =
                    self.reported.drain(..).map(|it| format!("{it:?}")).collect();
                if reported.join(" ") != rest {
                    return Err(format!("reported {reported:?}"));
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

/// Runs a script. Returns an error if it fails.
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
    match run.world.injections.first() {
        Some(injection) => Err(format!("no such call: {:?}", injection.call)),
        None => Ok(()),
    }
}
