//! Records events of this machine's kernel as seeds of the fuzz targets, in fuzz/corpus:
//!
//!     cargo run --manifest-path fuzz/Cargo.toml --example record
//!
//! Each stream has the events of some changes in a temporary directory. Watch descriptors and cookies are
//! those of the kernel, so each recording is different.

use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tinotify::{Events, InitFlags, Inotify, WatchMask};

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let recorded: [(&str, Vec<u8>); 6] = [
        ("file-life", record(file_life)?),
        ("directory-life", record(directory_life)?),
        ("renames", record(renames)?),
        ("rename-halves-apart", record(rename_halves_apart)?),
        ("name-lengths", record(name_lengths)?),
        ("name-bytes", record(name_bytes)?),
    ];
    for (name, stream) in &recorded {
        for target in ["decode", "decode_vs_oracle", "rename"] {
            save(&corpus, target, name, stream)?;
        }
        // Each seed starts with a script: small chunks and early pops, or a full ring that is then emptied.
        let trickle = [36_u8, 40, 44, 48, 4, 3, 61, 10].repeat(4);
        let flood = [186_u8, 252, 14, 4, 5, 4, 187, 3].repeat(4);
        save(&corpus, "ring", &format!("{name}-in-pieces"), &[&trickle[..], stream].concat())?;
        save(&corpus, "ring", &format!("{name}-at-once"), &[&flood[..], stream].concat())?;

        let mut masks = BTreeSet::new();
        for event in Events::new(stream) {
            masks.insert(event?.mask().to_string());
        }
        let masks = Vec::from_iter(masks).join(" | ");
        save(&corpus, "flags_parse", name, masks.as_bytes())?;
    }
    Ok(())
}

fn save(corpus: &Path, target: &str, name: &str, bytes: &[u8]) -> Done {
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)?;
    println!("{target}/{name}: {} bytes", bytes.len());
    Ok(())
}

/// Records the events of changes in a new directory, in which `watched` and `watched/sub` are watched.
fn record(changes: fn(&Path) -> Done) -> Result<Vec<u8>, Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("tinotify-record-{}", std::process::id()));
    for sub in ["watched", "watched/sub", "elsewhere"] {
        fs::create_dir_all(dir.join(sub))?;
    }
    let inotify = Inotify::init(InitFlags::NONBLOCK)?;
    for watched in ["watched", "watched/sub"] {
        let path = CString::new(dir.join(watched).as_os_str().as_bytes())?;
        inotify.add_watch(&path, WatchMask::ALL_EVENTS)?;
    }
    let changed = changes(&dir);
    fs::remove_dir_all(&dir)?;
    changed?;

    // All events are queued by now, so one read returns all of them.
    let mut buffer = vec![0; inotify.queued_bytes()?];
    let len = inotify.read(&mut buffer)?.remainder().len();
    buffer.truncate(len);
    Ok(buffer)
}

fn file_life(dir: &Path) -> Done {
    let path = dir.join("watched/file");
    let mut file = File::create(&path)?;
    file.write_all(b"text")?;
    file.write_all(b"text")?;
    drop(file);
    File::open(&path)?.read_to_end(&mut Vec::new())?;
    let mut permissions = fs::metadata(&path)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions)?;
    fs::hard_link(&path, dir.join("watched/link"))?;
    fs::remove_file(&path)?;
    Ok(())
}

fn directory_life(dir: &Path) -> Done {
    fs::create_dir_all(dir.join("watched/sub/below"))?;
    fs::read_dir(dir.join("watched/sub"))?.count();
    fs::remove_dir(dir.join("watched/sub/below"))?;
    fs::rename(dir.join("watched/sub"), dir.join("watched/other"))?;
    fs::remove_dir(dir.join("watched/other"))?;
    Ok(())
}

fn renames(dir: &Path) -> Done {
    File::create(dir.join("watched/a"))?;
    fs::rename(dir.join("watched/a"), dir.join("watched/b"))?;
    fs::rename(dir.join("watched/b"), dir.join("watched/sub/c"))?;
    fs::rename(dir.join("watched/sub/c"), dir.join("elsewhere/d"))?;
    fs::rename(dir.join("elsewhere/d"), dir.join("watched/a name of more than sixteen bytes"))?;
    Ok(())
}

/// MOVED_FROM events without MOVED_TO, and then the reverse, more than a small window keeps.
fn rename_halves_apart(dir: &Path) -> Done {
    for at in 0..6 {
        fs::create_dir(dir.join(format!("watched/{at}")))?;
    }
    for at in 0..6 {
        fs::rename(dir.join(format!("watched/{at}")), dir.join(format!("elsewhere/{at}")))?;
    }
    for at in 0..6 {
        fs::rename(dir.join(format!("elsewhere/{at}")), dir.join(format!("watched/sub/{at}")))?;
    }
    Ok(())
}

fn name_lengths(dir: &Path) -> Done {
    for len in [1, 14, 15, 16, 17, 31, 32, 255] {
        fs::create_dir(dir.join("watched").join("n".repeat(len)))?;
    }
    Ok(())
}

fn name_bytes(dir: &Path) -> Done {
    let names =
        [&b"\xff\xfe"[..], b"\x1b[2J", b"line\nbreak", b" ", "\u{202e}é".as_bytes(), b"\\\""];
    for name in names {
        fs::create_dir(dir.join("watched").join(OsStr::from_bytes(name)))?;
    }
    Ok(())
}
