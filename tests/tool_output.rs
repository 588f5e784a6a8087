//! The output of the tool can be parsed back, with any names, and with a slow reader.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use support::{Program, hostile_names, lossy, path};

#[path = "tool/mod.rs"]
mod support;

const END: &[u8] = b"the-end";

/// Creates files with all hostile names in `d`. Returns the output of the tool, and the names.
fn written(args: &[&str]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().join("d");
    fs::create_dir(&d).unwrap();
    let args = [&["-m", "-e", "create", "d"], args].concat();
    let tool = Program::established(&mut support::tool(dir.path(), &args));
    let names = hostile_names();
    for name in &names {
        fs::write(path(&d, name), "").unwrap();
    }
    fs::write(path(&d, END), "").unwrap();
    tool.events.until(END);
    tool.signal(rustix::process::Signal::TERM);
    (tool.events.to_end(), names)
}

/// Returns the exact bytes of a field of a JSON object.
fn field(value: &Value, key: &str) -> Vec<u8> {
    match value.get(format!("{key}_hex")).and_then(Value::as_str) {
        Some(hex) => (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect(),
        None => value[key].as_str().unwrap().as_bytes().to_vec(),
    }
}

/// Parses CSV (RFC 4180).
fn csv(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if field.is_empty() => loop {
                match bytes.next().unwrap() {
                    b'"' if bytes.next_if_eq(&b'"').is_some() => field.push(b'"'),
                    b'"' => break,
                    other => field.push(other),
                }
            },
            b',' => row.push(std::mem::take(&mut field)),
            b'\n' => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    assert!(row.is_empty() && field.is_empty());
    rows
}

#[test]
fn hostile_names_are_parsed_back_exactly_from_json() {
    let (text, names) = written(&["--json"]);
    // It has no control characters for a terminal.
    let text = String::from_utf8(text).unwrap();
    assert!(text.chars().all(|char| char == '\n' || !char.is_control()));
    let read: Vec<Vec<u8>> = text
        .lines()
        .map(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["dir"], "d/");
            assert_eq!(value["events"], serde_json::json!(["CREATE"]));
            field(&value, "name")
        })
        .collect();
    assert_eq!(read[..names.len()], names);
}

#[test]
fn hostile_names_are_parsed_back_exactly_from_csv() {
    let (text, names) = written(&["--csv"]);
    let rows = csv(&text);
    for (row, name) in rows.iter().zip(&names) {
        assert_eq!(*row, [b"d/".to_vec(), b"CREATE".to_vec(), name.clone()]);
    }
    assert_eq!(rows.len(), names.len() + 1);
}

#[test]
fn hostile_names_are_parsed_back_exactly_between_nuls() {
    let (text, names) = written(&["-0"]);
    let fields: Vec<&[u8]> = text.strip_suffix(b"\0").unwrap().split(|&byte| byte == 0).collect();
    for (event, name) in fields.chunks(3).zip(&names) {
        assert_eq!(event, [b"d/", &b"CREATE"[..], &name[..]]);
    }
    assert_eq!(fields.len(), 3 * (names.len() + 1));
    for args in [&["--format", "%w%f", "--null"][..], &["--format", "%w%f%0", "--no-newline"]] {
        let (text, names) = written(args);
        let read: Vec<&[u8]> = text.strip_suffix(b"\0").unwrap().split(|&byte| byte == 0).collect();
        for (path, name) in read.iter().zip(&names) {
            assert_eq!(*path, [b"d/", &name[..]].concat());
        }
        assert_eq!(read.len(), names.len() + 1);
    }
}

#[test]
fn hostile_names_are_written_to_a_pipe_unchanged() {
    for args in [&[][..], &["--format", "%w %,e %f"]] {
        let (text, names) = written(args);
        let line = |name: &[u8]| [b"d/ CREATE ", name, b"\n"].concat();
        let expected: Vec<u8> =
            names.iter().map(Vec::as_slice).chain([END]).flat_map(line).collect();
        assert_eq!(lossy(&text), lossy(&expected));
    }
}

