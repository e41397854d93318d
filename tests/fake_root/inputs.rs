//! What makes a build stale: exactly the cells whose inputs changed are built again, the reason
//! names the input, and nothing to do means that nothing is written.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// Two kernels and two modules, everything installed.
fn installed() -> FakeRoot {
    let root = FakeRoot::new().without_cache();
    ToyKernel::new(K).install(&root);
    ToyKernel::new(K2).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    ToyModule::new("other", "2.0").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 4);
    assert_eq!(root.take_depmods(), [K, K2]);
    root
}

/// The plan lists exactly these builds, each with the reason; carried out, make runs once for
/// each; and then there is nothing to do.
#[track_caller]
fn rebuilds(root: &FakeRoot, cells: &[(&str, &str)], reason: &str) {
    let before = root.snapshot();
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    root.assert_untouched(&before);
    let mut wanted: Vec<String> =
        cells.iter().map(|(module, kernel)| format!("would build {module} for {kernel}: {reason}")).collect();
    wanted.sort();
    let mut planned: Vec<&str> = dry.lines().filter(|l| l.starts_with("would build")).collect();
    planned.sort_unstable();
    assert_eq!(planned.len(), wanted.len(), "{dry}");
    assert!(planned.iter().zip(&wanted).all(|(line, wanted)| line.starts_with(wanted)), "{dry}");
    let module_dirs = [K, K2].map(|k| root.snapshot_of(format!("/usr/lib/modules/{k}/updates")));

    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), cells.len());
    let mut depmods: Vec<String> = cells.iter().map(|(_, kernel)| (*kernel).to_owned()).collect();
    depmods.sort();
    depmods.dedup();
    let mut ran = root.take_depmods();
    ran.sort();
    assert_eq!(ran, depmods, "depmod runs once for each kernel that changed");
    for (kernel, old) in [K, K2].iter().zip(module_dirs) {
        if !cells.iter().any(|(_, k)| k == kernel) {
            let new = root.snapshot_of(format!("/usr/lib/modules/{kernel}/updates"));
            assert!(old == new, "modules of {kernel} were touched");
        }
    }
    in_line(root);
}

/// Nothing is to do, and saying so changes nothing.
#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty() && root.take_calls().is_empty());
}

#[test]
fn everything_is_installed_once_and_then_left_alone() {
    let root = installed();
    in_line(&root);
    for k in [K, K2] {
        assert_eq!(root.names(format!("/lib/modules/{k}/updates/dkms")), ["hello.ko", "other.ko"]);
        assert!(root.read(format!("/lib/modules/{k}/modules.dep")).contains("updates/dkms/hello.ko"));
    }
}

#[test]
fn changed_source() {
    let root = installed();
    root.write("/usr/src/hello-1.0/notes.txt", "new");
    rebuilds(&root, &[("hello/1.0", K), ("hello/1.0", K2)], "its source changed");
    fs::remove_file(root.path("/usr/src/hello-1.0/notes.txt")).unwrap();
    rebuilds(&root, &[("hello/1.0", K), ("hello/1.0", K2)], "its source changed");
}

#[test]
fn a_new_time_alone_is_no_change() {
    let root = installed();
    let later = SystemTime::now() + Duration::from_secs(60);
    for file in [
        "/usr/src/hello-1.0/hello.c".to_owned(),
        "/usr/src/hello-1.0/dkms.conf".to_owned(),
        format!("/usr/src/linux-headers-{K}/Module.symvers"),
    ] {
        let file = fs::File::options().append(true).open(root.path(file)).unwrap();
        file.set_modified(later).unwrap();
    }
    let modules = root.snapshot_of("/usr/lib/modules");
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
    assert!(modules == root.snapshot_of("/usr/lib/modules"));
    // From now on the new time is known, too.
    in_line(&root);
}

