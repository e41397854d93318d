//! Every action of the `dkms` face on a fake root: exit status, lines, and the tree afterwards.

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// A root with two kernels and the source of `hello/1.0`, not registered.
fn root() -> FakeRoot {
    let root = FakeRoot::new().without_cache();
    ToyKernel::new(K).install(&root);
    ToyKernel::new(K2).install(&root);
    ToyModule::new("hello", "1.0").write_source(&root);
    root
}

#[test]
fn one_module_goes_up_and_down_every_step() {
    let root = root();
    root.dkms(&["add", "hello/1.0"]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1.0: added\n");
    assert_eq!(root.names("/var/lib/dkms/hello/1.0"), ["build", "source"]);
    let link = fs::read_link(root.path("/var/lib/dkms/hello/1.0/source")).unwrap();
    assert_eq!(link.to_str(), Some("/usr/src/hello-1.0"));
    root.dkms(&["add", "hello/1.0"]).expect(3).says("already added");

    root.dkms(&["build", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: built\n"));
    let cell = format!("/var/lib/dkms/hello/1.0/{K}/x86_64");
    assert_eq!(root.names(format!("{cell}/module")), ["Module.symvers", "hello.ko"]);
    assert!(root.read(format!("{cell}/log/make.log")).contains("# exit code: 0"));
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    assert_eq!(root.take_make_calls().len(), 1);
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(0).says("already built");
    assert!(root.take_make_calls().is_empty());

    root.dkms(&["install", "-m", "hello", "-v", "1.0", "-k", K]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
    assert!(root.take_make_calls().is_empty());
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["hello.ko"]);
    let link = fs::read_link(root.path(format!("/var/lib/dkms/hello/kernel-{K}-x86_64"))).unwrap();
    assert_eq!(link.to_str(), Some(format!("1.0/{K}/x86_64").as_str()));
    assert_eq!(root.take_depmods(), [K]);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("already installed");
    assert_eq!(root.take_depmods(), [""; 0]);

    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: built\n"));
    assert!(!root.exists(format!("/lib/modules/{K}/updates")), "an empty directory of ours stays");
    assert!(!root.exists(format!("/var/lib/dkms/hello/kernel-{K}-x86_64")));
    assert_eq!(root.take_depmods(), [K]);
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0).says("Skipping...");

    let said = root.dkms(&["unbuild", "hello/1.0", "-k", K]).expect(0).out;
    assert_eq!(said, format!("The build of module hello/1.0 for kernel {K} (x86_64) was deleted.\n"));
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1.0: added\n");
    assert!(!root.exists(format!("/var/lib/dkms/hello/1.0/{K}")));
    root.dkms(&["unbuild", "hello/1.0", "-k", K]).expect(0).says("Skipping...");

    root.dkms(&["remove", "hello/1.0", "-k", K]).expect(0).says("Module hello/1.0 removed");
    assert_eq!(root.dkms(&["status"]).expect(0).out, "");
    assert!(!root.exists("/var/lib/dkms/hello"));
    assert!(root.exists("/usr/src/hello-1.0/dkms.conf"), "remove never deletes the source");
    root.dkms(&["remove", "hello/1.0", "-k", K]).expect(3);
}

#[test]
fn install_alone_does_everything_and_several_kernels_are_all_worked_on() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K, "-k", K2]).expect(0);
    assert_eq!(
        root.dkms(&["status", "hello/1.0"]).expect(0).out,
        format!("hello/1.0, {K}, x86_64: installed\nhello/1.0, {K2}, x86_64: installed\n")
    );
    assert_eq!(root.take_make_calls().len(), 2);
    assert_eq!(root.take_depmods(), [K, K2]);
    assert_eq!(
        root.dkms(&["status", "-k", K2]).expect(0).out,
        format!("hello/1.0, {K2}, x86_64: installed\n")
    );
    assert_eq!(root.dkms(&["status", "hello/2.0"]).expect(0).out, "");

    // Taking one of them out keeps the other and the registration.
    root.dkms(&["remove", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K2}, x86_64: installed\n"));
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert!(!root.exists("/var/lib/dkms/hello"));
    assert!(!root.exists(format!("/lib/modules/{K2}/updates")));
    assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook"]);
    assert_eq!(
        root.names("/var/lib/dkms/.dkms-hook"),
        ["depmod.json", "install-tree.json", "lock"],
        "notes of a removed module stay"
    );
}

