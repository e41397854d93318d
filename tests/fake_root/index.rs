//! What modprobe(8) finds: the index of a kernel's modules, and files of one name beside each other.

use std::fs;

use crate::support::program::Face;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// A root with one kernel, and hello/1.0 installed for it.
fn installed() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root
}

/// Makes the index anew, as whoever else installs modules does.
fn depmod(root: &FakeRoot) {
    let depmod = root.path("/var/log/stand-ins/depmod");
    assert!(std::process::Command::new(depmod).arg(K).status().unwrap().success());
    root.take_calls();
}

/// The path of a file of the kernel.
fn at(place: &str) -> String {
    format!("/lib/modules/{K}/{place}")
}

/// A module hello of this version, as somebody else builds it.
fn strangers_module(version: &str) -> Vec<u8> {
    let other = FakeRoot::new();
    ToyKernel::new(K).install(&other);
    let text = format!(
        "#include <linux/module.h>\nint theirs(void) {{ return 1; }}\nMODULE_VERSION(\"{version}\");\n"
    );
    ToyModule::new("hello", version).file("hello.c", &text).register(&other);
    other.dkms(&["install", &format!("hello/{version}"), "-k", K]).expect(0);
    fs::read(other.path(at("updates/dkms/hello.ko"))).unwrap()
}

#[test]
fn files_of_the_same_name_are_set_aside_and_come_back() {
    // DKMS 3.2.2 in the same steps: "Found pre-existing …/one.ko, archiving for uninstallation".
    let root = installed();
    let strangers = ["updates/dkms/hello.ko.xz", "updates/hello.ko", "updates/old/hello.ko.zst"];
    root.write(at("extra/hello.ko"), "depmod takes what is in updates");
    for stranger in strangers {
        root.write(at(stranger), stranger);
    }
    let set_aside = format!("Setting aside {}", at("updates/dkms/hello.ko.xz"));
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0).says(&set_aside);
    for stranger in strangers {
        assert!(!root.exists(at(stranger)), "{stranger}");
    }
    assert_eq!(root.names(at("updates/dkms")), ["hello.ko"]);
    let status = format!("hello/1.0, {K}, x86_64: installed (Original modules exist)\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, status);
    root.hook(&[]).expect(0).says("nothing to do");
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    for stranger in strangers {
        assert_eq!(root.read(at(stranger)), stranger);
    }
    assert_eq!(root.names(at("updates/dkms")), ["hello.ko.xz"]);
    assert!(root.exists(at("extra/hello.ko")));
}

#[test]
fn a_file_that_modprobe_takes_instead_is_told_and_set_aside() {
    for version in ["0.9", "1.0"] {
        let root = installed();
        root.hook(&[]).expect(0).says("nothing to do");
        let stranger = at("updates/hello.ko");
        let bytes = strangers_module(version);
        root.write(&stranger, &bytes);
        depmod(&root);
        root.dkms(&["status"])
            .expect(0)
            .says(&format!("hello/1.0, {K}, x86_64: installed (Differences between"))
            .says(&format!("modprobe takes {stranger}"));
        let why = format!("modprobe takes {stranger} instead, which is to be set aside");
        root.hook(&["--dry-run"]).expect(0).says(&why);
        root.hook(&["status"]).expect(0).says(&why);
        root.deb("kernel-postinst", K, "configure").expect(0).says("Setting aside");
        assert!(!root.exists(&stranger));
        assert!(root.read(at("modules.dep")).contains("updates/dkms/hello.ko:\n"));
        // The initramfs was due, too.
        root.hook(&[]).expect(0).says("nothing to do");
        let before = root.snapshot();
        root.hook(&[]).expect(0).says("nothing to do");
        root.assert_untouched(&before);
        root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
        assert_eq!(fs::read(root.path(&stranger)).unwrap(), bytes);
    }
}

