//! Builds that fail: the exit code, the words, the log, and that nothing else is harmed.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::build_run::{K, Run};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::apply::build::Failure;
use dkms_hook::conf::model::Scripts;
use dkms_hook::kernel::toolchain;

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

fn fails(root: &FakeRoot, module: &ToyModule) -> Failure {
    Run::new(root, module).build().unwrap_err()
}

#[test]
fn make_fails_with_the_first_errors_and_both_logs() {
    let root = root();
    let run = Run::new(&root, &ToyModule::new("hello", "1.0").failing());
    let failure = run.build().unwrap_err();
    assert_eq!((failure.kind.exit_status(), failure.what.as_str()), (10, "make failed with exit status 2"));
    assert_eq!(failure.first_errors.len(), 1, "{failure:?}");
    let error = &failure.first_errors[0];
    assert!(error.starts_with("hello.c:5:") && error.contains("error: implicit declaration"), "{error}");
    assert!(!failure.toolchain_trouble);
    let kept = root.layout.failed_log(&run.cell);
    assert_eq!(failure.log.as_deref(), Some(kept.as_path()));
    assert!(std::fs::read_to_string(kept).unwrap().contains("# exit code: 2"));
    assert!(root.read(run.build_dir() + "/make.log").contains("del_timer"), "stays for inspection");
    assert!(!root.exists(run.kernel_dir()), "no directory for a kernel without builds");

    ToyModule::new("hello", "1.0").register(&root);
    run.build().unwrap();
    assert!(!root.layout.failed_log(&run.cell).exists(), "a success takes the failure's log away");
}

// EXTRA_CFLAGS: obeyed by Linux 6.12 (scripts/Makefile.lib), left out by 7.2 without a word, exit 0.
#[test]
fn flags_that_the_kernel_leaves_out_are_told_and_told_apart() {
    let root = root();
    let scripts = format!("/usr/src/linux-headers-{K}/scripts");
    let kbuild = |lib: &str| {
        for (name, text) in [("build", ""), ("lib", lib), ("modpost", "")] {
            root.write(format!("{scripts}/Makefile.{name}"), text);
        }
    };
    kbuild("_c_flags = $(ccflags-y)\n");
    let makefile = "obj-m := hello.o\nEXTRA_CFLAGS += -DWANT\n";
    let module = ToyModule::new("hello", "1.0").file("Makefile", makefile);
    let warning = "Makefile sets EXTRA_CFLAGS, which this kernel's build system does not know: it builds without \
                   these flags. Write ccflags-y in its place, which all kernels know";
    let built = Run::new(&root, &module).build().unwrap();
    assert!(built.warnings.contains(&warning.to_owned()), "{:?}", built.warnings);
    let needs_it = "#include <linux/module.h>\n#ifndef WANT\n#error WANT is missing\n#endif\n";
    let failure = fails(&root, &module.clone().file("hello.c", needs_it));
    assert_eq!(failure.hint.as_deref(), Some(&*format!("this may be why: {warning}")));
    // A failure that is the source's own gets no such hint.
    let failure = fails(&root, &module.clone().file("Makefile", "obj-m := hello.o\n").failing());
    assert_eq!(failure.hint, None);
    kbuild("_c_flags = $(ccflags-y) $(EXTRA_CFLAGS) # and EXTRA_AFLAGS, EXTRA_LDFLAGS\n");
    assert_eq!(fails(&root, &module.file("hello.c", needs_it)).hint, None);
}

#[test]
fn a_failed_rebuild_leaves_the_old_build_alone() {
    let root = root();
    let module = ToyModule::new("hello", "1.0");
    let run = Run::new(&root, &module);
    run.build().unwrap();
    let before = run.digest("hello.ko");
    let failing_post = Scripts { post_build: Some("post.sh".into()), ..Scripts::default() };
    let post = module
        .clone()
        .file("hello.c", "#include <linux/module.h>\nint other(void) { return 1; }\n")
        .executable("post.sh", "#!/bin/sh\nexit 42\n")
        .scripts(failing_post);
    for (module, code) in [(module.failing(), 10), (post, 42)] {
        assert_eq!(fails(&root, &module).kind.exit_status(), code);
        assert_eq!(run.digest("hello.ko"), before);
        assert!(root.read(run.cell_dir() + "/log/make.log").contains("# exit code: 0"));
        assert_eq!(root.names(run.kernel_dir()), ["x86_64"]);
    }
}

#[test]
fn a_post_build_that_takes_a_module_away_leaves_no_build() {
    let root = root();
    let scripts = Scripts { post_build: Some("post.sh".into()), ..Scripts::default() };
    let module = ToyModule::new("hello", "1.0")
        .executable("post.sh", &format!("#!/bin/sh\nrm ../{K}/x86_64/module/hello.ko\n"))
        .scripts(scripts);
    let failure = fails(&root, &module);
    assert!(failure.what.contains("module/hello.ko"), "{failure:?}");
    assert!(!root.exists(Run::new(&root, &module).cell_dir()));
}

