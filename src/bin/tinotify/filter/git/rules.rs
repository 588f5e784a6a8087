//! The ignore files of one directory, and those above it that count there.
//!
//! Invariant: the rules of a repository do not count in a repository within it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, gitconfig_excludes_path};
use rustix::fs::OFlags;
use tinotify::Escaped;

/// What the user should know about the files.
pub type Warnings = Vec<String>;

/// A bigger ignore file is not read.
const MAX_SIZE: u64 = 1 << 20;

pub struct Rules {
    /// The directory of these files.
    dir: PathBuf,
    parent: Option<Arc<Rules>>,
    /// `.ignore`
    ignore: Gitignore,
    /// `.gitignore`
    gitignore: Gitignore,
    /// In a repository's root: `.git/info/exclude`, then the global file.
    defaults: Vec<Gitignore>,
}

impl Rules {
    /// Reads the rules in a watched directory: its own, and those above it up to the root of its repository.
    /// Without a repository, it counts as the root of one.
    pub fn of_root(root: &Path, warnings: &mut Warnings) -> Arc<Self> {
        let repository = root.ancestors().find(|dir| is_repository(dir)).unwrap_or(root);
        let beneath: Vec<&Path> = root.ancestors().take_while(|dir| *dir != repository).collect();
        let mut rules = Self::read(repository, None, true, warnings);
        for dir in beneath.into_iter().rev() {
            rules = Self::beneath(&rules, dir, warnings);
        }
        rules
    }

    /// Reads the rules in a directory. `parent`: those in the directory above it.
    pub fn beneath(parent: &Arc<Self>, dir: &Path, warnings: &mut Warnings) -> Arc<Self> {
        let is_repository = is_repository(dir);
        let above = (!is_repository).then(|| Arc::clone(parent));
        let rules = Self::read(dir, above, is_repository, warnings);
        let is_empty = rules.ignore.is_empty() && rules.gitignore.is_empty();
        if is_empty && !is_repository { Arc::clone(parent) } else { rules }
    }

    fn read(
        dir: &Path,
        parent: Option<Arc<Self>>,
        has_defaults: bool,
        warnings: &mut Warnings,
    ) -> Arc<Self> {
        // As in git, a link is not read: its target can change without an event here.
        let mut own = |name| read(dir, &dir.join(name), OFlags::NOFOLLOW, warnings);
        let (ignore, gitignore) = (own(".ignore"), own(".gitignore"));
        let mut defaults = Vec::new();
        if has_defaults {
            let files = [Some(info_exclude(dir)), gitconfig_excludes_path()];
            let mut read = |file: PathBuf| read(dir, &file, OFlags::empty(), warnings);
            defaults.extend(files.into_iter().flatten().map(&mut read));
        }
        Arc::new(Self { dir: dir.to_owned(), parent, ignore, gitignore, defaults })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns `true` if a path in this directory is ignored. It is absolute.
    pub fn ignores(&self, path: &Path, is_dir: bool) -> bool {
        path.file_name().is_some_and(|name| name == ".git") || self.verdict(path, is_dir)
    }

    /// The first file that names the path decides: `.ignore` before `.gitignore`, and the nearest first.
    fn verdict(&self, path: &Path, is_dir: bool) -> bool {
        let nearest = || std::iter::successors(Some(self), |rules| rules.parent.as_deref());
        let ignore = nearest().map(|rules| &rules.ignore);
        let gitignore = nearest().map(|rules| &rules.gitignore);
        let defaults = nearest().flat_map(|rules| &rules.defaults);
        for file in ignore.chain(gitignore).chain(defaults) {
            match file.matched(path, is_dir) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        false
    }
}

fn is_repository(dir: &Path) -> bool {
    dir.join(".git").symlink_metadata().is_ok()
}

/// Returns the path of `info/exclude`. A worktree shares that of its repository.
fn info_exclude(dir: &Path) -> PathBuf {
    let git = dir.join(".git");
    let text = |path: &Path| bytes(path, OFlags::empty()).ok().flatten();
    let line = |text: &[u8]| PathBuf::from(String::from_utf8_lossy(text).trim_end());
    let common = text(&git).and_then(|link| {
        let own = dir.join(line(link.strip_prefix(b"gitdir: ")?));
        let common = text(&own.join("commondir"));
        Some(common.map_or_else(|| own.clone(), |common| own.join(line(&common))))
    });
    common.unwrap_or(git).join("info/exclude")
}

/// Reads an ignore file whose patterns are relative to `dir`. A missing file is empty.
fn read(dir: &Path, path: &Path, flags: OFlags, warnings: &mut Warnings) -> Gitignore {
    let shown = Escaped(path.as_os_str().as_bytes());
    let text = match bytes(path, flags) {
        Ok(None) => return Gitignore::empty(),
        Ok(Some(text)) => text,
        Err(error) => {
            warnings.push(format!("cannot read ignore file: {shown}: {error}; it is not used"));
            return Gitignore::empty();
        }
    };
    let mut builder = GitignoreBuilder::new(dir);
    let mut refused = None;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        if !add_line(&mut builder, line) {
            refused.get_or_insert(number);
        }
    }
    if let Some(number) = refused {
        warnings.push(format!(
            "invalid pattern in an ignore file: {shown}: line {number}; the line is not used"
        ));
    }
    builder.build().unwrap_or_else(|_| {
        warnings.push(format!("cannot use ignore file: {shown}: its patterns are too big"));
        Gitignore::empty()
    })
}

/// Adds a line. Returns `false` if it is invalid.
fn add_line(builder: &mut GitignoreBuilder, line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let Ok(line) = str::from_utf8(line) else { return false };
    builder.add_line(None, &without_alternatives(line)).is_ok()
}

/// Escapes braces, which are ordinary characters in `.gitignore`.
fn without_alternatives(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    let (mut in_escape, mut in_class) = (false, false);
    for character in line.chars() {
        if "{}".contains(character) && !in_escape && !in_class {
            escaped.push('\\');
        }
        in_class = !in_escape && (character == '[' || in_class && character != ']');
        in_escape = character == '\\' && !in_escape;
        escaped.push(character);
    }
    escaped
}

/// Reads a regular file. Returns `None` if the path has none.
fn bytes(path: &Path, flags: OFlags) -> io::Result<Option<Vec<u8>>> {
    // O_NONBLOCK, because the open of a FIFO waits for its writer.
    let flags = (flags | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if is_missing(path, &error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is bigger than 1 MiB"));
    }
    Ok(Some(bytes))
}

fn is_missing(path: &Path, error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}
