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
    assert_eq!(calls(&root), [format!("depmod -a -C {dir}/etc/depmod.d -b {dir} {K}")]);
    let map = root.write(format!("/boot/System.map-{K}"), "");
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(calls(&root), [format!("depmod -a -C {dir}/etc/depmod.d -b {dir} -F {} {K}", map.display())]);
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
    let head = format!(
        "#!/bin/sh\ntest \"$1\" != --version || exit 0\necho \"${{0##*/}} $*\" >> {}\n",
        root.path("/var/log/toy-calls").display()
    );
    root.write_script("/var/log/stand-ins/depmod", &head);
    root.dkms(&["install", "hello/1.0", "-k", K, "--installtree", "/srv/image/lib/modules"]).expect(0);
    assert_eq!(root.names(format!("/srv/image/lib/modules/{K}/updates/dkms")), ["hello.ko"]);
    assert_eq!(calls(&root), [format!("depmod -a -C {dir}/srv/image/etc/depmod.d -b {dir}/srv/image/ {K}")]);
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

#[test]
fn a_cycle_is_shown_with_the_packages_of_its_modules_and_the_old_index_stays() {
    let root = root();
    ToyModule::new("p", "1").register(&root);
    root.dkms(&["install", "p/1", "-k", K]).expect(0);
    let index = format!("/lib/modules/{K}/modules.dep");
    let (works, old) = (root.read("/var/log/stand-ins/depmod"), root.read(&index));
    root.write(format!("/lib/modules/{K}/extra/q.ko"), "");
    // As kmod 30 and 34 do: two modules that import each other, and no file is written.
    let text = "#!/bin/sh\necho 'depmod: ERROR: Cycle detected: p -> q -> p' >&2\n\
                echo 'depmod: ERROR: Found 2 modules in dependency cycles!' >&2\nexit 1\n";
    root.write_script("/var/log/stand-ins/depmod", text);
    for _ in 0..2 {
        root.dkms(&["install", "hello/1.0", "-k", K, "--force"])
            .expect(6)
            .says("Cycle detected: p -> q -> p")
            .says("p is a module of p/1")
            .says(&format!("q is /lib/modules/{K}/extra/q.ko, of no package here"))
            .says("the old modules.dep stays in place");
    }
    assert_eq!(root.read(&index), old);
    root.dkms(&["status", "hello"]).expect(0).says("installed (Module index is out of date)");
    root.deb("kernel-postinst", K, "configure").expect(0).says("p is a module of p/1");
    root.write_script("/var/log/stand-ins/depmod", &works);
    fs::remove_file(root.path(format!("/lib/modules/{K}/extra/q.ko"))).unwrap();
    root.hook(&[]).expect(0);
    root.dkms(&["status", "hello"]).expect(0).says("x86_64: installed\n");
}

#[test]
fn a_damaged_module_is_shown_though_depmod_ends_well() {
    let root = root();
    root.dkms(&["status"]).expect(0);
    let works = root.read("/var/log/stand-ins/depmod");
    let text = works.replacen(
        "#!/bin/sh\n",
        "#!/bin/sh\necho 'depmod: ERROR: failed to load symbols from /x/updates/dkms/hello.ko: Invalid argument' >&2\n\
         echo 'depmod: WARNING: could not open modules.builtin.modinfo' >&2\n",
        1,
    );
    root.write_script("/var/log/stand-ins/depmod", &text);
    root.dkms(&["install", "hello/1.0", "-k", K])
        .expect(0)
        .says("failed to load symbols from /x/updates/dkms/hello.ko")
        .says("hello is a module of hello/1.0")
        .does_not_say("modules.builtin.modinfo");
}

#[test]
fn the_real_one_takes_the_configuration_of_the_root() {
    // depmod(8), -C: the directories that are given take the place of the machine's.
    let root = root();
    root.dkms(&["status"]).expect(0);
    let Some(real) = ["/usr/sbin/depmod", "/sbin/depmod"].into_iter().find(|path| fs::exists(path).unwrap())
    else {
        eprintln!("skipped: depmod is not installed");
        return;
    };
    root.write_script("/var/log/stand-ins/depmod", &format!("#!/bin/sh\nexec {real} \"$@\"\n"));
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    let module = fs::read(root.path(format!("/lib/modules/{K}/updates/dkms/hello.ko"))).unwrap();
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    // Against its own rule, that `updates` comes first.
    root.write(format!("/lib/modules/{K}/kernel/hello.ko"), &module);
    root.write("/run/depmod.d/a.conf", "override hello * kernel\n");
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0).says("Setting aside");
    root.write(format!("/lib/modules/{K}/kernel/hello.ko"), "the next revision");
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert!(root.read(format!("/lib/modules/{K}/modules.dep")).starts_with("kernel/hello.ko:"));
    root.hook(&[]).expect(0).says("Setting aside");
    assert!(root.read(format!("/lib/modules/{K}/modules.dep")).contains("updates/dkms/hello.ko:"));
}
