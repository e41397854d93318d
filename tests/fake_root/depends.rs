//! Modules that depend on each other, several versions of one, and modules left out.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

/// Directories that make built, without the common part of their names.
fn built(root: &FakeRoot) -> Vec<String> {
    let calls = root.take_make_calls();
    calls.iter().map(|c| c["/var/lib/dkms/".len()..].trim_end_matches("/build").to_owned()).collect()
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    root.hook(&["--dry-run"]).expect(0).says("nothing to do").does_not_say("would");
    root.hook(&[]).expect(0).says("nothing to do");
    root.assert_untouched(&before);
}

#[test]
fn what_others_depend_on_is_built_first() {
    let root = root();
    // Names that sort the other way round.
    ToyModule::new("aa", "1").depends("bb").register(&root);
    ToyModule::new("bb", "1").depends("zz").register(&root);
    ToyModule::new("zz", "1").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["zz/1", "bb/1", "aa/1"]);
    in_line(&root);

    // A new zz means a new bb, and that a new aa; the plan says so before anything happens.
    root.write("/usr/src/zz-1/notes", "new");
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(
        dry.contains("would build bb/1 for 6.12.1-toy: zz, which it depends on, is rebuilt or replaced"),
        "{dry}"
    );
    assert!(
        dry.contains("would build aa/1 for 6.12.1-toy: bb, which it depends on, is rebuilt or replaced"),
        "{dry}"
    );
    root.take_calls();
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["zz/1", "bb/1", "aa/1"]);
    assert_eq!(root.take_depmods(), [K]);
    in_line(&root);

    // A new bb leaves zz alone.
    root.write("/usr/src/bb-1/notes", "new");
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["bb/1", "aa/1"]);
    in_line(&root);
}

#[test]
fn a_dependency_rebuilt_by_hand_makes_its_dependents_stale() {
    let root = root();
    ToyModule::new("aa", "1").depends("zz").register(&root);
    ToyModule::new("zz", "1").register(&root);
    root.hook(&[]).expect(0);
    built(&root);
    root.write("/usr/src/zz-1/notes", "new");
    root.dkms(&["install", "zz/1", "-k", K]).expect(0);
    assert_eq!(built(&root), ["zz/1"]);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(dry.contains("would build aa/1 for 6.12.1-toy: zz, which it depends on, was rebuilt"), "{dry}");
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["aa/1"]);
    in_line(&root);
}

#[test]
fn a_dependency_that_fails_stops_only_what_needs_it() {
    let root = root();
    ToyModule::new("aa", "1").depends("zz").register(&root);
    ToyModule::new("free", "1").register(&root);
    ToyModule::new("zz", "1").failing().register(&root);
    root.hook(&[]).expect(11).says("zz/1");
    assert_eq!(built(&root), ["free/1"]);
    root.hook(&[]).expect(11).says("aa/1").says("zz");
    assert_eq!(built(&root), [""; 0]);
    // Asked for by hand, what it depends on is tried again, and its failure is the answer.
    root.dkms(&["build", "aa/1", "-k", K]).expect(10).says("zz/1");
    ToyModule::new("zz", "1").write_source(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["zz/1", "aa/1"]);
    in_line(&root);
}

#[test]
fn a_dependency_that_nobody_knows_is_waited_for() {
    let root = root();
    ToyModule::new("aa", "1").depends("zz").register(&root);
    ToyModule::new("free", "1").register(&root);
    root.hook(&[]).expect(0).says("zz");
    assert_eq!(built(&root), ["free/1"]);
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(0);
    assert!(answer.out.contains("BUILD_DEPENDS not registered with DKMS: zz."), "{}", answer.out);
    root.dkms(&["build", "aa/1", "-k", K]).expect(13).says("zz");
    root.dkms(&["build", "aa/1", "-k", K, "--force"]).expect(0);
    assert_eq!(built(&root), ["aa/1"]);
    root.dkms(&["unbuild", "aa/1", "-k", K]).expect(0);
    ToyModule::new("zz", "1").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["zz/1", "aa/1"]);
    in_line(&root);
}

#[test]
fn modules_that_need_each_other_end_with_an_error_not_with_a_loop() {
    let root = root();
    ToyModule::new("aa", "1").depends("bb").register(&root);
    ToyModule::new("bb", "1").depends("aa").register(&root);
    ToyModule::new("free", "1").register(&root);
    ToyModule::new("own", "1").depends("own").register(&root);
    root.hook(&[]).expect(11).says("aa/1").says("bb/1").says("own/1");
    assert_eq!(built(&root), ["free/1"]);
    root.dkms(&["autoinstall", "-k", K]).expect(11);
}

