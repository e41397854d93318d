//! The reader of confs against bash, on mutated confs: whenever our reader is sure, bash gives the
//! same values and complains of nothing. No text makes it panic or hang.
//!
//! Without settings a fixed number of cases from a fixed seed. `DKMS_HOOK_FUZZ_SECONDS=600` runs for
//! that long from a seed of its own (`DKMS_HOOK_FUZZ_SEED` repeats one). Everything happens in a
//! sandbox; where there can be none, it is skipped with the reason. What was found once is in
//! `known.rs` and comes first in every run.

mod bash;
mod dictionary;
mod known;
mod mutate;
mod random;
mod readers;
mod sandbox;
mod session;
mod shrink;

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os(sandbox::INSIDE).is_some() {
        return session::run();
    }
    if let Some(why) = sandbox::obstacle() {
        println!("SKIPPED: no sandbox for mutated confs here: {why}");
        println!("0 passed, 0 failed, 1 skipped");
        return ExitCode::SUCCESS;
    }
    match sandbox::enter(&seeds()) {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        other => {
            println!("conf_fuzz: the sandbox ended with {other:?}");
            ExitCode::FAILURE
        }
    }
}

/// Every dkms.conf that Debian ships, where `tests/setup/conf-corpus.sh` has fetched them.
fn seeds() -> Vec<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache =
        || Some(var("XDG_CACHE_HOME").or_else(|| Some(var("HOME")?.join(".cache")))?.join("dkms-hook/lab"));
    let dir = var("DKMS_HOOK_LAB_CACHE").or_else(cache).unwrap_or_default().join("conf-corpus");
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("dkms.conf"))
        .filter(|conf| conf.is_file())
        .collect();
    found.sort();
    found
}