#[test]
fn a_failing_post_build_leaves_no_build() {
    let root = root();
    let scripts = Scripts { post_build: Some("post.sh".into()), ..Scripts::default() };
    let module = ToyModule::new("hello", "1.0").executable("post.sh", "#!/bin/sh\nexit 3\n").scripts(scripts);
    let run = Run::new(&root, &module);
    assert_eq!(run.build().unwrap_err().kind.exit_status(), 3);
    assert!(!root.exists(run.kernel_dir()));
}

#[test]
fn the_status_of_pre_build_is_passed_on() {
    let root = root();
    let scripts = Scripts { pre_build: Some("pre.sh".into()), ..Scripts::default() };
    let text = "#!/bin/sh\necho this kernel is too new for me\nexit 77\n";
    let failure = fails(&root, &ToyModule::new("hello", "1.0").executable("pre.sh", text).scripts(scripts));
    assert_eq!(failure.kind.exit_status(), 77);
    assert_eq!(failure.first_errors, ["this kernel is too new for me"]);
    assert!(root.take_make_calls().is_empty(), "make is not reached");
}

#[test]
fn patches_that_are_missing_outside_or_do_not_apply() {
    let root = root();
    let missing = fails(&root, &ToyModule::new("hello", "1.0").missing_patch("gone.patch"));
    assert_eq!(missing.kind.exit_status(), 5);
    assert!(missing.what.contains("/var/lib/dkms/hello/1.0/build/patches/gone.patch"), "{missing:?}");
    let outside = fails(&root, &ToyModule::new("hello", "1.0").missing_patch("../../../etc/passwd"));
    assert_eq!(outside.kind.exit_status(), 5);
    let text = "--- a/hello.c\n+++ b/hello.c\n@@ -1,3 +1,3 @@\n x\n-y\n+z\n x\n";
    let failing = fails(&root, &ToyModule::new("hello", "1.0").patch("old.patch", text));
    assert_eq!(failing.kind.exit_status(), 6);
    assert!(failing.first_errors[0].starts_with("Hunk #1 FAILED"), "{failing:?}");
}

#[test]
fn results_that_are_missing_or_for_another_kernel() {
    let root = root();
    let missing = fails(&root, &ToyModule::new("hello", "1.0").file("Makefile", "# obj-m is empty\n"));
    assert_eq!(missing.kind.exit_status(), 7);
    assert!(missing.what.contains("hello.ko") && missing.log.is_some(), "{missing:?}");

    let text = fails(&root, &ToyModule::new("hello", "1.0").make("echo text > hello.ko"));
    assert_eq!(text.kind.exit_status(), 7);
    assert!(text.what.contains("not an ELF file"), "{text:?}");

    let root = FakeRoot::new();
    ToyKernel::new(K).wrong_vermagic("6.1.0-running").install(&root);
    let run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    let other = run.build().unwrap_err();
    assert_eq!(other.kind.exit_status(), 7);
    assert!(other.what.contains("built for kernel 6.1.0-running, not for 6.12.1-toy"), "{other:?}");
    assert!(!root.exists(run.kernel_dir()));
}

#[test]
fn headers_that_are_missing_are_named_by_package() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install_image(&root);
    let run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    let failure = run.build().unwrap_err();
    assert_eq!(failure.kind.exit_status(), 21);
    assert!(failure.what.contains("/lib/modules/6.12.1-toy/build/include"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("linux-headers-6.12.1-toy"));
    assert!(failure.log.is_none());
    assert_eq!(root.names(run.build_dir()), [""; 0], "nothing was copied");
}

