//! Kernels that come, wait for their headers, and go.

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

fn installed() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    root.take_calls();
    root
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    root.hook(&[]).expect(0);
    root.assert_untouched(&before);
}

#[test]
fn a_new_kernel_is_served_and_the_old_one_is_not_touched() {
    let root = installed();
    let old = root.snapshot_of(format!("/usr/lib/modules/{K}"));
    let old_build = root.snapshot_of(format!("/var/lib/dkms/hello/1.0/{K}"));
    ToyKernel::new(K2).install(&root);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert_eq!(
        dry,
        format!(
            "would build hello/1.0 for {K2}: it is not built for this kernel yet\n\
             would install hello/1.0 for {K2}: it is not built for this kernel yet\n\
             would depmod {K2}: modules of this kernel change\n"
        )
    );
    root.hook(&["--kernel", K2]).expect(0);
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/hello/1.0/build"]);
    assert_eq!(root.take_depmods(), [K2]);
    assert!(old == root.snapshot_of(format!("/usr/lib/modules/{K}")));
    assert!(old_build == root.snapshot_of(format!("/var/lib/dkms/hello/1.0/{K}")));
    in_line(&root);
}

#[test]
fn a_kernel_that_is_gone_is_purged_and_nothing_else() {
    let root = installed();
    let second = ToyKernel::new(K2);
    second.install(&root);
    root.hook(&[]).expect(0);
    let kept = root.snapshot_of(format!("/usr/lib/modules/{K}"));
    let kept_build = root.snapshot_of(format!("/var/lib/dkms/hello/1.0/{K}"));
    second.remove_image(&root);
    second.remove_headers(&root);
    assert!(root.exists(format!("/lib/modules/{K2}/updates/dkms/hello.ko")), "what apt leaves behind");
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert_eq!(
        dry,
        format!(
            "would uninstall hello/1.0 for {K2}: the kernel is no longer on disk\n\
             would delete the build of hello/1.0 for {K2}: the kernel is no longer on disk\n\
             would sweep up after {K2}: the kernel is no longer on disk\n"
        )
    );
    root.hook(&[]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K2}")), "{:?}", root.names(format!("/lib/modules/{K2}")));
    assert_eq!(root.names("/var/lib/dkms/hello/1.0"), [K, "source"]);
    assert_eq!(root.names("/var/lib/dkms/hello"), ["1.0", &format!("kernel-{K}-x86_64")]);
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook/kernels"), [""; 0]);
    assert!(kept == root.snapshot_of(format!("/usr/lib/modules/{K}")));
    assert!(kept_build == root.snapshot_of(format!("/var/lib/dkms/hello/1.0/{K}")));
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
    in_line(&root);
}

#[test]
fn somebody_elses_files_keep_the_directory_of_a_kernel_that_is_gone() {
    let root = installed();
    root.write(format!("/lib/modules/{K}/extra/vendor.ko"), "not ours");
    ToyKernel::new(K).remove_image(&root);
    root.hook(&["--purge-missing"]).expect(0);
    assert!(root.exists(format!("/lib/modules/{K}/extra/vendor.ko")));
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    in_line(&root);
}

#[test]
fn a_kernel_that_somebody_deleted_is_purged_whether_its_headers_stay_or_not() {
    let root = installed();
    for (release, headers_go) in [(K2, true), ("6.14.0-toy", false)] {
        ToyKernel::new(release).install(&root);
        root.hook(&[]).expect(0);
        let kept = root.snapshot_of(format!("/var/lib/dkms/hello/1.0/{K}"));
        fs::remove_dir_all(root.path(format!("/usr/lib/modules/{release}"))).unwrap();
        if headers_go {
            fs::remove_dir_all(root.path(format!("/usr/src/linux-headers-{release}"))).unwrap();
        }
        root.hook(&[]).expect(0);
        assert_eq!(root.names("/var/lib/dkms/hello/1.0"), [K, "source"], "{release}");
        assert_eq!(root.names("/var/lib/dkms/hello"), ["1.0", &format!("kernel-{K}-x86_64")]);
        assert!(!root.exists(format!("/lib/modules/{release}")));
        assert!(kept == root.snapshot_of(format!("/var/lib/dkms/hello/1.0/{K}")));
        assert_eq!(root.exists(format!("/usr/src/linux-headers-{release}")), !headers_go, "not ours");
        in_line(&root);
    }
}