#[test]
fn a_module_of_the_kernel_that_its_package_brings_again_does_no_harm() {
    let root = FakeRoot::new();
    ToyKernel::new(K).in_tree("drivers/hello.ko").install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert!(root.exists(at("kernel/drivers/hello.ko")), "depmod takes ours");
    root.write(at("kernel/drivers/hello.ko"), "the next revision");
    depmod(&root);
    root.hook(&[]).expect(0).says("nothing to do");
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert!(root.exists(at("kernel/drivers/hello.ko")), "the index does not name it");
    // A line of depmod.d may take its precedence from `updates`.
    root.write(at("modules.dep"), "kernel/drivers/hello.ko:\n");
    root.hook(&[]).expect(0).says("Setting aside");
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.read(at("kernel/drivers/hello.ko")), "the next revision");
}

#[test]
fn what_depmod_may_take_goes_and_what_it_never_takes_stays() {
    // depmod.d; what goes, and what stays.
    let places =
        ["kernel/a/hello.ko", "kernel/b/hello.ko", "extra/hello.ko", "updates/hello.ko.xz", "hello.ko"];
    let rows: [(&str, &[usize]); 5] = [
        ("", &[3]),
        ("search updates extra built-in weak-updates\n", &[3]),
        // Of those before, and those of the same rank, all: what depmod reads first depends on the file system.
        ("search extra updates built-in\n", &[2, 3]),
        ("search built-in updates\n", &[0, 1, 2, 3, 4]),
        // One that only depmod understands.
        ("search updates external built-in\n", &[0, 1, 2, 3, 4]),
    ];
    for (text, goes) in rows {
        let root = FakeRoot::new();
        ToyKernel::new(K).install(&root);
        root.write("/etc/depmod.d/search.conf", text);
        ToyModule::new("hello", "1.0").register(&root);
        for place in places {
            root.write(at(place), place);
        }
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
        for (index, place) in places.iter().enumerate() {
            assert_eq!(root.exists(at(place)), !goes.contains(&index), "{text} {place}");
        }
        root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
        for place in places {
            assert_eq!(root.read(at(place)), place, "{text}");
        }
    }
}

#[test]
fn a_newer_file_that_somebody_put_there_stays() {
    // As at the first installation: dkms(8), --force-version-override.
    let root = installed();
    let stranger = at("updates/hello.ko");
    root.write(&stranger, strangers_module("2.0"));
    depmod(&root);
    let why = format!("modprobe takes {stranger}; that stays, as it has version 2.0, newer than 1.0");
    root.hook(&["--dry-run"]).expect(0).says(&why);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(6).says(&why);
    // Nor does a build take its place.
    root.write("/usr/src/hello-1.0/more.h", "");
    root.hook(&[]).expect(0).says("Installing").does_not_say("Setting aside");
    root.hook(&[]).expect(11).says(&why);
    assert!(root.exists(&stranger));
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0).says("Setting aside");
    assert!(!root.exists(&stranger));
}

