//! Scenarios that need namespaces of their own: mounts, a process table, a system whose root is `/`. Each
//! runs this program again in new user, mount and process namespaces. Where the system allows none they
//! are counted as skipped, with the reason: that is why this program has a harness of its own.
//!
//! Arguments are those of cargo's harness as far as they make sense here: parts of names, `--list`,
//! `--test-threads N`.

#[path = "../support/mod.rs"]
mod support;

mod alone;
mod boot_guard;
mod hostile;
mod initramfs;
mod limits;
mod memory;
mod preflight;
mod scriptlets;
mod side_by_side;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use support::whole_system;

/// Tells the program that it is the inner one, and which scenario it is to run.
const SCENARIO: &str = "TOY_SCENARIO";

/// Scenarios of one file. `probe` is a shell command that fails where there is no use in trying them.
struct Group {
    name: &'static str,
    probe: &'static str,
    scenarios: &'static [(&'static str, fn())],
}

const GROUPS: [Group; 9] = [
    Group { name: "alone", probe: whole_system::PROBE, scenarios: &alone::SCENARIOS },
    Group { name: "boot_guard", probe: whole_system::PROBE, scenarios: &boot_guard::SCENARIOS },
    Group { name: "hostile", probe: whole_system::PROBE, scenarios: &hostile::SCENARIOS },
    Group { name: "initramfs", probe: whole_system::PROBE, scenarios: &initramfs::SCENARIOS },
    Group { name: "limits", probe: "mount -t tmpfs probe /mnt", scenarios: &limits::SCENARIOS },
    Group { name: "memory", probe: memory::PROBE, scenarios: &memory::SCENARIOS },
    Group { name: "preflight", probe: preflight::PROBE, scenarios: &preflight::SCENARIOS },
    Group { name: "scriptlets", probe: whole_system::PROBE, scenarios: &scriptlets::SCENARIOS },
    Group { name: "side_by_side", probe: side_by_side::PROBE, scenarios: &side_by_side::SCENARIOS },
];

/// What the command line asks for.
#[derive(Default)]
struct Wanted {
    list: bool,
    threads: Option<usize>,
    parts: Vec<String>,
}

/// How a scenario ended.
enum End {
    Passed,
    Failed(String),
    Skipped(String),
}

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(SCENARIO) {
        return inner(&name);
    }
    let wanted = wanted(std::env::args().skip(1));
    let mut waiting = Vec::new();
    for group in &GROUPS {
        let mut names: Vec<String> =
            group.scenarios.iter().map(|(name, _)| format!("{}::{name}", group.name)).collect();
        names.retain(|name| wanted.parts.is_empty() || wanted.parts.iter().any(|part| name.contains(part)));
        if wanted.list {
            names.iter().for_each(|name| println!("{name}: test"));
            continue;
        }
        let obstacle = if names.is_empty() { None } else { obstacle(group.name, group.probe) };
        waiting.extend(names.into_iter().map(|name| (name, obstacle.clone())));
    }
    if wanted.list {
        return ExitCode::SUCCESS;
    }
    waiting.reverse();
    let usual = || std::thread::available_parallelism().map_or(1, usize::from);
    run(waiting, wanted.threads.unwrap_or_else(usual))
}

/// Runs what waits, some at a time, and says how each of them ended.
fn run(waiting: Vec<(String, Option<String>)>, threads: usize) -> ExitCode {
    let (waiting, counts) = (Mutex::new(waiting), Mutex::new([0; 3]));
    let work = || {
        loop {
            let next = waiting.lock().unwrap().pop();
            let Some((name, obstacle)) = next else { break };
            let end = obstacle.map_or_else(|| outer(&name), End::Skipped);
            // Under the lock, so that nothing comes between a name and what it printed.
            let mut counts = counts.lock().unwrap();
            match end {
                End::Passed => {
                    counts[0] += 1;
                    println!("test {name} ... ok");
                }
                End::Failed(said) => {
                    counts[1] += 1;
                    println!("test {name} ... FAILED\n{said}");
                }
                End::Skipped(why) => {
                    counts[2] += 1;
                    println!("test {name} ... skipped: {why}");
                }
            }
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
    let [passed, failed, skipped] = *counts.lock().unwrap();
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Options of cargo's harness that mean nothing here are passed over.
fn wanted(mut args: impl Iterator<Item = String>) -> Wanted {
    let mut wanted = Wanted::default();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => wanted.list = true,
            "--test-threads" => wanted.threads = args.next().and_then(|count| count.parse().ok()),
            _ => match arg.strip_prefix("--test-threads=") {
                Some(count) => wanted.threads = count.parse().ok(),
                None if !arg.starts_with('-') => wanted.parts.push(arg),
                None => {}
            },
        }
    }
    wanted
}

/// The inner program: the scenario itself.
fn inner(wanted: &str) -> ExitCode {
    let all = GROUPS.iter().flat_map(|group| group.scenarios.iter().map(move |s| (group.name, s)));
    let found = all.into_iter().find(|(group, (name, _))| format!("{group}::{name}") == wanted);
    match found {
        Some((_, (_, scenario))) => {
            scenario();
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    }
}

/// The outer program: runs the inner one.
fn outer(name: &str) -> End {
    let own = std::env::current_exe().expect("the path of this program");
    // What is mounted on cannot be deleted in there; out here nothing is mounted any more.
    let place = tempfile::tempdir().expect("a temporary directory");
    let mut inner = isolated(name, &own);
    inner.env(SCENARIO, name).env("TMPDIR", place.path());
    match inner.output() {
        Ok(output) if output.status.success() => End::Passed,
        Ok(output) => {
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            End::Failed(format!("{out}{err}"))
        }
        Err(error) => End::Failed(format!("unshare: {error}")),
    }
}

/// A program in its own user, mount and process namespaces; all of it goes away with the program.
fn isolated(name: &str, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    // Who is to become another user has to be the machine's root.
    if !name.starts_with("hostile") {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "--pid", "--fork", "--kill-child"]).arg(program);
    command
}

/// Why there can be no such namespaces here.
fn obstacle(group: &str, probe: &str) -> Option<String> {
    match isolated(group, Path::new("sh")).args(["-c", probe]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}