#[test]
fn hostile_names_are_passed_to_commands_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let d = dir.path().join("d");
    fs::create_dir(&d).unwrap();
    let args = ["-m", "-qq", "-e", "create", "d", "--exec", "printf", "%s\\0", "{}"];
    let tool = Program::watching(&mut support::tool(dir.path(), &args), 1);
    let names = hostile_names();
    for name in names.iter().map(Vec::as_slice).chain([END]) {
        fs::write(path(&d, name), "").unwrap();
    }
    let text = tool.events.until([END, b"\0"].concat());
    let read: Vec<&[u8]> = text.split(|&byte| byte == 0).collect();
    for (path, name) in read.iter().zip(&names) {
        assert_eq!(*path, [b"d/", &name[..]].concat());
    }
}

/// Causes 100,000 events, and starts to read the output after all of them. Waits until the last event is printed and
/// the messages are `complete`, and returns them.
fn flood(args: &[&str], dir: &Path, complete: fn(&str) -> bool) -> String {
    const EVENTS: usize = 100_000;
    fs::create_dir(dir.join("d")).unwrap();
    let args = [&["-m", "-q", "-e", "create,moved_from,moved_to", "--format", "%f %e", "d"], args];
    let mut command = support::tool(dir, &args.concat());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(fs::File::create(dir.join("messages")).unwrap());
    let mut child = support::spawn(&mut command).unwrap();
    support::wait_for_watches(&child, 1);
    let mut last = dir.join("d/0");
    fs::create_dir(&last).unwrap();
    for number in 1..EVENTS / 2 {
        let next = dir.join(format!("d/{number}"));
        fs::rename(&last, &next).unwrap();
        last = next;
    }
    let mut text = String::new();
    let mut stdout = child.stdout.take().unwrap();
    let mut buffer = [0; 65536];
    let messages = || fs::read_to_string(dir.join("messages")).unwrap();
    // The last event is repeated, because it can be lost as well. The scan after an overflow can print it before it
    // has seen the whole tree.
    let mut number = 0;
    while !(text.contains("end") && complete(&messages())) {
        fs::create_dir(dir.join(format!("d/end-{number}"))).unwrap();
        number += 1;
        let len = stdout.read(&mut buffer).unwrap();
        assert_ne!(len, 0, "tinotify has ended: {}", messages());
        text.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let seen: BTreeSet<&str> = text.lines().filter(|line| !line.contains("end")).collect();
    let all = (1..EVENTS / 2).flat_map(|number| {
        let (from, to) = (number - 1, number);
        [format!("{from} MOVED_FROM,ISDIR"), format!("{to} MOVED_TO,ISDIR")]
    });
    let lost = all.filter(|line| !seen.contains(line.as_str())).count();
    let messages = messages();
    let reported = messages.contains("events were lost");
    assert_eq!(lost > 0, reported, "{lost} lost; {messages}");
    messages
}

#[test]
fn an_overflow_is_reported_when_the_reader_is_slow() {
    let dir = tempfile::tempdir().unwrap();
    // A pipe and a queue together hold fewer events.
    assert!(flood(&[], dir.path(), |_| true).contains("max_queued_events"));
}

#[test]
fn an_overflow_of_a_tree_is_reported_and_resynchronised() {
    let dir = tempfile::tempdir().unwrap();
    let messages = flood(&["-r"], dir.path(), |messages| {
        messages.contains("is resynchronised") || !messages.contains("were lost")
    });
    assert!(messages.contains("is resynchronised"), "{messages}");
}

#[test]
fn an_overflow_is_an_object_in_json() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let mut command = support::tool(dir.path(), &["-mr", "-e", "create,move", "--json", "d"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut tool = support::spawn(&mut command).unwrap();
    support::wait_for_watches(&tool, 1);
    for number in 0..60_000 {
        let (from, to) = (number % 2, (number + 1) % 2);
        let _ = fs::create_dir(dir.path().join("d/0"));
        fs::rename(dir.path().join(format!("d/{from}")), dir.path().join(format!("d/{to}")))
            .unwrap();
    }
    let mut stdout = tool.stdout.take().unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 65536]);
    while !text.contains("RESYNCED") {
        let len = stdout.read(&mut buffer).unwrap();
        assert_ne!(len, 0);
        text.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
    }
    assert!(text.contains("\"Q_OVERFLOW\""));
    tool.kill().unwrap();
    tool.wait().unwrap();
}
