//! BUILD_DEPENDS_REBUILD: what is built again in the same command as what it depends on.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

/// A module that wants to be built again with what it depends on.
fn dependent(name: &str, on: &[&str]) -> ToyModule {
    let module = ToyModule::new(name, "1").line("BUILD_DEPENDS_REBUILD=yes");
    on.iter().fold(module, |module, name| module.depends(name))
}

/// Directories that make built since the last call, without the common part of their names.
fn built(root: &FakeRoot) -> Vec<String> {
    let calls = root.take_make_calls();
    calls.iter().map(|c| c["/var/lib/dkms/".len()..].trim_end_matches("/build").to_owned()).collect()
}

/// The version of a dependency that a build has noted for DKMS.
fn noted(root: &FakeRoot, module: &str, dependency: &str) -> String {
    root.read(format!("/var/lib/dkms/{module}/{K}/x86_64/.dep_{dependency}"))
}

fn in_line(root: &FakeRoot) {
    root.hook(&[]).expect(0).says("nothing to do");
}

#[test]
fn a_chain_follows_its_first_link_and_notes_what_it_was_built_with() {
    let root = root();
    // Names that sort the other way round.
    dependent("aa", &["bb"]).register(&root);
    dependent("bb", &["lib"]).register(&root);
    ToyModule::new("cc", "1").depends("lib").register(&root);
    ToyModule::new("lib", "1.9").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(noted(&root, "bb/1", "lib"), "1.9\n");
    built(&root);
    root.take_calls();

    ToyModule::new("lib", "1.10").register(&root);
    let answer = root.dkms(&["install", "lib/1.10", "-k", K]).expect(0);
    assert!(answer.out.contains("lib, which it depends on, is rebuilt or replaced"), "{}", answer.out);
    assert_eq!(built(&root), ["lib/1.10", "bb/1", "aa/1"], "cc did not ask for it");
    assert_eq!((noted(&root, "bb/1", "lib"), noted(&root, "aa/1", "bb")), ("1.10\n".into(), "1\n".into()));
    assert_eq!(root.take_depmods(), [K]);
    for id in ["aa/1", "bb/1", "lib/1.10"] {
        let line = format!("{id}, {K}, x86_64: installed\n");
        assert!(root.dkms(&["status"]).expect(0).out.contains(&line), "{id}");
    }
    // The rest is for the next hook.
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), ["cc/1"]);
    in_line(&root);

    // Nothing new was built: nothing follows.
    root.dkms(&["uninstall", "lib/1.10", "-k", K]).expect(0);
    root.dkms(&["install", "lib/1.10", "-k", K]).expect(0);
    root.dkms(&["install", "lib/1.10", "-k", K]).expect(0);
    assert_eq!(built(&root), [""; 0]);
}

#[test]
fn one_that_depends_on_several_is_built_once_after_all_of_them() {
    let root = root();
    dependent("aa", &["lib", "mid", "other"]).register(&root);
    dependent("mid", &["lib"]).register(&root);
    ToyModule::new("lib", "1").register(&root);
    ToyModule::new("other", "1").register(&root);
    root.hook(&[]).expect(0);
    built(&root);
    root.write("/usr/src/lib-1/notes", "new");
    root.dkms(&["install", "lib/1", "-k", K]).expect(0);
    assert_eq!(built(&root), ["lib/1", "mid/1", "aa/1"]);
    in_line(&root);
}

#[test]
fn only_the_kernel_in_question_and_only_what_is_there_are_concerned() {
    let root = root();
    ToyKernel::new(K2).install(&root);
    dependent("aa", &["lib"]).register(&root);
    dependent("never", &["lib"]).register(&root);
    dependent("stray", &["lib", "unheard-of"]).line("AUTOINSTALL=no").register(&root);
    ToyModule::new("lib", "1").register(&root);
    root.dkms(&["install", "aa/1", "-k", K, "-k", K2]).expect(0);
    root.dkms(&["build", "never/1", "-k", K]).expect(0);
    root.dkms(&["install", "stray/1", "-k", K, "--force"]).expect(0);
    built(&root);
    root.write("/usr/src/lib-1/notes", "new");
    // One lacks something that nobody knows here: that is told, and the others are built.
    let answer = root.dkms(&["install", "lib/1", "-k", K]).expect(13);
    answer.says("stray/1").says("unheard-of");
    let mut dependents = built(&root);
    assert_eq!(dependents.remove(0), "lib/1");
    dependents.sort();
    assert_eq!(dependents, ["aa/1", "never/1"]);
    let status = root.dkms(&["status", "-k", K]).expect(0).out;
    assert!(status.contains(&format!("never/1, {K}, x86_64: built\n")), "{status}");
    assert!(status.contains(&format!("stray/1, {K}, x86_64: installed\n")), "{status}");
    assert!(status.contains(&format!("lib/1, {K}, x86_64: installed\n")), "{status}");
}

#[test]
fn force_installs_what_it_was_asked_for_and_no_more() {
    let root = root();
    dependent("aa", &["lib"]).register(&root);
    ToyModule::new("lib", "1").register(&root);
    root.hook(&[]).expect(0);
    built(&root);
    root.write("/usr/src/lib-1/notes", "new");
    root.dkms(&["install", "lib/1", "-k", K, "--force"]).expect(0);
    assert_eq!(built(&root), ["lib/1"]);
}

#[test]
fn those_that_need_each_other_are_built_once_each() {
    let root = root();
    dependent("aa", &["lib"]).register(&root);
    dependent("bb", &["lib", "aa"]).register(&root);
    ToyModule::new("lib", "1").register(&root);
    root.hook(&[]).expect(0);
    // Now they go round in a circle, lib included.
    dependent("aa", &["lib", "bb"]).write_source(&root);
    ToyModule::new("lib", "1").depends("aa").file("notes", "new").write_source(&root);
    built(&root);
    root.dkms(&["install", "lib/1", "-k", K]);
    let mut all = built(&root);
    let tried = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), tried, "something was built twice");
}

#[test]
fn a_dependent_that_fails_is_the_answer_and_hurts_nobody_else() {
    let root = root();
    dependent("aa", &["lib"]).register(&root);
    dependent("bb", &["lib"]).register(&root);
    dependent("cc", &["lib"]).register(&root);
    ToyModule::new("lib", "1").register(&root);
    root.hook(&[]).expect(0);
    built(&root);
    dependent("aa", &["lib"]).failing().write_source(&root);
    root.write("/usr/src/bb-1/dkms.conf", "PACKAGE_NAME=");
    root.write("/usr/src/lib-1/notes", "new");
    let before = root.snapshot_of(format!("/usr/lib/modules/{K}/updates"));
    root.dkms(&["install", "lib/1", "-k", K]).expect(10).says("aa/1").does_not_say("bb/1");
    assert_eq!(built(&root), ["lib/1", "cc/1"]);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["aa.ko", "bb.ko", "cc.ko", "lib.ko"]);
    let after = root.snapshot_of(format!("/usr/lib/modules/{K}/updates"));
    assert!(!before.changes(&after).iter().any(|c| c.ends_with("aa.ko")), "the old one still works");
}
