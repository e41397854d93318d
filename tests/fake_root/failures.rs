//! Builds that fail: the others go on, the failure is remembered and shown, and it is tried again
//! when there is reason to.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// One kernel; `bad/1` does not compile, `good/1` does.
fn root() -> FakeRoot {
    let root = FakeRoot::new().without_cache();
    ToyKernel::new(K).install(&root);
    ToyModule::new("bad", "1").failing().register(&root);
    ToyModule::new("good", "1").register(&root);
    root
}

/// How often each module was built since calls were last taken. A build that fails has no call, so
/// its log is counted instead.
fn logs(root: &FakeRoot) -> Vec<String> {
    root.names("/var/lib/dkms/.dkms-hook/verdicts/bad/1")
}

#[test]
fn the_others_are_built_and_the_failure_is_remembered() {
    let root = root();
    root.hook(&[]).expect(11).says("bad/1").says("del_timer").says("log: /var/lib/dkms/");
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["good.ko"]);
    assert_eq!(logs(&root), [format!("{K}-x86_64.json"), format!("{K}-x86_64.log")]);
    assert_eq!(
        root.dkms(&["status"]).expect(0).out,
        format!("bad/1: added\ngood/1, {K}, x86_64: installed\n")
    );
    root.take_make_calls();

    // Nothing is tried again, nothing is written, but the status still says that not all is well.
    let before = root.snapshot();
    root.hook(&["--kernel", K]).expect(11).says("failed before");
    root.assert_untouched(&before);
    let shown = root.hook(&["status"]).expect(1);
    for part in ["failed:", "bad/1", K, "del_timer", ".log", "dkms install bad/1"] {
        assert!(shown.out.contains(part), "{part} is missing:\n{}", shown.out);
    }
    let log = format!("/var/lib/dkms/.dkms-hook/verdicts/bad/1/{K}-x86_64.log");
    assert!(shown.out.contains(&log) && root.read(&log).contains("del_timer"));
    root.assert_untouched(&before);
}

#[test]
fn a_package_manager_is_told_once_and_goes_on() {
    let root = root();
    root.deb("kernel-postinst", K, "configure").expect(0).says("could not be built");
    assert!(root.exists("/var/lib/dkms/.dkms-hook/unreported"));
    let log = format!("/var/lib/dkms/.dkms-hook/verdicts/bad/1/{K}-x86_64.log");
    let first = std::fs::metadata(root.path(&log)).unwrap().modified().unwrap();
    // Until the summary there is nothing to add.
    assert_eq!(root.deb("header-postinst", K, "configure").expect(0).out, "");
    let told = root.deb("trigger", "", "triggered").expect(0);
    assert!(told.err.contains("del_timer") && told.err.contains("dkms install bad/1"), "{}", told.err);
    assert_eq!(std::fs::metadata(root.path(&log)).unwrap().modified().unwrap(), first);
    assert_eq!(root.take_make_calls().len(), 1, "good/1 is built once");
    let later = root.deb("trigger", "", "triggered").expect(0);
    later.says("bad/1 failed to build for").says("not retried").does_not_say("del_timer");
    assert!(!root.exists("/var/lib/dkms/.dkms-hook/unreported"));
}

#[test]
fn a_new_source_is_tried_by_the_next_hook() {
    let root = root();
    root.hook(&[]).expect(11);
    ToyModule::new("bad", "1").write_source(&root);
    root.deb("trigger", "", "triggered").expect(0).does_not_say("could not");
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "good.ko"]);
    let remembered = root.names("/var/lib/dkms/.dkms-hook");
    let failure = |name: &String| name == "verdicts" || name == "unreported";
    assert!(!remembered.iter().any(failure), "the failure is still remembered: {remembered:?}");
    root.hook(&["status"]).expect(0);
    root.hook(&[]).expect(0).says("nothing to do");
}

#[test]
fn a_person_who_asks_gets_another_try() {
    let root = root();
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(11);
    assert!(answer.out.contains("succeeded for module(s) good.\n"), "{}", answer.out);
    assert!(answer.out.contains("failed for module(s) bad(10).\n"), "{}", answer.out);
    let log = root.path(format!("/var/lib/dkms/.dkms-hook/verdicts/bad/1/{K}-x86_64.log"));
    let first = std::fs::metadata(&log).unwrap().modified().unwrap();
    root.dkms(&["autoinstall", "-k", K]).expect(11);
    let second = std::fs::metadata(&log).unwrap().modified().unwrap();
    assert!(second > first, "it was not tried again");
    root.dkms(&["install", "bad/1", "-k", K]).expect(10).says("del_timer");
    assert!(std::fs::metadata(&log).unwrap().modified().unwrap() > second, "it was not tried again");
    root.dkms(&["build", "bad/1", "-k", K]).expect(10);
}

