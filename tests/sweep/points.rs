//! One command, struck at its points.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::commands::{Row, Way};
use super::ends::{self, End};
use super::machine::{K, K2, Machine};
use super::processes;
use super::support::program::Face;
use super::tracer::{Ended, How, Strike, Whose};

/// The ways to strike.
pub const KINDS: [Kind; 7] = [
    Kind { name: "killed", whose: Whose::Own, how: How::Kill },
    Kind { name: "ENOSPC", whose: Whose::Own, how: How::Fail(Errno::ENOSPC) },
    Kind { name: "EIO", whose: Whose::Own, how: How::Fail(Errno::EIO) },
    Kind { name: "full", whose: Whose::Own, how: How::FailFrom(Errno::ENOSPC) },
    Kind { name: "child-killed", whose: Whose::Children, how: How::Kill },
    Kind { name: "child-ENOSPC", whose: Whose::Children, how: How::Fail(Errno::ENOSPC) },
    Kind { name: "child-EIO", whose: Whose::Children, how: How::Fail(Errno::EIO) },
];

/// One of them.
pub struct Kind {
    pub name: &'static str,
    pub whose: Whose,
    pub how: How,
}

/// A point of a command.
#[derive(Clone, Copy)]
pub struct Point {
    pub kind: &'static Kind,
    pub at: usize,
    pub way: Way,
}

/// What an undisturbed run does and leaves.
pub struct Undisturbed {
    pub calls: [usize; 2],
    labels: Vec<String>,
    /// Right after it.
    matters: End,
    status: String,
    /// After the next hook.
    end: End,
    /// What a dry run says then.
    dry: String,
    /// What an index names although it is gone: of a kernel that is about to go itself.
    missing: Vec<String>,
    modules: BTreeSet<Vec<u8>>,
}

/// What became of a point.
pub struct Outcome {
    /// What was struck.
    pub call: String,
    /// False where the run ended before that many calls.
    pub reached: bool,
    /// True where another call was struck than the undisturbed run made there.
    pub drifted: bool,
    /// Why this is a bad end; empty for a good one.
    pub faults: Vec<String>,
    /// What the runs said.
    pub said: String,
}

fn label(whose: Whose, ended: &Ended, at: usize) -> Option<String> {
    match whose {
        Whose::Own => ended.own.get(at - 1).map(|call| format!("{} {}", call.name, call.file.display())),
        Whose::Children => {
            let (who, call) = ended.children.get(at - 1)?;
            Some(format!("{who}: {} {}", call.name, call.file.display()))
        }
    }
}

/// Makes the machine of a command, and sees what it does undisturbed.
pub fn undisturbed(machine: &Machine, row: &Row) -> Undisturbed {
    (row.begin)(machine);
    machine.save();
    machine.put_back();
    let mut modules = ends::modules(machine);
    let run = machine.run(row.face, row.words, None);
    assert_eq!(run.ended.code, Some(0), "{}: {}", row.name, run.ended.said);
    let (own, children) = (run.ended.own.len(), run.ended.children.len());
    let of = |whose, count| (1..=count).map(move |at| (whose, at));
    let labels = of(Whose::Own, own).chain(of(Whose::Children, children));
    let labels = labels.filter_map(|(whose, at)| label(whose, &run.ended, at)).collect();
    run.rest();
    let matters = End::of(machine, row.makes_keys).that_matters();
    modules.extend(ends::modules(machine));
    let status = status(machine).1;
    let (face, words) = hook(machine);
    machine.does(face, words);
    modules.extend(ends::modules(machine));
    let dry = dry_run(machine).1;
    assert!(dry.ends_with("nothing to do\n"), "{}: {dry}", row.name);
    Undisturbed {
        calls: [own, children],
        labels,
        matters,
        status,
        end: End::of(machine, row.makes_keys),
        dry,
        missing: ends::missing_of_index(machine),
        modules,
    }
}

/// What a package manager has run after an upgrade: of Debian's dkms, what its hook files call.
fn hook(machine: &Machine) -> (Face, &'static [&'static str]) {
    match super::machine::is_other() {
        None => (Face::Hook, &[]),
        Some(_) if machine.root.names("/usr/lib/modules").iter().any(|kernel| kernel == K) => {
            (Face::Dkms, &["autoinstall", "-k", K])
        }
        Some(_) => (Face::Dkms, &["autoinstall", "-k", K2]),
    }
}

fn status(machine: &Machine) -> (Option<i32>, String) {
    said_by(machine, Face::Dkms, &["status"])
}

/// dkms has none.
fn dry_run(machine: &Machine) -> (Option<i32>, String) {
    match super::machine::is_other() {
        None => said_by(machine, Face::Hook, &["--dry-run"]),
        Some(_) => (Some(0), "nothing to do\n".into()),
    }
}

fn said_by(machine: &Machine, face: Face, words: &[&str]) -> (Option<i32>, String) {
    let run = machine.run(face, words, None);
    let (code, said) = (run.ended.code, run.ended.said.clone());
    run.rest();
    (code, said)
}

