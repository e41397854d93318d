//! A driver as its author ships it: a git checkout in somebody's home, added by its path.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::conf::model::Scripts;

const K: &str = "6.12.1-toy";

/// Everything below `dir`, itself included.
fn all(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_path_buf()];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(all(&path)) } else { found.push(path) }
    }
    found
}

fn git(dir: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@localhost", "-C"]).arg(dir).args(words);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_checkout_of_somebody_becomes_a_source_that_only_root_can_change() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let home = FakeRoot::new();
    let has_git = Command::new("git").arg("--version").output().is_ok_and(|o| o.status.success());
    let mut module = ToyModule::new("wifi", "5.1").executable("describe.sh", "#!/bin/sh\nexec git log -1\n");
    if has_git {
        // Fails when git holds the copy to be somebody else's.
        module = module.scripts(Scripts { pre_build: Some("describe.sh".into()), ..Scripts::default() });
    }
    let source = module.write_source(&home);
    if has_git {
        git(&source, &["init", "-q"]);
        git(&source, &["add", "-A"]);
        git(&source, &["commit", "-qm", "As it was published"]);
    }
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&source.join("wifi.c"), 0o666);
    mode(&source.join("describe.sh"), 0o6777);
    mode(&source, 0o777);
    if nix::unistd::geteuid().is_root() {
        for path in all(&source) {
            chown(path, Some(65534), Some(65534)).unwrap();
        }
    }

    root.dkms(&["add", source.to_str().unwrap()]).expect(0);
    let copy = root.path("/usr/src/wifi-5.1");
    for path in all(&copy) {
        let meta = fs::metadata(&path).unwrap();
        assert_eq!(meta.uid(), nix::unistd::geteuid().as_raw(), "{}", path.display());
        assert_eq!(meta.mode() & 0o6002, 0, "{} has mode {:o}", path.display(), meta.mode());
    }
    assert_eq!(fs::metadata(copy.join("describe.sh")).unwrap().mode() & 0o7777, 0o775);
    root.dkms(&["build", "wifi/5.1", "-k", K]).expect(0);
    root.dkms(&["install", "wifi/5.1", "-k", K]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["wifi.ko"]);
}
