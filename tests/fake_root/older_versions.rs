//! An older registered version in the place of one that does not compile for a kernel: in the same run, said, and only
//! as long as it is so.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const VERDICTS: &str = "/var/lib/dkms/.dkms-hook/verdicts/zfs";

/// One kernel; `zfs/2` does not compile, `zfs/1` does, and `pool/1` depends on zfs.
fn root() -> FakeRoot {
    let root = FakeRoot::new().without_cache();
    ToyKernel::new(K).install(&root);
    ToyModule::new("zfs", "1").register(&root);
    ToyModule::new("zfs", "2").failing().register(&root);
    ToyModule::new("pool", "1").depends("zfs").register(&root);
    root
}

fn installed(root: &FakeRoot) -> Vec<String> {
    let status = root.dkms(&["status"]).expect(0).out;
    let lines = status.lines().filter_map(|line| line.split_once(&format!(", {K}, x86_64: installed")));
    lines.map(|(module, _)| module.to_owned()).collect()
}

#[test]
fn the_run_in_which_the_newest_fails_ends_with_the_older_one_installed() {
    let root = root();
    let log = format!("{VERDICTS}/2/{K}-x86_64.log");
    let said = format!("zfs/2 does not compile for {K} (log: {log}); zfs/1 is used instead");
    root.hook(&[]).expect(11).says("del_timer").says(&said);
    assert_eq!(installed(&root), ["pool/1", "zfs/1"]);
    assert_eq!(root.take_make_calls().len(), 2, "each is built once");

    // There is nothing to do, and it is still said.
    let before = root.snapshot();
    root.hook(&[]).expect(11).says("failed before").says(&said).does_not_say("needs zfs");
    let status = root.hook(&["status"]).expect(1);
    for part in ["instead:   zfs/1, as zfs/2 does not compile", "zfs/1 is installed for this kernel instead"]
    {
        assert!(status.out.contains(part), "{part} is missing:\n{}", status.out);
    }
    let why = root.hook(&["why", "zfs"]).expect(0).out;
    for part in [said.as_str(), &format!("version 2 does not compile for this kernel: {log}")] {
        assert!(why.contains(part), "{part} is missing:\n{why}");
    }
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty());
}

#[test]
fn hooks_go_on_with_it_and_say_so_once() {
    let root = root();
    root.deb("kernel-postinst", K, "configure").expect(0);
    assert_eq!(installed(&root), ["pool/1", "zfs/1"]);
    let told = root.deb("trigger", "", "triggered").expect(0);
    assert!(told.err.contains("del_timer"), "{}", told.err);
    assert!(told.err.contains("zfs/1 is installed for this kernel instead"), "{}", told.err);
    assert_eq!(root.take_make_calls().len(), 2, "each is built once");
}

#[test]
fn scripts_read_of_autoinstall_what_they_did_before() {
    let root = root();
    for builds in [2, 0] {
        let answer = root.dkms(&["autoinstall", "-k", K]).expect(11);
        let lines: Vec<&str> =
            answer.out.lines().filter(|line| line.starts_with("Autoinstall on ")).collect();
        assert_eq!(
            lines,
            [
                format!("Autoinstall on {K} succeeded for module(s) pool."),
                format!("Autoinstall on {K} failed for module(s) zfs(10)."),
            ]
        );
        assert!(answer.out.contains("zfs/1 is used instead"), "{}", answer.out);
        assert!(!answer.out.contains("missing dependencies"), "{}", answer.out);
        assert_eq!(
            (installed(&root), root.take_make_calls().len()),
            (vec!["pool/1".into(), "zfs/1".into()], builds)
        );
    }
}

#[test]
fn the_newest_takes_over_as_soon_as_it_compiles() {
    let root = root();
    root.hook(&[]).expect(11);
    ToyModule::new("zfs", "2").write_source(&root);
    root.hook(&[]).expect(0).does_not_say("instead");
    assert_eq!(installed(&root), ["pool/1", "zfs/2"]);
    assert!(root.hook(&["why", "zfs"]).expect(0).out.contains("version 2 is used for this kernel"));
    root.hook(&[]).expect(0).says("nothing to do");
}

#[test]
fn one_older_version_after_another_is_tried() {
    let root = root();
    ToyModule::new("zfs", "3").failing().register(&root);
    root.hook(&[]).expect(11).says("zfs/3 does not compile").says("zfs/1 is used instead");
    assert_eq!(installed(&root), ["pool/1", "zfs/1"]);
    assert_eq!(root.names(VERDICTS), ["2", "3"]);

    // None compiles: nothing is used.
    let root = self::root();
    ToyModule::new("zfs", "1").failing().write_source(&root);
    root.hook(&[]).expect(11).does_not_say("zfs/1 is used instead");
    root.hook(&[]).expect(11).does_not_say("zfs/1 is used instead").says("pool/1");
    assert_eq!(installed(&root), [""; 0]);
}

#[test]
fn a_fault_of_the_machine_is_no_reason() {
    let root = root();
    let makefile = "obj-m := zfs.o\n$(M)/zfs.o: struck\nstruck:\n\t@kill -KILL $$$$\n";
    root.write("/usr/src/zfs-2/Makefile", makefile);
    root.hook(&[]).expect(11).does_not_say("instead");
    assert_eq!(installed(&root), [""; 0]);
}

#[test]
fn what_does_not_support_the_kernel_is_excluded_as_ever() {
    let root = root();
    ToyModule::new("zfs", "2").line("BUILD_EXCLUSIVE_KERNEL=\"^9[.]\"").write_source(&root);
    root.hook(&[]).expect(0).does_not_say("does not compile");
    assert_eq!(installed(&root), ["pool/1", "zfs/1"]);
}

#[test]
fn who_names_a_version_gets_that_one_or_none() {
    let root = root();
    root.dkms(&["install", "zfs/2", "-k", K]).expect(10);
    assert_eq!(installed(&root), [""; 0]);
}

#[test]
fn it_can_be_switched_off() {
    let root = root();
    root.write("/etc/dkms/framework.conf", "older_versions=\"no\"\n");
    for _ in 0..2 {
        root.hook(&[]).expect(11).does_not_say("instead");
        assert_eq!(installed(&root), [""; 0]);
    }
    let settings = root.hook(&["settings"]).expect(0).out;
    assert!(settings.contains("older_versions") && settings.contains("framework.conf, line 1"), "{settings}");
    root.write("/etc/dkms/framework.conf", "");
    root.hook(&[]).expect(11).says("zfs/1 is used instead");
    assert_eq!(installed(&root), ["pool/1", "zfs/1"]);
    // What is installed stays, whatever is wanted of the next one.
    root.write("/etc/dkms/framework.conf", "older_versions=no\n");
    root.hook(&[]).expect(11).does_not_say("instead");
    assert_eq!(installed(&root), ["pool/1", "zfs/1"]);
}
