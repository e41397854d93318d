//! What needs mounts or a process table of one's own: a full disk, a read-only tree, and that a run
//! with nothing to do starts no process. Each scenario runs this program again in new namespaces;
//! where the system allows none it is counted as skipped, with the reason.

use std::process::Command;

use crate::support::program::{Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use crate::support::trace;

const K: &str = "6.12.1-toy";

pub const SCENARIOS: [(&str, fn()); 10] = [
    ("a_build_that_fills_the_disk", a_build_that_fills_the_disk),
    ("a_make_that_fills_the_disk_gives_it_back", a_make_that_fills_the_disk_gives_it_back),
    ("a_module_that_does_not_fit", a_module_that_does_not_fit),
    ("an_archive_that_does_not_fit", an_archive_that_does_not_fit),
    ("a_tree_that_is_read_only", a_tree_that_is_read_only),
    ("kernels_that_nothing_can_be_written_to", kernels_that_nothing_can_be_written_to),
    ("a_tree_that_becomes_read_only_during_a_build", a_tree_that_becomes_read_only_during_a_build),
    ("a_tree_that_goes_away_during_a_build", a_tree_that_goes_away_during_a_build),
    ("another_file_system_over_the_kernels", another_file_system_over_the_kernels),
    ("nothing_to_do_starts_no_process", nothing_to_do_starts_no_process),
];

/// Mounts a small file system on a directory of the root.
fn mount(root: &FakeRoot, inside: &str, options: &str) {
    std::fs::create_dir_all(root.path(inside)).unwrap();
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "toy"]).arg(root.path(inside));
    assert!(command.status().unwrap().success(), "{command:?}");
}

fn remount(root: &FakeRoot, inside: &str, options: &str) {
    let mut command = Command::new("mount");
    // The options that are there name the owner by a number that does not exist in a namespace.
    command.args(["--options-mode", "ignore", "-o", &format!("remount,{options}")]).arg(root.path(inside));
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Writes to a file until nothing more fits.
fn fill(root: &FakeRoot, inside: &str) {
    use std::io::Write;
    let mut file = std::fs::File::create(root.path(inside)).unwrap();
    while file.write_all(&[7; 512]).is_ok() {}
}

fn a_build_that_fills_the_disk() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    mount(&root, "/var/lib/dkms", "size=2m");
    // At the same time, each could be the one that finds no space.
    root.write("/etc/dkms/framework.conf", "parallel_jobs=1\n");
    ToyModule::new("big", "1").file("firmware.bin", &"x".repeat(4 << 20)).register(&root);
    ToyModule::new("good", "1").register(&root);
    root.hook(&[]).expect(11).says("big/1").says("/var/lib/dkms/big/1/build").says("free some space");
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["good.ko"], "good/1 fits");
    assert_eq!(root.names("/var/lib/dkms/big/1"), ["source"], "half a copy keeps the disk full");
    root.hook(&["status"]).expect(1).says("big/1");
    root.take_make_calls();
    remount(&root, "/var/lib/dkms", "size=32m");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/big/1/build"]);
    root.hook(&["status"]).expect(0);

    // Not a byte left, not even for a note.
    root.write("/usr/src/good-1/notes", "new");
    fill(&root, "/var/lib/dkms/filler");
    let good = root.snapshot_of("/usr/lib/modules");
    assert_ne!(root.hook(&[]).says("/var/lib/dkms").code, 0);
    root.deb("trigger", "", "triggered").expect(0);
    assert!(good == root.snapshot_of("/usr/lib/modules"), "the module that worked is gone");
    std::fs::remove_file(root.path("/var/lib/dkms/filler")).unwrap();
    root.hook(&[]).expect(0);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

