//! `dkms` in the scriptlets of rpm packages: what is left to the file triggers, and what is not done twice.

use crate::support::fedora_system::{
    K, counts, event, fedora, holds_the_module, install_image, posttrans, scriptlet,
};
use crate::support::program::Answer;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

pub const SCENARIOS: [(&str, fn()); 2] = [
    ("scriptlets_leave_the_initramfs_to_the_trigger", scriptlets_leave_the_initramfs_to_the_trigger),
    ("a_module_that_fails_in_a_scriptlet", a_module_that_fails_in_a_scriptlet),
];

/// Runs lines as rpm runs a scriptlet: a file for the shell.
fn rpm_scriptlet(root: &FakeRoot, lines: &str) -> Answer {
    root.write("/var/tmp/rpm-tmp.Ab12Cd", format!("{lines}\n"));
    scriptlet(root, "/bin/sh /var/tmp/rpm-tmp.Ab12Cd 1; status=$?; : not the last command; exit $status")
}

/// A Fedora with a kernel, its headers and an initramfs, where `dkms` is there for scripts, and a module
/// that is not installed yet.
fn fedora_for_packages() -> FakeRoot {
    let root = fedora("bls");
    install_image(&root);
    ToyKernel::new(K).install_headers(&root);
    std::os::unix::fs::symlink("dkms-hook", root.path("/usr/sbin/dkms")).unwrap();
    posttrans(&root);
    ToyModule::new("late", "1").register(&root);
    root.write("/etc/dracut.conf.d/late.conf", "add_drivers+=\" late other \"\n");
    root.take_calls();
    root.take_make_calls();
    root
}

fn scriptlets_leave_the_initramfs_to_the_trigger() {
    let root = fedora_for_packages();
    let install = format!("dkms build late/1 -k {K} && dkms install late/1 -k {K}");
    // `make install` brings no triggers: it is made at once.
    rpm_scriptlet(&root, &install);
    assert_eq!(counts(&root, ["depmod", "kernel-install"]), [2, 1]);
    rpm_scriptlet(&root, "dkms remove late/1 --all && dkms add /usr/src/late-1");
    root.take_calls();

    root.write("/usr/lib/dkms/rpm-triggers", "");
    ToyModule::new("other", "1").register(&root);
    rpm_scriptlet(&root, &install);
    rpm_scriptlet(&root, &install.replace("late", "other"));
    assert_eq!(counts(&root, ["depmod", "kernel-install", "dracut"]), [2, 0, 0], "modules can be loaded");
    event(&root, "rpm in", &["/usr/src/late-1/dkms.conf"], &[]).says("Rebuilding the initramfs");
    assert_eq!(counts(&root, ["kernel-install", "50-dracut.install"]), [1, 1], "once for both");
    holds_the_module(&root, &format!("/boot/toy/{K}/initrd"));
    assert!(root.read(format!("/boot/toy/{K}/initrd")).contains("/other.ko"));

    rpm_scriptlet(&root, "dkms remove late/1 --all");
    assert_eq!(counts(&root, ["kernel-install"]), [0]);
    event(&root, "rpm out", &[], &[]);
    assert_eq!(counts(&root, ["kernel-install"]), [1]);
    assert!(!root.read(format!("/boot/toy/{K}/initrd")).contains("/late.ko"));
    // One that no initramfs wants is no reason to make one.
    ToyModule::new("far", "1").register(&root);
    rpm_scriptlet(&root, &install.replace("late", "far"));
    event(&root, "rpm in", &["/usr/src/far-1/dkms.conf"], &[]).does_not_say("initramfs");
    assert_eq!(counts(&root, ["depmod", "kernel-install"]), [1, 0]);
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook/kernels"), [""; 0]);
    // A person is not made to wait.
    scriptlet(&root, "dkms uninstall other/1 --all");
    assert_eq!(counts(&root, ["kernel-install"]), [1]);
}

fn a_module_that_fails_in_a_scriptlet() {
    let root = fedora_for_packages();
    root.write("/usr/lib/dkms/rpm-triggers", "");
    ToyModule::new("bad", "1")
        .make("echo tried >> /var/log/tried; echo no such thing; exit 2")
        .register(&root);
    let each = format!(
        "dkms build bad/1 -k {K}; echo built: $?; dkms install bad/1 -k {K} --force; echo installed: $?"
    );
    let answer = rpm_scriptlet(&root, &each);
    answer.says("built: 10").says("installed: 10").says("no such thing");
    assert_eq!(root.read("/var/log/tried"), "tried\n", "not compiled twice");
    let end = event(&root, "rpm in", &["/usr/src/bad-1/dkms.conf"], &[]);
    end.says("bad/1").says("/var/lib/dkms/").says(".log");
    assert_eq!(root.read("/var/log/tried"), "tried\n");
    // A person who asks for it is another matter.
    scriptlet(&root, &format!("dkms install bad/1 -k {K} || :"));
    assert_eq!(root.read("/var/log/tried"), "tried\ntried\n");
}
