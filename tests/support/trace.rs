//! The plan against what was done: every run of the program on a fake root is looked at from outside.
//!
//! A run notes its plan and what became of each step (DKMS_HOOK_TRACE, docs/json.md). That is compared with
//! itself, with what `dkms-hook --json` said just before, and with the files and calls that the run left.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dkms_hook::fs::root::Root;
use dkms_hook::tree::{layout::Layout, lock};
use serde_json::Value;

/// Tells the tests where the root is; nothing to the program.
pub const ROOT: &str = "TOY_ROOT";
/// The program's variable.
pub const VARIABLE: &str = "DKMS_HOOK_TRACE";
/// Where it writes, inside the root.
pub const FILE: &str = "/var/log/toy-trace";

/// What was there before a run, and what it said that it would do.
pub struct Before {
    root: PathBuf,
    files: Files,
    depmods: usize,
    promised: Option<Value>,
    words: Vec<String>,
}

/// What tells whether a file changed.
type Files = BTreeMap<String, (u64, i64, i64, u64)>;

/// Looks at the root that a command is for; `None` where it is for no fake root.
pub fn before(command: &Command) -> Option<Before> {
    let variable = |name: &str| command.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
    let root = PathBuf::from(variable(ROOT)?);
    variable(VARIABLE)?;
    let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let _ = std::fs::remove_file(root.join(&FILE[1..]));
    // Before it plans, a run clears away what one that was killed left.
    let after_a_kill = lock::was_killed(&Layout::new(Root::at(&root)));
    let promised = if after_a_kill { None } else { promised(command, &words) };
    Some(Before { files: files(&root), depmods: depmods(&root), root, promised, words })
}

/// What the program says that it would do, where it is asked to bring kernels in line.
fn promised(command: &Command, words: &[String]) -> Option<Value> {
    let own = words.iter().skip(2).enumerate();
    let only_kernels = own.clone().all(|(at, word)| {
        matches!(word.as_str(), "-k" | "--kernel" | "-v" | "-vv" | "--purge-missing")
            || at > 0 && matches!(words[at + 1].as_str(), "-k" | "--kernel")
    });
    if words.first().map(String::as_str) != Some("--root") || !only_kernels {
        return None;
    }
    let mut twin = Command::new(command.get_program());
    twin.env_clear().args(command.get_args()).arg("--json");
    for (name, value) in command.get_envs().filter(|(name, _)| *name != VARIABLE) {
        twin.env(name, value?);
    }
    if let Some(dir) = command.get_current_dir() {
        twin.current_dir(dir);
    }
    let said = twin.stdin(std::process::Stdio::null()).output().ok()?;
    serde_json::from_slice(&said.stdout).ok()
}

impl Before {
    /// Fails the test unless the run did what it said.
    #[track_caller]
    pub fn compare(self, code: i32, streams: &str) {
        let text = std::fs::read_to_string(self.root.join(&FILE[1..])).unwrap_or_default();
        let told = Told::read(&text);
        let mut faults = told.faults(code < 128);
        // A run that could not begin did nothing.
        let began = code == 0 || !told.plans.is_empty();
        if let (Some(promised), true) = (&self.promised, began) {
            faults.extend(self.broken_promises(promised, &told));
        }
        // What a person loads out of an archive is named by that person.
        if !streams.contains("Loaded the build") {
            faults.extend(self.unannounced(&told));
        }
        assert!(faults.is_empty(), "{:?}: {}\n{text}\n{streams}", self.words, faults.join("\n"));
    }

    /// What `--json` said just before is what the run decided.
    fn broken_promises(&self, promised: &Value, told: &Told) -> Vec<String> {
        let empty = Vec::new();
        let promised = promised["steps"].as_array().unwrap_or(&empty);
        let decided =
            told.plans.first().map_or(&empty, |plan| plan.plan["steps"].as_array().unwrap_or(&empty));
        if promised == decided {
            return Vec::new();
        }
        vec![format!("--json said {promised:#?}\nbut the run decided {decided:#?}")]
    }

    /// Changes of files, and calls of depmod, that no step announced.
    fn unannounced(&self, told: &Told) -> Vec<String> {
        let mut faults = Vec::new();
        let after = files(&self.root);
        let changed = self.files.iter().filter(|(name, was)| after.get(*name) != Some(was)).map(|(n, _)| n);
        let new = after.keys().filter(|name| !self.files.contains_key(*name));
        for name in changed.chain(new) {
            if let Some(fault) = told.unannounced(name) {
                faults.push(fault);
            }
        }
        let ran = depmods(&self.root).saturating_sub(self.depmods);
        let announced = told.tried(|action| {
            action["do"] == "depmod" || action["do"] == "install" && action["post_install"] == true
        });
        // kernel-install, which makes an initramfs, has plugins that call depmod, too.
        let plugins = told.tried(|action| action["do"] == "initramfs") > 0;
        if ran > announced && !plugins {
            faults.push(format!("depmod ran {ran} times, and {announced} steps said so"));
        }
        faults
    }
}

/// What the runs of one call told.
#[derive(Default)]
struct Told {
    plans: Vec<Noted>,
}

/// A plan, and what became of its steps.
struct Noted {
    pid: u64,
    plan: Value,
    outcomes: BTreeMap<usize, Value>,
}