fn a_make_that_fills_the_disk_gives_it_back() {
    // With and without a word about it: that, too, may have had no room.
    for (quiet, says) in [("2>/dev/null", false), ("", true)] {
        let root = FakeRoot::new();
        ToyKernel::new(K).install(&root);
        root.write("/etc/dkms/framework.conf", "parallel_jobs=1\n");
        mount(&root, "/var/lib/dkms", "size=8m");
        ToyModule::new("bad", "1").register(&root);
        ToyModule::new("zgood", "1").register(&root);
        let full = root.path("/var/log/full");
        root.write("/var/log/full", "");
        let makefile = format!(
            "obj-m := bad.o\nifneq ($(wildcard {full}),)\n$(M)/bad.o: $(M)/fill\n$(M)/fill:\n\
             \t@cat /dev/zero > $(M)/fill {quiet}\nendif\n",
            full = full.display()
        );
        root.write("/usr/src/bad-1/Makefile", makefile);
        root.deb("kernel-postinst", K, "configure").expect(0).says("bad/1 could not be built");
        assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["zgood.ko"], "zgood/1 had no room");
        assert_eq!(root.names("/var/lib/dkms/bad/1"), ["source"], "the disk stays full");
        let told = root.deb("summary", "", "").expect(0);
        for part in ["bad/1", "a file system is full, so the build directory was deleted", "free some space"]
        {
            assert!(told.err.contains(part), "{part} is missing in {}", told.err);
        }
        let log = root.read(format!("/var/lib/dkms/.dkms-hook/verdicts/bad/1/{K}-x86_64.log"));
        assert_eq!(log.contains("No space left on device"), says, "{log}");
        assert!(log.contains("# exit code: 2"), "{log}");
        // It is the machine's fault: the next hook tries again.
        std::fs::remove_file(full).unwrap();
        root.hook(&[]).expect(0).says("Building bad/1");
        assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "zgood.ko"]);
    }
}

fn a_module_that_does_not_fit() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let updates = format!("/usr/lib/modules/{K}/updates");
    mount(&root, &updates, "size=64k");
    fill(&root, &format!("{updates}/filler"));
    ToyModule::new("good", "1").register(&root);
    root.hook(&[]).expect(11).says("good.ko").says("free some space");
    assert_eq!(root.names(format!("{updates}/dkms")), [""; 0], "half a module, or its temporary file");
    root.deb("kernel-postinst", K, "configure").expect(0).says("free some space");
    assert_eq!(root.take_make_calls().len(), 1);
    std::fs::remove_file(root.path(format!("{updates}/filler"))).unwrap();
    root.hook(&[]).expect(0);
    assert!(root.take_make_calls().is_empty(), "it was built already");
    assert_eq!(root.names(format!("{updates}/dkms")), ["good.ko"]);
}

fn an_archive_that_does_not_fit() {
    let big = ToyModule::new("big", "1").file("firmware.bin", &"x".repeat(3 << 20));
    let from = FakeRoot::new();
    ToyKernel::new(K).install(&from);
    big.register(&from);
    from.dkms(&["build", "big/1", "-k", K]).expect(0);
    from.dkms(&["mktarball", "big/1", "-k", K, "--archive", "big.tgz"]).expect(0);
    let file = from.path("/var/lib/dkms/big/1/tarball/big.tgz").display().to_string();

    let root = FakeRoot::new();
    mount(&root, "/var/lib/dkms", "size=2m");
    mount(&root, "/usr/src", "size=1m");
    ToyKernel::new(K).install(&root);
    let sources = root.names("/usr/src");
    // Neither in the module tree, where it is unpacked, nor then in the source tree, which is another
    // file system.
    for (place, size, code) in [("/var/lib/dkms", "size=32m", 1), ("/usr/src", "size=16m", 6)] {
        root.dkms(&["ldtarball", &file]).expect(code).says("free some space");
        assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook"]);
        assert_eq!(root.names("/usr/src"), sources);
        remount(&root, place, size);
    }
    root.dkms(&["install", &file, "-k", K]).expect(0);
    assert!(root.take_make_calls().is_empty());

    // With --force a version that is there is not lost for one that does not fit.
    root.write("/usr/src/big-1/mine.c", "mine");
    let before = root.snapshot_of("/var/lib/dkms/big");
    fill(&root, "/var/lib/dkms/filler");
    root.dkms(&["ldtarball", "--force", &file]).expect(1).says("free some space");
    std::fs::remove_file(root.path("/var/lib/dkms/filler")).unwrap();
    assert_eq!(root.read("/usr/src/big-1/mine.c"), "mine");
    assert!(before == root.snapshot_of("/var/lib/dkms/big"));

    // Nor is an archive for one that does not fit.
    let place = "/var/lib/dkms/big/1/tarball";
    root.dkms(&["mktarball", "big/1", "-k", K, "--archive", "x.tar"]).expect(0);
    let made = std::fs::read(root.path(place).join("x.tar")).unwrap();
    fill(&root, "/var/lib/dkms/filler");
    root.dkms(&["mktarball", "big/1", "-k", K, "--archive", "x.tar"]).expect(6).says("free some space");
    assert_eq!(root.names(place), ["x.tar"]);
    assert!(std::fs::read(root.path(place).join("x.tar")).unwrap() == made);
}