/// Strikes a command, goes the way on, and judges.
pub fn strike(machine: &Machine, row: &Row, expected: &Undisturbed, point: Point) -> Outcome {
    machine.put_back();
    let Point { kind, at, way } = point;
    let strike = Strike { whose: kind.whose, at, how: kind.how };
    let run = machine.run(row.face, row.words, Some(strike));
    let struck = label(kind.whose, &run.ended, at);
    let mut outcome = Outcome {
        reached: struck.is_some(),
        drifted: false,
        call: struck.unwrap_or_default(),
        faults: Vec::new(),
        said: format!("--- struck: {:?}\n{}", run.ended.code, run.ended.said),
    };
    if !outcome.reached {
        run.rest();
        return outcome;
    }
    let before = if kind.whose == Whose::Own { 0 } else { expected.calls[0] };
    outcome.drifted = expected.labels.get(before + at - 1) != Some(&outcome.call);
    let finishing = kind.whose == Whose::Children && finishes(row, &outcome.call);
    let mut faults = after_the_strike(machine, row, expected, &run.ended, finishing);
    let mut runs = vec![run];
    let mut go_on = |what: &str, face, words: &[&str], fine: &[i32]| {
        let run = machine.run(face, words, None);
        let code = run.ended.code;
        outcome.said.push_str(&format!("--- {what}: {code:?}\n{}", run.ended.said));
        let mut faults = Vec::new();
        if !code.is_some_and(|code| code == 0 || fine.contains(&code)) {
            faults.push(format!("{what} ended with {code:?}"));
        }
        if run.ended.said.contains("panicked") {
            faults.push(format!("{what} panicked"));
        }
        let said = run.ended.said.clone();
        runs.push(run);
        (faults, said)
    };
    if way != Way::Hook {
        faults.extend(go_on("again", row.face, row.words, row.again).0);
    }
    if way == Way::AgainOnly {
        faults.extend(what_matters(machine, row, expected));
    }
    let (face, words) = hook(machine);
    faults.extend(go_on("hook", face, words, &[]).0);
    let (code, said) = dry_run(machine);
    outcome.said.push_str(&format!("--- dry run: {code:?}\n{said}"));
    if said != expected.dry {
        faults.push(format!(
            "after the hook there is something to do: {}",
            said.lines().next().unwrap_or_default()
        ));
    }
    faults.extend(processes::that_stay().iter().map(|name| format!("process {name} is left over")));
    processes::end_all();
    runs.into_iter().for_each(super::tracer::Run::rest);
    let end = End::of(machine, row.makes_keys);
    faults.extend(end.differences(&expected.end, finishing));
    faults.extend(ends::broken_modules(machine, &expected.modules));
    faults.extend(missing(machine, expected));
    outcome.faults = faults;
    outcome
}

fn missing(machine: &Machine, expected: &Undisturbed) -> impl Iterator<Item = String> {
    ends::missing_of_index(machine).into_iter().filter(|fault| !expected.missing.contains(fault))
}

/// True for a program that finishes a module: strip, or in a build what signs. Where it fails the module goes without,
/// with a warning, as with DKMS; it is whole, and the next run does not try again. (That includes what the stand-in of
/// sign-file calls.)
fn finishes(row: &Row, call: &str) -> bool {
    let signs = ["sign-file", "openssl", "mktemp", "rm", "cat"];
    let is = |name: &&str| call.starts_with(&format!("{name}: "));
    is(&"strip") || row.makes_keys && row.name != "generate_mok" && signs.iter().any(is)
}

/// What must be so whatever happened.
fn after_the_strike(
    machine: &Machine,
    row: &Row,
    expected: &Undisturbed,
    ended: &Ended,
    finishing: bool,
) -> Vec<String> {
    let mut faults = ends::broken_modules(machine, &expected.modules);
    if ended.code.is_none() {
        faults.push("the struck run hangs".into());
    }
    if ended.said.contains("panicked") {
        faults.push("the struck run panicked".into());
    }
    let (code, said) = status(machine);
    if code != Some(0) {
        faults.push(format!("dkms status ended with {code:?}: {said}"));
    }
    // A hook of a package manager ends with 0 whatever happened, and says what failed.
    if ended.code == Some(0) && row.words.first() != Some(&"deb") {
        let mut found = what_matters(machine, row, expected);
        found.retain(|fault| !(finishing && fault.contains("lib/dkms/mok.")));
        faults.extend(found.into_iter().map(|fault| format!("exit 0, but {fault}")));
    }
    faults
}

/// What a run that succeeded has done.
fn what_matters(machine: &Machine, row: &Row, expected: &Undisturbed) -> Vec<String> {
    let now = End::of(machine, row.makes_keys).that_matters();
    let mut faults = now.differences(&expected.matters, true);
    faults.extend(missing(machine, expected));
    let said = status(machine).1;
    if said != expected.status {
        faults.push(format!("status says {said:?}, not {:?}", expected.status));
    }
    faults
}
