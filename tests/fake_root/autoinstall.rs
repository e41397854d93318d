//! `dkms autoinstall` and `dkms match`: what they print, for scripts that read it, and how they end.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

/// Directories that make built since the last call, without the common part of their names.
fn built(root: &FakeRoot) -> Vec<String> {
    let calls = root.take_make_calls();
    calls.iter().map(|c| c["/var/lib/dkms/".len()..].trim_end_matches("/build").to_owned()).collect()
}

/// The lines of the summary.
fn summary(out: &str) -> Vec<String> {
    let lines = out.lines().filter(|line| line.contains("Autoinstall on ") || line.contains(" autoinstall "));
    lines.map(str::to_owned).collect()
}

#[test]
fn every_module_is_in_its_line() {
    let root = root();
    ToyModule::new("before", "1").register(&root);
    root.dkms(&["install", "before/1", "-k", K]).expect(0);
    ToyModule::new("good", "1").register(&root);
    ToyModule::new("bad", "1").failing().register(&root);
    ToyModule::new("old", "1").line("BUILD_EXCLUSIVE_KERNEL=\"^5\"").register(&root);
    ToyModule::new("app", "1").depends("good").depends("bad").register(&root);
    ToyModule::new("top", "1").depends("app").register(&root);
    ToyModule::new("later", "1").depends("stranger").register(&root);
    ToyModule::new("manual", "1").line("AUTOINSTALL=no").register(&root);
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(11);
    assert_eq!(
        summary(&answer.out),
        [
            format!("Autoinstall on {K} succeeded for module(s) before good."),
            format!("Autoinstall on {K} was skipped for module(s) old."),
            format!("Autoinstall on {K} failed for module(s) bad(10)."),
            "app/1 autoinstall failed due to missing dependencies: bad.".to_owned(),
            "top/1 autoinstall failed due to missing dependencies: app.".to_owned(),
            "later/1 autoinstall deferred: BUILD_DEPENDS not registered with DKMS: stranger.".to_owned(),
        ]
    );
    assert_eq!(built(&root), ["before/1", "good/1"]);
}

#[test]
fn a_dependency_that_is_skipped_is_no_obstacle_and_one_put_off_no_failure() {
    let root = root();
    ToyModule::new("old", "1").line("BUILD_EXCLUSIVE_KERNEL=\"^5\"").register(&root);
    ToyModule::new("app", "1").depends("old").register(&root);
    // The build itself wants what it depends on to be installed.
    root.dkms(&["autoinstall", "-k", K]).expect(11).says("app(13)");
    root.dkms(&["remove", "app/1", "--all"]).expect(0);
    ToyModule::new("later", "1").depends("stranger").register(&root);
    root.dkms(&["autoinstall", "-k", K]).expect(0).says("later/1 autoinstall deferred");
    ToyModule::new("stranger", "1").register(&root);
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(0);
    assert_eq!(
        summary(&answer.out)[0],
        format!("Autoinstall on {K} succeeded for module(s) stranger later.")
    );
    // In line, there is nothing to say.
    root.dkms(&["remove", "old/1", "--all"]).expect(0);
    assert_eq!(root.dkms(&["autoinstall", "-k", K]).expect(0).out, "");
}

#[test]
fn a_broken_entry_or_conf_hurts_nobody_else() {
    let root = root();
    ToyModule::new("good", "1").register(&root);
    ToyModule::new("gone", "1").register(&root);
    std::fs::remove_dir_all(root.path("/usr/src/gone-1")).unwrap();
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(0);
    assert_eq!(summary(&answer.out), [format!("Autoinstall on {K} succeeded for module(s) good.")]);
    assert!(answer.err.contains("gone/1"), "{}", answer.err);
    // DKMS would have ended here with 8 or 4 and built nothing.
    ToyModule::new("bad", "1").register(&root);
    ToyModule::new("empty", "1").register(&root);
    ToyModule::new("next", "1").register(&root);
    root.write("/usr/src/bad-1/dkms.conf", "PACKAGE_NAME=bad\nAUTOINSTALL=yes\n");
    std::fs::remove_file(root.path("/usr/src/empty-1/dkms.conf")).unwrap();
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(11);
    assert_eq!(
        summary(&answer.out),
        [
            format!("Autoinstall on {K} succeeded for module(s) good next."),
            format!("Autoinstall on {K} failed for module(s) bad(8) empty(4)."),
        ]
    );
    // Nor does it make an install fail after it succeeded.
    ToyModule::new("last", "1").register(&root);
    root.dkms(&["install", "last/1", "-k", K]).expect(0);
}

#[test]
fn what_it_takes_and_what_switches_it_off() {
    let root = root();
    ToyKernel::new(K2).install(&root);
    ToyModule::new("good", "1").register(&root);
    root.dkms(&["autoinstall", "-k", K, "-k", K2]).expect(4);
    root.dkms(&["autoinstall", "--all"]).expect(5);
    root.dkms(&["autoinstall", "-k", "6.99-none"]).expect(21);
    root.dkms(&["kernel_postinst"]).expect(4);
    root.write("/etc/dkms/no-autoinstall", "");
    for action in ["autoinstall", "kernel_postinst"] {
        let answer = root.dkms(&[action, "-k", K]).expect(0);
        assert_eq!(answer.out, "Automatic installation of modules has been disabled.\n");
    }
    assert_eq!(built(&root), [""; 0]);
    std::fs::remove_file(root.path("/etc/dkms/no-autoinstall")).unwrap();
    // An override counts wherever the conf does.
    root.write("/etc/dkms/good.conf", "AUTOINSTALL=no\n");
    assert_eq!(root.dkms(&["autoinstall", "-k", K]).expect(0).out, "");
    root.hook(&["module-postinst", "good", "1"]).expect(0).says("does not ask to be installed");
    assert_eq!(built(&root), [""; 0]);
}

#[test]
fn match_brings_one_kernel_what_another_has() {
    let root = root();
    ToyKernel::new(K2).install(&root);
    for name in ["one", "two"] {
        ToyModule::new(name, "1").register(&root);
    }
    ToyModule::new("bad", "1").line(&format!("BUILD_EXCLUSIVE_KERNEL=\"^{K}$\"")).register(&root);
    root.dkms(&["match", "--templatekernel", K, "-k", K2]).expect(0).says("has no installed module");
    root.dkms(&["autoinstall", "-k", K]).expect(0);
    root.dkms(&["uninstall", "two/1", "-k", K]).expect(0);
    built(&root);
    root.dkms(&["match", "--templatekernel", K, "-k", K2, "one"]).expect(0);
    assert_eq!(built(&root), ["one/1"]);
    // One that does not support the kernel is the answer, and the others are brought all the same.
    root.dkms(&["match", "--templatekernel", K, "-k", K2]).expect(77);
    assert_eq!(built(&root), [""; 0], "two is not installed for the template");
    root.dkms(&["install", "two/1", "-k", K]).expect(0);
    root.dkms(&["match", "--templatekernel", K, "-k", K2]).expect(77);
    assert_eq!(built(&root), ["two/1"]);
    root.dkms(&["match", "--templatekernel", K, "-k", "6.99-none"]).expect(21);
    root.dkms(&["match", "--templatekernel", K, "-k", K2, "-k", K]).expect(4);
    root.dkms(&["match", "--templatekernel", K, "-k", K2, "--all"]).expect(2);
    root.dkms(&["match", "--templatekernel", K, "--all"]).expect(5);
}
