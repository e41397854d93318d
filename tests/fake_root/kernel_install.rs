//! kernel-install's calls, one history after the other: how often make and depmod run, what is there
//! afterwards. Every call ends with status 0: another would leave a kernel without initramfs.

use std::process::Command;

use crate::support::program::{Answer, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-200.toy.x86_64";
const NEXT: &str = "6.12.2-200.toy.x86_64";

fn root() -> FakeRoot {
    let root = FakeRoot::new().without_cache();
    root.write("/etc/os-release", "ID=fedora\n");
    ToyModule::new("hello", "1.0").register(&root);
    root
}

fn add(root: &FakeRoot) -> Answer {
    root.kernel_install("add", K, &[]).expect(0)
}

fn remove(root: &FakeRoot) -> Answer {
    root.kernel_install("remove", K, &[]).expect(0)
}

fn installed() -> FakeRoot {
    let root = root();
    ToyKernel::new(K).install(&root);
    add(&root);
    assert_eq!(root.take_make_calls().len(), 1);
    root.take_calls();
    root
}

fn status(root: &FakeRoot) -> String {
    root.dkms(&["status"]).expect(0).out
}

fn is_installed(root: &FakeRoot) -> bool {
    status(root) == format!("hello/1.0, {K}, x86_64: installed\n")
}

/// The plugin that makes the index, which a test runs by itself where kernel-install would.
fn with_depmod_plugin(root: &FakeRoot) {
    root.write_script("/usr/lib/kernel/install.d/50-depmod.install", "#!/bin/sh\n");
    // Without one that makes an initramfs we make that, and an index before it.
    root.write_script("/usr/lib/kernel/install.d/50-dracut.install", "#!/bin/sh\n");
}

fn run_depmod(root: &FakeRoot) {
    // Times of files are as coarse as the clock's ticks.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let mut depmod = Command::new("depmod");
    depmod.env("PATH", root.search_path()).args(["-a", K]);
    finish(&mut depmod).expect(0);
    assert_eq!(root.take_depmods(), [K]);
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert!(root.hook(&["--dry-run"]).expect(0).out.ends_with("nothing to do\n"));
    add(root);
    root.event("rpm in", &[format!("/lib/modules/{K}/vmlinuz")]).expect(0);
    root.event("rpm out", &[]).expect(0);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
}

#[test]
fn added_once_twice_and_by_the_trigger_is_built_once() {
    let root = installed();
    assert!(is_installed(&root));
    in_line(&root);
}

#[test]
fn the_index_is_left_to_kernel_installs_own_plugin() {
    let root = root();
    with_depmod_plugin(&root);
    ToyKernel::new(K).install(&root);
    add(&root);
    assert_eq!(root.take_make_calls().len(), 1);
    assert!(root.take_depmods().is_empty());
    assert!(!root.exists(format!("/lib/modules/{K}/modules.dep")));
    run_depmod(&root);
    root.event("rpm in", &[]).expect(0);
    assert!(root.take_depmods().is_empty(), "it was made since");
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook/kernels"), [""; 0]);
    // That the index names the module is written down once.
    root.hook(&[]).expect(0).says("nothing to do");
    in_line(&root);
}

#[test]
fn an_index_that_was_left_to_a_plugin_and_never_made_is_made_by_the_trigger() {
    let root = root();
    with_depmod_plugin(&root);
    ToyKernel::new(K).install(&root);
    add(&root);
    // A plugin between failed, and kernel-install stopped.
    root.event("rpm in", &[]).expect(0);
    assert_eq!(root.take_depmods(), [K]);
    root.take_make_calls();
    in_line(&root);
}

#[test]
fn a_plugin_that_is_masked_or_replaced_makes_no_index() {
    let null = |root: &FakeRoot| {
        std::fs::create_dir_all(root.path("/etc/kernel/install.d")).unwrap();
        let masked = root.path("/etc/kernel/install.d/50-depmod.install");
        std::os::unix::fs::symlink("/dev/null", masked).unwrap();
    };
    let without = |_: &FakeRoot| {};
    let list = [("KERNEL_INSTALL_PLUGINS", "/usr/lib/kernel/install.d/40-dkms.install")];
    for (mask, variables) in [(&null as &dyn Fn(&FakeRoot), &[][..]), (&without, &list[..])] {
        let root = root();
        with_depmod_plugin(&root);
        mask(&root);
        ToyKernel::new(K).install(&root);
        root.kernel_install("add", K, variables).expect(0);
        assert_eq!(root.take_depmods(), [K]);
    }
}

#[test]
fn reinstalled_the_kernel_is_removed_and_added_and_nothing_is_built() {
    let root = installed();
    // The new package's files are in place when the old one's script removes.
    ToyKernel::new(K).install_image(&root);
    remove(&root);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\n"));
    add(&root);
    root.event("rpm in", &[format!("/lib/modules/{K}/vmlinuz")]).expect(0);
    assert!(is_installed(&root));
    assert!(root.take_make_calls().is_empty());
    root.take_calls();
    in_line(&root);
}

#[test]
fn reinstalled_while_kernel_install_is_bypassed_for_adding() {
    let root = installed();
    remove(&root);
    root.event("rpm in", &[format!("/lib/modules/{NEXT}/vmlinuz")]).expect(0);
    assert!(!is_installed(&root), "another kernel came");
    root.event("rpm in", &[format!("/lib/modules/{K}/vmlinuz")]).expect(0);
    assert!(is_installed(&root), "its image was installed");
    assert!(root.take_make_calls().is_empty());
}

#[test]
fn removed_for_good_with_and_without_the_trigger() {
    for plugin in [false, true] {
        let root = installed();
        if plugin {
            with_depmod_plugin(&root);
        }
        remove(&root);
        assert!(!root.exists(format!("/lib/modules/{K}/updates")) && root.take_make_calls().is_empty());
        for file in ["modules.dep", "modules.alias"] {
            let _ = std::fs::remove_file(root.path(format!("/lib/modules/{K}/{file}")));
        }
        ToyKernel::new(K).remove_image(&root);
        ToyKernel::new(K).remove_headers(&root);
        if plugin {
            root.event("rpm out", &[]).expect(0)
        } else {
            root.hook(&[]).expect(0)
        };
        assert_eq!(status(&root), "hello/1.0: added\n");
        assert!(!root.exists(format!("/lib/modules/{K}")));
        assert_eq!(root.names("/var/lib/dkms/.dkms-hook"), ["depmod.json", "install-tree.json", "lock"]);
        let before = root.snapshot();
        remove(&root);
        root.event("rpm out", &[]).expect(0);
        root.assert_untouched(&before);
    }
}

#[test]
fn removed_after_its_files_everything_of_it_goes_at_once() {
    let root = installed();
    ToyKernel::new(K).remove_image(&root);
    remove(&root);
    assert_eq!(status(&root), "hello/1.0: added\n");
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
}

#[test]
fn a_boot_entry_that_a_person_removes() {
    let root = installed();
    remove(&root);
    let says = root.hook(&[]).expect(0).says("its boot entry was removed");
    says.says(&format!("kernel-install add {K} /lib/modules/{K}/vmlinuz"));
    root.hook(&["status"]).expect(0).says("its boot entry was removed");
    ToyModule::new("other", "1.0").register(&root);
    root.hook(&["module-postinst", "other", "1.0"])
        .expect(0)
        .says("To use it again: `kernel-install add ")
        .does_not_say("linux-headers-");
    root.dkms(&["remove", "other/1.0"]).expect(0);
    // Neither another kernel nor other headers bring its modules back.
    ToyKernel::new(K).config("CONFIG_OTHER=y").install_headers(&root);
    root.event("rpm in", &[format!("/usr/src/kernels/{K}/Makefile")]).expect(0);
    assert!(root.take_make_calls().is_empty() && !is_installed(&root));
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert!(is_installed(&root), "who asks for it gets it");
    assert_eq!(root.take_make_calls().len(), 1);
    root.take_calls();
    in_line(&root);
}

#[test]
fn one_of_two_kinds_of_entry_is_no_kernel() {
    let root = installed();
    let before = root.snapshot();
    root.kernel_install("remove", K, &[("KERNEL_INSTALL_BOOT_ENTRY_TYPE", "type2")]).expect(0);
    root.assert_untouched(&before);
    let unified = root.write(format!("/efi/EFI/Linux/fedora-{K}.efi"), "");
    let before = root.snapshot();
    root.kernel_install("remove", K, &[("KERNEL_INSTALL_BOOT_ENTRY_TYPE", "type1")]).expect(0);
    root.assert_untouched(&before);
    std::fs::remove_file(unified).unwrap();
    root.kernel_install("remove", K, &[("KERNEL_INSTALL_BOOT_ENTRY_TYPE", "type1")]).expect(0);
    assert!(!is_installed(&root));
    root.kernel_install("add", K, &[("KERNEL_INSTALL_BOOT_ENTRY_TYPE", "type2")]).expect(0);
    assert!(is_installed(&root));
}

#[test]
fn every_layout_is_the_same_to_us() {
    for layout in ["bls", "uki", "other", "auto"] {
        let root = root();
        ToyKernel::new(K).install(&root);
        root.kernel_install("add", K, &[("KERNEL_INSTALL_LAYOUT", layout)]).expect(0);
        assert!(is_installed(&root), "{layout}");
    }
}

#[test]
fn calls_from_dpkg_and_from_our_own_runs_do_nothing_at_once() {
    let root = root();
    ToyKernel::new(K).install(&root);
    root.write("/var/lib/dkms/.dkms-hook/lock", "");
    let lock = std::fs::File::open(root.path("/var/lib/dkms/.dkms-hook/lock")).unwrap();
    lock.lock().unwrap();
    let before = root.snapshot();
    let own = std::process::id().to_string();
    for variable in [("DPKG_MAINTSCRIPT_NAME", "postinst"), ("DKMS_HOOK_PARENT", own.as_str())] {
        for verb in ["add", "remove"] {
            let answer = root.kernel_install(verb, K, &[variable]).expect(0);
            assert_eq!((answer.out.as_str(), answer.err.as_str()), ("", ""), "{variable:?}");
        }
    }
    root.assert_untouched(&before);
}

#[test]
fn a_module_that_does_not_build_stops_nobody_and_is_not_tried_twice() {
    let root = FakeRoot::new();
    let tries = root.path("/tries");
    let attempt = format!("echo >> {}\necho 'hello.c:1: error: no' >&2\nexit 2\n", tries.display());
    ToyModule::new("broken", "1.0").file("attempt", &attempt).make("sh ./attempt").register(&root);
    ToyKernel::new(K).install(&root);
    add(&root).says("broken/1.0").says("could not be built");
    let again = add(&root).says("not retried");
    assert!(!again.err.contains("could not be built"), "{}", again.err);
    root.event("rpm in", &[format!("/lib/modules/{K}/vmlinuz")]).expect(0);
    remove(&root);
    add(&root);
    assert_eq!(root.read("/tries"), "\n");
}

#[test]
fn headers_that_are_missing_are_named_as_fedora_calls_them() {
    let root = root();
    let kernel = ToyKernel::new(K);
    kernel.install_image(&root);
    add(&root).says(&format!("kernel-devel-{K}"));
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
    kernel.install_headers(&root);
    root.event("rpm in", &[format!("/usr/src/kernels/{K}")]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert!(is_installed(&root));
    root.take_calls();
    in_line(&root);
}

#[test]
fn a_run_that_is_killed_is_finished_by_the_next_call() {
    let root = FakeRoot::new();
    let once = root.path("/killed-once");
    let kill = format!(
        "test -e {0} || {{ : > {0}; kill -9 $DKMS_HOOK_PARENT; sleep 1; }}\nexec make -C \"$1\" M=$PWD\n",
        once.display()
    );
    let module = ToyModule::new("hello", "1.0").file("kill", &kill).make("sh ./kill $kernel_source_dir");
    module.register(&root);
    ToyKernel::new(K).install(&root);
    root.kernel_install("add", K, &[]).expect(128 + 9);
    assert!(!is_installed(&root));
    add(&root);
    assert!(is_installed(&root));
    root.take_make_calls();
    root.take_calls();
    in_line(&root);
}

#[test]
fn calls_that_make_no_sense_end_well_all_the_same() {
    let root = installed();
    let before = root.snapshot();
    for words in [
        &["kernel-install"][..],
        &["kernel-install", "add"],
        &["kernel-install", "add", "../../etc", "/boot/x"],
        &["kernel-install", "add", "6.99-never-was", "/boot/x", "/vmlinuz", "/initrd", "--odd"],
        &["kernel-install", "remove", "6.99-never-was", "/boot/x"],
        &["kernel-install", "frobnicate", K],
        &["rpm"],
        &["rpm", "sideways"],
        &["pacman", "--frobnicate"],
    ] {
        root.hook(words).expect(0);
    }
    root.assert_untouched(&before);
}

#[test]
fn whoever_gives_paths_to_a_hook_gets_rid_of_them() {
    // More than a pipe holds: a package manager that writes to nobody takes it for a failure.
    let root = installed();
    let before = root.snapshot();
    let paths: Vec<String> = (0..20_000).map(|n| format!("/usr/src/kernels/{K}/include/{n}.h")).collect();
    for words in ["rpm sideways", "rpm leaving", "pacman sideways", "pacman"] {
        root.event(words, &paths).expect(0);
    }
    root.assert_untouched(&before);
}

#[test]
fn the_plugin_ends_well_with_and_without_the_program() {
    let text = include_str!("../../kernel-install.d/40-dkms.install");
    let root = FakeRoot::new();
    let program = root.path("/dkms-hook");
    let plugin =
        root.write("/40-dkms.install", text.replace("/usr/sbin/dkms-hook", program.to_str().unwrap()));
    let call = || finish(Command::new("sh").arg(&plugin).args(["add", K, "/boot/x", "/vmlinuz"])).expect(0);
    assert_eq!(call().out, "", "the package is gone, its plugin is not");
    for status in [0, 1, 77, 139] {
        root.write_script("/dkms-hook", &format!("#!/bin/sh\necho \"$*\"\nexit {status}\n"));
        assert_eq!(call().out, format!("kernel-install add {K} /boot/x /vmlinuz\n"), "{status}");
    }
}