fn a_tree_that_is_read_only() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    mount(&root, "/var/lib/dkms", "size=8m");
    ToyModule::new("good", "1").register(&root);
    remount(&root, "/var/lib/dkms", "ro");
    root.hook(&[]).expect(1).says("/var/lib/dkms").says("read-only");
    root.hook(&["--dry-run"]).expect(0).says("would build good/1");
    root.dkms(&["build", "good/1", "-k", K]).expect(1).says("/var/lib/dkms");
    root.dkms(&["status"]).expect(0).says("good/1: added");
    root.deb("kernel-postinst", K, "configure").expect(0).says("/var/lib/dkms");
    remount(&root, "/var/lib/dkms", "rw");
    root.hook(&[]).expect(0);
    // In line, it needs no writing.
    remount(&root, "/var/lib/dkms", "ro");
    root.hook(&[]).expect(0).says("nothing to do");
    root.deb("trigger", "", "triggered").expect(0);
    // Nor where somebody else made the index: what was seen of it is not written down, no more.
    let index = root.path(format!("/usr/lib/modules/{K}/modules.dep"));
    let text = std::fs::read(&index).unwrap();
    std::fs::remove_file(&index).unwrap();
    std::fs::write(&index, text).unwrap();
    root.hook(&[]).expect(0).says("nothing to do");
}

/// DKMS 3.4.3 ends with 6, and says good(6).
fn kernels_that_nothing_can_be_written_to() {
    let root = FakeRoot::new();
    mount(&root, "/usr/lib/modules", "size=256k");
    ToyKernel::new(K).install(&root);
    ToyModule::new("good", "1").register(&root);
    let refused = |words: &str| {
        root.dkms(&["install", "good/1", "-k", K]).expect(6).says("/updates").says(words);
        root.dkms(&["autoinstall", "-k", K]).expect(11).says("good(6)");
        root.deb("kernel-postinst", K, "configure").expect(0).says(words);
        assert_eq!(root.dkms(&["status"]).expect(0).out, format!("good/1, {K}, x86_64: built\n"));
    };
    remount(&root, "/usr/lib/modules", "ro");
    refused("remount it read-write");
    remount(&root, "/usr/lib/modules", "rw");
    fill(&root, &format!("/usr/lib/modules/{K}/filler"));
    refused("free some space");
    std::fs::remove_file(root.path(format!("/usr/lib/modules/{K}/filler"))).unwrap();
    root.dkms(&["install", "good/1", "-k", K]).expect(0);
}

/// Process numbers are handed out in order, and nobody else is in this namespace.
/// A module with one build installed; its next build begins with a command for a shell, once.
fn with_a_command(root: &FakeRoot, command: &str) {
    ToyKernel::new(K).install(root);
    ToyModule::new("good", "1").register(root);
    root.hook(&[]).expect(0);
    root.write_script("/var/log/command", &format!("#!/bin/sh\n{command}\n"));
    let command = root.path("/var/log/command").display().to_string();
    let make = format!("sh {command} && make -C $kernel_source_dir M=$dkms_tree/good/1/build");
    ToyModule::new("good", "1").make(&make).write_source(root);
}

