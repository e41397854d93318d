//! The boot guard: while an essential module is missing for the newest kernel, one that has it is kept and started.

use crate::support::json_schema::Schemas;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::conf::model::Scripts;
use serde_json::json;

const OLD: &str = "6.12.1+deb13-toy";
const NEW: &str = "6.13.0+deb13-toy";
const APT: &str = "/etc/apt/apt.conf.d/90dkms-hook-boot-guard";
const GRUB: &str = "/etc/default/grub.d/zz-dkms-hook-boot-guard.cfg";
const STATE: &str = "/var/lib/dkms/.dkms-hook/boot-guard.json";
const LOADER: &str = "/boot/efi/loader/loader.conf";

/// A module that does not compile for the new kernel, or for every one.
fn zfs(works: bool) -> ToyModule {
    let check = if works { "exit 0\n" } else { "[ \"$1\" != 6.13.0+deb13-toy ]\n" };
    let scripts = Scripts { pre_build: Some("check.sh $kernelver".to_owned()), ..Scripts::default() };
    ToyModule::new("zfs", "1").executable("check.sh", &format!("#!/bin/sh\n{check}")).scripts(scripts)
}

/// Debian with apt and GRUB, a kernel that works, and ZFS, which is essential.
fn debian() -> FakeRoot {
    let root = FakeRoot::new();
    root.write("/etc/apt/apt.conf.d/00other", "");
    root.write("/boot/grub/grub.cfg", "");
    root.write("/etc/default/grub", "GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\n");
    std::fs::create_dir_all(root.path("/etc/default/grub.d")).unwrap();
    root.write("/etc/grub.d/10_linux", "$GRUB_TOP_LEVEL\n");
    root.write("/usr/sbin/grub-mkconfig", "/etc/default/grub.d\n");
    comes(&root, OLD);
    zfs(false).register(&root);
    root.hook(&["essential", "zfs"]).expect(0);
    root.hook(&[]).expect(0).does_not_say("boot guard: 6");
    root
}

/// A kernel is installed.
fn comes(root: &FakeRoot, kernel: &str) {
    ToyKernel::new(kernel).install(root);
    root.write(format!("/boot/vmlinuz-{kernel}"), "");
    root.write(format!("/var/lib/dpkg/info/linux-image-{kernel}.list"), "");
}

fn is_off(root: &FakeRoot) {
    for file in [APT, GRUB, STATE] {
        assert!(!root.exists(file), "{file}");
    }
    let status = root.hook(&["status"]).out;
    assert!(!status.contains("boot guard"), "{status}");
}

#[test]
fn the_last_kernel_that_works_is_kept_and_started_until_the_newest_works() {
    let root = debian();
    is_off(&root);
    let before = root.snapshot_of("/etc");
    comes(&root, NEW);
    let told = root.hook(&[]).expect(11);
    let told = told.says("boot guard: 6.13.0+deb13-toy, the newest kernel, lacks zfs");
    told.says(&format!("{OLD} has every essential module")).says("run update-grub in");
    let expression = "APT::NeverAutoRemove:: \"^linux-image-6[.]12[.]1[+]deb13-toy$\";";
    assert_eq!(root.read(APT).lines().last(), Some(expression));
    let line = format!("GRUB_TOP_LEVEL=\"/boot/vmlinuz-{OLD}\"");
    assert_eq!(root.read(GRUB).lines().last(), Some(line.as_str()));
    for command in [&["status"][..], &["why", "zfs"]] {
        let said = root.hook(command).out;
        assert!(said.contains(&format!("lacks zfs; {OLD} has every")), "{said}");
    }
    let json = root.hook(&["status", "--json"]).expect(1).out;
    let json = Schemas::read().assert("status.schema.json", &json);
    let danger = json!({ "newest": NEW, "missing": ["zfs"], "keep": OLD });
    assert_eq!(json["boot-guard"]["danger"], danger);
    assert_eq!(json["boot-guard"]["unfinished"], json!(false));

    // Nothing more to do, whoever asks; and it is said again.
    let quiet = root.snapshot();
    root.hook(&[]).expect(11).says("is the one to boot").says("nothing to do");
    root.hook(&["--kernel", OLD]).expect(0).says("nothing to do");
    root.assert_untouched(&quiet);

    zfs(true).write_source(&root);
    root.hook(&[]).expect(0).says("boot guard: over");
    is_off(&root);
    assert_eq!(before.changes(&root.snapshot_of("/etc")), [""; 0]);
}

#[test]
fn it_is_over_when_nothing_is_essential_or_it_is_switched_off() {
    for how in ["essential", "boot_guard"] {
        let root = debian();
        comes(&root, NEW);
        root.hook(&[]).expect(11);
        assert!(root.exists(APT) && root.exists(GRUB), "{how}");
        match how {
            "essential" => drop(root.hook(&["essential", "--not", "zfs"]).expect(0)),
            _ => drop(root.write("/etc/dkms/framework.conf", "boot_guard=no\n")),
        }
        root.hook(&["--dry-run"]).expect(0).says("would look after the boot guard");
        root.hook(&[]).expect(11).says("boot guard: over");
        is_off(&root);
        root.hook(&[]).expect(11).says("nothing to do");
    }
}

