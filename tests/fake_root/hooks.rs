//! Debian's hooks, one history after the other: how often make runs, and what is there afterwards.
//! Every call ends with status 0.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyModule::new("hello", "1.0").register(&root);
    root
}

fn installed() -> FakeRoot {
    let root = root();
    ToyKernel::new(K).install(&root);
    root.deb("kernel-postinst", K, "configure").expect(0);
    trigger(&root);
    assert_eq!(root.take_make_calls().len(), 1);
    root.take_calls();
    root
}

fn trigger(root: &FakeRoot) {
    root.deb("trigger", "", "triggered").expect(0);
}

fn is_installed(root: &FakeRoot) -> bool {
    root.dkms(&["status"]).expect(0).out == format!("hello/1.0, {K}, x86_64: installed\n")
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(dry.ends_with("nothing to do\n"), "{dry}");
    for (event, params) in
        [("kernel-postinst", "configure"), ("header-postinst", ""), ("trigger", "triggered")]
    {
        root.deb(event, K, params).expect(0);
    }
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty());
}

#[test]
fn image_first() {
    let root = root();
    let kernel = ToyKernel::new(K);
    kernel.install_image(&root);
    root.deb("kernel-postinst", K, "configure ").expect(0).says(&format!("linux-headers-{K}"));
    assert!(root.take_make_calls().is_empty());
    kernel.install_headers(&root);
    root.deb("header-postinst", K, "configure").expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    trigger(&root);
    assert!(is_installed(&root));
    in_line(&root);
}

#[test]
fn headers_first() {
    let root = root();
    let kernel = ToyKernel::new(K);
    kernel.install_headers(&root);
    root.deb("header-postinst", K, "").expect(0);
    assert!(root.take_make_calls().is_empty(), "there is no kernel yet");
    kernel.install_image(&root);
    root.deb("kernel-postinst", K, "configure").expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    trigger(&root);
    assert!(is_installed(&root));
    in_line(&root);
}

#[test]
fn both_unpacked_before_either_is_configured() {
    for order in [["kernel-postinst", "header-postinst"], ["header-postinst", "kernel-postinst"]] {
        let root = root();
        ToyKernel::new(K).install(&root);
        for event in order {
            root.deb(event, K, "configure").expect(0);
        }
        trigger(&root);
        assert_eq!(root.take_make_calls().len(), 1, "{order:?}");
        assert_eq!(root.take_depmods(), [K]);
        in_line(&root);
    }
}

#[test]
fn headers_a_day_later_by_the_trigger_alone() {
    let root = root();
    let kernel = ToyKernel::new(K);
    kernel.install_image(&root);
    root.deb("kernel-postinst", K, "configure").expect(0);
    trigger(&root);
    kernel.install_headers(&root);
    trigger(&root);
    assert_eq!(root.take_make_calls().len(), 1);
    in_line(&root);
}

#[test]
fn a_new_revision_of_the_same_release() {
    let root = installed();
    let kernel = ToyKernel::new(K);
    root.deb("kernel-prerm", K, "'upgrade' '6.12.1-2'").expect(0);
    kernel.install_image(&root);
    kernel.install_headers(&root);
    root.write(
        format!("/usr/src/linux-headers-{K}/include/generated/utsversion.h"),
        "#define UTS_VERSION \"#1 SMP Toy 6.12.1-2\"\n",
    );
    root.deb("kernel-postrm", K, "upgrade 6.12.1-2").expect(0);
    assert!(is_installed(&root), "nothing is deleted in the middle");
    root.deb("kernel-postinst", K, "configure 6.12.1-1").expect(0);
    root.deb("header-postinst", K, "configure").expect(0);
    trigger(&root);
    assert_eq!(root.take_make_calls().len(), 1);
    in_line(&root);
}

#[test]
fn an_upgrade_that_is_taken_back() {
    let root = installed();
    let before = root.snapshot();
    root.deb("kernel-prerm", K, "upgrade 6.12.1-2").expect(0);
    root.deb("kernel-postrm", K, "abort-upgrade 6.12.1-1").expect(0);
    root.deb("kernel-postinst", K, "abort-upgrade 6.12.1-2").expect(0);
    trigger(&root);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
}

#[test]
fn a_removal_that_another_hook_refuses() {
    let root = installed();
    let before = root.snapshot();
    root.deb("kernel-prerm", K, "remove").expect(0);
    root.assert_untouched(&before);
    root.deb("kernel-postinst", K, "abort-remove").expect(0);
    root.assert_untouched(&before);
}

#[test]
fn removed_and_purged_in_every_order() {
    for headers_first in [true, false] {
        let root = installed();
        let kernel = ToyKernel::new(K);
        if headers_first {
            kernel.remove_headers(&root);
        }
        root.deb("kernel-prerm", K, "remove").expect(0);
        kernel.remove_image(&root);
        root.deb("kernel-postrm", K, "remove").expect(0);
        if !headers_first {
            assert!(!root.exists(format!("/lib/modules/{K}/updates")));
            kernel.remove_headers(&root);
        }
        root.deb("kernel-postrm", K, "purge").expect(0);
        trigger(&root);
        assert!(!root.exists(format!("/lib/modules/{K}")), "{:?}", root.names(format!("/lib/modules/{K}")));
        assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1.0: added\n");
        assert_eq!(root.names("/var/lib/dkms/hello"), ["1.0"]);
        assert_eq!(root.names("/var/lib/dkms/.dkms-hook/kernels"), [""; 0]);
        let before = root.snapshot();
        assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
        root.assert_untouched(&before);
    }
}

