//! What earlier versions wrote and printed (tests/fixtures) is read by this one, and decides the same.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::json_schema::{Schemas, lacks};
use crate::support::program::{Face, finish};
use crate::support::toy_kernel::FakeRoot;

/// The machines of format 1.
const MACHINES: [&str; 3] = ["here", "kept", "owed"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1").join(name)
}

fn read_json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every file below a directory, relative to it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = walk.filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.path().strip_prefix(dir).unwrap().to_path_buf()).collect()
}

/// The records of a root: where each is, and what is in it.
fn records(dir: &Path) -> Vec<(PathBuf, Value)> {
    let records = files(dir).into_iter().filter(|path| path.ends_with(".dkms-hook.json"));
    records.map(|path| (dir.join(&path), read_json(&dir.join(&path)))).collect()
}

/// The machine as it was left by the version that wrote the fixture.
fn machine(name: &str) -> FakeRoot {
    let root = FakeRoot::new();
    let from = fixture(name).join("root");
    for file in files(&from) {
        let to = root.path(&file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(&file), &to).unwrap();
        // What git keeps of a mode, whatever the umask was.
        let mode = fs::metadata(&to).unwrap().permissions().mode();
        let mode = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
        fs::set_permissions(&to, fs::Permissions::from_mode(mode)).unwrap();
    }
    for line in fs::read_to_string(fixture(name).join("links")).unwrap().lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["link", "lib", _] => {}
            ["link", path, target] => {
                fs::create_dir_all(root.path(path).parent().unwrap()).unwrap();
                symlink(target, root.path(path)).unwrap();
            }
            ["dir", path] => fs::create_dir_all(root.path(path)).unwrap(),
            _ => panic!("{line}"),
        }
    }
    if root.exists("/var/lib/dkms/mok.pub") {
        root.write("/var/lib/dkms/mok.key", "it is not in the fixture\n");
    }
    for (record, text) in records(root.layout.root.dir()) {
        for file in text["installed"].as_array().unwrap() {
            let built = record.with_file_name("module").join(file["built"].as_str().unwrap());
            set_time(&root.path(file["path"].as_str().unwrap()), &file["mtime"]);
            set_time(&built, &file["built-mtime"]);
        }
    }
    indexes(&root);
    tools(&root);
    root
}

/// The stand-in for depmod that served when the fixtures were made wrote empty files.
fn indexes(root: &FakeRoot) {
    for entry in fs::read_dir(root.path("/usr/lib/modules")).unwrap() {
        let dir = entry.unwrap().path();
        let index = dir.join("modules.dep");
        if index.exists() {
            let files = walkdir::WalkDir::new(&dir).into_iter().map(Result::unwrap);
            let modules = files.filter(|entry| entry.file_name().to_string_lossy().contains(".ko"));
            let line = |entry: walkdir::DirEntry| {
                format!("{}:\n", entry.path().strip_prefix(&dir).unwrap().display())
            };
            fs::write(index, modules.map(line).collect::<String>()).unwrap();
        }
    }
}

/// Sets a file's time, in nanoseconds since the epoch.
fn set_time(path: &Path, nanos: &Value) {
    let file =
        fs::File::options().append(true).open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos.as_u64().unwrap())).unwrap();
}

/// The compilers of that machine.
fn tools(root: &FakeRoot) {
    root.program(Face::Hook);
    let gcc = "#!/bin/sh\ncase $1 in -dump*) echo 12.3.4; exit ;; esac\nexec gcc \"$@\"\n";
    root.write_script("/var/log/stand-ins/gcc-7", gcc);
    root.write_script("/var/log/stand-ins/rustc", "#!/bin/sh\necho 'rustc 1.85.0 (4d91de4e4 2025-02-17)'\n");
    root.write_script("/var/log/stand-ins/update-initramfs", "#!/bin/sh\n");
}

/// Fails unless a value has all that a fixture has.
#[track_caller]
fn has_all(new: &Value, file: &Path) {
    let faults = lacks(new, &read_json(file));
    assert!(faults.is_empty(), "{}:\n{}\n{new:#}", file.display(), faults.join("\n"));
}

#[test]
fn the_same_is_decided_as_by_the_version_that_wrote_the_files() {
    let schemas = Schemas::read();
    for name in MACHINES {
        let root = machine(name);
        let before = root.snapshot();
        let plan = schemas.assert("plan.schema.json", &root.hook(&["--json"]).expect(0).out);
        let status = root.hook(&["status", "--json"]).out;
        let status = schemas.assert("status.schema.json", &status);
        root.assert_untouched(&before);
        has_all(&plan, &fixture(name).join("plan.json"));
        has_all(&status, &fixture(name).join("status.json"));
        let old = read_json(&fixture(name).join("plan.json"));
        for list in ["steps", "notes"] {
            let count = |plan: &Value| plan[list].as_array().unwrap().len();
            assert_eq!(count(&plan), count(&old), "{name}: {plan:#}");
        }
    }
}

/// What stands for the old version's files in a comparison: without what a run may write anew.
fn without_stamp(mut record: Value) -> Value {
    record.as_object_mut().unwrap().remove("stamp");
    record
}