impl Told {
    fn read(text: &str) -> Self {
        let mut told = Self::default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            let pid = line["pid"].as_u64().unwrap();
            if let Some(plan) = line.get("plan") {
                told.plans.push(Noted { pid, plan: plan.clone(), outcomes: BTreeMap::new() });
                continue;
            }
            // A script of a run may have called the program.
            let plan = told.plans.iter_mut().rev().find(|plan| plan.pid == pid).expect("a plan comes first");
            let step = line["step"].as_u64().unwrap() as usize;
            assert!(plan.outcomes.insert(step, line).is_none(), "step {step} is told twice");
        }
        told
    }

    /// Each step is one of the plan, and has the outcome that it can have; in a run that came to its end, each
    /// step has one.
    fn faults(&self, ended: bool) -> Vec<String> {
        let mut faults = Vec::new();
        for Noted { plan, outcomes, .. } in &self.plans {
            let steps = plan["steps"].as_array().unwrap();
            faults.extend(outcomes.keys().filter(|at| **at >= steps.len()).map(|at| format!("no step {at}")));
            for (at, step) in steps.iter().enumerate() {
                let outcome = outcomes.get(&at).map(|line| line["outcome"].as_str().unwrap());
                let of = |need: &Value| {
                    let line = outcomes.get(&(need.as_u64().unwrap() as usize));
                    line.map_or("", |line| line["outcome"].as_str().unwrap())
                };
                let failed = |need: &Value| matches!(of(need), "failed" | "left-out");
                let needs = step["needs"].as_array().unwrap();
                let fine = match outcome {
                    None => !ended,
                    Some("done" | "failed") => !needs.iter().any(failed),
                    Some("left-out") => needs.iter().any(failed),
                    Some("not-wanted") => {
                        let stays = |need: &Value| of(need) == "not-wanted";
                        (step.get("when").is_some() || needs.iter().any(stays)) && !needs.iter().any(failed)
                    }
                    Some(_) => false,
                };
                if !fine {
                    faults.push(format!("step {at}, {}: {outcome:?}", step["text"]));
                }
            }
        }
        faults
    }

    /// Actions that were carried out, or tried.
    fn actions(&self) -> impl Iterator<Item = &Value> {
        self.plans.iter().flat_map(|noted| {
            let steps = noted.plan["steps"].as_array().unwrap().iter().enumerate();
            let tried = steps.filter(|(at, _)| match noted.outcomes.get(at) {
                Some(line) => matches!(line["outcome"].as_str(), Some("done" | "failed")),
                // The run was ended in the middle of it.
                None => true,
            });
            tried.map(|(_, step)| &step["action"])
        })
    }

    fn tried(&self, wanted: impl Fn(&Value) -> bool) -> usize {
        self.actions().filter(|action| wanted(action)).count()
    }

    /// Why a change of a file was to be expected of no step.
    fn unannounced(&self, name: &str) -> Option<String> {
        let parts: Vec<&str> = name.split('/').collect();
        let may: BTreeSet<&str> = match parts.as_slice() {
            ["usr", "lib", "modules", _, "build" | "source", ..] => return None,
            ["usr", "lib", "modules", _, file] if file.starts_with("modules.") => {
                // kernel-install makes index and initramfs.
                ["depmod", "initramfs", "install", "sweep"].into()
            }
            ["usr", "lib", "modules", _, "weak-updates", ..] => {
                ["unlink", "share", "uninstall", "sweep"].into()
            }
            ["usr", "lib", "modules", ..] => ["install", "uninstall", "resign", "unbuild", "sweep"].into(),
            ["var", "lib", "dkms", _, _, _, _, "module", ..] => ["build", "unbuild", "resign"].into(),
            ["var", "lib", "dkms", _, "original_module", ..] => {
                ["install", "uninstall", "unbuild", "sweep"].into()
            }
            ["boot", ..] => ["initramfs", "guard"].into(),
            _ => return None,
        };
        let kernel = match parts.as_slice() {
            // Links of other kernels are made for the one that has the module.
            ["boot", ..] | [_, _, _, _, "weak-updates", ..] => None,
            ["usr", ..] => Some(parts[3]),
            _ => Some(parts[5]),
        };
        // What is set aside is listed in the step, by the place that it is in.
        let sets_aside = parts.get(4) == Some(&"original_module");
        // What an earlier step of the same plan was to install is named in the condition.
        let steps = self.plans.iter().flat_map(|noted| noted.plan["steps"].as_array().unwrap());
        let mut than = steps.filter_map(|step| step.pointer("/when/than")?.as_array()).flatten();
        let to_come = than.any(|rival| rival.get("of").is_some());
        let lists = |action: &Value| action["do"] != "install" || action.get("aside").is_some() || to_come;
        let fits = |action: &Value| {
            if sets_aside && !lists(action) {
                return false;
            }
            let own = action.get("kernel").or_else(|| action["cell"].get("kernel"));
            may.contains(action["do"].as_str().unwrap()) && kernel.is_none_or(|k| own.is_some_and(|o| o == k))
        };
        (!self.actions().any(fits)).then(|| format!("{name} changed, and no step said so"))
    }
}

/// Files of kernels and of builds, but for copies of builds in the cache.
fn files(root: &Path) -> Files {
    let mut found = Files::new();
    for top in ["usr/lib/modules", "var/lib/dkms", "boot"] {
        for entry in walkdir::WalkDir::new(root.join(top)).into_iter().flatten() {
            let Ok(meta) = entry.path().symlink_metadata() else { continue };
            if meta.is_dir() {
                continue;
            }
            let name = entry.path().strip_prefix(root).unwrap().display().to_string();
            if name.starts_with("var/lib/dkms/.dkms-hook/cache/") {
                continue;
            }
            found.insert(name, (meta.size(), meta.mtime(), meta.mtime_nsec(), meta.ino()));
        }
    }
    found
}

fn depmods(root: &Path) -> usize {
    let calls = std::fs::read_to_string(root.join("var/log/toy-calls")).unwrap_or_default();
    calls.lines().filter(|line| line.starts_with("depmod ")).count()
}
