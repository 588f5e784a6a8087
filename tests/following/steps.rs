//! Converts changes to lines of a script, and back.

use super::changes::Op;
use super::inode::{Dentry, Name, name_of};
use super::world::{ROOT, World};

impl World {
    /// Returns the directory entry that a path of a script names. It may not exist.
    pub fn dentry(&self, path: &str) -> Result<Dentry, String> {
        let (mut dir, mut names) = (ROOT, path.split('/').filter(|name| !name.is_empty()));
        let last = names.next_back().ok_or("no path")?;
        for name in names {
            let name = name_of(name.as_bytes()).ok_or_else(|| format!("no name {name}"))?;
            let child = self.child(dir, name).ok_or_else(|| format!("nothing at {path}"))?;
            dir = self.topmost(child);
        }
        let name: Name = name_of(last.as_bytes()).ok_or_else(|| format!("no name {last}"))?;
        Ok((dir, name))
    }

    /// Parses a change from a line of a script.
    pub fn op(&self, line: &str) -> Result<Op, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let word = |at: usize| words.get(at).copied().ok_or(format!("{line}: too short"));
        let dentry = |at: usize| self.dentry(word(at)?).map_err(|why| format!("{line}: {why}"));
        Ok(match word(0)? {
            "file" => Op::File(dentry(1)?),
            "dir" => Op::Dir(dentry(1)?),
            "link" => Op::Link(dentry(1)?, word(2)?.as_bytes().to_vec()),
            "hard" => Op::Hard(dentry(1)?, dentry(2)?),
            "rm" => Op::Remove(dentry(1)?),
            "mv" => Op::Rename(dentry(1)?, dentry(2)?),
            "exchange" => Op::Exchange(dentry(1)?, dentry(2)?),
            "write" => Op::Write(dentry(1)?),
            "chmod" => {
                let mode = word(1)?.parse().map_err(|_| format!("{line}: no mode"))?;
                Op::Chmod(dentry(2)?, mode)
            }
            "hold" => Op::Hold(dentry(1)?),
            "release" => Op::Release(word(1)?.parse().map_err(|_| format!("{line}: no inode"))?),
            "mount" => Op::Mount(dentry(1)?),
            "umount" => Op::Umount(dentry(1)?),
            "user" => Op::User(dentry(1)?),
            "nouser" => Op::NoUser(dentry(1)?),
            _ => return Err(format!("unknown step {line:?}")),
        })
    }

    pub fn op_text(&self, op: &Op) -> String {
        let text = |dentry: &Dentry| self.dentry_text(*dentry);
        match op {
            Op::File(at) => format!("file {}", text(at)),
            Op::Dir(at) => format!("dir {}", text(at)),
            Op::Link(at, to) => format!("link {} {}", text(at), String::from_utf8_lossy(to)),
            Op::Hard(of, at) => format!("hard {} {}", text(of), text(at)),
            Op::Remove(at) => format!("rm {}", text(at)),
            Op::Rename(from, to) => format!("mv {} {}", text(from), text(to)),
            Op::Exchange(a, b) => format!("exchange {} {}", text(a), text(b)),
            Op::Write(at) => format!("write {}", text(at)),
            Op::Chmod(at, mode) => format!("chmod {mode} {}", text(at)),
            Op::Hold(at) => format!("hold {}", text(at)),
            Op::Release(ino) => format!("release {ino}"),
            Op::Mount(at) => format!("mount {}", text(at)),
            Op::Umount(at) => format!("umount {}", text(at)),
            Op::User(at) => format!("user {}", text(at)),
            Op::NoUser(at) => format!("nouser {}", text(at)),
            Op::RemoveAll(at) => format!("# rm -r {}", text(at)),
        }
    }
}