#[test]
fn all_means_every_build_and_is_refused_where_it_makes_no_sense() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K, "-k", K2]).expect(0);
    root.dkms(&["uninstall", "hello/1.0", "--all"]).expect(0);
    assert_eq!(
        root.dkms(&["status"]).expect(0).out,
        format!("hello/1.0, {K}, x86_64: built\nhello/1.0, {K2}, x86_64: built\n")
    );
    root.dkms(&["unbuild", "hello/1.0", "--all"]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1.0: added\n");
    root.dkms(&["build", "hello/1.0", "--all"]).expect(5);
    root.dkms(&["remove", "hello/1.0", "--all", "-k", K]).expect(2);
    root.dkms(&["unbuild", "-q", "hello/1.0", "-k", K]).expect(0);
    let answer =
        root.dkms(&["status", "--bogus"]).expect(2).says("unknown option --bogus").says("dkms --help");
    assert_eq!(answer.err.lines().count(), 4, "{}", answer.err);
    root.dkms(&["build"]).expect(1);
}

#[test]
fn a_kernel_that_fails_does_not_hide_behind_one_that_works() {
    let root = root();
    root.dkms(&["build", "hello/1.0", "-k", "6.99-none", "-k", K]).expect(21).says("6.99-none");
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: built\n"));
}

#[test]
fn force_builds_and_installs_again() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.take_make_calls();
    root.dkms(&["build", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    root.take_depmods();
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert_eq!(root.take_make_calls().len(), 0, "install --force installs the build that is there");
    assert_eq!(root.take_depmods(), [K]);
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
}

#[test]
fn status_tells_what_is_wrong() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.write(format!("/lib/modules/{K}/updates/dkms/hello.ko"), "somebody else's");
    assert_eq!(
        root.dkms(&["status"]).expect(0).out,
        format!("hello/1.0, {K}, x86_64: installed (Differences between built and installed modules)\n")
    );
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    fs::remove_dir_all(root.path("/usr/src/hello-1.0")).unwrap();
    let answer = root.dkms(&["status"]).expect(0);
    assert_eq!(answer.out, "hello/1.0: broken\n");
    assert!(answer.err.ends_with("Manual intervention is required!\n"), "{}", answer.err);
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(4).says("/usr/src/hello-1.0");
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(4);
}

#[test]
fn autoinstall_and_the_kernel_actions() {
    let root = root();
    for m in [ToyModule::new("hello", "1.0"), ToyModule::new("extra", "2")] {
        m.register(&root);
    }
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(0);
    assert!(answer.out.contains(&format!("Autoinstall on {K} succeeded for module(s) extra hello.\n")));
    assert_eq!(root.take_make_calls().len(), 2);
    assert_eq!(root.take_depmods(), [K]);
    assert_eq!(root.dkms(&["autoinstall", "-k", K]).expect(0).out, "");
    assert!(root.take_make_calls().is_empty());

    root.dkms(&["kernel_postinst", "-k", K2]).expect(0);
    assert_eq!(root.take_make_calls().len(), 2);
    let before = root.snapshot();
    root.dkms(&["kernel_preinst", "-k", K2]).expect(0);
    root.assert_untouched(&before);
    let other = root.snapshot_of(format!("/usr/lib/modules/{K}"));
    root.dkms(&["kernel_prerm", "-k", K2]).expect(0);
    assert_eq!(
        root.dkms(&["status"]).expect(0).out,
        format!("extra/2, {K}, x86_64: installed\nhello/1.0, {K}, x86_64: installed\n")
    );
    assert!(!root.exists(format!("/lib/modules/{K2}/updates")));
    assert_eq!(other, root.snapshot_of(format!("/usr/lib/modules/{K}")), "another kernel was touched");
    for action in ["kernel_postinst", "kernel_preinst", "kernel_prerm"] {
        root.dkms(&[action]).expect(4);
    }
    root.dkms(&["autoinstall", "-k", "6.99-none"]).expect(21);
}