fn a_tree_that_becomes_read_only_during_a_build() {
    let root = FakeRoot::new();
    mount(&root, "/var/lib/dkms", "size=8m");
    let tree = root.path("/var/lib/dkms").display().to_string();
    // Over itself: what is written to at this moment cannot become read-only.
    let cover = format!("mount --bind {tree} {tree}");
    with_a_command(&root, &format!("{cover} && mount --options-mode ignore -o remount,bind,ro {tree}"));
    let installed = root.snapshot_of("/usr/lib/modules");
    let cell = format!("/var/lib/dkms/good/1/{K}");
    let built = root.snapshot_of(&cell);
    for _ in 0..2 {
        let answer = root.hook(&[]);
        assert_ne!(answer.code, 0, "{}{}", answer.out, answer.err);
        answer.says("/var/lib/dkms").says("ead-only");
        root.deb("trigger", "", "triggered").expect(0);
    }
    assert!(installed == root.snapshot_of("/usr/lib/modules"), "the module that worked is gone");
    assert!(built == root.snapshot_of(&cell), "its build is gone");
    assert!(Command::new("umount").arg(&tree).status().unwrap().success());
    root.write_script("/var/log/command", "#!/bin/sh\n");
    root.hook(&[]).expect(0);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

fn a_tree_that_goes_away_during_a_build() {
    let root = FakeRoot::new();
    let (place, tree) = (root.path("/srv/dkms"), root.path("/var/lib/dkms"));
    std::fs::create_dir_all(&place).unwrap();
    let bind = || {
        let mut command = Command::new("mount");
        assert!(command.arg("--bind").args([&place, &tree]).status().unwrap().success());
    };
    bind();
    with_a_command(&root, &format!("umount -l {}", tree.display()));
    let installed = root.snapshot_of("/usr/lib/modules");
    let before = root.snapshot_of(format!("/srv/dkms/good/1/{K}"));
    let answer = root.hook(&[]);
    assert_ne!(answer.code, 0, "{}{}", answer.out, answer.err);
    answer.says("/var/lib/dkms/good/1");
    // Nothing is registered there now: nothing is known, so nothing is done.
    root.deb("trigger", "", "triggered").expect(0);
    root.hook(&[]).expect(0);
    assert!(installed == root.snapshot_of("/usr/lib/modules"), "the module that worked is gone");
    assert!(before == root.snapshot_of(format!("/srv/dkms/good/1/{K}")), "its build is gone");
    bind();
    root.write_script("/var/log/command", "#!/bin/sh\n");
    root.hook(&[]).expect(0);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

fn another_file_system_over_the_kernels() {
    let root = FakeRoot::new();
    for k in [K, "6.13.0-toy"] {
        ToyKernel::new(k).install(&root);
    }
    ToyModule::new("one", "1").register(&root);
    root.hook(&[]).expect(0);
    let built = root.snapshot_of("/var/lib/dkms/one");
    let kernels = "/usr/lib/modules";
    let cover = || {
        mount(&root, kernels, "size=1m");
        // An old copy of one kernel is in what should have been covered.
        std::fs::create_dir_all(root.path(format!("{kernels}/{K}/kernel"))).unwrap();
    };
    cover();
    let why = "now that directory is on tmpfs mounted at /usr/lib/modules";
    root.hook(&[]).expect(11).says(why).says("the modules of 6.13.0-toy are kept").says("--purge-missing");
    root.deb("trigger", "", "triggered").expect(0).says(why);
    root.hook(&["--dry-run"]).expect(1).says(why);
    assert!(built.changes(&root.snapshot_of("/var/lib/dkms/one")).iter().all(|change| change.contains(K)));
    assert!(root.exists("/var/lib/dkms/one/1/6.13.0-toy/x86_64/module/one.ko"));
    assert!(Command::new("umount").arg(root.path(kernels)).status().unwrap().success());
    root.hook(&[]).expect(0);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    // A person says that it is meant so; from then on that tree is the one.
    cover();
    root.hook(&["--purge-missing"]).expect(0);
    assert!(!root.exists("/var/lib/dkms/one/1/6.13.0-toy"));
    root.hook(&[]).expect(0).does_not_say(why);
}

fn nothing_to_do_starts_no_process() {
    let root = FakeRoot::new();
    for k in [K, "6.13.0-toy"] {
        ToyKernel::new(k).install(&root);
    }
    for name in ["one", "two", "three"] {
        ToyModule::new(name, "1").register(&root);
    }
    root.hook(&[]).expect(0);
    let mine = |run: &dyn Fn()| {
        let next = || Command::new("true").spawn().map(|mut c| (c.id(), c.wait())).unwrap().0;
        let before = next();
        run();
        next() - before - 1
    };
    let alone = || finish(root.program(Face::Hook).env_remove(trace::VARIABLE));
    assert_eq!(mine(&|| drop(alone().expect(0).says("nothing to do"))), 1, "the program itself");
    assert_eq!(mine(&|| drop(root.hook(&["--dry-run"]).expect(0))), 1);
    assert_eq!(mine(&|| drop(root.deb("trigger", "", "triggered").expect(0))), 1);
    assert_eq!(mine(&|| drop(root.deb("kernel-postinst", K, "configure").expect(0))), 1);
    assert_eq!(mine(&|| drop(root.dkms(&["status"]).expect(0))), 1);
    for words in ["rpm in", "rpm leaving", "rpm out", "pacman install", "pacman remove", "pacman initramfs"] {
        let paths = [format!("usr/lib/modules/{K}/vmlinuz"), "usr/src/one-1/dkms.conf".to_owned()];
        assert_eq!(mine(&|| drop(root.event(words, &paths).expect(0))), 1, "{words}");
    }
    assert_eq!(mine(&|| drop(root.kernel_install("add", K, &[]).expect(0))), 1);
    // The method sees a process where there is one.
    root.write("/usr/src/one-1/notes", "new");
    assert!(mine(&|| drop(root.hook(&[]).expect(0))) > 1);
}