#[test]
fn removed_before_its_modules_package_is() {
    // Where image and modules are two packages, the modules outlive the image.
    let root = installed();
    root.deb("kernel-prerm", K, "remove").expect(0);
    root.deb("kernel-postrm", K, "remove").expect(0);
    trigger(&root);
    assert!(!root.exists(format!("/lib/modules/{K}/updates")), "its image is gone for good");
    assert!(root.exists(format!("/lib/modules/{K}/kernel/fs/toyfs/toyfs.ko")), "not ours to delete");
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1.0: added\n");
    let again = format!("linux-image-{K} is installed again");
    root.hook(&["status"]).expect(0).says("its image package was removed").says(&again);
    root.hook(&["why", "hello"]).expect(0).says("image package, which was removed");
    // A package of modules, whose maintainer script calls this: it does not lack the headers, which are here.
    root.hook(&["module-postinst", "hello", "1.0"])
        .expect(0)
        .says(&format!("{K}: its image package was removed; nothing is built for it until {again}."))
        .says("each kernel with headers was removed")
        .does_not_say("linux-headers-");
    // Headers that are configured now build nothing for it.
    root.deb("header-postinst", K, "configure").expect(0);
    trigger(&root);
    assert!(root.take_make_calls().is_empty());
    let before = root.snapshot();
    root.hook(&[]).expect(0).says("nothing to do");
    root.assert_untouched(&before);

    // The image comes back.
    root.deb("kernel-postinst", K, "configure").expect(0);
    trigger(&root);
    assert!(root.take_make_calls().is_empty(), "the build comes out of the cache");
    in_line(&root);
    // Or its modules go, too.
    root.deb("kernel-postrm", K, "remove").expect(0);
    let kernel = ToyKernel::new(K);
    kernel.remove_image(&root);
    kernel.remove_headers(&root);
    trigger(&root);
    assert!(!root.exists(format!("/lib/modules/{K}")));
    std::fs::remove_dir_all(root.path("/var/lib/dkms/.dkms-hook/cache")).unwrap();
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook"), ["depmod.json", "install-tree.json", "lock"]);
}

#[test]
fn signed_is_swapped_for_unsigned() {
    let root = installed();
    // The new package is unpacked while the old one is removed.
    root.set_package(&format!("linux-image-{K}-unsigned"), "install unpacked");
    root.set_package(&format!("linux-image-{K}"), "deinstall half-configured");
    root.deb("kernel-prerm", K, "remove").expect(0);
    root.deb("kernel-postrm", K, "remove").expect(0);
    assert!(is_installed(&root), "the kernel did not go");
    let database = format!("--admindir={}", root.path("/var/lib/dpkg").display());
    let asked = root.take_calls();
    assert!(asked.iter().any(|c| c.starts_with("dpkg-query") && c.contains(&database)), "{asked:?}");
    root.deb("kernel-postinst", K, "configure").expect(0);
    root.deb("kernel-postrm", K, "purge").expect(0);
    trigger(&root);
    assert!(root.take_make_calls().is_empty());
    assert!(is_installed(&root));
    in_line(&root);
}

#[test]
fn two_kernels_at_once() {
    let root = root();
    let kernels = [ToyKernel::new(K), ToyKernel::new("6.13.0-toy")];
    kernels.iter().for_each(|k| k.install(&root));
    for k in [K, "6.13.0-toy"] {
        root.deb("kernel-postinst", k, "configure").expect(0);
    }
    assert_eq!(root.take_make_calls().len(), 2);
    trigger(&root);
    assert_eq!(root.take_depmods(), [K, "6.13.0-toy"]);
    in_line(&root);
}

#[test]
fn headers_of_another_flavour_build_nothing() {
    let root = installed();
    ToyKernel::new("6.12.1-toy-rt").install_headers(&root);
    let before = root.snapshot();
    root.deb("header-postinst", "6.12.1-toy-rt", "configure").expect(0);
    trigger(&root);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty());
}

#[test]
fn a_call_that_makes_no_sense_ends_well_all_the_same() {
    let root = installed();
    let before = root.snapshot();
    root.deb("kernel-postinst", "", "configure").expect(0);
    root.deb("kernel-postinst", "../../etc", "configure").expect(0);
    root.deb("kernel-postrm", "6.99-never-was", "remove").expect(0);
    root.deb("kernel-postinst", "6.99-never-was", "configure").expect(0);
    root.hook(&["deb", "kernel-postinst"]).expect(0).says("without a kernel release");
    root.hook(&["deb", "summary"]).expect(0);
    root.hook(&["deb", "unconfigure"]).expect(0);
    for words in [
        ["deb"].as_slice(),
        &["deb", "no-such-hook"],
        &["deb", "summary", "and", "--more"],
        &["dnf5", "--more"],
        &["incoming"],
        &["incoming", "--no-such-option"],
        &["--no-such-option", "rpm", "out"],
    ] {
        root.hook(words).expect(0);
    }
    // A person's call is told apart.
    root.hook(&["why", "rpm", "--no-such-option"]).expect(2);
    root.assert_untouched(&before);
}
