//! The index of a kernel's modules: when it is made, from what, and what happens when it cannot be.

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root
}

/// The calls of depmod since the last call of this function, in full.
fn calls(root: &FakeRoot) -> Vec<String> {
    root.take_calls().into_iter().filter(|call| call.starts_with("depmod ")).collect()
}

#[test]
fn it_is_given_the_root_and_the_map_of_symbols() {
    let root = root();
    let dir = root.layout.root.dir().display().to_string();
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(calls(&root), [format!("depmod -a -b {dir} {K}")]);
    let map = root.write(format!("/boot/System.map-{K}"), "");
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(calls(&root), [format!("depmod -a -b {dir} -F {} {K}", map.display())]);
}

#[test]
fn without_it_the_next_run_makes_up_for_it() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K, "--no-depmod"]).expect(0);
    assert_eq!(calls(&root).len(), 0);
    root.hook(&[]).expect(0);
    assert_eq!(calls(&root).len(), 1);
}

#[test]
fn when_it_fails_the_module_stays_and_the_next_run_tries_again() {
    let root = root();
    root.dkms(&["status"]).expect(0);
    let works = root.read("/var/log/stand-ins/depmod");
    root.write_script("/var/log/stand-ins/depmod", "#!/bin/sh\nexit 3\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(6).says("depmod for 6.12.1-toy ended with status 3");
    let status = format!("hello/1.0, {K}, x86_64: installed (Module index is out of date)\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, status);
    root.dkms(&["autoinstall", "-k", K]).expect(11);
    root.deb("kernel-postinst", K, "configure").expect(0).says("depmod");
    root.write_script("/var/log/stand-ins/depmod", &works);
    root.hook(&[]).expect(0);
    assert!(root.read(format!("/lib/modules/{K}/modules.dep")).contains("hello.ko"));
    root.hook(&[]).expect(0).says("nothing to do");
}

#[test]
fn another_tree_to_install_to_is_the_one_that_is_indexed() {
    let root = root();
    let dir = root.layout.root.dir().display().to_string();
    let before = root.snapshot_of("/usr/lib/modules");
    for tree in ["/srv/image/lib/modules", "/srv/odd"] {
        fs::create_dir_all(root.path(format!("{tree}/{K}/kernel"))).unwrap();
        let headers = format!("/usr/src/linux-headers-{K}");
        std::os::unix::fs::symlink(headers, root.path(format!("{tree}/{K}/build"))).unwrap();
    }
    root.dkms(&["status"]).expect(0);
    let head =
        format!("#!/bin/sh\necho \"${{0##*/}} $*\" >> {}\n", root.path("/var/log/toy-calls").display());
    root.write_script("/var/log/stand-ins/depmod", &head);
    root.dkms(&["install", "hello/1.0", "-k", K, "--installtree", "/srv/image/lib/modules"]).expect(0);
    assert_eq!(root.names(format!("/srv/image/lib/modules/{K}/updates/dkms")), ["hello.ko"]);
    assert_eq!(calls(&root), [format!("depmod -a -b {dir}/srv/image/ {K}")]);
    root.dkms(&["uninstall", "hello/1.0", "-k", K, "--installtree", "/srv/image/lib/modules"]).expect(0);
    assert!(!root.exists(format!("/srv/image/lib/modules/{K}/updates")));
    calls(&root);
    root.dkms(&["install", "hello/1.0", "-k", K, "--installtree=/srv/odd"]).expect(0).says("no depmod");
    assert_eq!(calls(&root).len(), 0);
    root.write("/etc/dkms/framework.conf", "install_tree=/srv/odd\n");
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert!(!root.exists(format!("/srv/odd/{K}/updates")));
    assert_eq!(before.changes(&root.snapshot_of("/usr/lib/modules")), [""; 0], "the usual tree was touched");
}

#[test]
fn a_kernel_without_modules_of_its_own_is_indexed_while_it_has_some_of_ours() {
    let root = root();
    let dir = format!("/usr/lib/modules/{K}");
    fs::remove_dir_all(root.path(format!("{dir}/kernel"))).unwrap();
    root.write(format!("{dir}/modules.dep"), "");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.read(format!("{dir}/modules.dep")), "updates/dkms/hello.ko:\n");
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert!(!root.exists(format!("{dir}/modules.dep")), "an index of nothing");
    assert!(root.exists(format!("{dir}/build")), "what is not ours");
}
