//! Steps that do not end by themselves: each kind has a limit, and the rest goes on.

use dkms_hook::conf::model::Scripts;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
/// Whoever does not end writes its process id here, a line each.
const PIDS: &str = "/var/log/pids";
/// While this is there, nothing ends.
const SLOW: &str = "/var/log/slow";

/// Shell commands that do not end: what is asked to end does not, and a child of theirs has left its session.
fn endless(root: &FakeRoot) -> String {
    format!(
        "[ ! -e {slow} ] || {{ trap \"\" TERM; setsid sh -c \"trap \\\"\\\" TERM; exec sleep 300\" & echo $$ $! >> {pids}; \
         while :; do sleep 1; done; }}",
        slow = root.path(SLOW).display(),
        pids = root.path(PIDS).display()
    )
}

fn root(settings: &str) -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root.write("/etc/dkms/framework.conf", settings);
    root.write(SLOW, "");
    root
}

/// How often something began that did not end; all of it is gone.
#[track_caller]
fn ended(root: &FakeRoot) -> usize {
    if !root.exists(PIDS) {
        return 0;
    }
    let pids = root.read(PIDS);
    for pid in pids.split_whitespace() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        assert!(stat.map_or(true, |stat| stat.contains(") Z ")), "process {pid} is still there");
    }
    pids.lines().count()
}

fn installed(root: &FakeRoot) -> Vec<String> {
    root.names(format!("/lib/modules/{K}/updates/dkms"))
}

#[test]
fn a_make_that_does_not_end_is_ended_and_hooks_do_not_begin_it_again() {
    let root = root("time_limit_build=2s\n");
    ToyModule::new("agood", "1").register(&root);
    ToyModule::new("bad", "1").register(&root);
    ToyModule::new("zgood", "1").register(&root);
    let makefile = format!(
        "obj-m := bad.o\n$(M)/bad.o: $(M)/slow\n$(M)/slow:\n\t@{}\n",
        endless(&root).replace('$', "$$")
    );
    root.write("/usr/src/bad-1/Makefile", makefile);
    root.deb("kernel-postinst", K, "configure").expect(0).says("bad/1 could not be built");
    assert_eq!((ended(&root), installed(&root)), (1, vec!["agood.ko".to_owned(), "zgood.ko".to_owned()]));
    let told = root.deb("trigger", "", "triggered").expect(0);
    for part in ["took longer than 2s (time_limit_build)", "set time_limit_build in /etc/dkms/framework.conf"]
    {
        assert!(told.err.contains(part), "{part} is missing in {}", told.err);
    }
    root.deb("header-postinst", K, "configure").expect(0);
    root.hook(&[]).expect(11).says("failed before");
    assert_eq!(ended(&root), 1, "it was begun again");
    // A person asks for another try; and a change of the source is one.
    root.dkms(&["install", "bad/1", "-k", K]).expect(10).says("took longer than 2s");
    assert_eq!(ended(&root), 2);
    std::fs::remove_file(root.path(SLOW)).unwrap();
    root.write("/usr/src/bad-1/README", "changed\n");
    root.hook(&[]).expect(0);
    assert_eq!(installed(&root), ["agood.ko", "bad.ko", "zgood.ko"]);
}

#[test]
fn scripts_of_a_build_have_its_limit() {
    let root = root("time_limit_build=1s\n");
    let scripts = Scripts { pre_build: Some("wait.sh".into()), ..Scripts::default() };
    let module = ToyModule::new("bad", "1").scripts(scripts);
    module.executable("wait.sh", &format!("#!/bin/sh\n{}\n", endless(&root))).register(&root);
    ToyModule::new("zgood", "1").register(&root);
    root.hook(&[]).expect(11).says("\"Running the pre_build script\" took longer than 1s (time_limit_build)");
    assert_eq!((ended(&root), installed(&root)), (1, vec!["zgood.ko".to_owned()]));
    root.hook(&[]).expect(11).says("failed before");
    assert_eq!(ended(&root), 1);
}

#[test]
fn a_script_around_an_installation_is_ended_and_the_others_are_installed() {
    let root = root("time_limit_script=1s\n");
    let scripts = Scripts {
        pre_install: Some("wait.sh".into()),
        post_install: Some("wait.sh".into()),
        ..Scripts::default()
    };
    let wait = format!("#!/bin/sh\n{}\n", endless(&root));
    ToyModule::new("bad", "1").scripts(scripts).executable("wait.sh", &wait).register(&root);
    let scripts = Scripts { post_install: Some("wait.sh".into()), ..Scripts::default() };
    ToyModule::new("late", "1").scripts(scripts).executable("wait.sh", &wait).register(&root);
    ToyModule::new("zgood", "1").register(&root);
    root.hook(&[])
        .expect(11)
        .says("the PRE_INSTALL script took longer than 1s (time_limit_script)")
        .says("the POST_INSTALL script took longer than 1s");
    assert_eq!((ended(&root), installed(&root)), (2, vec!["late.ko".to_owned(), "zgood.ko".to_owned()]));
    // A hook would wait as long again.
    root.hook(&[]).expect(11).says("bad/1 was not installed for");
    assert_eq!(ended(&root), 2, "it was begun again");
    root.dkms(&["install", "bad/1", "-k", K]).expect(101);
    assert_eq!(ended(&root), 3);
    std::fs::remove_file(root.path(SLOW)).unwrap();
    root.dkms(&["install", "bad/1", "-k", K]).expect(0);
    assert_eq!(installed(&root), ["bad.ko", "late.ko", "zgood.ko"]);
}
