//! What happens to sources between two runs: upgraded in place, joined by another version, gone.

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// A kernel, and `hello/1.0` and `other/1.0` installed for it.
fn installed() -> FakeRoot {
    let root = FakeRoot::new().without_cache();
    ToyKernel::new(K).install(&root);
    for name in ["hello", "other"] {
        ToyModule::new(name, "1.0").register(&root);
    }
    root.hook(&[]).expect(0);
    root.take_make_calls();
    root.take_calls();
    root
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    root.hook(&[]).expect(0);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty());
}

/// The same version with another function in it, as a new package revision brings it.
fn fixed() -> ToyModule {
    let text = "#include <linux/module.h>\n\nint hello_answer(void)\n{\n\treturn 43;\n}\n";
    ToyModule::new("hello", "1.0").file("hello.c", text)
}

#[test]
fn a_package_upgraded_in_place_with_the_same_version_is_built_and_nothing_else() {
    let root = installed();
    let file = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    let old = fs::read(root.path(&file)).unwrap();
    let other = root.snapshot_of("/var/lib/dkms/other");
    // dpkg replaces the files; its maintainer script may call us or not, the trigger is enough.
    fixed().write_source(&root);
    root.hook(&["--dry-run"])
        .expect(0)
        .says(&format!("would build hello/1.0 for {K}: its source changed (from "));
    root.deb("trigger", "", "triggered").expect(0);
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/hello/1.0/build"]);
    assert_ne!(fs::read(root.path(&file)).unwrap(), old);
    let changes = other.changes(&root.snapshot_of("/var/lib/dkms/other"));
    assert!(changes.iter().all(|name| name.ends_with(".dkms-hook.json")), "{changes:?}");
    in_line(&root);

    // The maintainer script of a package that was only unpacked again finds nothing to do.
    ToyModule::new("hello", "1.0").write_source(&root);
    root.hook(&["module-postinst", "hello", "1.0"]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(fs::read(root.path(&file)).unwrap(), old, "the first source gives the first module");
    ToyModule::new("hello", "1.0").write_source(&root);
    root.hook(&["module-postinst", "hello", "1.0"]).expect(0);
    assert!(root.take_make_calls().is_empty());
    in_line(&root);
}

#[test]
fn a_new_version_beside_the_old_one_takes_its_place_and_gives_it_back() {
    let root = installed();
    ToyModule::new("hello", "1.1").register(&root);
    root.hook(&["--dry-run"])
        .expect(0)
        .says(&format!("would build hello/1.1 for {K}: it replaces version 1.0\n"));
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/hello/1.1/build"]);
    root.hook(&["why", "hello/1.0"]).expect(0).says("version 1.1 is used for this kernel");
    in_line(&root);
    root.dkms(&["remove", "hello/1.1", "--all"]).expect(0);
    root.hook(&[]).expect(0);
    assert!(root.take_make_calls().is_empty(), "its build is still there and fits");
    assert_eq!(root.dkms(&["status", "hello"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
    in_line(&root);
}

#[test]
fn of_several_versions_the_newest_that_supports_the_kernel_is_used_and_why_says_so() {
    let root = installed();
    for version in ["2.0", "3.0"] {
        ToyModule::new("hello", version).line("BUILD_EXCLUSIVE_KERNEL_MIN=6.13").register(&root);
    }
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert_eq!(dry, "nothing to do\n");
    root.hook(&[]).expect(0);
    let text = root.hook(&["why", "hello/1.0"]).expect(0).out;
    for version in ["2.0", "3.0"] {
        assert!(text.contains(&format!("version {version} does not support this kernel: ")), "{text}");
    }
    in_line(&root);
    ToyKernel::new(K2).install(&root);
    root.hook(&[]).expect(0);
    let mut calls = root.take_make_calls();
    calls.sort();
    assert_eq!(calls, ["/var/lib/dkms/hello/3.0/build", "/var/lib/dkms/other/1.0/build"]);
    in_line(&root);
}

#[test]
fn a_source_that_vanished_takes_no_module_with_it() {
    let root = installed();
    let source = root.path("/usr/src/hello-1.0");
    let kept = source.with_file_name("elsewhere");
    fs::rename(&source, &kept).unwrap();
    let modules = root.snapshot_of("/usr/lib/modules");
    root.hook(&[]).expect(11).says("hello/1.0: its source /usr/src/hello-1.0 is missing");
    root.write(
        format!("/usr/src/linux-headers-{K}/Module.symvers"),
        "0x9\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
    );
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(dry.contains("would build other/1.0") && !dry.contains("build hello"), "{dry}");
    root.hook(&["why", "hello"]).expect(0).says("nothing can be built: its source is missing");
    root.hook(&[]).expect(11);
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/other/1.0/build"]);
    let file = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    assert!(root.exists(&file));

    // A new kernel has the other one, and this one as soon as the source is back.
    ToyKernel::new(K2).install(&root);
    root.hook(&[]).expect(11);
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/other/1.0/build"]);
    fs::rename(&kept, &source).unwrap();
    root.hook(&[]).expect(0);
    let calls = root.take_make_calls();
    assert_eq!(calls.len(), 2, "for the new kernel, and for the headers that changed meanwhile: {calls:?}");
    in_line(&root);
    assert!(modules != root.snapshot_of("/usr/lib/modules"));

    // To be taken out it has to be there, as with DKMS; the message says so.
    fs::rename(&source, &kept).unwrap();
    root.hook(&[]).expect(11).says("restore the source").says("`dkms remove hello/1.0 --all`");
    fs::rename(&kept, &source).unwrap();
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert!(!root.exists(&file) && !root.exists("/var/lib/dkms/hello"));
    in_line(&root);
}
