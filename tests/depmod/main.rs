//! Our own depmod against depmod(8) itself, on generated trees of small module files.
//!
//! DEPMOD names another depmod than the machine's, in words of a shell; PROPTEST_CASES says how many trees.
//! tests/corpus/depmod/run does the same with those of several distributions, and on real kernels.

#[path = "../support/elf.rs"]
mod elf;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use dkms_hook::depmod::{self, Config, Kmod, Place};
use proptest::test_runner::{Config as Cases, TestCaseError, TestRunner};

use tree::{KERNEL, Tree, tree};

/// Memory in KiB and seconds that depmod may take.
const LIMITED: &str = "ulimit -v 300000 && ulimit -t 20 && exec \"$@\"";

/// What depmod said.
struct Said {
    /// `None`: a signal ended it.
    status: Option<i32>,
    out: String,
    errors: String,
}

/// The depmod that is asked.
fn depmod(arguments: &[&str]) -> Option<Said> {
    let words = std::env::var("DEPMOD").unwrap_or_else(|_| "depmod".to_owned());
    let mut command = Command::new("sh");
    command.args(["-c", LIMITED, "sh"]).args(words.split(' ')).args(arguments).env("LC_ALL", "C");
    let done = command.output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Said { status: done.status.code(), out: text(&done.stdout), errors: text(&done.stderr) })
}

/// Which one it is; `None`, and loudly, where there is none.
fn kmod() -> Option<Kmod> {
    let Some(said) = depmod(&["--version"]) else {
        eprintln!("SKIPPED: there is no depmod to compare with");
        return None;
    };
    let kmod = Kmod::of(&said.out);
    if kmod.is_none() {
        eprintln!("SKIPPED: we do not stand in for {}", said.out);
    }
    kmod
}

fn directories(root: &Path) -> Vec<PathBuf> {
    depmod::directories(root).unwrap()
}

/// What came of a tree.
enum Came {
    /// All files are the same.
    Same,
    /// We leave it to depmod.
    Left(String),
}

/// Compares the two on a tree that was written below a root.
fn compare(root: &Path, kmod: Kmod) -> Result<Came, String> {
    let dirs = directories(root);
    let mut arguments: Vec<&str> = Vec::new();
    let none = root.join("none");
    let dirs_or_none = if dirs.is_empty() { vec![none] } else { dirs.clone() };
    for dir in &dirs_or_none {
        arguments.extend(["-C", dir.to_str().unwrap()]);
    }
    let dir = root.join("lib/modules").join(KERNEL);
    let ours = Config::read(&dirs, KERNEL)
        .and_then(|config| depmod::compute(&Place { dir: dir.clone(), config, kmod, known: None }));
    // What we leave to depmod is not compared; of some of it, depmod itself finds no end.
    let ours = match ours {
        Ok((ours, _)) => ours,
        Err(odd) => return Ok(Came::Left(odd.to_string())),
    };
    arguments.extend(["-b", root.to_str().unwrap(), KERNEL]);
    let theirs = depmod(&arguments).expect("it ran before");
    let said = &theirs.errors;
    if theirs.status != Some(0) || said.contains("ERROR") || said.contains("FATAL") {
        return Err(format!("depmod ended with {:?}, and we do not:\n{said}", theirs.status));
    }
    for (name, ours) in &ours {
        let theirs =
            std::fs::read(dir.join(name)).map_err(|error| format!("depmod wrote no {name}: {error}"))?;
        if theirs != *ours {
            let [theirs, ours] = [&theirs, ours].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            return Err(format!("{name}\n--- depmod\n{theirs:?}\n--- ours\n{ours:?}\n{said}"));
        }
    }
    let known: Vec<&str> =
        ours.iter().map(|(name, _)| *name).chain(["modules.order", "modules.builtin"]).collect();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("modules.")
            && !known.contains(&name.as_str())
            && name != "modules.builtin.modinfo"
        {
            return Err(format!("depmod wrote {name}, and we do not"));
        }
    }
    Ok(Came::Same)
}

#[test]
fn every_tree_has_the_same_index() {
    let Some(kmod) = kmod() else { return };
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(150);
    let config = Cases { cases, failure_persistence: None, max_shrink_iters: 400, ..Cases::default() };
    let (same, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let verbose = std::env::var_os("DEPMOD_VERBOSE").is_some();
    let run = TestRunner::new(config).run(&tree(), |tree: Tree| {
        let dir = tempfile::tempdir().unwrap();
        tree.write(dir.path());
        match compare(dir.path(), kmod) {
            Ok(Came::Same) => _ = same.fetch_add(1, Ordering::Relaxed),
            Ok(Came::Left(why)) => {
                if verbose {
                    eprintln!("left: {why}");
                }
                left.fetch_add(1, Ordering::Relaxed);
            }
            Err(fault) => return Err(TestCaseError::fail(fault)),
        }
        Ok(())
    });
    run.unwrap_or_else(|fault| panic!("{fault}"));
    let (same, left) = (same.into_inner(), left.into_inner());
    eprintln!("{same} trees are the same, {left} left to depmod");
    assert!(same * 2 > left, "too much is left to depmod: {left}, and only {same} trees were compared");
}