#[test]
fn a_run_builds_nothing_and_loses_nothing_that_was_written_down() {
    for name in ["here", "kept"] {
        let root = machine(name);
        let old = records(root.layout.root.dir());
        assert!(old.len() > 1, "{name}");
        root.hook(&["--dry-run"]).expect(0).says("nothing to do");
        root.deb("trigger", "", "triggered").expect(0);
        for (path, record) in &old {
            let new = without_stamp(read_json(path));
            let faults = lacks(&new, &without_stamp(record.clone()));
            assert!(faults.is_empty(), "{}: {}", path.display(), faults.join("\n"));
        }
        let calls = root.take_calls();
        assert!(!calls.iter().any(|call| call.starts_with("depmod")), "{calls:?}");
        // By now the stamps are those of this machine.
        let before = root.snapshot();
        root.deb("trigger", "", "triggered").expect(0);
        root.assert_untouched(&before);
    }
}

/// Every duty is done, and every note says what it said.
#[test]
fn what_was_owed_is_done() {
    let root = machine("owed");
    let note = |kernel: &str| format!("/var/lib/dkms/.dkms-hook/kernels/{kernel}.json");
    root.hook(&["status"]).says("linux-headers-6.13.0-toy");
    root.hook(&["why", "hello"]).expect(0).says("the kernel's image package, which was removed");
    root.deb("trigger", "", "triggered").expect(0);
    let mut depmods = root.take_depmods();
    depmods.dedup();
    assert!(depmods.contains(&"6.12.1-toy".to_owned()), "{depmods:?}");
    assert!(!root.exists(note("6.12.1-toy")), "{}", root.read(note("6.12.1-toy")));
    for (kernel, word) in [("6.10.0-toy", "removed"), ("6.11.0-toy", "boot-entry-removed")] {
        assert_eq!(read_json(&root.path(note(kernel)))[word], json!(true), "{kernel}");
    }
    assert_eq!(read_json(&root.path(note("6.13.0-toy")))["waiting"], json!("linux-headers-6.13.0-toy"));
    let status: Value = serde_json::from_str(&root.hook(&["status", "--json"]).out).unwrap();
    let builds = status["modules"].as_array().unwrap();
    let of = |kernel: &str| &builds.iter().find(|build| build["kernel"] == kernel).unwrap()["provenance"];
    assert_eq!((of("6.15.0-toy"), of("6.14.0-toy")), (&json!("archive"), &json!("built-here")));
    // Neither the build out of an archive, whose kernel is still to come, nor the one that was asked for.
    for kernel in ["6.14.0-toy", "6.15.0-toy"] {
        assert!(root.exists(format!("/var/lib/dkms/hello/1.0/{kernel}/x86_64/module/hello.ko")), "{kernel}");
    }
}

#[test]
fn a_failure_that_was_not_reported_is_reported_once() {
    let root = machine("here");
    let told = root.deb("trigger", "", "triggered").expect(0).err;
    assert!(told.contains("failing/1.0 for kernel 6.12.1-toy: make failed"), "{told}");
    assert!(told.contains("failing.c:5:16: error: implicit declaration"), "{told}");
    assert!(!root.exists("/var/lib/dkms/.dkms-hook/unreported"));
}

#[test]
fn the_directives_of_a_build_are_compared_with_those_of_now() {
    let root = machine("here");
    let conf = root.read("/usr/src/base-1.0/dkms.conf").replace("make K=", "make V=1 K=");
    root.write("/etc/dkms/base.conf", conf);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(dry.contains("MAKE[0] from `make K=6.12.1-toy` to `make V=1 K=6.12.1-toy`"), "{dry}");
}

#[test]
fn what_is_incoming_is_told_as_before() {
    let root = machine("here");
    let deb = fixture("coming.deb");
    let told = root.hook(&["incoming", "--json", deb.to_str().unwrap()]).expect(0).out;
    has_all(&serde_json::from_str(&told).unwrap(), &fixture("incoming.json"));
}

#[test]
fn a_module_that_an_rpm_transaction_is_adding_stays() {
    let root = machine("here");
    let mut notes = read_json(&fixture("rpm-upgrades.json"));
    // This process stands for rpm.
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
    notes[0]["by"] = json!({ "pid": std::process::id(), "started": started.parse::<u64>().unwrap() });
    root.write("/var/lib/dkms/.dkms-hook/rpm-upgrades.json", notes.to_string());
    let remove = || {
        let program = root.program(Face::Dkms);
        let name = root.path("/var/log/dkms");
        let _ = symlink(program.get_program(), &name);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{} remove base/1.0 --all --rpm_safe_upgrade; exit $?", name.display())]);
        finish(
            shell.env_clear().env("PATH", root.search_path()).env("DKMS_HOOK_ROOT", root.layout.root.dir()),
        )
    };
    remove().expect(0);
    assert!(root.exists("/var/lib/dkms/base/1.0/source"), "the second half of an upgrade removed it");
    remove().expect(0);
    assert!(!root.exists("/var/lib/dkms/base/1.0"), "one note is for one removal");
}