#[test]
fn what_the_machine_did_is_tried_again_by_the_next_hook() {
    for (command, said) in [
        // Make is killed; make is told to end; a command of it is; the disk fails.
        ("kill -KILL $$PPID; sleep 1", "exit status 137"),
        ("kill -TERM $$PPID; sleep 1", "a signal ended a program of the build"),
        ("kill -KILL $$$$", "Killed"),
        ("echo 'cp: error reading x: Input/output error' >&2; exit 1", "the disk reports an error"),
    ] {
        let root = FakeRoot::new().without_cache();
        ToyKernel::new(K).install(&root);
        ToyModule::new("bad", "1").register(&root);
        let struck = root.write("/var/log/struck", "");
        let makefile = format!(
            "obj-m := bad.o\nifneq ($(wildcard {}),)\n$(M)/bad.o: $(M)/struck\n$(M)/struck:\n\t@{command}\nendif\n",
            struck.display()
        );
        root.write("/usr/src/bad-1/Makefile", makefile);
        root.hook(&[]).expect(11).says(said);
        let verdict = root.read(format!("/var/lib/dkms/.dkms-hook/verdicts/bad/1/{K}-x86_64.json"));
        assert!(verdict.contains("\"provisional\": true"), "{command}: {verdict}");
        std::fs::remove_file(struck).unwrap();
        root.deb("trigger", "", "triggered").expect(0).does_not_say("not retried");
        assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko"], "{command}");
    }
}

#[test]
fn a_failed_rebuild_keeps_the_module_that_works() {
    let root = root();
    let good = ToyModule::new("bad", "1");
    good.write_source(&root);
    root.hook(&[]).expect(0);
    let installed = root.snapshot_of(format!("/usr/lib/modules/{K}"));
    ToyModule::new("bad", "1").failing().write_source(&root);
    root.hook(&[]).expect(11);
    assert!(installed == root.snapshot_of(format!("/usr/lib/modules/{K}")), "what works was touched");
    assert!(root.dkms(&["status", "bad"]).expect(0).out.contains("installed"));
    // It is still visible that the source there is not what is installed.
    root.hook(&[]).expect(11).says("failed before");
    root.hook(&["status"]).expect(1).says("bad/1");
    good.write_source(&root);
    root.hook(&[]).expect(0);
    root.hook(&["status"]).expect(0);
}

#[test]
fn a_failure_for_one_kernel_says_nothing_about_another() {
    let root = root();
    root.hook(&[]).expect(11);
    ToyKernel::new(K2).install(&root);
    root.hook(&["--kernel", K2]).expect(11);
    assert_eq!(logs(&root).len(), 4);
    // The first kernel leaves, and its failure with it.
    let kernel = ToyKernel::new(K);
    kernel.remove_image(&root);
    kernel.remove_headers(&root);
    root.hook(&[]).expect(11);
    assert_eq!(logs(&root), [format!("{K2}-x86_64.json"), format!("{K2}-x86_64.log")]);
    assert!(!root.exists(format!("/lib/modules/{K}")));
    root.hook(&["status"]).expect(1).does_not_say(K);
    root.dkms(&["remove", "bad/1", "--all"]).expect(0);
    assert_eq!(logs(&root), [""; 0]);
    root.hook(&["status"]).expect(0);
}

#[test]
fn scripts_that_fail_have_their_own_exit_status() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let module = |name: &str, line: &str, script: &str| {
        ToyModule::new(name, "1").line(line).executable("step.sh", script).register(&root);
    };
    module("before", "PRE_BUILD=step.sh", "#!/bin/sh\nexit 42\n");
    module("after", "POST_BUILD=step.sh", "#!/bin/sh\nexit 43\n");
    module("entry", "PRE_INSTALL=step.sh", "#!/bin/sh\nexit 44\n");
    module("late", "POST_INSTALL=step.sh", "#!/bin/sh\nexit 45\n");
    root.dkms(&["install", "before/1", "-k", K]).expect(42);
    root.dkms(&["install", "after/1", "-k", K]).expect(43);
    root.dkms(&["install", "entry/1", "-k", K]).expect(101);
    root.dkms(&["install", "late/1", "-k", K]).expect(0);
    assert_eq!(
        root.dkms(&["status"]).expect(0).out,
        format!(
            "after/1: added\nbefore/1: added\nentry/1, {K}, x86_64: built\nlate/1, {K}, x86_64: installed\n"
        )
    );
    root.dkms(&["install", "entry/1", "-k", K, "--force"]).expect(0);
}

#[test]
fn no_compiler_is_tried_again_by_the_next_hook() {
    let root = FakeRoot::new();
    ToyKernel::new(K).compiler("gcc-99").insists_on("gcc-99").install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.deb("kernel-postinst", K, "configure").expect(0).says("could not be built");
    root.hook(&["status"]).expect(1).says("gcc-99");
    // It arrives later in the same transaction.
    root.write_script("/var/log/stand-ins/gcc-99", "#!/bin/sh\nexec gcc \"$@\"\n");
    root.deb("trigger", "", "triggered").expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["hello.ko"]);
    root.hook(&["status"]).expect(0);
}

#[test]
fn status_tells_of_a_build_that_lacks_a_module() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").record("more").register(&root);
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(0);
    assert!(!root.dkms(&["status"]).expect(0).out.contains("missing"));
    std::fs::remove_file(root.path(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/module/more.ko"))).unwrap();
    root.dkms(&["status"]).expect(0).says("built (Built modules are missing in the kernel modules folder)");
    // A name that only the kernel's conf would tell is not asked for: no bash runs for a status line.
    root.write("/usr/src/hello-1.0/dkms.conf", "exit 1\n");
    root.dkms(&["status"]).expect(0).says("built (Built modules are missing in the kernel modules folder)");
}