#[test]
fn an_index_that_leaves_a_module_out_is_made_anew_once() {
    let root = installed();
    root.write(at("modules.dep"), "kernel/fs/toyfs/toyfs.ko:\n");
    root.take_calls();
    let status = format!("hello/1.0, {K}, x86_64: installed (Module index is out of date)\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, status);
    root.hook(&["--dry-run"]).expect(0).says(&format!("modules.dep does not list {}", at("updates/dkms")));
    root.hook(&[]).expect(0);
    assert_eq!(root.take_depmods(), [K]);
    root.hook(&[]).expect(0).says("nothing to do");
    // An `exclude` in depmod.d does that, or a compression that this depmod cannot read.
    let noted = root.path("/var/log/toy-calls");
    let text = format!(
        "#!/bin/sh\ntest \"$1\" != --version || exit 0\necho \"${{0##*/}} $*\" >> {}\necho kernel/fs/toyfs/toyfs.ko: > {}\n",
        noted.display(),
        root.path(at("modules.dep")).display()
    );
    root.write_script("/var/log/stand-ins/depmod", &text);
    depmod(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_depmods(), [K]);
    root.hook(&[]).expect(11).says("does not list").says("depmod has run");
    assert_eq!(root.take_depmods(), [""; 0], "it would not help");
}

#[test]
fn an_index_is_read_only_when_it_changed() {
    let root = installed();
    depmod(&root);
    let before = root.snapshot();
    root.hook(&[]).expect(0).says("nothing to do");
    let ours = |name: &String| name.contains("/.dkms-hook/indexes/") || name.ends_with("/lock");
    let changes = before.changes(&root.snapshot());
    assert!(changes.iter().all(ours), "{changes:?}");
    let strace = |args: &[&str]| {
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-e", "trace=openat", "-o", root.path("/var/log/opened").to_str().unwrap()]);
        let program = root.program(Face::Hook);
        command.arg(program.get_program()).args(program.get_args()).args(args).env_clear();
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output().is_ok_and(|output| output.status.success())
    };
    if strace(&["--dry-run"]) {
        assert!(!root.read("/var/log/opened").contains("modules.dep"));
    } else {
        eprintln!("skipped: strace is not installed");
    }
    let before = root.snapshot();
    root.hook(&[]).expect(0).says("nothing to do");
    root.assert_untouched(&before);
}

/// Two packages, of these names, whose modules have one name for the kernel; the second is of this version.
fn two(first: &str, second: &str, version: &str) -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let module = |package: &str, version: &str, name: &str| {
        let text = format!("#include <linux/module.h>\nint f_{version}(void) {{ return 0; }}\n")
            .replace("f_1.0", "f_1")
            .replace("f_2.0", "f_2");
        ToyModule::new(package, version)
            .renamed("", name)
            .file(&format!("{package}.c"), &format!("{text}MODULE_VERSION(\"{version}\");\n"))
            .register(&root);
    };
    let name = if first.contains('-') || second.contains('-') { None } else { Some("shared") };
    module(first, "1.0", name.unwrap_or(first));
    module(second, version, name.unwrap_or(second));
    root
}

/// What `dkms status` says of a package after its version and kernel.
fn state(root: &FakeRoot, package: &str) -> String {
    let out = root.dkms(&["status", package]).expect(0).out;
    out.lines().map(|line| line.split_once(": ").map_or(line, |(_, state)| state)).collect()
}

const DIFFERS: &str = "installed (Differences between built and installed modules)";
const BOTH: &str = "installed (Original modules exist)";

#[test]
fn whose_module_it_is_is_decided_once_and_what_was_set_aside_comes_back() {
    // The scenario of DKMS 3.4.3's own tests: test/1.0, and replace/2.0 with a module of the same name.
    // A name by which only `-` and `_` differ is the same one to the kernel.
    for (first, second) in [("test", "replace"), ("one-x", "one_x")] {
        let root = two(first, second, "2.0");
        let (a, b) = (format!("{first}/1.0"), format!("{second}/2.0"));
        root.dkms(&["install", &a, "-k", K]).expect(0);
        root.dkms(&["install", &b, "-k", K]).expect(0).says(&format!("of {a}, a module of the same name"));
        assert_eq!((state(&root, first), state(&root, second)), (DIFFERS.into(), BOTH.into()));
        let settled = |root: &FakeRoot| {
            root.hook(&[]).expect(0);
            let before = root.snapshot();
            root.hook(&[]).expect(0).says("nothing to do");
            root.dkms(&["autoinstall", "-k", K]).expect(0);
            root.deb("kernel-postinst", K, "configure").expect(0);
            root.assert_untouched(&before);
        };
        settled(&root);
        // Nor does a build of the first take it.
        root.write(format!("/usr/src/{first}-1.0/more.h"), "");
        root.hook(&[]).expect(0).says(&format!("the module of {b} is used instead of that of {a}"));
        assert_eq!(root.take_make_calls().len(), 3);
        settled(&root);
        assert_eq!(state(&root, second), BOTH);

        root.dkms(&["unbuild", &b, "-k", K]).expect(0);
        assert_eq!((state(&root, first), state(&root, second)), ("installed".into(), "added".into()));
        let names = |root: &FakeRoot| root.names(at("updates/dkms"));
        assert_eq!(names(&root), [if first == "test" { "shared.ko" } else { "one-x.ko" }]);
        // As in DKMS, where the second is newer.
        root.dkms(&["autoinstall", "-k", K]).expect(0);
        assert_eq!((state(&root, first), state(&root, second)), (DIFFERS.into(), BOTH.into()));
        settled(&root);

        // A person has the last word.
        root.dkms(&["install", &a, "-k", K, "--force"]).expect(0);
        assert_eq!((state(&root, first), state(&root, second)), (BOTH.into(), DIFFERS.into()), "{first}");
        settled(&root);
        root.dkms(&["uninstall", &a, "-k", K]).expect(0);
        assert_eq!((state(&root, first), state(&root, second)), ("built".into(), "installed".into()));
        root.dkms(&["remove", &b, "--all"]).expect(0);
        assert_eq!(names(&root), [""; 0], "the first one's file does not come back from the dead");
    }
}