#[test]
fn an_image_made_from_another_machines_tree_keeps_only_what_is_for_its_own_kernels() {
    // As image builds do it: the module tree comes along, the kernels of the machine it is from do not.
    let machine = installed();
    ToyKernel::new(K2).install(&machine);
    machine.hook(&[]).expect(0);
    let image = FakeRoot::new();
    ToyKernel::new(K2).install(&image);
    let copy = |inside: &str| {
        let to = image.path(inside);
        let _ = fs::remove_dir_all(&to);
        let done = std::process::Command::new("cp").arg("-a").arg(machine.path(inside)).arg(to).status();
        assert!(done.unwrap().success());
    };
    copy("/var/lib/dkms");
    copy("/usr/src/hello-1.0");
    image.hook(&[]).expect(0);
    assert_eq!(image.names("/var/lib/dkms/hello/1.0"), [K2, "source"]);
    assert!(!image.exists(format!("/lib/modules/{K}")));
    assert!(image.exists(format!("/lib/modules/{K2}/updates/dkms/hello.ko")));
    in_line(&image);
}

#[test]
fn headers_alone_are_no_kernel() {
    let root = FakeRoot::new();
    ToyModule::new("hello", "1.0").register(&root);
    ToyKernel::new(K).install_headers(&root);
    in_line(&root);
    assert!(root.take_make_calls().is_empty());
    assert!(root.exists(format!("/lib/modules/{K}/build")));
    // A person may still build for them, and a hook does not take that away.
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(0);
    in_line(&root);
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: built\n"));
}

#[test]
fn a_kernel_waits_for_its_headers() {
    let root = FakeRoot::new();
    let kernel = ToyKernel::new(K);
    kernel.install_image(&root);
    ToyModule::new("hello", "1.0").register(&root);
    let before = root.snapshot();
    root.hook(&["--dry-run"]).expect(0).says(&format!("linux-headers-{K}"));
    root.assert_untouched(&before);
    root.hook(&[]).expect(0).says(&format!("Install linux-headers-{K}"));
    assert!(root.take_make_calls().is_empty());
    root.hook(&["status"]).expect(0).says("waiting:").says(&format!("linux-headers-{K}"));
    let before = root.snapshot();
    root.hook(&[]).expect(0).says("nothing to do");
    root.assert_untouched(&before);
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(21).says(&format!("linux-headers-{K}"));
    root.dkms(&["autoinstall", "-k", K]).expect(21);

    kernel.install_headers(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook/kernels"), [""; 0], "it still counts as waiting");
    in_line(&root);
}

#[test]
fn headers_that_leave_take_nothing_with_them() {
    let root = installed();
    ToyKernel::new(K).remove_headers(&root);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/hello.ko")));
    in_line(&root);
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
}

#[test]
fn the_initramfs_of_another_root_is_left_to_whoever_makes_that_root() {
    let root = installed();
    root.write(format!("/boot/initrd.img-{K}"), "an initramfs");
    in_line(&root);
    root.write("/usr/src/hello-1.0/notes", "new");
    // Its generator would act on this machine: the person is told, once, and nothing stays due.
    root.hook(&[]).expect(0).says(&format!("the initramfs of {K}"));
    assert_eq!(fs::read_to_string(root.path(format!("/boot/initrd.img-{K}"))).unwrap(), "an initramfs");
    in_line(&root);
}

#[test]
fn the_administrator_can_switch_it_all_off() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.write("/etc/dkms/no-autoinstall", "");
    root.hook(&[]).expect(0).says("no-autoinstall");
    root.dkms(&["autoinstall", "-k", K]).expect(0).says("disabled");
    assert!(root.take_make_calls().is_empty());
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
}

#[test]
fn a_module_that_does_not_want_it_is_left_out_until_asked_for() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("quiet", "1").line("AUTOINSTALL=\"no\"").register(&root);
    // That nothing is wanted is written down, so that it is not worked out at every call.
    root.hook(&[]).expect(0);
    assert!(root.take_make_calls().is_empty());
    in_line(&root);
    assert!(root.take_make_calls().is_empty());
    root.dkms(&["install", "quiet/1", "-k", K]).expect(0);
    in_line(&root);
    // Once installed for a kernel, it is kept in line for that kernel.
    root.write("/usr/src/quiet-1/notes", "new");
    root.take_make_calls();
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
}

#[test]
fn what_somebody_deletes_is_put_back_without_headers_too() {
    let root = installed();
    ToyKernel::new(K).remove_headers(&root);
    root.hook(&[]).expect(0);
    root.take_calls();
    fs::remove_dir_all(root.path(format!("/usr/lib/modules/{K}/updates"))).unwrap();
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let line = format!("would install hello/1.0 for {K}: installed files are missing or changed\n");
    assert!(dry.starts_with(&line), "{dry}");
    root.hook(&[]).expect(0);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/hello.ko")));
    assert_eq!(root.take_depmods(), [K]);
    assert_eq!(root.take_make_calls(), [""; 0]);
    in_line(&root);
}
