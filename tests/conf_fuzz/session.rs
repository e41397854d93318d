//! A run of the fuzzer, inside the sandbox.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use dkms_hook::conf::evaluation::{Question, Source, Values, with_own_reader};
use dkms_hook::conf::{DKMS_CONF, FRAMEWORK_CONF};

use super::bash::{self, Verdict};
use super::known;
use super::mutate::Mutator;
use super::random::Random;
use super::sandbox;

type Case = Vec<Vec<u8>>;

/// Mutants of a run without settings, and how many go to bash at once.
const CASES: usize = 15_000;
const BATCH: usize = 250;

/// Differences after which a run ends.
const ENOUGH: usize = 20;

/// Two kinds of conf, two sets of variables.
fn questions() -> Vec<Question<'static>> {
    let given = |values: &[(&str, Option<&str>)]| {
        values.iter().map(|(n, v)| ((*n).to_owned(), v.map(|v| v.as_bytes().to_vec()))).collect()
    };
    let dkms = given(&[
        ("kernelver", Some("6.12.107+deb13-amd64")),
        ("arch", Some("x86_64")),
        ("kernel_source_dir", Some("/lib/modules/6.12.107+deb13-amd64/build")),
        ("kernel_config", Some("/boot/config")),
        ("dkms_tree", Some("/var/lib/dkms")),
        ("source_tree", Some("/usr/src")),
        ("install_tree", Some("/lib/modules")),
        ("module", None),
        ("module_version", None),
        ("parallel_jobs", Some("4")),
    ]);
    vec![
        Question { exported: DKMS_CONF, given: dkms },
        Question { exported: FRAMEWORK_CONF, given: given(&[("dkms_tree", Some("/var/lib/d  kms")), ("arch", None)]) },
    ]
}

/// Our reader is at work.
static READING: AtomicBool = AtomicBool::new(false);

/// What our reader says; `Err` when it panics.
fn own(question: &Question<'_>, case: &[Vec<u8>]) -> Result<Result<Values, usize>, ()> {
    let files: Vec<Source> = case
        .iter()
        .enumerate()
        .map(|(n, text)| Source { path: PathBuf::from(format!("{n}.conf")), text: text.clone() })
        .collect();
    READING.store(true, Ordering::Relaxed);
    let said = catch_unwind(AssertUnwindSafe(|| with_own_reader(question, &files)));
    READING.store(false, Ordering::Relaxed);
    said.map(|said| said.map_err(|needs| needs.line)).map_err(drop)
}

/// Why a verdict is not what our reader said.
fn difference(own: &Values, bash: &Verdict) -> Option<String> {
    // A line with nothing but a carriage return: no command, no effect.
    let harmless = |line: &String| line.ends_with("$'\\r': command not found");
    let complaints: Vec<_> = bash.complaints.iter().filter(|line| !harmless(line)).collect();
    match &bash.values {
        Ok(values) if values != own => Some(format!("we read {own:?}, bash {values:?}")),
        Ok(_) if !complaints.is_empty() => Some(format!("bash complains: {complaints:?}")),
        Ok(_) => None,
        Err(why) => Some(format!("bash: {why}; {complaints:?}")),
    }
}

/// True when the readers differ, or ours panics.
fn differs(question: &Question<'_>, cases: &[Case]) -> Vec<bool> {
    let own: Vec<_> = cases.iter().map(|case| own(question, case)).collect();
    let verdicts = bash::ask(question, cases);
    own.iter()
        .zip(&verdicts)
        .map(|(own, bash)| match own {
            Err(()) => true,
            Ok(Ok(values)) => difference(values, bash).is_some(),
            Ok(Err(_)) => false,
        })
        .collect()
}

/// Takes away what is not needed for the difference.
fn shrink(question: &Question<'_>, mut case: Case) -> Case {
    for _ in 0..40 {
        let mut smaller: Vec<Case> = Vec::new();
        if case.len() > 1 {
            smaller.extend((0..case.len()).map(|n| vec![case[n].clone()]));
        }
        for (file, text) in case.iter().enumerate() {
            let mut length = text.len();
            while length > 0 {
                for start in (0..text.len()).step_by(length).take(60) {
                    let mut other = case.clone();
                    other[file].drain(start..(start + length).min(text.len()));
                    smaller.push(other);
                }
                length /= 2;
            }
        }
        let Some(found) = differs(question, &smaller).iter().position(|d| *d) else { break };
        case = smaller.swap_remove(found);
    }
    case
}

