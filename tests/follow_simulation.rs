//! A name is never lost track of, whatever the world does meanwhile: the follower over a simulated
//! kernel. And over the real one.
//!
//! Each schedule is the number that it is made from. From the environment:
//!
//! - `TINOTIFY_SCHEDULES`: how many; `TINOTIFY_FIRST_SEED`; `TINOTIFY_SEED`: one alone.
//! - `TINOTIFY_DISTRIBUTION`: one of those in `following/distributions.rs`. Default: they take turns.
//! - `TINOTIFY_SURVEY`: goes on after a failure, and says at the end what kinds there are.

#![cfg(all(target_os = "linux", not(miri)))]
#![deny(unsafe_code)]

mod following;

use std::collections::BTreeMap;
use std::env;
use std::time::Instant;

use following::choices::Choices;
use following::distributions::{ALL, Distribution};
use following::schedule::{Totals, run_in};
use following::{chaos, real, script, shrink};

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Runs one schedule, which must be right.
fn check(seed: u64) -> Result<Totals, String> {
    run_in(Choices::seeded(seed), Distribution::of_seed(seed), false).0
}

/// Fails with a short script.
fn fail(seed: u64, why: &str) -> ! {
    let distribution = Distribution::of_seed(seed);
    let shrunk = shrink::explain(seed, distribution);
    panic!("seed {seed}, {}: {why}\n\nshrunk:\n{shrunk}", distribution.name())
}

/// Says of each distribution what happened, and what kinds of failures there were.
fn report(totals: &BTreeMap<Distribution, Totals>, wrong: &[(u64, String)]) {
    for distribution in ALL {
        let Some(totals) = totals.get(&distribution) else { continue };
        println!("{}: {totals:?}", distribution.name());
    }
    let mut kinds: BTreeMap<String, (u64, u64, &str)> = BTreeMap::new();
    for (seed, why) in wrong {
        kinds.entry(shrink::kind(why)).or_insert((0, *seed, why)).0 += 1;
    }
    for (count, seed, why) in kinds.values() {
        println!("{count:6} such as seed {seed}: {why}");
    }
}

#[test]
fn no_schedule_makes_a_follower_lose_track() {
    if let Some(seed) = number("TINOTIFY_SEED") {
        match check(seed) {
            Ok(totals) => println!("{totals:?}"),
            Err(why) => fail(seed, &why),
        }
        return;
    }
    let count = number("TINOTIFY_SCHEDULES").unwrap_or(20_000);
    let first = number("TINOTIFY_FIRST_SEED").unwrap_or(0);
    let survey = number("TINOTIFY_SURVEY").is_some();
    let begin = Instant::now();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (mut totals, mut wrong) = (BTreeMap::<Distribution, Totals>::new(), Vec::new());
    for seed in first..first + count {
        match check(seed) {
            Ok(more) => totals.entry(Distribution::of_seed(seed)).or_default().add(more),
            Err(why) => wrong.push((seed, why)),
        }
        if !survey && !wrong.is_empty() {
            break;
        }
    }
    std::panic::set_hook(hook);
    report(&totals, &wrong);
    println!("{count} schedules, {} wrong, {:.1?}", wrong.len(), begin.elapsed());
    if let (Some((seed, why)), false) = (wrong.first(), survey) {
        fail(*seed, why);
    }
    assert!(wrong.is_empty(), "{} of {count} schedules are wrong", wrong.len());
}

/// The scripts, by their names.
fn scripts() -> Vec<(String, String)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/following/scripts");
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<_> = paths
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no script runs");
    scripts
}

#[test]
fn scripted_worlds_are_right() {
    let results = scripts().into_iter().map(|(name, text)| (name, script::run(&text)));
    let wrong: Vec<_> = results.filter_map(|(name, result)| Some((name, result.err()?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_real_kernel_does_what_the_simulated_one_does() {
    let mut ran = 0;
    for (name, text) in scripts() {
        println!("{name}");
        ran += u32::from(real::run(&text));
    }
    assert!(ran > 10, "{ran} scripts");
}

#[test]
fn nothing_that_a_kernel_says_makes_it_panic() {
    for seed in 0..5_000 {
        chaos::run(seed);
    }
}
