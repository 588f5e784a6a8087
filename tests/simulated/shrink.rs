//! Shrinks a failing schedule, and explains it.

use std::fmt::Write as _;

use super::choices::Choices;
use super::distributions::Distribution;
use super::schedule::{Totals, prints_trace, run_in};

/// Returns the kind of a failure: its words without names and numbers.
pub fn kind(why: &str) -> String {
    let unnamed = why.split('"').step_by(2).collect::<Vec<_>>().join("_");
    let own = |word: &&str| {
        !word.contains(['/', '(', '\\', ',']) && !word.contains(|c: char| c.is_ascii_digit())
    };
    unnamed
        .split_whitespace()
        .filter(|word| word.len() > 2)
        .filter(own)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Makes a failing list of choices shorter and simpler while it fails in the same way.
fn shrink(list: Vec<u32>, distribution: Distribution, why: &str) -> Vec<u32> {
    let why = kind(why);
    let mut tries = 0;
    let fails = |list: &[u32]| {
        tries += 1;
        tries < 40_000
            && run_in(Choices::list(list.to_vec()), distribution, false)
                .0
                .is_err_and(|other| kind(&other) == why)
    };
    super::choices::shrink(list, fails)
}

/// Explains the failure of a schedule: shortened, and in full.
pub fn explain(choices: Choices, distribution: Distribution) -> String {
    let (result, _, choices) = run_in(choices.keeping(), distribution, false);
    let list = shrink(choices.kept(), distribution, &result.err().unwrap_or_default());
    let (result, trace, _) = run_in(Choices::list(list.clone()), distribution, true);
    let mut text = String::new();
    for line in &trace {
        let _ = writeln!(text, "{line}");
    }
    match result {
        Err(why) => {
            let same = trace.last().is_some_and(|last| fails_alike(last, &why));
            let same = if same { "fails in the same way" } else { "does not fail in the same way" };
            writeln!(text, "(the script {same})\nWRONG: {why}\nchoices: {list:?}")
        }
        Ok(_) => writeln!(text, "(shrunk, it does not fail)"),
    }
    .unwrap();
    text
}

/// Returns `true` if a script fails in this way.
fn fails_alike(script: &str, why: &str) -> bool {
    let script = script.split_once('\n').map_or("", |(_, script)| script);
    let other = super::script::run(script, false).0.err().unwrap_or_default();
    // Behind the step.
    kind(&other).ends_with(&kind(why))
}

/// Runs the schedule of a seed, and panics with an explanation if it fails.
pub fn check(seed: u64, distribution: Distribution) -> Totals {
    match run_in(Choices::seeded(seed), distribution, prints_trace()).0 {
        Ok(totals) => totals,
        Err(why) => {
            let shrunk = explain(Choices::seeded(seed), distribution);
            let name = distribution.name();
            panic!(
                "seed {seed}, {name}: {why}\n\nshrunk:\n{shrunk}\n\
                 TINOTIFY_DISTRIBUTION={name} TINOTIFY_SEED={seed} runs it alone"
            )
        }
    }
}
