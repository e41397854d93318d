//! Random histories of the real program: what happens to kernels, sources and trees, with hooks that are
//! called, lost, doubled and killed; at the end one call brings all in line, whatever was before.
//!
//! `HISTORIES` is the number of histories, `HISTORIES_SEED` the first seed; a failure tells its seed and what
//! happened. docs/proofs.md says what the past may decide, and is not compared.

mod compare;
mod events;
mod state;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::toy_kernel::FakeRoot;
use events::{Event, Random};
use state::State;

/// Histories of a usual test run.
const HISTORIES: u64 = 8;

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Plays one history, and looks at its end.
fn play(events: &[Event]) {
    let root = FakeRoot::new();
    let mut state = State::default();
    for event in events {
        event.happen(&root, &mut state);
    }
    // Nothing proves that the last kernel is gone; a person says so.
    let last = root.hook(&["--purge-missing"]);
    // A source that vanished is told as an error.
    let told = |code: i32| code == 0 || !state.vanished.is_empty();
    assert!(told(last.code), "the last call failed\n{}{}", last.out, last.err);
    root.take_make_calls();
    let before = root.snapshot();
    let again = root.hook(&[]);
    assert_eq!(root.take_make_calls(), [""; 0], "called again, it builds");
    assert!(
        told(again.code) && again.out.contains("nothing to do"),
        "and then again: {}{}",
        again.out,
        again.err
    );
    root.assert_untouched(&before);
    compare::nothing_of_gone_kernels(&root, &state);

    compare::indexes_are_up_to_date(&root, &state);
    let end = compare::End::of(&root, &state);
    // At the same place, as paths are among what a build is made from.
    root.start_over();
    state.lay_out(&root);
    root.hook(&[]).expect(0);
    end.assert_same(&compare::End::of(&root, &state));
}

#[test]
fn every_history_ends_as_if_only_its_end_had_been() {
    let first = number("HISTORIES_SEED", 0);
    for seed in first..first + number("HISTORIES", HISTORIES) {
        let events = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d)).history();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| play(&events))) {
            let lines: Vec<String> = events.iter().map(|event| format!("    {event:?},\n")).collect();
            eprintln!("HISTORIES_SEED={seed} HISTORIES=1:\n{}", lines.concat());
            std::panic::resume_unwind(panic);
        }
    }
}
