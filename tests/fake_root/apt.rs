//! apt calls before it starts dpkg: it names every package that comes and goes, and a person is told.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::packages::{Made, Packed};
use crate::support::program::Answer;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const NEW: &str = "6.13.0-toy";

struct Stage {
    root: FakeRoot,
    dir: tempfile::TempDir,
}

fn stage() -> Stage {
    let root = FakeRoot::new();
    fs::write(root.path("/etc/os-release"), "ID=debian\n").unwrap();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.hook(&[]).expect(0);
    root.take_make_calls();
    // How long a build took depends on this machine.
    let record = format!("/var/lib/dkms/hello/1.0/{K}/{}/.dkms-hook.json", std::env::consts::ARCH);
    let mut json: serde_json::Value = serde_json::from_str(&root.read(&record)).unwrap();
    json["took"] = 12_000.into();
    root.write(&record, json.to_string());
    Stage { root, dir: tempfile::tempdir().unwrap() }
}

/// A package that is unpacked.
fn comes(name: &str, old: &str, file: &Path) -> String {
    format!("{name} {old} < 1:2.0-1 amd64 none {}", file.display())
}

const NONE: &str = "- - none";
const OLD: &str = "1.0 amd64 none";

impl Stage {
    fn deb(&self, package: &Made) -> std::path::PathBuf {
        package.deb(&self.downloads(), Packed::Xz)
    }

    /// As `/var/cache/apt/archives`.
    fn downloads(&self) -> std::path::PathBuf {
        let dir = self.dir.path().join("archives");
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn apt(&self, settings: &[&str], actions: &[String]) -> Answer {
        let mut lines = vec!["VERSION 3".to_owned(), "APT::Architecture=amd64".to_owned()];
        lines.extend(settings.iter().map(ToString::to_string));
        lines.push(String::new());
        lines.extend(actions.iter().cloned());
        let before = self.root.snapshot();
        let answer = self.root.event("deb incoming", &lines).expect(0);
        self.root.assert_untouched(&before);
        assert!(self.root.take_make_calls().is_empty());
        answer
    }

    #[track_caller]
    fn says(&self, actions: &[String], out: &str, err: &str) {
        let ran = self.apt(&["Dir=/"], actions);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), (out, err));
    }
}

#[test]
fn a_kernel_is_told_whatever_its_package_is_called() {
    let stage = stage();
    let build =
        format!("dkms-hook: Modules to build for kernel {NEW}: hello/1.0; earlier builds took 12 s.\n");
    let image = stage.deb(&Made::new("our-system").kernel(NEW));
    let headers = stage.deb(&Made::new("linux-headers-toy").headers(NEW));
    let other = stage.deb(&Made::new("bash").file("usr/bin/bash"));
    let actions = [
        comes("bash", OLD, &other),
        comes("linux-headers-toy", NONE, &headers),
        comes("our-system", NONE, &image),
        "bash 1.0 amd64 none < 1:2.0-1 amd64 none **CONFIGURE**".to_owned(),
    ];
    stage.says(&actions, &build, "");
    let warning = format!(
        "Warning: dkms-hook: kernel {NEW} comes without its headers, and hello/1.0 cannot be built for it. \
         Install linux-headers-{NEW} in the same transaction, or the first boot will lack these modules.\n"
    );
    stage.says(&[actions[0].clone(), actions[2].clone()], "", &warning);
    stage.says(&[actions[0].clone(), actions[3].clone()], "", "");
}

#[test]
fn a_kernel_goes_with_the_package_that_has_its_image() {
    let stage = stage();
    let list = |name: &str, text: &str| stage.root.write(format!("/var/lib/dpkg/info/{name}.list"), text);
    list("linux-image-toy", &format!("/.\n/boot\n/boot/vmlinuz-{K}\n"));
    list("linux-modules-extra", &format!("/lib/modules/{K}/kernel/drivers/x.ko\n"));
    list("other:amd64", "/usr/bin/other\n");
    let gone = format!("dkms-hook: Kernel {K} goes, with the modules that were built for it: hello/1.0.\n");
    let goes = |name: &str| format!("{name} {OLD} > {NONE} **REMOVE**");
    stage.says(&[goes("other"), goes("linux-image-toy")], &gone, "");
    stage.says(&[goes("linux-modules-extra"), goes("other"), goes("unknown")], "", "");
    // The unsigned package of the same kernel takes its place.
    let unsigned = stage.deb(&Made::new("linux-image-toy-unsigned").kernel(K));
    stage.says(&[goes("linux-image-toy"), comes("linux-image-toy-unsigned", NONE, &unsigned)], "", "");
    // A package that is called the same for every release.
    let next = stage.deb(&Made::new("linux-image-toy").kernel(NEW).headers(NEW));
    let build =
        format!("dkms-hook: Modules to build for kernel {NEW}: hello/1.0; earlier builds took 12 s.\n");
    stage.says(&[comes("linux-image-toy", OLD, &next)], &(build + &gone), "");
}

