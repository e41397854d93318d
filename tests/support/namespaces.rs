//! Scenarios that need namespaces of their own: each runs the test program again in new user, mount and
//! process namespaces. Where the system allows none they are counted as skipped, with the reason.

#![allow(dead_code)]

use std::path::Path;
use std::process::{Command, ExitCode};

/// Tells the program that it is the inner one, and which scenario it is to run.
const SCENARIO: &str = "TOY_SCENARIO";

/// The `main` of a test program. `probe` is a shell command that fails where there is no use in trying.
pub fn run(scenarios: &[(&str, fn())], probe: &str) -> ExitCode {
    if let Ok(name) = std::env::var(SCENARIO) {
        scenarios.iter().filter(|(known, _)| *known == name).for_each(|(_, scenario)| scenario());
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args()
        .skip(1)
        .find(|a| !a.starts_with('-') && a.parse::<u32>().is_err())
        .unwrap_or_default();
    let obstacle = obstacle(probe);
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, _) in scenarios.iter().filter(|(name, _)| name.contains(&filter)) {
        if let Some(why) = &obstacle {
            println!("test {name} ... skipped: {why}");
            skipped += 1;
            continue;
        }
        let own = std::env::current_exe().expect("the path of this program");
        // What is mounted on cannot be deleted in there; out here nothing is mounted any more.
        let place = tempfile::tempdir().expect("a temporary directory");
        let mut inner = isolated(Path::new(&own));
        inner.env(SCENARIO, name).env("TMPDIR", place.path());
        let good = inner.status().is_ok_and(|s| s.success());
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        if good { passed += 1 } else { failed += 1 }
    }
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A program in its own user, mount and process namespaces; all of it goes away with the program.
fn isolated(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]).arg(program);
    command
}

/// Why there can be no such namespaces here.
fn obstacle(probe: &str) -> Option<String> {
    match isolated(Path::new("sh")).args(["-c", probe]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}