#[test]
fn the_newest_version_that_supports_the_kernel_is_installed() {
    let root = root();
    ToyModule::new("hello", "1.9").register(&root);
    ToyModule::new("hello", "1.10").line("BUILD_EXCLUSIVE_KERNEL_MIN=6.13").register(&root);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(
        dry.contains("would build hello/1.9 for 6.12.1-toy: it is the newest version that supports this kernel (1.10 does not"),
        "{dry}"
    );
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["hello/1.9"]);
    in_line(&root);
    root.hook(&["status"]).expect(0).says("excluded:  hello/1.10");

    ToyKernel::new("6.13.0-toy").install(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["hello/1.10"]);
    in_line(&root);
}

#[test]
fn a_module_that_no_longer_supports_the_kernel_is_taken_out() {
    let root = root();
    ToyModule::new("hello", "1").register(&root);
    root.hook(&[]).expect(0);
    ToyModule::new("hello", "1").line("BUILD_EXCLUSIVE_ARCH=\"s390x\"").write_source(&root);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(
        dry.contains("would uninstall hello/1 for 6.12.1-toy: it no longer supports this kernel"),
        "{dry}"
    );
    root.hook(&[]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1: added\n");
    in_line(&root);
}

#[test]
fn installing_over_another_version_leaves_none_of_its_files() {
    let root = root();
    ToyModule::new("hello", "1").record("hello_extra").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["hello.ko", "hello_extra.ko"]);
    ToyModule::new("hello", "2").register(&root);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(dry.contains("would build hello/2 for 6.12.1-toy: it replaces version 1"), "{dry}");
    root.hook(&[]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["hello.ko"]);
    assert_eq!(
        root.dkms(&["status"]).expect(0).out,
        format!("hello/1, {K}, x86_64: built\nhello/2, {K}, x86_64: installed\n")
    );
    in_line(&root);
    // The older one goes without taking the newer one's file.
    root.dkms(&["remove", "hello/1", "--all"]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["hello.ko"]);
    in_line(&root);
    root.dkms(&["remove", "hello/2", "--all"]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
}

#[test]
fn autoinstall_sums_up_what_dependencies_were_missing_and_what_was_there() {
    let root = root();
    ToyModule::new("aa", "1").depends("zz").register(&root);
    ToyModule::new("mm", "1").register(&root);
    ToyModule::new("zz", "1").failing().register(&root);
    for _ in 0..2 {
        let answer = root.dkms(&["autoinstall", "-k", K]).expect(11);
        let missing = "aa/1 autoinstall failed due to missing dependencies: zz.";
        assert!(answer.out.contains(missing), "{}", answer.out);
        assert!(answer.out.contains("failed for module(s) zz(10)."), "{}", answer.out);
    }
    ToyModule::new("zz", "1").write_source(&root);
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(0);
    assert!(answer.out.contains("succeeded for module(s) mm zz aa."), "{}", answer.out);
    // A version that another replaced is not told.
    ToyModule::new("mm", "2").register(&root);
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(0);
    assert!(answer.out.contains("succeeded for module(s) aa zz mm."), "{}", answer.out);
}

#[test]
fn autoinstall_for_a_kernel_that_is_not_there_is_no_failure_when_nothing_is_registered() {
    let root = root();
    root.dkms(&["autoinstall", "-k", "9.9.9-nowhere"]).expect(0);
    root.dkms(&["kernel_postinst", "-k", "9.9.9-nowhere"]).expect(0);
    ToyModule::new("aa", "1").register(&root);
    root.dkms(&["autoinstall", "-k", "9.9.9-nowhere"]).expect(21);
}

#[test]
fn a_module_that_depends_on_itself_is_not_built_for_ever() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("own", "1").depends("own").register(&root);
    root.dkms(&["build", "own/1", "-k", K, "--force"]).expect(0);
    root.dkms(&["install", "own/1", "-k", K]).expect(0);
    root.take_make_calls();
    root.dkms(&["install", "own/1", "-k", K]);
    root.hook(&[]);
    assert_eq!(root.take_make_calls(), [""; 0]);
}
