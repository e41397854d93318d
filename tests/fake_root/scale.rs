//! Machines with many modules: what is remembered of directories and records saves looking, and hides nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use dkms_hook::model::ids::Cell;

use crate::support::program::Face;
use crate::support::toy_kernel::FakeRoot;

#[path = "../../benches/support/tree.rs"]
mod tree;

use tree::{release, x86_64};

/// What is remembered of directories and records.
const REMEMBERED: &str = "/var/lib/dkms/.dkms-hook/directories";

/// Everything is installed and up to date, and nobody has changed anything for a while.
fn machine(modules: usize, kernels: usize) -> FakeRoot {
    let root = FakeRoot::new();
    tree::Tree { modules, kernels, files: 2, own: 3 }.make(&root.layout);
    settle();
    root
}

/// What changed less than two seconds ago is not remembered.
fn settle() {
    std::thread::sleep(Duration::from_secs(3));
}

/// How often a run of the program called each system call, as strace counts them; `None` without strace.
fn calls(root: &FakeRoot, face: Face, args: &[&str]) -> Option<BTreeMap<String, usize>> {
    let program = root.program(face);
    let counts = root.path("/var/log/counts");
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-c", "-U", "name,calls", "-o", counts.to_str().unwrap()]);
    if face == Face::Dkms {
        let link = root.path("/var/log/dkms");
        let _ = fs::remove_file(&link);
        symlink(program.get_program(), &link).unwrap();
        command.arg(link);
    } else {
        command.arg(program.get_program());
    }
    command.args(program.get_args()).args(args).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().ok()?;
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(counts).unwrap();
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    Some(text.lines().filter_map(line).collect())
}

fn skipped() {
    eprintln!("\n*** SKIPPED: system calls are not counted: strace is not installed.\n");
}

fn all(calls: &BTreeMap<String, usize>) -> usize {
    calls.iter().filter(|(name, _)| *name != "total").map(|(_, count)| count).sum()
}

#[test]
fn what_did_not_change_is_neither_listed_nor_read() {
    let root = machine(150, 2);
    root.hook(&[]).expect(0).says("nothing to do");
    assert!(root.exists(REMEMBERED));
    let before = root.snapshot();
    root.hook(&[]).expect(0).says("nothing to do");
    root.assert_untouched(&before);
    let Some(with) = calls(&root, Face::Hook, &[]) else { return skipped() };
    // Neither the 1500 directories nor the 300 records.
    assert!(with["getdents64"] < 100 && with["openat"] < 150, "{with:?}");
    fs::remove_file(root.path(REMEMBERED)).unwrap();
    let without = calls(&root, Face::Hook, &["--dry-run"]).unwrap();
    assert!(without["getdents64"] > 1500 && all(&without) > all(&with) * 3 / 2, "{without:?}\n{with:?}");
}

