//! Who makes the initramfs after modules changed, and that it is newer than they are and holds them. Each
//! scenario runs in a whole system, where the program asks the generators by name; they are stand-ins that
//! list the modules they find, as is kernel-install, which runs the plugins that are there, ours among
//! them.

use crate::support::fedora_system::{
    CALLS, K, KERNEL_INSTALL, LIST, counts, event, fedora, holds_the_module, install_image, posttrans,
    scriptlet,
};
use crate::support::program::{Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const NEXT: &str = "6.12.2-200.toy.x86_64";

pub const SCENARIOS: [(&str, fn()); 21] = [
    ("fedora_kernel_and_headers_in_one_transaction", fedora_kernel_and_headers_in_one_transaction),
    ("fedora_headers_a_day_later", fedora_headers_a_day_later),
    ("an_older_version_is_in_the_only_initramfs", an_older_version_is_in_the_only_initramfs),
    ("fedora_reinstalled_and_removed", fedora_reinstalled_and_removed),
    ("a_unified_image_with_tries_is_made_again", a_unified_image_with_tries_is_made_again),
    ("kernel_install_that_keeps_no_initramfs", kernel_install_that_keeps_no_initramfs),
    ("kernel_install_is_bypassed", kernel_install_is_bypassed),
    ("a_generator_that_fails_is_asked_again", a_generator_that_fails_is_asked_again),
    ("half_an_initramfs_is_no_new_one", half_an_initramfs_is_no_new_one),
    ("nobody_can_make_it", nobody_can_make_it),
    ("a_generator_that_makes_nothing_is_asked_again", a_generator_that_makes_nothing_is_asked_again),
    ("a_generator_that_does_not_end_is_ended", a_generator_that_does_not_end_is_ended),
    ("a_module_that_no_initramfs_holds", a_module_that_no_initramfs_holds),
    ("arch_headers_without_their_kernel", arch_headers_without_their_kernel),
    ("arch_modules_kept_of_the_kernel_before", arch_modules_kept_of_the_kernel_before),
    ("arch_with_booster", arch_with_booster),
    ("plugins_with_numbers_of_a_distributions_own", plugins_with_numbers_of_a_distributions_own),
    ("debian_calls_kernel_install_itself", debian_calls_kernel_install_itself),
    ("booster_makes_its_own_file", booster_makes_its_own_file),
    ("mkinitfs_makes_the_file_of_the_flavour", mkinitfs_makes_the_file_of_the_flavour),
    ("sdbootutil_makes_a_new_file_beside_the_old_one", sdbootutil_makes_a_new_file_beside_the_old_one),
];

fn fedora_kernel_and_headers_in_one_transaction() {
    let root = fedora("bls");
    install_image(&root);
    ToyKernel::new(K).install_headers(&root);
    posttrans(&root).says("Building hello/1.0");
    assert_eq!(counts(&root, ["depmod", "50-dracut.install"]), [1, 1]);
    event(&root, "rpm in", &[&format!("/lib/modules/{K}/vmlinuz")], &[]).does_not_say("hello");
    assert_eq!(counts(&root, ["depmod", "50-dracut.install", "kernel-install", "dracut"]), [0; 4]);
    assert_eq!(root.take_make_calls().len(), 1);
    holds_the_module(&root, &format!("/boot/toy/{K}/initrd"));
}

fn fedora_headers_a_day_later() {
    let root = fedora("bls");
    install_image(&root);
    posttrans(&root).says(&format!("kernel-devel-{K}"));
    event(&root, "rpm in", &[&format!("/lib/modules/{K}/vmlinuz")], &[]);
    assert_eq!(counts(&root, ["kernel-install"]), [1]);
    ToyKernel::new(K).install_headers(&root);
    let answer = event(&root, "rpm in", &[&format!("/usr/src/kernels/{K}/Makefile")], &[]);
    answer.says("Rebuilding the initramfs").does_not_say("Waiting for another run");
    let programs = ["kernel-install", "50-dracut.install", "90-loaderentry.install", "dracut"];
    assert_eq!(counts(&root, programs), [1, 1, 1, 0], "boot entry and all");
    assert_eq!(root.take_make_calls().len(), 1);
    holds_the_module(&root, &format!("/boot/toy/{K}/initrd"));
    event(&root, "rpm in", &[], &[]);
    assert_eq!(counts(&root, programs), [0; 4]);
}

/// A run that goes on with an older version makes one initramfs, when all modules are there.
fn an_older_version_is_in_the_only_initramfs() {
    let root = fedora("bls");
    ToyModule::new("hello", "2.0").failing().register(&root);
    ToyModule::new("another", "1.0").register(&root);
    install_image(&root);
    posttrans(&root);
    event(&root, "rpm in", &[&format!("/lib/modules/{K}/vmlinuz")], &[]);
    ToyKernel::new(K).install_headers(&root);
    root.take_calls();
    event(&root, "rpm in", &[&format!("/usr/src/kernels/{K}/Makefile")], &[]).says("Building hello/1.0");
    assert_eq!(counts(&root, ["kernel-install", "50-dracut.install"]), [1, 1]);
    assert_eq!(root.take_make_calls().len(), 2, "another/1.0 and hello/1.0");
    holds_the_module(&root, &format!("/boot/toy/{K}/initrd"));
    event(&root, "rpm in", &[], &[]);
    assert_eq!(counts(&root, ["kernel-install", "50-dracut.install"]), [0, 0]);
}

fn fedora_reinstalled_and_removed() {
    let root = fedora("bls");
    install_image(&root);
    ToyKernel::new(K).install_headers(&root);
    posttrans(&root);
    root.take_calls();
    scriptlet(&root, &format!("kernel-install remove {K}"));
    posttrans(&root);
    event(&root, "rpm in", &[&format!("/lib/modules/{K}/vmlinuz")], &[]);
    assert_eq!(
        counts(&root, ["depmod", "kernel-install", "50-dracut.install"]),
        [1, 2, 2],
        "none of it ours"
    );
    assert_eq!(root.take_make_calls().len(), 1);
    holds_the_module(&root, &format!("/boot/toy/{K}/initrd"));

    scriptlet(&root, &format!("kernel-install remove {K}"));
    ToyKernel::new(K).remove_headers(&root);
    std::fs::remove_file(root.path(format!("/lib/modules/{K}/vmlinuz"))).unwrap();
    ToyKernel::new(K).remove_image(&root);
    event(&root, "rpm leaving", &[&format!("/lib/modules/{K}/vmlinuz")], &[]);
    event(&root, "rpm out", &[], &[]);
    assert_eq!(counts(&root, ["depmod", "kernel-install", "dracut"]), [0, 1, 0]);
    assert!(!root.exists(format!("/lib/modules/{K}")) && !root.exists(format!("/boot/toy/{K}")));
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook"), ["cache", "install-tree.json", "lock"]);
}

fn a_unified_image_with_tries_is_made_again() {
    let root = fedora("uki");
    install_image(&root);
    posttrans(&root);
    // Booted once: one of three tries is spent.
    let image = |tries: &str| root.path(format!("/efi/EFI/Linux/toy-{K}{tries}.efi"));
    std::fs::rename(image("+3"), image("+2-1")).unwrap();
    ToyKernel::new(K).install_headers(&root);
    root.take_calls();
    event(&root, "rpm in", &[], &[]);
    assert_eq!(counts(&root, ["kernel-install", "dracut"]), [1, 0]);
    holds_the_module(&root, &format!("/efi/EFI/Linux/toy-{K}+3.efi"));
}

fn kernel_install_that_keeps_no_initramfs() {
    // Layout `other`: the plugin's work is thrown away, and /boot has a file that something else made.
    let root = fedora("other");
    install_image(&root);
    root.write(format!("/boot/initramfs-{K}.img"), "");
    ToyKernel::new(K).install_headers(&root);
    event(&root, "rpm in", &[], &[]);
    assert_eq!(counts(&root, ["kernel-install", "dracut"]), [1, 1]);
    holds_the_module(&root, &format!("/boot/initramfs-{K}.img"));
    event(&root, "rpm in", &[], &[]);
    assert_eq!(counts(&root, ["kernel-install", "dracut"]), [0, 0]);
}

fn kernel_install_is_bypassed() {
    let root = fedora("bls");
    install_image(&root);
    ToyKernel::new(K).install_headers(&root);
    let bypass = [("KERNEL_INSTALL_BYPASS", "1")];
    event(&root, "rpm in", &[&format!("/lib/modules/{K}/vmlinuz")], &bypass);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(counts(&root, ["depmod", "kernel-install", "dracut"]), [1, 0, 0], "no initramfs is wanted");
    root.write(format!("/boot/initramfs-{K}.img"), "");
    ToyKernel::new(K).config("CONFIG_OTHER=y").install_headers(&root);
    event(&root, "rpm in", &[], &bypass);
    assert_eq!(counts(&root, ["kernel-install", "dracut"]), [0, 1], "the one that is there is mended");
    holds_the_module(&root, &format!("/boot/initramfs-{K}.img"));
    // What systemd does not take for yes is no.
    for value in ["n", "False"] {
        root.write(format!("/boot/toy/{K}/initrd"), "");
        ToyKernel::new(K).config(&format!("CONFIG_OTHER=\"{value}\"")).install_headers(&root);
        root.write_script(
            "/usr/sbin/kernel-install",
            &format!("#!/bin/sh\n{CALLS}unset KERNEL_INSTALL_BYPASS\n{KERNEL_INSTALL}"),
        );
        event(&root, "rpm in", &[], &[("KERNEL_INSTALL_BYPASS", value)]);
        assert_eq!(counts(&root, ["kernel-install"]), [1], "{value}");
    }
}

fn a_generator_that_fails_is_asked_again() {
    let root = fedora("bls");
    install_image(&root);
    posttrans(&root);
    ToyKernel::new(K).install_headers(&root);
    let plugin = "/usr/lib/kernel/install.d/50-dracut.install";
    let text = root.read(plugin);
    root.write_script(plugin, "#!/bin/sh\nexit 1\n");
    root.write_script("/usr/sbin/dracut", &format!("#!/bin/sh\n{CALLS}exit 1\n"));
    root.take_calls();
    event(&root, "rpm in", &[], &[]).says("the old one is unchanged");
    assert_eq!(counts(&root, ["kernel-install", "dracut"]), [1, 1]);
    root.write_script(plugin, &text);
    event(&root, "rpm in", &[], &[]);
    assert_eq!(root.take_make_calls().len(), 1, "the module was built at first");
    holds_the_module(&root, &format!("/boot/toy/{K}/initrd"));
}

fn half_an_initramfs_is_no_new_one() {
    // A file that is cut off, and one that is gone.
    for (harm, words) in [(":>", "may be incomplete: do not boot"), ("rm -f", "is gone: do not boot")] {
        let root = fedora("bls");
        install_image(&root);
        posttrans(&root);
        ToyKernel::new(K).install_headers(&root);
        let plugin = "/usr/lib/kernel/install.d/50-dracut.install";
        let good = root.read(plugin);
        let image = format!("/boot/toy/{K}/initrd");
        let bad = format!("#!/bin/sh\n{CALLS}{harm} {image}\nexit 1\n");
        for program in [plugin, "/usr/sbin/dracut"] {
            root.write_script(program, &bad);
        }
        event(&root, "rpm in", &[], &[]).says(&format!("{image} {words} {K}"));
        root.write_script(plugin, &good);
        event(&root, "rpm in", &[], &[]);
        holds_the_module(&root, &image);
        event(&root, "rpm in", &[], &[]).does_not_say("initramfs");
    }
}

fn nobody_can_make_it() {
    let root = fedora("bls");
    install_image(&root);
    posttrans(&root);
    ToyKernel::new(K).install_headers(&root);
    for program in ["dracut", "kernel-install"] {
        std::fs::remove_file(root.path(format!("/usr/sbin/{program}"))).unwrap();
    }
    let others = ["/usr/bin/kernel-install", "/usr/bin/dracut"].iter().any(|own| root.path(own).exists());
    if others {
        // The machine's own would be found; they do not know this system's files.
        root.write("/etc/os-release", "ID=unheard-of\n");
        root.write_script("/usr/sbin/kernel-install", "#!/bin/sh\nexit 0\n");
        root.write_script("/usr/sbin/dracut", "#!/bin/sh\nexit 0\n");
    }
    event(&root, "rpm in", &[], &[]).says(&format!("rebuild its initramfs /boot/toy/{K}/initrd"));
    assert_eq!(root.take_make_calls().len(), 1);
    if !others {
        event(&root, "rpm in", &[], &[]).does_not_say("initramfs");
    }
}

fn a_generator_that_makes_nothing_is_asked_again() {
    let root = fedora("bls");
    install_image(&root);
    posttrans(&root);
    ToyKernel::new(K).install_headers(&root);
    let plugin = "/usr/lib/kernel/install.d/50-dracut.install";
    let good = root.read(plugin);
    for program in [plugin, "/usr/sbin/dracut"] {
        root.write_script(program, "#!/bin/sh\nexit 0\n");
    }
    let image = format!("/boot/toy/{K}/initrd");
    for _ in 0..2 {
        event(&root, "rpm in", &[], &[])
            .says(&format!("made none: rebuild its initramfs {image}; the next run tries again"));
    }
    root.write_script(plugin, &good);
    event(&root, "rpm in", &[], &[]);
    holds_the_module(&root, &image);
    event(&root, "rpm in", &[], &[]).does_not_say("initramfs");
}

fn a_generator_that_does_not_end_is_ended() {
    let root = fedora("bls");
    install_image(&root);
    posttrans(&root);
    ToyKernel::new(K).install_headers(&root);
    root.write("/etc/dkms/framework.conf", "time_limit_initramfs=1s\n");
    let plugin = "/usr/lib/kernel/install.d/50-dracut.install";
    let good = root.read(plugin);
    let image = format!("/boot/toy/{K}/initrd");
    for program in [plugin, "/usr/sbin/dracut"] {
        root.write_script(program, &format!("#!/bin/sh\n:> {image}\nwhile :; do sleep 1; done\n"));
    }
    event(&root, "rpm in", &[], &[])
        .says("took longer than 1s (time_limit_initramfs)")
        .says(&format!("{image} may be incomplete: do not boot {K}"));
    root.write_script(plugin, &good);
    event(&root, "rpm in", &[], &[]);
    holds_the_module(&root, &image);
    event(&root, "rpm in", &[], &[]).does_not_say("initramfs");
}

fn a_module_that_no_initramfs_holds() {
    let root = fedora("bls");
    install_image(&root);
    posttrans(&root);
    root.write("/usr/src/late-1/dkms.conf", "");
    ToyKernel::new(K).install_headers(&root);
    event(&root, "rpm in", &[], &[]);
    ToyModule::new("late", "1").register(&root);
    root.take_calls();
    // No kernel came: an initramfs that was made without it has no use for it now.
    finish(root.program(Face::Dkms).env("PATH", "/usr/sbin:/usr/bin").args(["install", "late/1", "-k", K]))
        .expect(0);
    assert_eq!(counts(&root, ["lsinitrd", "kernel-install", "dracut"]), [1, 0, 0]);
    ToyModule::new("hello", "1.0").file("more.h", "").write_source(&root);
    finish(root.program(Face::Dkms).env("PATH", "/usr/sbin:/usr/bin").args([
        "install",
        "hello/1.0",
        "-k",
        K,
    ]))
    .expect(0);
    assert_eq!(counts(&root, ["lsinitrd", "kernel-install", "dracut"]), [1, 1, 0]);
}

/// An Arch whose mkinitcpio is called by the script of its hook, with one module registered.
fn arch() -> FakeRoot {
    let root = fedora("other");
    root.write("/etc/os-release", "ID=arch\n");
    root.write_script(
        "/usr/share/libalpm/scripts/mkinitcpio",
        &format!("#!/bin/sh\n{CALLS}{LIST}cd / && while read line; do\nline=${{line%/vmlinuz}}\nread base < $line/pkgbase\nlist ${{line##*/}} > /boot/initramfs-$base.img\ndone\n"),
    );
    root.write_script("/usr/sbin/mkinitcpio", "#!/bin/sh\n");
    root
}

fn arch_headers_without_their_kernel() {
    let root = arch();
    install_image(&root);
    root.write(format!("/lib/modules/{K}/pkgbase"), "linux-toy\n");
    let image = format!("usr/lib/modules/{K}/vmlinuz");
    event(&root, "pacman install", &[&image], &[]).says("Install linux-toy-headers");
    scriptlet(&root, &format!("echo {image} | /usr/share/libalpm/scripts/mkinitcpio install"));
    event(&root, "pacman initramfs", &[&image], &[]);
    root.take_calls();

    ToyKernel::new(K).install_headers(&root);
    let headers = format!("usr/lib/modules/{K}/build/include/");
    event(&root, "pacman install", &[&headers], &[]);
    assert_eq!(counts(&root, ["depmod", "mkinitcpio"]), [1, 0]);
    event(&root, "pacman initramfs", &[&headers], &[]);
    assert_eq!(counts(&root, ["depmod", "mkinitcpio", "kernel-install", "dracut"]), [0, 1, 0, 0]);
    let text = root.read("/boot/initramfs-linux-toy.img");
    assert!(text.contains("updates/dkms/hello.ko"), "{text}");

    // With the image the generator's own hook comes between our two.
    ToyKernel::new(K).config("CONFIG_OTHER=y").install_headers(&root);
    event(&root, "pacman install", &[&headers, &image], &[]);
    scriptlet(&root, &format!("echo {image} | /usr/share/libalpm/scripts/mkinitcpio install"));
    root.take_calls();
    event(&root, "pacman initramfs", &[&headers, &image], &[]);
    assert_eq!(counts(&root, ["mkinitcpio"]), [0]);
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook/kernels"), [""; 0]);
}

fn arch_modules_kept_of_the_kernel_before() {
    // Hooks keep the modules of the running kernel through an upgrade, some of them all that is in its
    // directory. Files in /boot are called by the package: they are the new kernel's.
    let root = arch();
    install_image(&root);
    ToyKernel::new(K).install_headers(&root);
    root.write(format!("/lib/modules/{K}/pkgbase"), "linux-toy\n");
    ToyKernel::new(NEXT).install(&root);
    root.write(format!("/lib/modules/{NEXT}/vmlinuz"), "next kernel");
    root.write(format!("/lib/modules/{NEXT}/pkgbase"), "linux-toy\n");
    let image = format!("usr/lib/modules/{NEXT}/vmlinuz");
    event(&root, "pacman install", &[&image], &[]);
    scriptlet(&root, &format!("echo {image} | /usr/share/libalpm/scripts/mkinitcpio install"));
    event(&root, "pacman initramfs", &[&image], &[]);
    root.take_calls();

    // Told by the image that is booted, and by the releases where there is none.
    root.write("/boot/vmlinuz-linux-toy", "next kernel");
    for image in [true, false] {
        // A module of the old kernel alone changes.
        root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
        event(&root, "pacman install", &[&format!("usr/lib/modules/{K}/modules.order")], &[]);
        event(&root, "pacman initramfs", &[], &[]);
        assert_eq!(counts(&root, ["mkinitcpio", "kernel-install", "dracut"]), [0, 0, 0], "{image}");
        let _ = std::fs::remove_file(root.path("/boot/vmlinuz-linux-toy"));
    }
    // The older one, after a downgrade.
    root.write("/boot/vmlinuz-linux-toy", "kernel");
    ToyKernel::new(K).config("CONFIG_OTHER=y").install_headers(&root);
    event(&root, "pacman install", &[&format!("usr/lib/modules/{K}/build/include/")], &[]);
    event(&root, "pacman initramfs", &[], &[]);
    assert_eq!(counts(&root, ["mkinitcpio"]), [1]);
}

fn arch_with_booster() {
    let root = fedora("other");
    root.write("/etc/os-release", "ID=arch\n");
    for program in ["kernel-install", "dracut", "lsinitrd"] {
        std::fs::remove_file(root.path("/usr/sbin").join(program)).unwrap();
    }
    root.write_script("/usr/sbin/booster", "#!/bin/sh\n");
    root.write_script(
        "/usr/share/libalpm/scripts/booster-install",
        &format!("#!/bin/sh\n{CALLS}{LIST}cd /\nread image\nimage=${{image%/vmlinuz}}\nread base < $image/pkgbase\nlist ${{image##*/}} > /boot/booster-$base.img\n"),
    );
    install_image(&root);
    root.write(format!("/lib/modules/{K}/pkgbase"), "linux-toy\n");
    root.write("/boot/booster-linux-toy.img", "");
    ToyKernel::new(K).install_headers(&root);
    let headers = format!("usr/lib/modules/{K}/build/include/");
    event(&root, "pacman install", &[&headers], &[]);
    event(&root, "pacman initramfs", &[&headers], &[]);
    assert_eq!(counts(&root, ["booster-install"]), [1]);
    let text = root.read("/boot/booster-linux-toy.img");
    assert!(text.contains("updates/dkms/hello.ko"), "{text}");
    event(&root, "pacman initramfs", &[&headers], &[]);
    assert_eq!(counts(&root, ["booster-install"]), [0]);
}

fn plugins_with_numbers_of_a_distributions_own() {
    let root = fedora("bls");
    let plugins = root.path("/usr/lib/kernel/install.d");
    std::fs::rename(plugins.join("50-dracut.install"), plugins.join("52-dracut.install")).unwrap();
    install_image(&root);
    ToyKernel::new(K).install_headers(&root);
    posttrans(&root);
    root.take_calls();
    ToyKernel::new(K).config("CONFIG_OTHER=y").install_headers(&root);
    posttrans(&root);
    assert_eq!(counts(&root, ["depmod", "52-dracut.install", "dracut"]), [1, 1, 0]);
    event(&root, "rpm in", &[], &[]);
    assert_eq!(counts(&root, ["depmod", "kernel-install", "dracut"]), [0, 0, 0]);
    holds_the_module(&root, &format!("/boot/toy/{K}/initrd"));
}

fn debian_calls_kernel_install_itself() {
    let root = fedora("bls");
    root.write("/etc/os-release", "ID=debian\n");
    // initramfs-tools, and the hooks by which systemd-boot hears of it.
    let update =
        format!("{CALLS}{LIST}list $3 > /boot/initrd.img-$3\nkernel-install add $3 /boot/vmlinuz-$3\n");
    root.write_script("/usr/sbin/update-initramfs", &format!("#!/bin/sh\n{update}"));
    std::fs::remove_file(root.path("/usr/lib/kernel/install.d/50-dracut.install")).unwrap();
    let copy = "#!/bin/sh\n[ $1 = add ] || exit 0\nmkdir -p $3 && cp /boot/initrd.img-$2 $3/\n";
    root.write_script("/usr/lib/kernel/install.d/55-initrd.install", copy);
    std::fs::remove_file(root.path("/usr/sbin/dracut")).unwrap();
    install_image(&root);
    root.write(format!("/boot/initrd.img-{K}"), "");
    root.write(format!("/boot/toy/{K}/initrd.img-{K}"), "");
    ToyKernel::new(K).install_headers(&root);
    let answer = event(&root, "deb trigger", &[], &[("DPKG_MAINTSCRIPT_NAME", "postinst")]);
    answer.does_not_say("Waiting for another run");
    assert_eq!(counts(&root, ["update-initramfs", "kernel-install"]), [1, 1]);
    assert_eq!(root.take_make_calls().len(), 1);
    assert!(root.read(format!("/boot/toy/{K}/initrd.img-{K}")).contains("hello.ko"));
}

/// A system of this distribution with one generator, whose stand-in does this, and no plugin that makes an
/// initramfs; with a kernel that waits for its headers.
fn with_generator(id: &str, name: &str, text: &str) -> FakeRoot {
    let root = fedora("other");
    root.write("/etc/os-release", format!("ID={id}\n"));
    for path in ["/usr/sbin/dracut", "/usr/sbin/lsinitrd", "/usr/lib/kernel/install.d/50-dracut.install"] {
        std::fs::remove_file(root.path(path)).unwrap();
    }
    root.write_script(format!("/usr/sbin/{name}"), &format!("#!/bin/sh\n{CALLS}{LIST}{text}\n"));
    install_image(&root);
    root
}

fn booster_makes_its_own_file() {
    let root = with_generator(
        "arch",
        "booster",
        "[ \"$1 $2 $3\" = 'build --force --kernel-version' ] && list $4 > $5",
    );
    root.write(format!("/lib/modules/{K}/pkgbase"), "linux-toy\n");
    root.write("/boot/booster-linux-toy.img", "");
    ToyKernel::new(K).install_headers(&root);
    let headers = format!("usr/lib/modules/{K}/build/include/");
    event(&root, "pacman install", &[&headers], &[]);
    event(&root, "pacman initramfs", &[&headers], &[]).says("Rebuilding the initramfs");
    assert_eq!(counts(&root, ["booster"]), [1]);
    let text = root.read("/boot/booster-linux-toy.img");
    assert!(text.contains("updates/dkms/hello.ko"), "{text}");
    assert!(!root.path("/boot/initramfs-linux-toy.img").exists());
    event(&root, "pacman initramfs", &[&headers], &[]);
    assert_eq!(counts(&root, ["booster"]), [0]);
}

fn mkinitfs_makes_the_file_of_the_flavour() {
    let root = with_generator("alpine", "mkinitfs", "[ $1 = -o ] && list $3 > $2");
    root.write("/usr/share/kernel/lts/kernel.release", format!("{K}\n"));
    root.write("/boot/initramfs-lts", "");
    root.write("/boot/initramfs-edge", "");
    ToyKernel::new(K).install_headers(&root);
    let mut all = root.program(Face::Hook);
    finish(all.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")).expect(0).says("Rebuilding the initramfs");
    assert_eq!(counts(&root, ["mkinitfs"]), [1]);
    assert!(root.read("/boot/initramfs-lts").contains("/hello.ko"));
    assert_eq!(root.read("/boot/initramfs-edge"), "", "of another kernel");
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook/kernels"), [""; 0]);
}

fn sdbootutil_makes_a_new_file_beside_the_old_one() {
    let place = format!("/boot/efi/toy/{K}");
    let text = format!("[ \"$1 $2\" = '--no-reuse-initrd add-kernel' ] && list $3 > {place}/initrd-new");
    let root = with_generator("opensuse-tumbleweed", "sdbootutil", &text);
    root.write_script("/usr/sbin/dracut", &format!("#!/bin/sh\n{CALLS}"));
    root.write("/boot/efi/EFI/systemd/installed_by_sdbootutil", "");
    root.write(format!("{place}/initrd-old"), "of a snapshot");
    ToyKernel::new(K).install_headers(&root);
    event(&root, "rpm in", &[], &[]).says("Rebuilding the initramfs");
    assert_eq!(counts(&root, ["sdbootutil", "dracut"]), [1, 0]);
    assert!(root.read(format!("{place}/initrd-new")).contains("/hello.ko"));
    assert_eq!(root.read(format!("{place}/initrd-old")), "of a snapshot");
    event(&root, "rpm in", &[], &[]);
    assert_eq!(counts(&root, ["sdbootutil", "dracut"]), [0, 0]);
}
