//! Faults of DKMS that hurt its users, and how it is here: one test each. More of them are where they
//! belong by subject.

use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Command;

use crate::support::program::{Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

#[test]
fn an_action_that_is_missing_or_unknown_is_an_error() {
    let root = root();
    for words in [&["frobnicate"][..], &[], &["-m", "hello"], &["instal", "hello/1", "-k", K]] {
        root.dkms(words).expect(2);
    }
}

#[test]
fn a_path_and_several_kernels_go_together() {
    let root = root();
    ToyKernel::new(K2).install(&root);
    let elsewhere = FakeRoot::new();
    let source = ToyModule::new("hello", "1").write_source(&elsewhere);
    root.dkms(&["install", source.to_str().unwrap(), "-k", K, "-k", K2]).expect(0);
    let status = format!("hello/1, {K}, x86_64: installed\nhello/1, {K2}, x86_64: installed\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, status);
}

#[test]
fn a_source_that_is_refused_overwrites_nothing() {
    let root = root();
    ToyModule::new("hello", "1").register(&root);
    let elsewhere = FakeRoot::new();
    let source = ToyModule::new("hello", "1").file("hello.c", "another").write_source(&elsewhere);
    let before = root.snapshot_of("/usr/src/hello-1");
    root.dkms(&["add", source.to_str().unwrap()]).expect(3);
    root.dkms(&["build", source.to_str().unwrap(), "-k", K]).expect(3);
    assert_eq!(before.changes(&root.snapshot_of("/usr/src/hello-1")), [""; 0]);
}

#[test]
fn a_copied_source_belongs_to_whoever_runs_it_later() {
    let root = root();
    let elsewhere = FakeRoot::new();
    let source = ToyModule::new("hello", "1").write_source(&elsewhere);
    if nix::unistd::geteuid().is_root() {
        for entry in walkdir::WalkDir::new(&source) {
            std::os::unix::fs::chown(entry.unwrap().path(), Some(1234), Some(1234)).unwrap();
        }
    }
    root.dkms(&["add", source.to_str().unwrap()]).expect(0);
    for entry in walkdir::WalkDir::new(root.path("/usr/src/hello-1")) {
        assert_eq!(entry.unwrap().metadata().unwrap().uid(), nix::unistd::geteuid().as_raw());
    }
}

#[test]
fn two_names_in_one_element_are_two_dependencies() {
    let root = root();
    ToyModule::new("one", "1").register(&root);
    ToyModule::new("two", "1").register(&root);
    ToyModule::new("app", "1").depends("one two").register(&root);
    root.dkms(&["install", "app/1", "-k", K]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["app.ko", "one.ko", "two.ko"]);
}

#[test]
fn nothing_of_one_module_or_kernel_is_left_over_for_the_next() {
    let root = root();
    ToyKernel::new(K2).compressed("XZ").install(&root);
    // None of its commands is for any kernel here: the usual one is, not the one before it.
    ToyModule::new("first", "1")
        .make("make -C $kernel_source_dir M=$dkms_tree/first/1/build V=1")
        .register(&root);
    ToyModule::new("second", "1").make("false").line("MAKE_MATCH[0]=\"^5\"").register(&root);
    root.dkms(&["autoinstall", "-k", K2]).expect(0);
    root.dkms(&["install", "first/1", "-k", K2, "-k", K, "--force"]).expect(0);
    root.hook(&[]).expect(0);
    let files = |kernel: &str| root.names(format!("/lib/modules/{kernel}/updates/dkms"));
    assert_eq!(files(K2), ["first.ko.xz", "second.ko.xz"]);
    assert_eq!(files(K), ["first.ko", "second.ko"]);
    let log = root.read(format!("/var/lib/dkms/second/1/{K}/x86_64/log/make.log"));
    assert!(!log.contains("V=1"), "{log}");
}

#[test]
fn numbers_are_compared_as_numbers() {
    let root = root();
    ToyModule::new("dated", "999").register(&root);
    ToyModule::new("dated", "20230205").register(&root);
    ToyModule::new("dated", "1000").register(&root);
    // 6.12 is not older than 6.9, nor is 6.12.1 newer than 6.1000.
    ToyModule::new("lasting", "1").line("OBSOLETE_BY=6.100").register(&root);
    ToyModule::new("past", "1").line("OBSOLETE_BY=6.9").register(&root);
    ToyModule::new("ranged", "1")
        .line("BUILD_EXCLUSIVE_KERNEL_MIN=6.9\nBUILD_EXCLUSIVE_KERNEL_MAX=6.1000")
        .register(&root);
    for locale in ["C", "en_US.UTF-8"] {
        let mut command = root.program(Face::Dkms);
        finish(command.env("LC_ALL", locale).args(["autoinstall", "-k", K])).expect(0);
    }
    let status = root.dkms(&["status"]).expect(0).out;
    for (module, state) in
        [("dated/20230205", "installed"), ("lasting/1", "installed"), ("ranged/1", "installed")]
    {
        assert!(status.contains(&format!("{module}, {K}, x86_64: {state}\n")), "{module}: {status}");
    }
    assert!(status.contains("past/1: added\n") && status.contains("dated/1000: added\n"), "{status}");
}

#[test]
fn a_script_that_fails_after_the_build_leaves_no_build() {
    let root = root();
    ToyModule::new("hello", "1")
        .line("POST_BUILD=no.sh")
        .executable("no.sh", "#!/bin/sh\nexit 9\n")
        .register(&root);
    root.dkms(&["build", "hello/1", "-k", K]).expect(9);
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1: added\n");
}

#[test]
fn status_ends_well_whatever_it_finds() {
    let root = root();
    ToyModule::new("hello", "1").register(&root);
    ToyModule::new("gone", "1").register(&root);
    std::fs::remove_dir_all(root.path("/usr/src/gone-1")).unwrap();
    root.dkms(&["install", "hello/1", "-k", K]).expect(0);
    root.write("/usr/src/hello-1/dkms.conf", "echo noise >&2; (");
    let answer = root.dkms(&["status"]).expect(0);
    assert_eq!(answer.out, format!("gone/1: broken\nhello/1, {K}, x86_64: installed\n"));
}

/// Words for a shell that stands for rpm: what each of a package's scripts runs, in a shell of its own.
fn transaction(root: &FakeRoot, scripts: &[&str]) -> i32 {
    let program = root.program(Face::Dkms);
    let dir = root.path("/var/log/names");
    std::fs::create_dir_all(&dir).unwrap();
    let _ = symlink(program.get_program(), dir.join("dkms"));
    let script: String = scripts.iter().map(|script| format!("sh -c '{script}; exit $?'\n")).collect();
    let mut command = Command::new("sh");
    command.args(["-c", &(script + "exit $?")]).env_clear().env("LC_ALL", "C");
    command.env("DKMS_HOOK_ROOT", root.layout.root.dir());
    finish(command.env("PATH", format!("{}:{}", dir.display(), root.search_path()))).code
}

#[test]
fn an_rpm_upgrade_to_the_same_version_does_not_remove_it() {
    let root = root();
    ToyModule::new("hello", "1").write_source(&root);
    let installed = format!("hello/1, {K}, x86_64: installed\n");
    let post =
        format!("dkms add -m hello -v 1 --rpm_safe_upgrade; dkms install hello/1 -k {K} --rpm_safe_upgrade");
    let preun = "dkms remove -m hello -v 1 --all --rpm_safe_upgrade";
    assert_eq!(transaction(&root, &[&post]), 0);
    // The new release adds it, although it is there, and then the old one removes.
    assert_eq!(transaction(&root, &[&post, preun]), 0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, installed);
    // Another transaction means it, and so does one that adds another version.
    assert_eq!(transaction(&root, &[&post]), 0);
    ToyModule::new("hello", "2").write_source(&root);
    assert_eq!(transaction(&root, &["dkms add hello/2 --rpm_safe_upgrade", preun]), 0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/2: added\n");
    assert_eq!(transaction(&root, &["dkms remove hello/2 --all --rpm_safe_upgrade"]), 0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, "");
    assert!(root.names("/tmp").is_empty());
}

#[test]
fn an_install_of_an_rpm_does_not_compare_versions() {
    let root = root();
    ToyModule::new("hello", "1").register(&root);
    root.dkms(&["install", "hello/1", "-k", K]).expect(0);
    let built = std::fs::read(root.path(format!("/lib/modules/{K}/updates/dkms/hello.ko"))).unwrap();
    root.dkms(&["uninstall", "hello/1", "-k", K]).expect(0);
    root.write(format!("/usr/lib/modules/{K}/kernel/hello.ko"), built);
    root.dkms(&["install", "hello/1", "-k", K]).expect(6);
    root.dkms(&["install", "hello/1", "-k", K, "--rpm_safe_upgrade"]).expect(0);
}
