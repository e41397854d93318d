//! `dkms-hook essential`: what a machine should start no kernel without.

use std::os::unix::fs::symlink;

use crate::support::json_schema::Schemas;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use serde_json::json;

const DROP_IN: &str = "/etc/dkms/framework.conf.d/dkms-hook-essential.conf";

/// A machine with its root on ZFS, and with a card whose driver a registered module builds.
fn machine() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new("6.12.1-toy").install(&root);
    for (package, module) in [("zfs", "zfs"), ("rtl-dkms", "rtl_8852"), ("hello", "hello")] {
        let toy = ToyModule::new(package, "1.0");
        let toy = if module == package { toy } else { toy.record(module) };
        toy.write_source(&root);
        root.dkms(&["add", &format!("{package}/1.0")]).expect(0);
    }
    root.write("/proc/self/mountinfo", "22 1 0:25 / / rw,relatime shared:1 - zfs rpool/ROOT rw\n");
    root.write(
        "/proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
         wlan0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n",
    );
    std::fs::create_dir_all(root.path("/sys/class/net/wlan0/device/driver")).unwrap();
    symlink("/x/rtl-8852", root.path("/sys/class/net/wlan0/device/driver/module")).unwrap();
    root
}

#[test]
fn what_the_machine_depends_on_is_proposed_and_nothing_is_essential_by_itself() {
    let root = machine();
    let before = root.snapshot();
    let told = root.hook(&["essential"]).expect(0).out;
    assert_eq!(
        told,
        "No module is essential.\n\
         Proposed: rtl-dkms (its module rtl-8852): the network card wlan0 has the default route\n\
         Proposed: zfs: / is on such a file system\n\
         Confirm with: dkms-hook essential rtl-dkms zfs\n"
    );
    let json =
        Schemas::read().assert("essential.schema.json", &root.hook(&["essential", "--json"]).expect(0).out);
    assert_eq!((&json["essential"], &json["boot_guard"]), (&json!([]), &json!(true)));
    assert_eq!(json["proposals"][1]["because"], json!({ "need": "file-system", "at": "/" }));
    root.assert_untouched(&before);
}

#[test]
fn what_is_confirmed_is_in_a_file_of_ours_and_can_be_taken_back() {
    let root = machine();
    let told = root.hook(&["essential", "zfs", "hello"]).expect(0).out;
    assert!(told.starts_with(&format!("Essential: zfs hello ({DROP_IN}, line 3)\n")), "{told}");
    assert!(told.contains("Needed: zfs: / is on such a file system\n"), "{told}");
    assert!(told.ends_with("Confirm with: dkms-hook essential rtl-dkms\n"), "{told}");
    root.hook(&["settings"]).expect(0).says("\"zfs hello\"");

    let json = root.hook(&["essential", "--json", "--not", "hello"]).expect(0).out;
    let json = Schemas::read().assert("essential.schema.json", &json);
    assert_eq!(json["essential"], json!(["zfs"]));
    assert_eq!(json["from"], json!({ "origin": "file", "path": DROP_IN, "line": 3 }));
    root.hook(&["essential", "--not", "zfs"]).expect(0).says("No module is essential.");
    assert!(!root.exists(DROP_IN));
    root.hook(&["essential", "--not", "zfs"]).expect(3).says("zfs is not essential");
    root.hook(&["essential", "no-such"]).expect(3).says("no module no-such is registered here");
    root.hook(&["essential", "a/b"]).expect(16).says("cannot be a module name");
    assert!(!root.exists(DROP_IN));
}

#[test]
fn what_another_file_says_is_heeded_and_named() {
    let root = machine();
    root.write("/etc/dkms/framework.conf", "essential=zfs\nboot_guard=no\n");
    root.hook(&["essential"]).expect(0).says("(/etc/dkms/framework.conf, line 1)").says("boot guard is off");
    root.hook(&["essential", "hello"]).expect(0).says("Essential: zfs hello");
    root.hook(&["essential", "--not", "hello", "--not", "zfs"]).expect(0).says("No module is essential.");
    assert!(root.read(DROP_IN).contains("essential=\"\""), "framework.conf still has one");

    root.write("/etc/dkms/framework.conf.d/site.conf", "essential=zfs\n");
    let site = "/etc/dkms/framework.conf.d/site.conf, line 1 overrules";
    root.hook(&["essential", "hello"]).expect(1).says(site).says("change `essential` in that file");
    assert_eq!(root.read(DROP_IN).lines().last(), Some("essential=\"\""), "as before");
}
