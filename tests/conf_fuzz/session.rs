//! A run of the fuzzer, inside the sandbox.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use dkms_hook::conf::evaluation::{Question, Values};

use super::bash;
use super::known;
use super::mutate::Mutator;
use super::random::Random;
use super::readers::{self, Case, difference, is_left_to_bash, loads, own};
use super::sandbox;
use super::shrink::{show, shrink};

/// Mutants of a run without settings, and how many go to bash at once.
const CASES: usize = 15_000;
const BATCH: usize = 250;

/// Differences after which a run ends.
const ENOUGH: usize = 20;

/// Of so many confs that our reader is not sure about, one goes the whole way through bash.
const UNSURE_SAMPLE: usize = 60;

struct Session {
    random: Random,
    mutator: Mutator,
    known: Vec<Case>,
    /// How many cases there were, and how many of them our reader was sure about.
    made: usize,
    sure: usize,
    failures: Vec<String>,
    /// For `watch`.
    current: Arc<Mutex<Case>>,
    beats: Arc<AtomicU64>,
}

/// Runs, and prints what came of it.
pub fn run() -> ExitCode {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seconds = number("DKMS_HOOK_FUZZ_SECONDS");
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_secs());
    let seed = number("DKMS_HOOK_FUZZ_SEED").unwrap_or_else(|| seconds.map_or(1, |_| clock()));
    let mut session = Session {
        random: Random::new(seed),
        mutator: Mutator::new(sandbox::seeds()),
        known: known::CASES.iter().map(|c| c.iter().map(|t| t.to_vec()).collect()).collect(),
        made: 0,
        sure: 0,
        failures: Vec::new(),
        current: Arc::default(),
        beats: Arc::default(),
    };
    watch(Arc::clone(&session.current), Arc::clone(&session.beats));
    readers::hush();
    let questions = readers::questions();
    let most = if seconds.is_some() { usize::MAX } else { CASES };
    let begun = Instant::now();
    let in_time = || seconds.is_none_or(|seconds| begun.elapsed().as_secs() < seconds);
    while session.made < most && in_time() && session.failures.len() < ENOUGH {
        let which = *session.random.pick(&[0, 0, 0, 1, 2]);
        session.batch(&questions[if session.known.is_empty() { which } else { 0 }], most);
    }
    println!(
        "conf_fuzz: seed {seed}, {} confs: our reader was sure about {}, and left {} to bash; {} s",
        session.made,
        session.sure,
        session.made - session.sure,
        begun.elapsed().as_secs()
    );
    let failed = session.failures.len();
    println!("{} passed, {failed} failed, 0 skipped", u8::from(failed == 0));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Session {
    /// Makes cases until our reader was sure about enough of them, and lets bash judge those.
    fn batch(&mut self, question: &Question<'_>, most: usize) {
        let mut sure: Vec<(Case, Values)> = Vec::new();
        let end = most.min(self.made + 4 * BATCH);
        while sure.len() < BATCH && self.made < end {
            let case = self.case(question);
            self.made += 1;
            match own(question, &case) {
                Ok(Ok(values)) => sure.push((case, values)),
                Ok(Err(_)) => {
                    if self.random.once_in(UNSURE_SAMPLE) {
                        self.at(&case);
                        if let Err(why) = is_left_to_bash(question, &case) {
                            self.fail(&case, &why);
                        }
                    }
                }
                Err(()) => self.fail(&shrink(question, case), "our reader panics"),
            }
        }
        self.sure += sure.len();
        let cases: Vec<Case> = sure.iter().map(|(case, _)| case.clone()).collect();
        let verdicts = bash::ask(question, &cases);
        for (number, ((case, values), verdict)) in sure.into_iter().zip(verdicts).enumerate() {
            self.at(&case);
            if !loads(&bash::paths(number, &case)) {
                self.fail(&case, "understanding the values panics");
            }
            match difference(&values, &verdict) {
                None => case.iter().for_each(|text| self.mutator.keep(text, &mut self.random)),
                Some(why) if self.failures.len() < ENOUGH => self.fail(&shrink(question, case), &why),
                Some(_) => {}
            }
        }
    }

    fn case(&mut self, question: &Question<'_>) -> Case {
        if let Some(known) = self.known.pop() {
            return known;
        }
        let mut case = self.mutator.case(&mut self.random);
        self.at(&case);
        // What makes it unsure is left out, mostly: more cases are sure, and still odd.
        for _ in 0..self.random.below(5) {
            match own(question, &case) {
                Ok(Err(line)) if case.len() == 1 => without(&mut case[0], line),
                _ => break,
            }
        }
        case
    }

    fn fail(&mut self, case: &Case, why: &str) {
        let text = format!("FAILED: {}: {why}", show(case));
        println!("{text}");
        self.failures.push(text);
    }

    /// Tells `watch` where we are.
    fn at(&self, case: &Case) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.current.lock().expect("nobody panics with it").clone_from(case);
    }
}

/// Ends the program when one case takes longer than anything should.
fn watch(current: Arc<Mutex<Case>>, beats: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        loop {
            let before = beats.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(180));
            if beats.load(Ordering::Relaxed) == before {
                println!("FAILED: no end with {}", show(&current.lock().expect("nobody panics with it")));
                println!("0 passed, 1 failed, 0 skipped");
                std::process::exit(1);
            }
        }
    });
}

/// Leaves a line out.
fn without(text: &mut Vec<u8>, line: usize) {
    let mut lines: Vec<&[u8]> = text.split_inclusive(|b| *b == b'\n').collect();
    if line >= 1 && line <= lines.len() {
        lines.remove(line - 1);
    }
    *text = lines.concat();
}
