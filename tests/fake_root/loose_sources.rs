//! A source that others than root can change is not root's to run.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// Without root nobody has more rights to lose, and nothing is refused.
fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// One kernel, `good/1`, and `bad/1` with a file of somebody else.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("bad", "1").register(&root);
    ToyModule::new("good", "1").register(&root);
    loosen(&root);
    root
}

const FILE: &str = "/usr/src/bad-1/dkms.conf";

fn loosen(root: &FakeRoot) {
    chown(root.path(FILE), Some(54321), None).unwrap();
}

fn mend(root: &FakeRoot) {
    chown(root.path(FILE), Some(0), None).unwrap();
}

#[test]
fn it_is_not_built_until_it_is_roots_own() {
    if !is_root() {
        return;
    }
    let root = root();
    let answer = root.hook(&[]).expect(11);
    answer.says(FILE).says("user 54321 owns it").says("chown -R root:root /usr/src/bad-1");
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["good.ko"]);
    root.dkms(&["build", "bad/1", "-k", K]).expect(1).says(FILE).says("writable_sources=\"bad: REASON\"");
    root.deb("trigger", "", "triggered").expect(0);
    // No input of the build changes, and it is built all the same.
    mend(&root);
    root.deb("trigger", "", "triggered").expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "good.ko"]);
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
}

#[test]
fn an_exception_has_a_reason_and_is_told() {
    if !is_root() {
        return;
    }
    let root = root();
    root.write("/etc/dkms/framework.conf", "writable_sources=\"bad\"\n");
    root.hook(&[]).expect(11).says("writable_sources");
    root.write("/etc/dkms/framework.conf", "writable_sources=\"bad: developed here\"\n");
    root.hook(&[]).expect(0).says("others than root can change").says("developed here");
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "good.ko"]);
    root.hook(&["settings"]).expect(0).says("bad: developed here");
}

#[test]
fn a_developers_own_source_and_links_into_a_home_are_named_with_their_owner() {
    if !is_root() {
        return;
    }
    let root = root();
    mend(&root);
    fs::set_permissions(root.path(FILE), Permissions::from_mode(0o666)).unwrap();
    root.hook(&[]).expect(11).says(&format!("{FILE}, everybody may write to it"));
    fs::set_permissions(root.path(FILE), Permissions::from_mode(0o644)).unwrap();
    chown(root.path("/usr/src/bad-1"), Some(54321), None).unwrap();
    root.hook(&[]).expect(11).says("/usr/src/bad-1, user 54321 owns it");
    chown(root.path("/usr/src/bad-1"), Some(0), None).unwrap();
    root.hook(&[]).expect(0);
    root.write("/home/dev/bad.h", "int x;\n");
    chown(root.path("/home/dev/bad.h"), Some(54321), None).unwrap();
    symlink("/home/dev/bad.h", root.path("/usr/src/bad-1/bad.h")).unwrap();
    root.hook(&[])
        .expect(11)
        .says("/home/dev/bad.h, user 54321 owns it")
        .says("copy the source into /usr/src/bad-1");
}

#[test]
fn a_source_that_is_added_by_its_path_becomes_roots_copy() {
    if !is_root() {
        return;
    }
    let root = root();
    mend(&root);
    ToyModule::new("new", "1").write_source(&root);
    fs::create_dir_all(root.path("/home/dev")).unwrap();
    fs::rename(root.path("/usr/src/new-1"), root.path("/home/dev/new")).unwrap();
    chown(root.path("/home/dev/new/dkms.conf"), Some(54321), None).unwrap();
    fs::set_permissions(root.path("/home/dev/new/new.c"), Permissions::from_mode(0o666)).unwrap();
    root.dkms(&["install", root.path("/home/dev/new").to_str().unwrap(), "-k", K]).expect(0);
    assert!(root.names(format!("/lib/modules/{K}/updates/dkms")).contains(&"new.ko".to_owned()));
}

#[test]
fn its_scripts_are_not_run() {
    if !is_root() {
        return;
    }
    for script in ["PRE_INSTALL", "POST_INSTALL", "POST_REMOVE"] {
        let root = root();
        root.write(FILE, ToyModule::new("bad", "1").conf_text() + &format!("{script}=\"run.sh\"\n"));
        let run = root.path("/usr/src/bad-1/run.sh");
        fs::write(&run, format!("#!/bin/sh\ntouch {}\n", root.path("/ran").display())).unwrap();
        fs::set_permissions(&run, Permissions::from_mode(0o755)).unwrap();
        mend(&root);
        root.dkms(&["build", "bad/1", "-k", K]).expect(0);
        if script == "POST_REMOVE" {
            root.dkms(&["install", "bad/1", "-k", K]).expect(0);
        }
        loosen(&root);
        let answer = match script {
            "POST_REMOVE" => root.dkms(&["uninstall", "bad/1", "-k", K]),
            _ => root.dkms(&["install", "bad/1", "-k", K]),
        };
        answer.says(&format!("the {script} script is not run")).says(FILE);
        assert!(!root.path("/ran").exists(), "{script}");
        mend(&root);
        if script != "POST_REMOVE" {
            root.dkms(&["install", "bad/1", "-k", K, "--force"]).expect(0);
            assert!(root.path("/ran").exists(), "{script}");
        }
    }
}
