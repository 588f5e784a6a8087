//! Shrinks a failing schedule, and prints it as a script.

use std::fmt::Write as _;

use super::choices::Choices;
use super::distributions::Distribution;
use super::schedule::run_in;

/// Returns the kind of a failure: its message without words that have a digit.
pub fn kind(why: &str) -> String {
    let is_plain = |word: &&str| !word.contains(|c: char| c.is_ascii_digit());
    why.split_whitespace().filter(is_plain).collect::<Vec<_>>().join(" ")
}

/// Shrinks a failing list of choices, as long as it fails in the same way.
fn shrink(list: Vec<u32>, distribution: Distribution, why: &str) -> Vec<u32> {
    let why = kind(why);
    let mut tries = 0;
    let fails = |list: &[u32]| {
        tries += 1;
        let result = || run_in(Choices::list(list.to_vec()), distribution, false).0;
        tries < 40_000 && result().is_err_and(|other| kind(&other) == why)
    };
    super::choices::shrink(list, fails)
}

/// Returns a short script that fails as a schedule does, and the result of that script alone.
pub fn explain(seed: u64, distribution: Distribution) -> String {
    let (result, _, choices) = run_in(Choices::seeded(seed).keeping(), distribution, false);
    let list = shrink(choices.kept(), distribution, &result.err().unwrap_or_default());
    let (result, script, _) = run_in(Choices::list(list), distribution, true);
    let script = script.join("\n");
    let why = result.err().unwrap_or_else(|| "(the shrunk schedule does not fail)".into());
    let alone = match super::script::run(&script) {
        Ok(()) => "right".into(),
        Err(why) => why,
    };
    let mut text = String::new();
    let _ = write!(text, "{script}\nWRONG: {why}\nthe script alone: {alone}");
    text
}