#[test]
fn of_two_that_come_at_once_the_newer_one_stays() {
    // DKMS installs one after the other, and refuses (6) what is older than what is there, or the same.
    for (second, version, refused) in [
        ("other", "1.0", "test/1.0"),
        ("other", "2.0", "test/1.0"),
        ("zz", "2.0", ""),
        ("zz", "1.0", "zz/1.0"),
    ] {
        let root = two("test", second, version);
        let code = if refused.is_empty() { 0 } else { 11 };
        let answer = root.dkms(&["autoinstall", "-k", K]).expect(code);
        if !refused.is_empty() {
            answer.says(&format!("failed for module(s) {}(6).", refused.split('/').next().unwrap()));
            assert_eq!(state(&root, refused.split('/').next().unwrap()), "built");
        }
        let before = root.snapshot_of(at("updates"));
        root.hook(&[]).expect(code);
        root.hook(&[]).expect(code);
        assert_eq!(before.changes(&root.snapshot_of(at("updates"))), [""; 0]);
    }
}

#[test]
fn names_that_differ_in_dashes_only_are_refused_like_the_same_name() {
    let root = two("one-x", "one_x", "1.0");
    root.dkms(&["install", "one-x/1.0", "-k", K]).expect(0);
    let kept = at("updates/dkms/one-x.ko");
    root.dkms(&["install", "one_x/1.0", "-k", K])
        .expect(6)
        .says(&format!("{kept} is already the same module; it is kept"));
    assert_eq!((state(&root, "one-x"), state(&root, "one_x")), ("installed".into(), "built".into()));
    // Both are there, as earlier versions left them.
    root.dkms(&["install", "one_x/1.0", "-k", K, "--force"]).expect(0);
    fs::rename(
        root.path(format!("/var/lib/dkms/one_x/original_module/{K}/x86_64/one-x.ko")),
        root.path(&kept),
    )
    .unwrap();
    depmod(&root);
    root.hook(&["--dry-run"]).expect(0).says("only one of them can be used");
}

#[test]
fn two_modules_of_one_package_do_not_set_each_other_aside() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let text = "#include <linux/module.h>\nint second(void) { return 0; }\n";
    let module = ToyModule::new("one_x", "1.0").record("one").renamed("", "one-x").file("one.c", text);
    module.register(&root);
    for _ in 0..2 {
        root.dkms(&["install", "one_x/1.0", "-k", K, "--force"]).expect(0).does_not_say("Setting aside");
        assert_eq!(root.names(at("updates/dkms")), ["one-x.ko", "one_x.ko"]);
        root.hook(&[]).expect(0).says("nothing to do");
    }
}
