//! What is there from others: builds made by DKMS, and modules of the kernel that ours replace.

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// What DKMS leaves behind after installing `hello/1.0`: made by us, then without our own files.
fn made_by_dkms(root: &FakeRoot) {
    ToyModule::new("hello", "1.0").register(root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    fs::remove_file(root.path(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/.dkms-hook.json"))).unwrap();
    fs::remove_dir_all(root.path("/var/lib/dkms/.dkms-hook")).unwrap();
    root.take_make_calls();
    root.take_calls();
}

/// Where the builds came from, as programs read it.
fn provenance(root: &FakeRoot) -> Vec<String> {
    let status: serde_json::Value = serde_json::from_str(&root.hook(&["status", "--json"]).out).unwrap();
    let builds = status["modules"].as_array().unwrap();
    builds.iter().map(|build| build["provenance"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_tree_made_by_dkms_is_taken_over_without_a_build() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    made_by_dkms(&root);
    let before = root.snapshot();
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert_eq!(
        dry,
        format!(
            "would take over hello/1.0 for {K}: built by DKMS and still valid (checked: vermagic, source age; the \
             kernel has no symbol versions to compare)\n"
        )
    );
    root.assert_untouched(&before);
    let modules = root.snapshot_of("/usr/lib/modules");
    assert_eq!(provenance(&root), ["dkms"]);
    root.hook(&[]).expect(0);
    assert_eq!(provenance(&root), ["dkms"], "the record says so, too");
    root.hook(&["why", "hello"]).expect(0).says("it was built by DKMS");
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
    assert!(modules == root.snapshot_of("/usr/lib/modules"));
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));

    // From now on it is one of ours: changed source is noticed, and all of it can be removed.
    root.write("/usr/src/hello-1.0/notes", "new");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(provenance(&root), ["built-here"]);
    root.hook(&["why", "hello"]).expect(0).does_not_say("by DKMS");
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
}

#[test]
fn what_dkms_built_again_and_did_not_install_is_installed_when_it_is_taken_over() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    made_by_dkms(&root);
    let installed = root.path(format!("/lib/modules/{K}/updates/dkms/hello.ko"));
    let built = root.path(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/module/hello.ko"));
    let old = fs::read(&installed).unwrap();
    // Of the same size, so that only the content tells them apart.
    let mut new = old.clone();
    let at = new.windows(4).position(|w| w == b"GPL\0").expect("its licence");
    new[at..at + 3].copy_from_slice(b"MIT");
    fs::write(&built, &new).unwrap();

    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(dry.contains("would take over") && dry.contains("would install"), "{dry}");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls(), [""; 0]);
    assert!(fs::read(&installed).unwrap() == new, "the old module is still there");
    assert_eq!(root.take_depmods(), [K]);
    root.hook(&[]).expect(0).says("nothing to do");

    // So is one whose files somebody took away.
    fs::remove_file(root.path(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/.dkms-hook.json"))).unwrap();
    fs::remove_file(&installed).unwrap();
    root.hook(&[]).expect(0);
    assert!(fs::read(&installed).unwrap() == new);
    root.hook(&[]).expect(0).says("nothing to do");
}

#[test]
fn a_tree_made_by_dkms_for_another_kernel_is_built_again() {
    let root = FakeRoot::new();
    ToyKernel::new(K).wrong_vermagic(K2).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    // As it is with the ABI name of a kernel that was reused: our own builds refuse this, so it is
    // laid out by hand.
    let work = FakeRoot::new();
    ToyKernel::new(K2).install(&work);
    ToyModule::new("hello", "1.0").register(&work);
    work.dkms(&["install", "hello/1.0", "-k", K2]).expect(0);
    let ko = fs::read(work.path(format!("/lib/modules/{K2}/updates/dkms/hello.ko"))).unwrap();
    root.write(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/module/hello.ko"), &ko);
    root.write(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/log/make.log"), "");
    root.write(format!("/lib/modules/{K}/updates/dkms/hello.ko"), &ko);
    let link = root.path(format!("/var/lib/dkms/hello/kernel-{K}-x86_64"));
    std::os::unix::fs::symlink(format!("1.0/{K}/x86_64"), link).unwrap();
    ToyKernel::new(K).install_headers(&root);

    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(
        dry.contains(&format!("would build hello/1.0 for {K}: the existing build is for another kernel")),
        "{dry}"
    );
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_ne!(fs::read(root.path(format!("/lib/modules/{K}/updates/dkms/hello.ko"))).unwrap(), ko);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

#[test]
fn a_build_of_dkms_can_be_removed_without_being_taken_over_first() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    made_by_dkms(&root);
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/updates")), "{:?}", root.snapshot().names());
    assert!(!root.exists("/var/lib/dkms/hello"));

    made_by_dkms(&root);
    let kernel = ToyKernel::new(K);
    kernel.remove_image(&root);
    kernel.remove_headers(&root);
    root.hook(&["--purge-missing"]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}")));
}

#[test]
fn a_module_of_the_kernel_stays_where_its_package_put_it() {
    let root = FakeRoot::new();
    ToyKernel::new(K).in_tree("drivers/net/hello.ko").install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    let original = root.snapshot_of(format!("/usr/lib/modules/{K}/kernel"));
    let untouched = || {
        let now = root.snapshot_of(format!("/usr/lib/modules/{K}/kernel"));
        assert_eq!(original.changes(&now), [""; 0], "dpkg -V, rpm -V and pacman -Qkk would tell");
        assert!(!root.exists("/var/lib/dkms/hello/original_module"));
    };
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).does_not_say("aside");
    untouched();
    assert!(root.read(format!("/lib/modules/{K}/modules.dep")).contains("updates/dkms/hello.ko"));
    // The words are DKMS's, which scripts look for.
    let status = format!("hello/1.0, {K}, x86_64: installed (Original modules exist)\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, status);
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    root.hook(&[]).expect(0).says("nothing to do");
    untouched();
    // Of another version, too.
    ToyModule::new("hello", "0.9").register(&root);
    root.dkms(&["build", "hello/0.9", "-k", K]).expect(0);
    let other = format!("hello/0.9, {K}, x86_64: built (Original modules exist)\n");
    root.dkms(&["status"]).expect(0).says(&other);
    root.dkms(&["remove", "hello/0.9", "--all"]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, status);
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    untouched();
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: built\n"));
}

/// depmod takes the kernel's own modules before those in `updates`.
fn kernels_own_first(root: &FakeRoot) {
    root.write("/etc/depmod.d/first.conf", "search built-in updates\n");
}

#[test]
fn a_module_in_the_very_place_of_ours_is_kept_before_ours_takes_it() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    let place = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    let kept = format!("/var/lib/dkms/hello/original_module/{K}/x86_64");
    root.write(&place, "of somebody else");
    let said =
        format!("Setting aside {place} until hello/1.0 is uninstalled: it is in the place of this one");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says(&said);
    assert_eq!(root.read(format!("{kept}/hello.ko")), "of somebody else");
    assert_eq!(root.names(&kept), ["hello.ko", "hello.ko.origin"]);
    assert_ne!(fs::read(root.path(&place)).unwrap(), b"of somebody else");
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.read(&place), "of somebody else");
    // The same when the run that kept it was ended before it had put its own there.
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    let record = format!("/var/lib/dkms/hello/1.0/{K}/x86_64/.dkms-hook.json");
    let mut text: serde_json::Value = serde_json::from_str(&root.read(&record)).unwrap();
    let file = text["installed"][0].as_object_mut().unwrap();
    for (name, value) in [("size", 0), ("mtime", 0), ("built-mtime", 0)] {
        file.insert(name.to_owned(), value.into());
    }
    file.remove("original");
    root.write(&record, text.to_string());
    fs::remove_file(root.path(format!("/var/lib/dkms/hello/kernel-{K}-x86_64"))).unwrap();
    fs::remove_file(root.path(&place)).unwrap();
    fs::hard_link(root.path(format!("{kept}/hello.ko")), root.path(&place)).unwrap();
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.names(&kept), ["hello.ko", "hello.ko.origin"]);
    let text: serde_json::Value = serde_json::from_str(&root.read(&record)).unwrap();
    assert_eq!(text["installed"][0]["original"], place.as_str());
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.read(&place), "of somebody else");
}

#[test]
fn a_module_of_the_kernel_is_set_aside_where_depmod_takes_it_and_comes_back() {
    let root = FakeRoot::new();
    ToyKernel::new(K).in_tree("drivers/net/hello.ko").install(&root);
    kernels_own_first(&root);
    ToyModule::new("hello", "1.0").register(&root);
    let original = root.snapshot_of(format!("/usr/lib/modules/{K}/kernel"));
    root.hook(&[]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/kernel/drivers/net/hello.ko")));
    let kept = format!("/var/lib/dkms/hello/original_module/{K}/x86_64");
    assert_eq!(root.names(&kept), ["hello.ko", "hello.ko.origin"]);
    assert_eq!(
        root.dkms(&["status"]).expect(0).out,
        format!("hello/1.0, {K}, x86_64: installed (Original modules exist)\n")
    );
    // Building again must not take our own module for an original.
    root.write("/usr/src/hello-1.0/notes", "new");
    root.hook(&[]).expect(0);
    assert_eq!(root.read(format!("{kept}/hello.ko")), "drivers/net/hello.ko");
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert_eq!(root.read(format!("{kept}/hello.ko")), "drivers/net/hello.ko");

    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    let back = root.snapshot_of(format!("/usr/lib/modules/{K}/kernel"));
    assert_eq!(original.changes(&back), [""; 0]);
    assert!(!root.exists("/var/lib/dkms/hello/original_module"));
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
}

#[test]
fn originals_of_a_kernel_that_is_gone_are_deleted_with_it() {
    let root = FakeRoot::new();
    let kernel = ToyKernel::new(K).in_tree("drivers/net/hello.ko");
    kernel.install(&root);
    kernels_own_first(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.hook(&[]).expect(0);
    kernel.remove_image(&root);
    kernel.remove_headers(&root);
    root.hook(&["--purge-missing"]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}")));
    assert_eq!(root.names("/var/lib/dkms/hello"), ["1.0"]);
}

#[test]
fn a_newer_module_of_the_kernel_is_kept() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let other = FakeRoot::new();
    ToyKernel::new(K).install(&other);
    ToyModule::new("hello", "3.0").register(&other);
    other.dkms(&["install", "hello/3.0", "-k", K]).expect(0);
    let newer = fs::read(other.path(format!("/lib/modules/{K}/updates/dkms/hello.ko"))).unwrap();
    root.write(format!("/lib/modules/{K}/kernel/hello.ko"), &newer);
    ToyModule::new("hello", "1.0").register(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(6).says("3.0");
    assert_eq!(fs::read(root.path(format!("/lib/modules/{K}/kernel/hello.ko"))).unwrap(), newer);
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/hello.ko")));
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(fs::read(root.path(format!("/lib/modules/{K}/kernel/hello.ko"))).unwrap(), newer);
}