#[test]
fn compilers_that_are_missing_are_named_by_package() {
    let root = FakeRoot::new();
    let machine = std::env::consts::ARCH;
    ToyKernel::new(K).insists_on(&format!("{machine}-linux-gnu-gcc-99")).install(&root);
    let run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    let failure = run.build().unwrap_err();
    assert_eq!(failure.kind.exit_status(), 10);
    assert!(failure.toolchain_trouble && failure.what.contains("gcc-99"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("`apt install gcc-99`"));
    assert_eq!(root.names(run.build_dir()), [""; 0], "nothing was copied");

    // A kernel from elsewhere whose headers take any gcc is built for, with a warning.
    let root = FakeRoot::new();
    ToyKernel::new(K).compiler("gcc-99").install(&root);
    let run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    let built = run.build().unwrap();
    assert!(built.warnings.iter().any(|w| w.contains("gcc-99")), "{:?}", built.warnings);
    let identity = toolchain::identity(&root.context(&run.cell));
    assert_eq!((identity.cc.as_str(), identity.named.as_deref()), ("gcc", Some("gcc-99")));
    assert!(identity.version.starts_with(|c: char| c.is_ascii_digit()), "{identity:?}");
}

#[test]
fn programs_that_the_build_cannot_start_are_no_verdict() {
    let root = root();
    let failure = fails(&root, &ToyModule::new("hello", "1.0").make("no-such-generator && make all"));
    assert!(failure.kind.exit_status() == 10 && failure.toolchain_trouble, "{failure:?}");
    assert!(failure.hint.unwrap().contains("no-such-generator"));
}

#[test]
fn sources_that_are_gone_empty_or_for_other_kernels() {
    let root = root();
    let module = ToyModule::new("hello", "1.0");
    let mut run = Run::new(&root, &module);
    run.conf.records[0].excluded = Some("BUILD_EXCLUSIVE_KERNEL is ^5".into());
    let excluded = run.build().unwrap_err();
    assert_eq!(excluded.kind.exit_status(), 77);
    assert!(excluded.what.contains("BUILD_EXCLUSIVE_KERNEL is ^5"), "{excluded:?}");

    run.conf.records[0].excluded = None;
    let source = root.path("/usr/src/hello-1.0");
    std::fs::remove_dir_all(&source).unwrap();
    let gone = run.build().unwrap_err();
    assert_eq!(gone.kind.exit_status(), 4);
    assert!(gone.what.contains("/var/lib/dkms/hello/1.0/source") && gone.what.contains("/usr/src/hello-1.0"));
    root.write("/usr/src/hello-1.0/dkms.conf", "");
    assert_eq!(run.build().unwrap_err().kind.exit_status(), 8);
}

#[test]
fn a_source_that_cannot_be_read_is_named() {
    let root = root();
    let run = Run::new(&root, &ToyModule::new("hello", "1.0").file("sub/secret.c", ""));
    let open = Command::new("chmod").args(["-R", "a+rwX"]).arg(root.path("/")).status();
    assert!(open.unwrap().success());
    // But for the source: others are not to change that.
    for path in ["/", "/usr", "/usr/src"] {
        std::fs::set_permissions(root.path(path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let closed = Command::new("chmod").args(["-R", "go-w"]).arg(root.path("/usr/src/hello-1.0")).status();
    assert!(closed.unwrap().success());
    let secret = root.path("/usr/src/hello-1.0/sub/secret.c");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything. The identity for file access is one of this thread alone
    // (setfsuid(2)); `nobody` has none of root's powers. For others this changes nothing.
    let failure = std::thread::scope(|scope| {
        let unprivileged = || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            run.build().unwrap_err()
        };
        scope.spawn(unprivileged).join().unwrap()
    });
    assert!(failure.what.contains("cannot read /usr/src/hello-1.0/sub/secret.c"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("as root") && failure.log.is_none());
    assert!(!root.exists(run.build_dir()), "no half copy is left");
}

/// Runs in a mount namespace of its own, so that the small file system goes away with the process.
#[test]
fn a_full_disk_is_told_and_harms_nothing() {
    const INSIDE: &str = "TOY_FULL_DISK";
    if std::env::var_os(INSIDE).is_none() {
        let mut unshare = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            unshare.arg("--map-root-user");
        }
        let possible = Command::new("unshare").args(["-m", "-r", "true"]).output();
        if !possible.is_ok_and(|o| o.status.success()) {
            eprintln!("SKIPPED: no mount namespaces here, so no small file system to fill");
            return;
        }
        let test = std::env::current_exe().unwrap();
        let name = concat!(module_path!(), "::a_full_disk_is_told_and_harms_nothing");
        let name = name.split_once("::").map_or(name, |(_, inside)| inside);
        unshare.arg("-m").arg(test).args(["--exact", name, "--nocapture"]);
        let output = unshare.env(INSIDE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let root = root();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=512k", "none"])
        .arg(root.path("/var/lib/dkms"))
        .status();
    assert!(mount.unwrap().success());
    let module = ToyModule::new("hello", "1.0");
    let run = Run::new(&root, &module);
    run.build().unwrap();
    let before = run.digest("hello.ko");
    let unharmed = || run.digest("hello.ko") == before && root.names(run.kernel_dir()) == ["x86_64"];

    let while_copying = fails(&root, &module.clone().file("firmware.bin", &"x".repeat(1 << 20)));
    assert!(while_copying.toolchain_trouble && while_copying.log.is_none(), "{while_copying:?}");
    assert!(while_copying.what.contains("firmware.bin: No space left"), "{while_copying:?}");
    assert!(while_copying.hint.unwrap().contains("free some space"));
    assert!(!root.exists(run.build_dir()), "half a copy would fill the disk");
    assert!(unharmed());

    std::fs::remove_dir_all(root.path("/usr/src/hello-1.0")).unwrap();
    let while_making = fails(&root, &module.make("head -c 1M /dev/zero > big.o"));
    assert!(while_making.kind.exit_status() == 10 && while_making.toolchain_trouble, "{while_making:?}");
    assert!(while_making.hint.unwrap().contains("free some space"));
    assert!(unharmed());
}
