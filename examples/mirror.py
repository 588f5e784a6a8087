#!/usr/bin/env python3
"""Keeps a copy of a tree: mirror.py SOURCE COPY. COPY must not exist.

An event only says where to compare. What is there now is read from the disk, so an event that is old, or
that is shown twice, does no harm. A renamed directory is compared as a whole: events of files in it may
have had its old path. Contents are copied, not permissions. inotify reports a write only under the name
that was written, not under other hard links of the file.
"""
import contextlib, filecmp, json, os, shutil, stat, subprocess, sys

copy = os.path.realpath(os.fsencode(sys.argv[2]))
os.mkdir(copy)
os.chdir(sys.argv[1])

def path_of(event, *keys):
    """Joins fields. A name that is not UTF-8 has its exact bytes in a second field."""
    return b"".join(bytes.fromhex(event[key + "_hex"]) if key + "_hex" in event
                    else event.get(key, "").encode() for key in keys)

def is_below_link(path):
    """Returns True if the path is outdated, and leads through a link that came since."""
    above = [path[:at] for at, byte in enumerate(path) if byte == ord("/")]
    return any(os.path.islink(os.path.join(top, dir)) for top in (b".", copy) for dir in above)

def compare(path, deep):
    """Makes the copy of an entry equal, and with `deep` that of everything in it."""
    to = os.path.join(copy, path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        old = stat.S_IFMT(os.lstat(to).st_mode)
        if not os.path.lexists(path) or old != stat.S_IFMT(os.lstat(path).st_mode):
            shutil.rmtree(to) if old == stat.S_IFDIR else os.unlink(to)
    # If it is gone, or the copy of its directory does not exist yet, another event says so.
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = os.lstat(path).st_mode
        if stat.S_ISDIR(mode):
            os.path.isdir(to) or os.mkdir(to)
            for name in {*os.listdir(path), *os.listdir(to)} if deep else ():
                compare(os.path.join(path, name), True)
        elif stat.S_ISLNK(mode):
            os.path.lexists(to) and os.unlink(to)
            os.symlink(os.readlink(path), to)
        elif stat.S_ISREG(mode):
            filecmp.clear_cache()  # It would trust the times of the files.
            if not os.path.exists(to) or not filecmp.cmp(path, to, shallow=False):
                shutil.copyfile(path, to, follow_symlinks=False)

tool = subprocess.Popen(["tinotify", "-mrq", "--json", "--existing", "--snapshot", "--renames", "-e",
                         "create,delete,move,modify,attrib,unmount", "."], stdout=subprocess.PIPE)
for line in tool.stdout:
    event = json.loads(line)
    word, old, new = event["events"][0], path_of(event, "from"), path_of(event, "dir", "name")
    if word in ("UNWATCHED", "UNLISTED"):
        escaped = new.decode(errors="backslashreplace").encode("unicode_escape").decode()
        print(f"mirror: not watched: {escaped}: {event['why']}", file=sys.stderr)
    paths = [path for path in (old, new) if path not in (b"", b"./") and not is_below_link(path)]
    if word == "RENAMED" and len(paths) == 2:
        with contextlib.suppress(OSError):
            os.rename(os.path.join(copy, old), os.path.join(copy, new))
    for path in paths:
        try:
            compare(path, deep=word != "EXISTING")
        except OSError as error:
            print("mirror: cannot copy:", error, file=sys.stderr)
sys.exit(tool.wait())