fn show(case: &Case) -> String {
    let files: Vec<_> = case.iter().map(|text| format!("b\"{}\"", text.escape_ascii())).collect();
    format!("&[{}]", files.join(", "))
}

/// Ends the program when one case takes longer than anything should.
fn watch(current: Arc<Mutex<Case>>, beats: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        loop {
            let before = beats.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(180));
            if beats.load(Ordering::Relaxed) == before {
                println!("conf_fuzz: no end with {}", show(&current.lock().expect("nobody panics with it")));
                std::process::exit(1);
            }
        }
    });
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs, and prints what came of it.
pub fn run() -> ExitCode {
    let questions = questions();
    let (current, beats) = (Arc::new(Mutex::new(Case::new())), Arc::new(AtomicU64::new(0)));
    watch(Arc::clone(&current), Arc::clone(&beats));
    // A panic of the reader is a result, not something for the screen.
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !READING.load(Ordering::Relaxed) {
            loud(info);
        }
    }));
    let seconds = number("DKMS_HOOK_FUZZ_SECONDS");
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_secs());
    let seed = number("DKMS_HOOK_FUZZ_SEED").unwrap_or_else(|| seconds.map_or(1, |_| clock()));
    let mut random = Random::new(seed);
    let mut mutator = Mutator::new(sandbox::seeds());
    let (mut made, mut sure, mut found) = (0usize, 0usize, Vec::new());
    let mut known: Vec<Case> = known::CASES.iter().map(|c| c.iter().map(|t| t.to_vec()).collect()).collect();
    let known_cases = known.len();
    let begun = Instant::now();
    let most = if seconds.is_some() { usize::MAX } else { CASES };
    let in_time = || seconds.is_none_or(|seconds| begun.elapsed().as_secs() < seconds);
    while made < most && in_time() && found.len() < ENOUGH {
        let question = if made < known_cases || !random.once_in(5) { &questions[0] } else { &questions[1] };
        let mut batch: Vec<(Case, Values)> = Vec::new();
        while batch.len() < BATCH && made < most && in_time() {
            let mut case = known.pop().unwrap_or_else(|| mutator.case(&mut random));
            made += 1;
            beats.fetch_add(1, Ordering::Relaxed);
            current.lock().expect("nobody panics with it").clone_from(&case);
            // What makes it unsure is left out, mostly: more cases are sure, and still odd.
            for _ in 0..random.below(5) {
                match own(question, &case) {
                    Ok(Err(line)) if case.len() == 1 => without(&mut case[0], line),
                    _ => break,
                }
            }
            match own(question, &case) {
                Ok(Ok(values)) => batch.push((case, values)),
                Ok(Err(_)) => {}
                Err(()) => found.push((shrink(question, case), "our reader panics".to_owned())),
            }
        }
        sure += batch.len();
        let cases: Vec<Case> = batch.iter().map(|(case, _)| case.clone()).collect();
        for ((case, values), verdict) in batch.into_iter().zip(bash::ask(question, &cases)) {
            beats.fetch_add(1, Ordering::Relaxed);
            match difference(&values, &verdict) {
                None => case.iter().for_each(|text| mutator.keep(text, &mut random)),
                Some(why) if found.len() < ENOUGH => {
                    let small = shrink(question, case);
                    println!("DIFFERENT: {}\n  first seen as: {why}", show(&small));
                    found.push((small, why));
                }
                Some(_) => {}
            }
        }
    }
    println!(
        "conf_fuzz: seed {seed}, {made} confs: our reader was sure about {sure}, and left {} to bash; {} s",
        made - sure,
        begun.elapsed().as_secs()
    );
    for (case, why) in &found {
        println!("FAILED: {}: {why}", show(case));
    }
    println!("{} passed, {} failed, 0 skipped", usize::from(found.is_empty()), found.len());
    if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Leaves a line out.
fn without(text: &mut Vec<u8>, line: usize) {
    let mut lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    if line >= 1 && line <= lines.len() {
        lines.remove(line - 1);
    }
    *text = lines.concat();
}