#[test]
fn an_override_of_the_conf_for_one_kernel() {
    let root = installed();
    let reason = "its dkms.conf or an override of it changed: MAKE[0] is new: `make -C /";
    let gone = "its dkms.conf or an override of it changed: MAKE[0] is gone: `make -C /";
    let file = root.write(
        format!("/etc/dkms/hello-1.0-{K2}.conf"),
        "MAKE[0]=\"make -C $kernel_source_dir M=$dkms_tree/hello/1.0/build V=1\"\n",
    );
    rebuilds(&root, &[("hello/1.0", K2)], reason);
    // One that changes no value is no input.
    root.write(format!("/etc/dkms/other-2.0-{K2}.conf"), "# only a comment\n");
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
    assert!(root.take_make_calls().is_empty());
    fs::remove_file(file).unwrap();
    rebuilds(&root, &[("hello/1.0", K2)], gone);
    root.write("/etc/dkms/hello.conf", "STRIP[0]=no\n");
    let reason = "its dkms.conf or an override of it changed: STRIP[0] is new: `no`";
    rebuilds(&root, &[("hello/1.0", K), ("hello/1.0", K2)], reason);
    root.write("/etc/dkms/hello.conf", "STRIP[0]=yes\nNO_WEAK_MODULES=yes\n");
    let reason = "its dkms.conf or an override of it changed: NO_WEAK_MODULES[0] is new: `yes` and 1 more";
    rebuilds(&root, &[("hello/1.0", K), ("hello/1.0", K2)], reason);
    // Where they were not written down, the reason is the plain one.
    for k in [K, K2] {
        fs::remove_file(root.path(format!("/var/lib/dkms/hello/1.0/{k}/x86_64/.dkms-hook-conf.json")))
            .unwrap();
    }
    root.write("/etc/dkms/hello.conf", "STRIP[0]=no\n");
    let reason = "its dkms.conf or an override of it changed";
    rebuilds(&root, &[("hello/1.0", K), ("hello/1.0", K2)], reason);
}

#[test]
fn the_headers_of_one_kernel() {
    let root = installed();
    root.write(
        format!("/usr/src/linux-headers-{K}/Module.symvers"),
        "0x9\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
    );
    rebuilds(&root, &[("hello/1.0", K), ("other/2.0", K)], "the kernel headers changed");
    root.write(
        format!("/usr/src/linux-headers-{K2}/include/generated/utsversion.h"),
        "#define UTS_VERSION \"#1 SMP 6.13.0-1\"\n",
    );
    rebuilds(&root, &[("hello/1.0", K2), ("other/2.0", K2)], "the kernel headers changed");
    root.write(
        format!("/usr/src/linux-headers-{K2}/include/generated/utsversion.h"),
        "#define UTS_VERSION \"#1 SMP 6.13.0-2\"\n",
    );
    rebuilds(
        &root,
        &[("hello/1.0", K2), ("other/2.0", K2)],
        "the kernel headers changed from #1 SMP 6.13.0-1 to #1 SMP 6.13.0-2",
    );
}

#[test]
fn a_patch_of_the_administrator() {
    let root = installed();
    root.write(
        "/etc/dkms/hello/patches/local.patch",
        "--- a/hello.c\n+++ b/hello.c\n@@ -5 +5 @@\n-\treturn 42;\n+\treturn 43;\n",
    );
    rebuilds(&root, &[("hello/1.0", K), ("hello/1.0", K2)], "patches or scripts in /etc/dkms changed");
}

#[test]
fn the_compression_of_one_kernel() {
    let root = installed();
    // A kernel says it in its own configuration, which is also part of the headers.
    let config = root.path(format!("/usr/src/linux-headers-{K}/include/config/auto.conf"));
    let text = fs::read_to_string(&config).unwrap() + "CONFIG_MODULE_COMPRESS_ZSTD=y\n";
    fs::write(&config, &text).unwrap();
    root.write(format!("/boot/config-{K}"), text);
    rebuilds(&root, &[("hello/1.0", K), ("other/2.0", K)], "the kernel headers changed");
    let names = root.names(format!("/lib/modules/{K}/updates/dkms"));
    assert_eq!(names, ["hello.ko.zst", "other.ko.zst"], "the uncompressed file of before is gone");
}

#[test]
fn installed_files_that_somebody_changed_are_put_back_without_a_build() {
    let root = installed();
    let file = root.path(format!("/lib/modules/{K}/updates/dkms/hello.ko"));
    let good = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(
        dry.contains("would install hello/1.0 for 6.12.1-toy: installed files are missing or changed"),
        "{dry}"
    );
    root.hook(&[]).expect(0);
    assert_eq!(fs::read(&file).unwrap(), good);
    fs::write(&file, "half a module").unwrap();
    root.hook(&[]).expect(0);
    assert_eq!(fs::read(&file).unwrap(), good);
    assert!(root.take_make_calls().is_empty());
    root.take_calls();
    in_line(&root);
}

#[test]
fn one_kernel_by_name_leaves_the_others_alone() {
    let root = installed();
    root.write("/usr/src/hello-1.0/notes.txt", "new");
    let other = root.snapshot_of(format!("/usr/lib/modules/{K}"));
    root.hook(&["--kernel", K2]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(root.take_depmods(), [K2]);
    assert!(other == root.snapshot_of(format!("/usr/lib/modules/{K}")));
    rebuilds(&root, &[("hello/1.0", K)], "its source changed");
}