#[test]
fn what_is_kept_is_another_one_when_that_one_goes() {
    let root = debian();
    comes(&root, "6.12.2-toy");
    root.hook(&[]).expect(0);
    comes(&root, NEW);
    root.hook(&[]).expect(11);
    assert!(root.read(GRUB).contains("vmlinuz-6.12.2-toy"));
    ToyKernel::new("6.12.2-toy").remove_image(&root);
    ToyKernel::new("6.12.2-toy").remove_headers(&root);
    root.hook(&[]).expect(11);
    assert!(root.read(GRUB).contains(&format!("vmlinuz-{OLD}")), "{}", root.read(GRUB));
    // The newest one goes as well, and with it the reason.
    ToyKernel::new(NEW).remove_image(&root);
    ToyKernel::new(NEW).remove_headers(&root);
    root.hook(&[]).expect(0).says("boot guard: over");
    is_off(&root);
}

#[test]
fn where_no_kernel_works_that_is_said_and_nothing_is_pinned() {
    let root = debian();
    ToyKernel::new(OLD).remove_image(&root);
    ToyKernel::new(OLD).remove_headers(&root);
    comes(&root, NEW);
    root.hook(&[]).expect(11).says("no kernel has every essential module").says("do not restart");
    assert!(!root.exists(GRUB) && !root.exists(APT) && root.exists(STATE));
}

#[test]
fn a_module_of_the_kernels_own_is_there_too() {
    let root = debian();
    // In the tree of this kernel, and so not built for it.
    ToyKernel::new(NEW).in_tree("kernel/fs/zfs/zfs.ko").install(&root);
    root.write(format!("/lib/modules/{NEW}/modules.dep"), "kernel/fs/zfs/zfs.ko:\n");
    root.hook(&[]);
    assert!(!root.exists(GRUB) && !root.exists(APT));
    let state: serde_json::Value = serde_json::from_str(&root.read(STATE)).unwrap();
    assert_eq!(state["asked"][NEW]["missing"], json!([]));
    let quiet = root.snapshot();
    root.hook(&[]);
    root.assert_untouched(&quiet);
}

#[test]
fn the_middle_of_a_transaction_is_no_time_to_judge() {
    let root = debian();
    root.write("/var/lib/dpkg/info/dkms-hook.triggers", "interest-noawait dkms-hook\n");
    comes(&root, NEW);
    root.deb("kernel-postinst", NEW, "configure").expect(0);
    assert!(!root.exists(GRUB) && !root.exists(STATE));
    root.deb("trigger", "", "triggered").expect(0).says("boot guard: 6.13");
    assert!(root.exists(GRUB));
}

/// The same with systemd-boot, and what its loader.conf says.
fn with_systemd_boot(conf: &str) -> FakeRoot {
    let root = debian();
    std::fs::remove_dir_all(root.path("/boot/grub")).unwrap();
    root.write("/boot/efi/EFI/systemd/systemd-bootx64.efi", "");
    root.write(format!("/boot/efi/loader/entries/0123-{OLD}.conf"), "");
    root.write(LOADER, conf);
    comes(&root, NEW);
    root
}

#[test]
fn systemd_boot_has_a_default_of_ours_and_a_chosen_one_stays() {
    let root = with_systemd_boot("timeout 3\n");
    root.hook(&[]).expect(11).says(&format!("systemd-boot starts {OLD}"));
    let text = root.read(LOADER);
    assert!(text.starts_with("timeout 3\n# dkms-hook"), "{text}");
    assert!(text.ends_with(&format!("\ndefault 0123-{OLD}.conf\n")), "{text}");
    zfs(true).write_source(&root);
    root.hook(&[]).expect(0).says("boot guard: over");
    assert_eq!(root.read(LOADER), "timeout 3\n");

    let root = with_systemd_boot("default other.conf\n");
    root.hook(&[]).expect(11).says("`default other.conf` in loader.conf is left as it is");
    assert_eq!(root.read(LOADER), "default other.conf\n");
    is_left_alone_by_a_second_run(&root);
}

fn is_left_alone_by_a_second_run(root: &FakeRoot) {
    let quiet = root.snapshot();
    root.hook(&[]).says("nothing to do");
    root.assert_untouched(&quiet);
}

#[test]
fn grubs_chosen_default_is_only_told() {
    let root = debian();
    root.write("/etc/default/grub", "GRUB_DEFAULT=saved\n");
    comes(&root, NEW);
    root.hook(&[]).expect(11).says("GRUB_DEFAULT=saved").says(&format!("Make sure that {OLD} is started"));
    assert!(!root.exists(GRUB) && root.exists(APT));
    is_left_alone_by_a_second_run(&root);
}

#[test]
fn the_check_at_boot_fails_for_a_missing_module_and_for_nothing_else() {
    let root = debian();
    comes(&root, NEW);
    root.hook(&[]).expect(11);
    root.hook(&["boot-check", OLD]).expect(0);
    root.hook(&["boot-check", NEW]).expect(1).says("lacks zfs, which is essential");
    root.hook(&["boot-check", "--report", NEW]).expect(0).says("lacks zfs").says("is the one to boot");
    root.hook(&["boot-check", "a/b"]).expect(0);
    root.write("/etc/dkms/framework.conf", "boot_guard=no\n");
    root.hook(&["boot-check", NEW]).expect(0);
    root.write("/etc/dkms/framework.conf", "if\n");
    root.hook(&["boot-check", NEW]).expect(0);
}
