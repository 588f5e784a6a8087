//! All words of a few operations on three names, with a read between any two of them or not.
//!
//! The letters: `mkdir`, `create` and `rm` of each name; `mv` and `exchange` of each two, at the top and in
//! the directory `a`; and `mv` between the two levels. A word with an impossible letter is left out, since a
//! shorter one covers it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::choices::Choices;
use super::rules::Rules;
use super::schedule::{Run, panicked};
use super::world::World;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// The initial world.
const BEGIN: [&str; 4] = ["mkdir a", "mkdir a/a", "mkdir b", "create a/b"];

pub fn letters() -> Vec<String> {
    let mut letters = Vec::new();
    for beneath in ["", "a/"] {
        for (at, one) in NAMES.iter().enumerate() {
            for make in ["mkdir", "create", "rm"] {
                letters.push(format!("{make} {beneath}{one}"));
            }
            for (other_at, other) in NAMES.iter().enumerate().filter(|(other, _)| *other != at) {
                letters.push(format!("mv {beneath}{one} {beneath}{other}"));
                if at < other_at {
                    letters.push(format!("exchange {beneath}{one} {beneath}{other}"));
                }
            }
        }
    }
    for one in ["b", "c"] {
        letters.push(format!("mv {one} a/{one}"));
        letters.push(format!("mv a/{one} {one}"));
        letters.push(format!("exchange {one} a/{one}"));
    }
    letters
}

fn begin(rules: Rules) -> World {
    let mut world = World::new(Choices::list(Vec::new()), rules);
    for line in BEGIN {
        world.change_by_line(line);
    }
    world
}

fn rules(track_files: bool) -> Rules {
    Rules { exchanges: true, track_files, ..Rules::plain() }
}

/// Calls `each` with each possible word of this length that begins with one of the letters.
pub fn each(first: &str, length: usize, give: &mut dyn FnMut(&[String])) {
    let letters = letters();
    let mut word = vec![first.to_owned()];
    extend(&letters, &mut word, length, give);
}

fn extend(
    letters: &[String],
    word: &mut Vec<String>,
    length: usize,
    give: &mut dyn FnMut(&[String]),
) {
    let mut world = begin(rules(false));
    let is_possible = word.iter().all(|letter| world.change_by_line(letter));
    if !is_possible {
        return;
    }
    if word.len() == length {
        give(word);
        return;
    }
    for letter in letters {
        word.push(letter.clone());
        extend(letters, word, length, give);
        word.pop();
    }
}

/// Returns the places of the reads: bit N is the place behind letter N. All subsets for words of up to three
/// letters, else none, all, and each single place.
pub fn readers(length: usize) -> Vec<u32> {
    let places = length as u32 - 1;
    if length <= 3 {
        return (0..1 << places).collect();
    }
    let once = (0..places).map(|place| 1 << place);
    [0, (1 << places) - 1].into_iter().chain(once).collect()
}

/// Runs one word. The error is a script that fails.
pub fn run(word: &[String], reader: u32, track_files: bool) -> Result<(), String> {
    let mut run = Run::new(begin(rules(track_files)));
    let result = catch_unwind(AssertUnwindSafe(|| drive(&mut run, word, reader)));
    let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
    result.map_err(|why| {
        let options = if track_files { "options track_files" } else { "options" };
        let mut script = format!("# {why}\n{options}\n{}\nstart\n", BEGIN.join("\n"));
        for (at, letter) in word.iter().enumerate() {
            script += letter;
            script += if reader & 1 << at != 0 { "\nrest\n" } else { "\n" };
        }
        script + "rest\n"
    })
}

fn drive(run: &mut Run, word: &[String], reader: u32) -> Result<(), String> {
    run.start()?;
    run.rest()?;
    for (at, letter) in word.iter().enumerate() {
        run.world.change_by_line(letter);
        if reader & 1 << at != 0 {
            run.rest()?;
        }
    }
    run.rest()
}