#[test]
fn a_module_source_is_told() {
    let stage = stage();
    let source = stage.deb(&Made::new("new-dkms").source("new-1.0"));
    let news = format!(
        "dkms-hook: Module source new-1.0 comes, to be built for {K} where its dkms.conf allows it.\n"
    );
    stage.says(&[comes("new-dkms", NONE, &source)], &news, "");
}

#[test]
fn a_package_that_cannot_be_read_counts_where_it_sounds_like_a_kernel() {
    let stage = stage();
    let broken = stage.dir.path().join("broken.deb");
    fs::write(&broken, "no package").unwrap();
    stage.says(&[comes("bash", OLD, &broken)], "", "");
    let image = stage.deb(&Made::new("linux-image-toy").kernel(NEW));
    let actions = [comes("linux-headers-toy", NONE, &broken), comes("linux-image-toy", NONE, &image)];
    let ran = stage.apt(&[], &actions);
    assert!(
        ran.out.contains("if its headers come, too") && ran.out.contains("linux-headers-toy"),
        "{}",
        ran.out
    );
    assert!(ran.err.contains("broken.deb: not an rpm") && !ran.err.contains("comes without"), "{}", ran.err);
}

#[test]
fn headers_that_were_fetched_with_the_kernel_may_come_in_the_next_transaction() {
    let stage = stage();
    let image = stage.deb(&Made::new("linux-image-toy").kernel(NEW));
    let actions = [comes("linux-image-toy", NONE, &image)];
    assert!(stage.apt(&[], &actions).err.contains("comes without its headers"));
    fs::write(stage.downloads().join(format!("linux-headers-{NEW}-common_1_all.deb")), "").unwrap();
    assert!(stage.apt(&[], &actions).err.contains("comes without its headers"));
    // A repository that is a directory.
    let repository = stage.dir.path().join("main");
    fs::create_dir(&repository).unwrap();
    fs::write(repository.join(format!("linux-headers-{NEW}_1_amd64.deb")), "").unwrap();
    let from_there = Made::new("linux-image-toy").kernel(NEW).deb(&repository, Packed::Xz);
    let comes_from_there = [comes("linux-image-toy", NONE, &from_there)];
    assert!(stage.apt(&[], &comes_from_there).err.contains("comes without its headers"));
    // As unattended-upgrades does it.
    fs::write(stage.downloads().join(format!("linux-headers-{NEW}_1_amd64.deb")), "").unwrap();
    let text = format!(
        "dkms-hook: Modules to build for kernel {NEW}, if its headers come, too: hello/1.0. (Not looked into: \
         linux-headers-{NEW}.)\n"
    );
    stage.says(&actions, &text, "");
}

#[test]
fn another_system_and_another_form_are_left_alone() {
    let stage = stage();
    let image = stage.deb(&Made::new("linux-image-toy").kernel(NEW));
    let actions = [comes("linux-image-toy", NONE, &image)];
    for setting in ["Dir=/mnt/", "RootDir=/mnt"] {
        assert_eq!(stage.apt(&[setting], &actions).err, "", "{setting}");
    }
    let old = stage.root.event("deb incoming", &[image.display().to_string()]).expect(0);
    assert!(old.err.contains("does not begin with a version"), "{}", old.err);
    stage.root.event("deb incoming", &[]).expect(0);
}

/// The command in apt's file, with another program in the place of ours.
fn ends_with(program: &Path) -> Option<i32> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/apt/20dkms-hook")).unwrap();
    let line = text.lines().find(|line| line.starts_with("DPkg::Pre-Install-Pkgs")).unwrap();
    let command = line.split('"').nth(1).unwrap().replace("/usr/sbin/dkms-hook", program.to_str().unwrap());
    // The word by which apt finds the form of its list.
    let word = line.split('"').nth(1).unwrap().split(' ').next().unwrap();
    assert!(text.contains(&format!("DPkg::Tools::Options::{word}::Version \"3\";")), "{text}");
    Command::new("/bin/sh").args(["-c", &command]).status().unwrap().code()
}

#[test]
fn only_status_3_stops_apt() {
    let root = FakeRoot::new();
    for (script, status) in [("exit 0", 0), ("exit 1", 0), ("exit 3", 1), ("kill -9 $$", 0), ("exit 127", 0)]
    {
        let program = root.write_script("/usr/sbin/stand-in", &format!("#!/bin/sh\n{script}\n"));
        assert_eq!(ends_with(&program), Some(status), "{script}");
    }
    assert_eq!(ends_with(&root.path("/usr/sbin/gone")), Some(0));
}
