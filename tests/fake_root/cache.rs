//! Builds that come back without being built again.

use std::fs;
use std::path::PathBuf;

use walkdir::WalkDir;

use crate::support::signing::{CERTIFICATE, KEY};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::fs::digest::file_digest;
use dkms_hook::kernel::Checked;

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

/// With a module that is built, installed, and kept.
fn built() -> FakeRoot {
    let root = root();
    ToyModule::new("app", "1").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(entries(&root).len(), 1);
    root
}

/// The directories of what is kept.
fn entries(root: &FakeRoot) -> Vec<PathBuf> {
    let found = WalkDir::new(root.path("/var/lib/dkms/.dkms-hook/cache")).min_depth(4).max_depth(4);
    found.into_iter().flatten().map(|entry| entry.path().to_path_buf()).collect()
}

fn digest(root: &FakeRoot, module: &str) -> String {
    let of = |path: String| file_digest(&root.path(path)).unwrap();
    let built = of(format!("/var/lib/dkms/{module}/{K}/x86_64/module/app.ko"));
    assert_eq!(of(format!("/lib/modules/{K}/updates/dkms/app.ko")), built);
    built
}

fn unbuild(root: &FakeRoot) {
    root.dkms(&["unbuild", "app/1", "-k", K]).expect(0);
}

/// The next hook takes it from the cache, or builds it.
#[track_caller]
fn next_builds(root: &FakeRoot, times: usize) {
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), times);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/app.ko")));
    root.hook(&[]).expect(0).says("nothing to do");
}

#[test]
fn a_kernel_that_is_purged_and_comes_back_costs_no_build() {
    let root = built();
    let (before, log) = (digest(&root, "app/1"), format!("/var/lib/dkms/app/1/{K}/x86_64/log/make.log"));
    let text = root.read(&log);
    let kernel = ToyKernel::new(K);
    kernel.remove_headers(&root);
    kernel.remove_image(&root);
    root.hook(&["--purge-missing"]).expect(0);
    assert!(!root.exists(format!("/var/lib/dkms/app/1/{K}")));
    kernel.install(&root);

    let line = format!("build app/1 for {K} (from the cache)");
    root.hook(&["--dry-run"]).expect(0).says(&line);
    root.hook(&["--json"]).expect(0).says("\"cached\": true");
    let answer = root.hook(&[]).expect(0);
    answer.says(&format!("Building app/1 for kernel {K} (x86_64) from the cache: "));
    assert_eq!(root.take_make_calls().len(), 0);
    assert_eq!((digest(&root, "app/1"), root.read(&log)), (before, text));
    root.hook(&[]).expect(0).says("nothing to do");
    root.hook(&["status", "--json"]).expect(0).says("cache");
    assert_eq!(entries(&root).len(), 1, "it is not stored once more");
}

#[test]
fn a_version_down_and_up_again_costs_one_build() {
    let root = built();
    ToyModule::new("app", "2").register(&root);
    next_builds(&root, 1);
    let two = digest(&root, "app/2");
    for (version, other) in [("1", "2"), ("2", "1")] {
        root.dkms(&["remove", &format!("app/{other}"), "--all"]).expect(0);
        root.dkms(&["remove", &format!("app/{version}"), "--all"]);
        ToyModule::new("app", version).register(&root);
        next_builds(&root, 0);
    }
    assert_eq!(digest(&root, "app/2"), two);
}

