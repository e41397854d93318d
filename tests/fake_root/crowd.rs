//! Twenty runs at once, of every kind, some of them told to end or killed. Whatever they do to each other, nothing is
//! built twice, nobody waits for ever, and the last hook leaves what it always leaves.
//!
//! RACES is how many rounds there are, half of them with kills; RACES_SEED the seed of the first.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::program::Face;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";
const AT_ONCE: usize = 20;

/// What somebody may call at any time without wanting another end than the next hook does.
const CALLS: [(Face, &[&str]); 12] = [
    (Face::Hook, &[]),
    (Face::Hook, &["--kernel", K]),
    (Face::Hook, &["--kernel", K2]),
    (Face::Hook, &["deb", "trigger"]),
    (Face::Hook, &["deb", "header-postinst", K]),
    (Face::Hook, &["--dry-run"]),
    (Face::Hook, &["why", "top"]),
    (Face::Dkms, &["autoinstall", "-k", K2]),
    (Face::Dkms, &["install", "base/1", "-k", K]),
    (Face::Dkms, &["install", "top/1", "-k", K2]),
    (Face::Dkms, &["build", "plain/1", "-k", K]),
    (Face::Dkms, &["status"]),
];

/// What takes away again. After these a module may be built once more.
const TAKING: [(Face, &[&str]); 3] = [
    (Face::Dkms, &["uninstall", "plain/1", "-k", K]),
    (Face::Dkms, &["unbuild", "plain/1", "-k", K]),
    (Face::Dkms, &["unbuild", "base/1", "-k", K2]),
];

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// Numbers that look like chance, and are the same for a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

fn fresh(root: &FakeRoot) {
    root.start_over();
    for kernel in [K, K2] {
        ToyKernel::new(kernel).in_tree("drivers/base.ko").install(root);
    }
    ToyModule::new("base", "1").register(root);
    ToyModule::new("plain", "1").register(root);
    ToyModule::new("top", "1").record("top_extra").depends("base").register(root);
}

/// Names, modes and what modules are, without what only is remembered to save time.
fn end(root: &FakeRoot) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    let walk = walkdir::WalkDir::new(root.path("/")).into_iter().map(Result::unwrap);
    for entry in walk.filter(|entry| !entry.file_type().is_dir()) {
        let name = entry.path().strip_prefix(root.path("/")).unwrap().display().to_string();
        let beside = ["var/log/", "var/lib/dkms/.dkms-hook/"].iter().any(|start| name.starts_with(start));
        if !beside {
            let module = name.contains(".ko") || name.ends_with("modules.dep");
            let content = if module { std::fs::read(entry.path()).unwrap() } else { Vec::new() };
            all.insert(name, content);
        }
    }
    all
}

/// One of the runs, and whether it is to be killed.
struct OneOf {
    child: Child,
    words: String,
    struck: bool,
}

fn round(root: &FakeRoot, seed: u64, with_kills: bool, expected: &BTreeMap<String, Vec<u8>>) {
    fresh(root);
    let mut chance = Chance(seed);
    let mut runs: Vec<OneOf> = Vec::new();
    for _ in 0..AT_ONCE {
        let (face, words) = match with_kills && chance.below(5) == 0 {
            true => TAKING[chance.below(TAKING.len())],
            false => CALLS[chance.below(CALLS.len())],
        };
        let mut command = root.program(face);
        let child = command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        runs.push(OneOf { child, words: words.join(" "), struck: false });
    }
    if with_kills {
        for _ in 0..AT_ONCE / 2 {
            std::thread::sleep(Duration::from_millis(chance.below(60) as u64));
            let one = &mut runs[chance.below(AT_ONCE)];
            let signal = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT][chance.below(3)];
            // One that has ended already is not waited for yet: its id is still its own.
            kill(Pid::from_raw(one.child.id() as i32), signal).unwrap();
            one.struck = true;
        }
    }
    let begin = Instant::now();
    for one in &mut runs {
        let code = loop {
            if let Some(status) = one.child.try_wait().unwrap() {
                break status.code();
            }
            if begin.elapsed() > Duration::from_secs(180) {
                one.child.kill().unwrap();
                panic!("round {seed}: dkms(-hook) {} hangs", one.words);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // What is taken away while others bring it is not there for one of them.
        assert!(
            one.struck || with_kills || code == Some(0),
            "round {seed}: {} ended with {code:?}",
            one.words
        );
    }
    if !with_kills {
        let mut built: BTreeMap<String, usize> = BTreeMap::new();
        root.take_make_calls().into_iter().for_each(|dir| *built.entry(dir).or_default() += 1);
        assert!(built.values().all(|times| *times <= 2), "round {seed}: once for each kernel, not {built:?}");
    }
    root.hook(&[]).expect(0);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n", "round {seed}");
    let now = end(root);
    let differs = |name: &&String| now.get(*name) != expected.get(*name);
    let names: BTreeSet<&String> = now.keys().chain(expected.keys()).collect();
    let faults: Vec<_> = names.iter().copied().filter(differs).map(|n| how(n, &now, expected)).collect();
    assert!(faults.is_empty(), "round {seed}: {faults:?} are not as after one run alone");
}

/// How a file differs: its sizes, and the text from the first byte that does.
fn how(name: &String, now: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) -> String {
    let (Some(now), Some(expected)) = (now.get(name), expected.get(name)) else {
        return format!("{name}: {}", if now.contains_key(name) { "too many" } else { "missing" });
    };
    let at = now.iter().zip(expected).take_while(|(one, other)| one == other).count();
    let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 60)]).into_owned();
    let (sizes, texts) = ((now.len(), expected.len()), (text(now), text(expected)));
    format!("{name}: sizes {sizes:?}, from byte {at} {texts:?}")
}

#[test]
fn whatever_twenty_runs_do_the_end_is_the_same() {
    let root = FakeRoot::new();
    fresh(&root);
    root.hook(&[]).expect(0);
    let expected = end(&root);
    let first = number("RACES_SEED", 1);
    for seed in first..first + number("RACES", 4) {
        round(&root, seed, seed % 2 == 0, &expected);
    }
}