#[test]
fn match_installs_what_another_kernel_has() {
    let root = root();
    ToyModule::new("extra", "2").register(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.dkms(&["match", "--templatekernel", K, "-k", K2]).expect(0);
    assert_eq!(
        root.dkms(&["status", "-k", K2]).expect(0).out,
        format!("extra/2: added\nhello/1.0, {K2}, x86_64: installed\n")
    );
    root.dkms(&["match", "--templatekernel", K, "-k", K]).expect(2);
    root.dkms(&["match", "-k", K]).expect(1);
    root.dkms(&["match", "--templatekernel", K, "-k", K2, "nonesuch"]).expect(3);
}

#[test]
fn a_path_is_copied_to_the_source_tree() {
    let root = root();
    let elsewhere = FakeRoot::new();
    let source = ToyModule::new("moved", "3.1").write_source(&elsewhere);
    root.dkms(&["add", source.to_str().unwrap()]).expect(0);
    assert!(root.exists("/usr/src/moved-3.1/moved.c"));
    assert_eq!(root.dkms(&["status", "moved"]).expect(0).out, "moved/3.1: added\n");
    root.dkms(&["add", source.join("dkms.conf").to_str().unwrap()]).expect(3);
    root.dkms(&["install", "moved/3.1", "-k", K]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["moved.ko"]);
    root.dkms(&["add", "absent/1"]).expect(2).says("/usr/src/absent-1");
}

#[test]
fn an_excluded_module_ends_with_77_and_does_not_count_in_autoinstall() {
    let root = root();
    ToyModule::new("old", "1").line("BUILD_EXCLUSIVE_KERNEL=\"^5\\.\"").register(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.dkms(&["install", "old/1", "-k", K]).expect(77);
    let answer = root.dkms(&["autoinstall", "-k", K]).expect(0);
    assert!(answer.out.contains("succeeded for module(s) hello.\n"), "{}", answer.out);
    assert!(answer.out.contains("was skipped for module(s) old.\n"), "{}", answer.out);
}

#[test]
fn a_slash_at_the_end_is_no_part_of_a_version() {
    let root = root();
    root.dkms(&["add", "hello/1.0/"]).expect(0);
    root.dkms(&["build", "hello/1.0/", "-k", K]).expect(0);
    root.dkms(&["install", "hello/1.0/", "-k", K]).expect(0);
    let installed = format!("hello/1.0, {K}, x86_64: installed\n");
    for words in [&["hello/1.0/"][..], &["hello/"], &["-m", "hello", "-v", "1.0/"]] {
        assert_eq!(root.dkms(&[&["status"], words].concat()).expect(0).out, installed, "{words:?}");
    }
    root.hook(&["why", "hello/1.0/"]).expect(0).says("hello");
    root.hook(&["resign", "-n", "hello/"]).expect(0);
    root.dkms(&["match", "--templatekernel", K, "-k", K2, "hello/"]).expect(0);
    root.dkms(&["mktarball", "hello/1.0/", "-k", K]).expect(0);
    root.dkms(&["uninstall", "hello/1.0/", "-k", K]).expect(0);
    root.dkms(&["unbuild", "-m", "hello/1.0/", "-k", K]).expect(0);
    root.dkms(&["remove", "hello/1.0/", "--all"]).expect(0);
    assert!(!root.exists("/var/lib/dkms/hello"));
    // So does that of a directory.
    let dir = root.path("/usr/src/hello-1.0").display().to_string() + "/";
    root.dkms(&["install", &dir, "-k", K]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, installed);
}

#[test]
fn what_a_given_configuration_does_not_mention_is_as_in_the_headers() {
    let root = FakeRoot::new();
    ToyKernel::new(K).compressed("XZ").install(&root);
    ToyModule::new("hello", "1.0").write_source(&root);
    let part = root.write("/part", "CONFIG_MODULE_SIG_HASH=\"sha512\"\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    let files = || root.names(format!("/lib/modules/{K}/updates/dkms"));
    assert_eq!(files(), ["hello.ko.xz"]);
    let given = ["build", "hello/1.0", "-k", K, "--config", part.to_str().unwrap(), "--force"];
    root.dkms(&given).expect(0).does_not_say("compression changed");
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert_eq!(files(), ["hello.ko.xz"]);
    root.hook(&["--dry-run"]).expect(0).says("nothing to do");
    // It may well say that there is to be no compression, or another.
    root.write("/part", "# CONFIG_MODULE_COMPRESS_XZ is not set\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(files(), ["hello.ko"]);
    root.write("/part", "CONFIG_MODULE_COMPRESS_ZSTD=y\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(files(), ["hello.ko.zst"]);
}