#[test]
fn force_builds_anew() {
    let root = built();
    root.dkms(&["build", "app/1", "-k", K, "--force"]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    unbuild(&root);
    root.dkms(&["build", "app/1", "-k", K, "--force"]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(entries(&root).len(), 1);
    unbuild(&root);
    root.dkms(&["install", "app/1", "-k", K]).expect(0);
    assert_eq!(root.take_make_calls().len(), 0);
}

#[test]
fn what_a_build_takes_from_the_machine_counts() {
    let changes: [&dyn Fn(&FakeRoot); 4] = [
        // A newer linux-kbuild.
        &|root| drop(root.write(format!("/usr/src/linux-headers-{K}/scripts/objtool"), "newer")),
        // Another linker, of the same version.
        &|root| root.stand_in("ld", "#!/bin/sh\nexec /usr/bin/ld \"$@\"\n"),
        &|root| {
            root.write("/etc/dkms/framework.conf", "build_environment=/etc/dkms/env\n");
            root.write("/etc/dkms/env", "export KCFLAGS=-O1\n");
        },
        // A changed source would be another build anyway.
        &|root| {
            drop(
                ToyModule::new("app", "1")
                    .file("app.c", "#include <linux/module.h>\nint x;\n")
                    .write_source(root),
            )
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        let root = built();
        unbuild(&root);
        change(&root);
        root.hook(&[]).expect(0);
        assert_eq!(root.take_make_calls().len(), 1, "{index}");
        assert_eq!(entries(&root).len(), 2, "{index}");
    }
}

#[test]
fn another_key_gets_no_old_signature() {
    let root = crate::support::signing::root();
    let kernel = crate::support::signing::K;
    root.hook(&[]).expect(0);
    root.take_make_calls();
    let file = format!("/var/lib/dkms/hello/1.0/{kernel}/x86_64/module/hello.ko.xz");
    let again = |root: &FakeRoot| {
        root.dkms(&["unbuild", "hello/1.0", "-k", kernel]).expect(0);
        root.hook(&[]).expect(0);
        assert_eq!(root.checked(&file, CERTIFICATE, "sha256"), Checked::Good);
        root.take_make_calls().len()
    };
    assert_eq!(again(&root), 0);
    root.write_pair(KEY, CERTIFICATE, None);
    assert_eq!(again(&root), 1);
    assert_eq!(again(&root), 0);
}

#[test]
fn a_dependent_is_looked_for_when_what_it_depends_on_is_there() {
    let root = root();
    ToyModule::new("base", "1").register(&root);
    ToyModule::new("app", "1").depends("base").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 2);
    for module in ["app/1", "base/1"] {
        root.dkms(&["unbuild", module, "-k", K]).expect(0);
    }
    let answer = root.hook(&[]).expect(0);
    answer.says(&format!("app/1 for kernel {K}: taken from the cache"));
    assert_eq!(root.take_make_calls().len(), 0);
    root.hook(&[]).expect(0).says("nothing to do");
}

#[test]
fn what_is_damaged_is_built_and_forgotten() {
    let root = built();
    let file = entries(&root)[0].join("files/module/app.ko");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let before = digest(&root, "app/1");
    unbuild(&root);
    next_builds(&root, 1);
    assert_eq!(digest(&root, "app/1"), before);
    unbuild(&root);
    next_builds(&root, 0);
}

#[test]
fn it_is_bounded_and_can_be_switched_off() {
    let root = root();
    ToyKernel::new(K2).install(&root);
    ToyModule::new("app", "1").register(&root);
    root.write("/etc/dkms/framework.conf", "build_cache=0\n");
    root.hook(&[]).expect(0);
    assert!(!root.exists("/var/lib/dkms/.dkms-hook/cache"));
    unbuild(&root);
    root.take_make_calls();
    // Room for one of both.
    root.write("/etc/dkms/framework.conf", "build_cache=40K\n");
    root.dkms(&["unbuild", "app/1", "-k", K2]).expect(0);
    root.hook(&[]).expect(0);
    let size = |dir: &PathBuf| {
        let files = WalkDir::new(dir).into_iter().flatten().filter(|entry| entry.file_type().is_file());
        files.map(|entry| entry.metadata().unwrap().len()).sum::<u64>()
    };
    let kept = entries(&root);
    let total: u64 = kept.iter().map(size).sum();
    assert!(!kept.is_empty() && total <= 40 << 10, "{total}");
    root.hook(&["settings"]).expect(0).says("build_cache").says("40K");
    // A new build for which there is no room at all: what is there goes, too.
    root.write("/etc/dkms/framework.conf", "build_cache=1\n");
    root.dkms(&["build", "app/1", "-k", K, "--force"]).expect(0);
    assert_eq!(entries(&root).len(), 0);
}
