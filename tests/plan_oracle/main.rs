//! Generated machines and sequences of events: at every call of the program the plan is what an
//! independent specification says, in an order that works; carried out, it leaves nothing to do;
//! and all orders of the same events end with the same modules installed.
//!
//! `PLAN_SEQUENCES` is the number of sequences, `PLAN_SEED` the first seed; docs/proofs.md has the
//! command of a long run. A sequence that fails is made as short as it can be and printed as the code of
//! a test for `found.rs`.

mod apply;
mod converge;
mod events;
mod found;
mod machine;
mod observe;
mod play;
mod random;
mod spec;

use random::Random;

/// Sequences of a usual test run, for each property.
const SEQUENCES: u64 = 10_000;

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// The seeds of a run, each for one sequence.
fn seeds(part: u64) -> std::ops::Range<u64> {
    let first = number("PLAN_SEED", 0);
    first..first + number("PLAN_SEQUENCES", SEQUENCES) / part
}

/// Panics of sequences that are tried are told at the end.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = work();
    std::panic::set_hook(hook);
    result
}

/// Plays sequences, and makes the first that fails short.
fn play_all(sequence: fn(&mut Random) -> Vec<events::Event>) {
    let found = quietly(|| {
        seeds(1).find_map(|seed| {
            let events = sequence(&mut Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d)));
            play::failure(|| drop(play::play(&events)))?;
            let fails = |events: &[events::Event]| play::failure(|| drop(play::play(events))).is_some();
            let short = play::shrink(events, fails);
            let why = play::failure(|| drop(play::play(&short)));
            let lines: Vec<String> = short.iter().map(|event| format!("    {event:?},")).collect();
            Some(format!("seed {seed}: {}\n{}", why.unwrap_or_default(), lines.join("\n")))
        })
    });
    assert!(found.is_none(), "{}", found.unwrap_or_default());
}

#[test]
fn every_plan_is_what_the_specification_says() {
    play_all(Random::sequence);
}

#[test]
fn what_persons_ask_for_by_name_is_what_the_specification_says() {
    play_all(Random::asking);
}

#[test]
fn all_orders_of_the_same_events_end_alike() {
    let found = quietly(|| {
        seeds(3).find_map(|seed| {
            let orders = converge::orders(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
            let wrong = orders.into_iter().find(|events| converge::why(events).is_some())?;
            let short = play::shrink(wrong, |events| converge::why(events).is_some());
            let lines: Vec<String> = short.iter().map(|event| format!("    {event:?},")).collect();
            Some(format!("seed {seed}: {}\n{}", converge::why(&short).unwrap_or_default(), lines.join("\n")))
        })
    });
    assert!(found.is_none(), "{}", found.unwrap_or_default());
}