/// A change to a machine.
type Change = (&'static str, fn(&FakeRoot, &Cell));

/// Each of these is a change that some run has to act on, or to tell of.
const CHANGES: [Change; 14] = [
    ("a source file, in its place", |root, cell| {
        let file = root.layout.source(&cell.module).join("part0/file0.c");
        fs::write(file, "int y;\n").unwrap();
    }),
    ("a new source file", |root, cell| {
        fs::write(root.layout.source(&cell.module).join("part0/new.c"), "").unwrap();
    }),
    ("a source that is another directory", |root, cell| {
        let source = root.layout.source(&cell.module);
        fs::rename(&source, source.with_extension("old")).unwrap();
        fs::create_dir(&source).unwrap();
        fs::copy(source.with_extension("old").join("dkms.conf"), source.join("dkms.conf")).unwrap();
    }),
    ("a source that is gone", |root, cell| fs::remove_dir_all(root.layout.source(&cell.module)).unwrap()),
    ("a record, in its place", |root, cell| {
        let file = root.layout.record(cell);
        let text = fs::read_to_string(&file).unwrap().replacen('{', "[", 1);
        fs::write(file, text).unwrap();
    }),
    ("a record that is gone", |root, cell| fs::remove_file(root.layout.record(cell)).unwrap()),
    ("a build that is gone", |root, cell| fs::remove_dir_all(root.layout.built_modules(cell)).unwrap()),
    ("a link that is gone", |root, cell| {
        let link = root.layout.active_link(&cell.module.name, &cell.kernel, &cell.arch);
        fs::remove_file(link).unwrap();
    }),
    ("a link that leads elsewhere", |root, cell| {
        let link = root.layout.active_link(&cell.module.name, &cell.kernel, &cell.arch);
        fs::remove_file(&link).unwrap();
        symlink(format!("0.9/{}/{}", cell.kernel, cell.arch), link).unwrap();
    }),
    ("an installed file that is gone", |root, cell| {
        let file = format!("updates/dkms/{}.ko", cell.module.name);
        fs::remove_file(root.layout.kernel(&cell.kernel).join(file)).unwrap();
    }),
    ("an installed file of another content", |root, cell| {
        let file = format!("updates/dkms/{}.ko", cell.module.name);
        fs::write(root.layout.kernel(&cell.kernel).join(file), "another").unwrap();
    }),
    ("another version", |root, cell| {
        let source = root.layout.source(&cell.module);
        let newer = source.with_file_name(format!("{}-2.0", cell.module.name));
        fs::create_dir(&newer).unwrap();
        let conf = fs::read_to_string(source.join("dkms.conf")).unwrap().replace("1.0", "2.0");
        fs::write(newer.join("dkms.conf"), conf).unwrap();
        let version = root.layout.module(&cell.module.name).join("2.0");
        fs::create_dir(&version).unwrap();
        symlink(format!("/usr/src/{}-2.0", cell.module.name), version.join("source")).unwrap();
    }),
    ("a build for a kernel that is not there", |root, cell| {
        fs::create_dir_all(root.layout.version(&cell.module).join("5.1/x86_64/module")).unwrap();
    }),
    ("a patch for a module", |root, cell| {
        let dir = root.layout.etc().join(cell.module.name.as_str());
        fs::create_dir_all(dir.join("patches")).unwrap();
        fs::write(dir.join("patches/fix.patch"), "").unwrap();
    }),
];

#[test]
fn what_changed_is_seen_as_without_any_memory() {
    let root = machine(150, 2);
    root.hook(&[]).expect(0).says("nothing to do");
    let remembered = root.path(REMEMBERED);
    let plan = || root.hook(&["--json"]).out;
    let idle = plan();
    for (number, (what, change)) in CHANGES.iter().enumerate() {
        let id = dkms_hook::model::ids::ModuleId::new(format!("module{}", number * 7), "1.0").unwrap();
        let cell = Cell { module: id, kernel: release(number % 2), arch: x86_64() };
        change(&root, &cell);
        let with = plan();
        fs::rename(&remembered, remembered.with_extension("away")).unwrap();
        let without = plan();
        fs::rename(remembered.with_extension("away"), &remembered).unwrap();
        assert_eq!(with, without, "{what}");
        assert!(with.contains(cell.module.name.as_str()), "{what} is not seen");
    }
    assert_ne!(plan(), idle);
}

#[test]
fn a_run_for_one_kernel_costs_the_same_beside_more_of_them() {
    let counted = |kernels: usize| {
        // So few that nothing is remembered.
        let root = machine(10, kernels);
        root.hook(&[]).expect(0).says("nothing to do");
        assert!(!root.exists(REMEMBERED));
        Some(all(&calls(&root, Face::Hook, &["--kernel", release(0).as_str(), "--dry-run"])?))
    };
    let (Some(few), Some(many)) = (counted(1), counted(6)) else { return skipped() };
    // Less than one more call for each module and other kernel.
    assert!(many.saturating_sub(few) < 10 * 5, "{few} {many}");
}

#[test]
fn a_listing_reads_little_of_what_is_remembered() {
    let root = machine(60, 6);
    let lines = 60 * 6;
    let plain = root.dkms(&["status"]).expect(0).out;
    assert_eq!(plain.lines().filter(|line| line.ends_with(": installed")).count(), lines);
    root.hook(&[]).expect(0).says("nothing to do");
    assert_eq!(root.dkms(&["status"]).expect(0).out, plain);
    let Some(counts) = calls(&root, Face::Dkms, &["status"]) else { return skipped() };
    // Of each build: its directory, its record, the built file and the installed one.
    assert!(all(&counts) < lines * 7, "{counts:?}");
}

#[test]
fn one_installation_costs_the_same_among_twice_as_many_modules() {
    let kernel = release(0);
    let counted = |modules: usize| {
        let root = machine(modules, 2);
        root.hook(&[]).expect(0).says("nothing to do");
        let mut counts = Vec::new();
        for action in ["uninstall", "install", "remove"] {
            let writes = calls(&root, Face::Dkms, &[action, "module3/1.0", "-k", kernel.as_str()])?;
            // What is written does not depend on what else is there.
            counts.push((writes.get("rename").copied().unwrap_or(0) + writes["renameat"], writes["openat"]));
        }
        Some(counts)
    };
    let (Some(few), Some(many)) = (counted(100), counted(200)) else { return skipped() };
    for ((few_writes, few_opened), (many_writes, many_opened)) in few.iter().zip(&many) {
        assert_eq!(few_writes, many_writes, "{few:?} {many:?}");
        // Each module's record may be read once more, its directories listed, and no more than that.
        assert!(many_opened - few_opened < 100 * 2, "{few:?} {many:?}");
    }
}
