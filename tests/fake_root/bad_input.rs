//! Input that is wrong: a message that names the file and the next step, a status that scripts can
//! see, and every other module is built all the same.

use std::fs;

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// One kernel and `good/1`; `bad/1` is registered and about to be damaged.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("bad", "1").register(&root);
    ToyModule::new("good", "1").register(&root);
    root
}

/// Runs everything as a person and as a package manager; `good/1` is built, once.
#[track_caller]
fn others_are_built(root: &FakeRoot) -> Answer {
    root.deb("kernel-postinst", K, "configure").expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["good.ko"]);
    let answer = root.hook(&[]);
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/good/1/build"]);
    answer
}

#[test]
fn a_kernel_that_is_not_there() {
    let root = root();
    let before = root.snapshot();
    root.hook(&["--kernel", "6.99-none"]).expect(11).says("/lib/modules/6.99-none").says("ls /lib/modules");
    root.hook(&["--kernel", "6.99-none", "--dry-run"]).expect(21).says("/lib/modules/6.99-none");
    root.dkms(&["install", "good/1", "-k", "6.99-none"]).expect(21).says("6.99-none");
    root.dkms(&["autoinstall", "-k", "6.99-none"]).expect(21).says("6.99-none");
    root.assert_untouched(&before);
    root.hook(&["--kernel", ""]).expect(16);
    root.hook(&["--kernel", "../x"]).expect(16);
    root.dkms(&["install", "good/1", "-k", ""]).expect(16);
    root.dkms(&["install", "good/1", "-k", "../x"]).expect(16);
    root.dkms(&["install", "../good/1", "-k", K]).expect(1);
    root.assert_untouched(&before);
    // The kernels that are there are worked on all the same.
    root.hook(&["--kernel", "6.99-none", "--kernel", K]).expect(11);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "good.ko"]);
}

#[test]
fn another_architecture() {
    let root = root();
    let other = format!("{K}/i386");
    let before = root.snapshot();
    for words in [&["build", "good/1"][..], &["install", "good/1"], &["autoinstall"], &["kernel_postinst"]] {
        let answer = root.dkms(&[words, &["-k", &other]].concat()).expect(21);
        answer.says("nothing is built for i386").says("-a x86_64").does_not_say("no kernel");
        root.assert_untouched(&before);
    }
    // The other kernel is built for all the same.
    assert_eq!(root.take_make_calls(), [""; 0]);
    // The other kernel is built for all the same.
    let answer = root.dkms(&["install", "good/1", "-k", K, "-a", "x86_64", "-k", K, "-a", "i386"]);
    answer.expect(21).says("nothing is built for i386");
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["good.ko"]);
}

#[test]
fn a_source_that_a_link_has_outside_of_the_root() {
    let root = root();
    let outside = tempfile::tempdir().unwrap();
    let conf = ToyModule::new("far", "1").conf_text();
    fs::write(outside.path().join("dkms.conf"), &conf).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path("/usr/src/far-1")).unwrap();
    root.dkms(&["add", "far/1"]).expect(2).says("/usr/src/far-1");
    root.dkms(&["build", "far/1", "-k", K]).expect(2).says("/usr/src/far-1");
    // The same for the conf alone.
    root.write("/usr/src/half-1/half.c", "");
    std::os::unix::fs::symlink(outside.path().join("dkms.conf"), root.path("/usr/src/half-1/dkms.conf"))
        .unwrap();
    root.dkms(&["add", "half/1"]).expect(4).says("/usr/src/half-1/dkms.conf");
    assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook", "bad", "good"]);
    // A link inside the root is followed there.
    fs::create_dir_all(root.path(outside.path())).unwrap();
    fs::write(root.path(outside.path()).join("dkms.conf"), &conf).unwrap();
    root.dkms(&["add", "far/1"]).expect(0);
}

#[test]
fn a_root_that_is_not_there() {
    let root = root();
    let gone = root.path("/nonexistent");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_dkms-hook"));
    let gone = gone.to_str().unwrap();
    finish(command.args(["--root", gone])).expect(1).says(gone).says("--root");
    let mut command = root.program(Face::Dkms);
    finish(command.env("DKMS_HOOK_ROOT", gone).arg("status")).expect(1).says(gone).says("DKMS_HOOK_ROOT");
}

#[test]
fn no_conf() {
    let root = root();
    fs::remove_file(root.path("/usr/src/bad-1/dkms.conf")).unwrap();
    others_are_built(&root).expect(11).says("/usr/src/bad-1/dkms.conf");
    root.dkms(&["build", "bad/1", "-k", K]).expect(4).says("/usr/src/bad-1/dkms.conf");
    root.dkms(&["autoinstall", "-k", K]).expect(11).says("bad(4)");
    root.hook(&["status"]).expect(1).says("/usr/src/bad-1/dkms.conf");
    fs::create_dir(root.path("/usr/src/bare-1")).unwrap();
    root.dkms(&["add", "bare/1"]).expect(4).says("/usr/src/bare-1/dkms.conf");
    root.dkms(&["add", root.path("/usr/src/bare-1").to_str().unwrap()])
        .expect(1)
        .says("/usr/src/bare-1 has no dkms.conf")
        .says("MODULE/VERSION");
    root.dkms(&["add", "/nonexistent"]).expect(1).says("there is no /nonexistent");
    root.dkms(&["build", "./nonexistent", "-k", K]).expect(1).says("there is no ./nonexistent");
    // An option names what is meant.
    root.dkms(&["add", "/nonexistent", "-m", "good", "-v", "1"]).expect(3).says("already added");
}

#[test]
fn a_conf_with_a_bad_value() {
    let root = root();
    let text = ToyModule::new("bad", "1").conf_text() + "DEST_MODULE_LOCATION[0]=\"/elsewhere\"\n";
    root.write("/usr/src/bad-1/dkms.conf", text);
    others_are_built(&root).expect(11).says("/usr/src/bad-1/dkms.conf").says("DEST_MODULE_LOCATION");
    root.dkms(&["build", "bad/1", "-k", K]).expect(8).says("DEST_MODULE_LOCATION");
}

#[test]
fn a_conf_with_a_syntax_error() {
    let root = root();
    let text = ToyModule::new("bad", "1").conf_text() + "if true; then\nMAKE[0]=\"unfinished\n";
    root.write("/usr/src/bad-1/dkms.conf", text);
    others_are_built(&root).expect(11).says("/usr/src/bad-1/dkms.conf");
    root.dkms(&["build", "bad/1", "-k", K]).expect(8).says("/usr/src/bad-1/dkms.conf");
}

#[test]
fn a_conf_that_is_a_directory() {
    let root = root();
    fs::remove_file(root.path("/usr/src/bad-1/dkms.conf")).unwrap();
    fs::create_dir(root.path("/usr/src/bad-1/dkms.conf")).unwrap();
    others_are_built(&root).expect(11).says("/usr/src/bad-1/dkms.conf");
}

#[test]
fn a_source_that_is_gone() {
    let root = root();
    fs::remove_dir_all(root.path("/usr/src/bad-1")).unwrap();
    others_are_built(&root).expect(11).says("/usr/src/bad-1");
    let answer = root.dkms(&["status"]).expect(0);
    assert_eq!(answer.out, format!("bad/1: broken\ngood/1, {K}, x86_64: installed\n"));
    root.dkms(&["build", "bad/1", "-k", K]).expect(4).says("/usr/src/bad-1");
    // What the messages offer as the next step works: without its source `dkms remove` refuses it.
    root.dkms(&["remove", "bad/1", "--all"]).expect(4);
    for said in [root.dkms(&["autoinstall", "-k", K]), root.hook(&[])] {
        said.says("delete the entry: /var/lib/dkms/bad/1");
    }
    fs::remove_dir_all(root.path("/var/lib/dkms/bad")).unwrap();
    root.hook(&[]).expect(0);
}

#[test]
fn a_source_that_is_a_link_to_itself() {
    for inside in [false, true] {
        let root = root();
        fs::remove_dir_all(root.path("/usr/src/bad-1")).unwrap();
        if inside {
            let link = root.path("/var/lib/dkms/bad/1/source");
            fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink("source", link).unwrap();
        } else {
            std::os::unix::fs::symlink("bad-1", root.path("/usr/src/bad-1")).unwrap();
        }
        let answer = root.dkms(&["status"]).expect(0);
        assert_eq!(answer.out, "bad/1: broken\ngood/1: added\n");
        // It may be there, behind a link that somebody is about to mend: nothing is done about it.
        others_are_built(&root).expect(11).says("bad/1 is left alone");
        root.dkms(&["build", "bad/1", "-k", K]).expect(1).says("cannot look at /var/lib/dkms/bad/1/source");
    }
}

#[test]
fn a_file_where_a_directory_should_be() {
    // In place of the build directory.
    let root = root();
    fs::remove_dir(root.path("/var/lib/dkms/bad/1/build")).unwrap();
    root.write("/var/lib/dkms/bad/1/build", "a file");
    root.hook(&[]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "good.ko"]);

    // In place of the kernel's directory of the module.
    let root = self::root();
    root.write(format!("/var/lib/dkms/bad/1/{K}"), "a file");
    root.hook(&[]).expect(11).says(&format!("/var/lib/dkms/bad/1/{K}"));
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["good.ko"]);

    // In place of where the modules are installed.
    let root = self::root();
    root.write(format!("/lib/modules/{K}/updates"), "a file");
    root.hook(&[]).expect(11).says(&format!("/lib/modules/{K}/updates"));
    assert_eq!(root.read(format!("/lib/modules/{K}/updates")), "a file");

    // In place of our own state.
    let root = self::root();
    root.write("/var/lib/dkms/.dkms-hook", "a file");
    root.hook(&[]).expect(1).says("/var/lib/dkms/.dkms-hook");
    root.deb("kernel-postinst", K, "configure").expect(0).says("/var/lib/dkms/.dkms-hook");

    // Stray files among the modules are nobody's.
    let root = self::root();
    root.write("/var/lib/dkms/stray", "a file");
    root.write("/var/lib/dkms/bad/stray", "a file");
    root.write("/lib/modules/stray", "a file");
    root.hook(&[]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "good.ko"]);
}

#[test]
fn damaged_state_files_stop_nothing_and_are_kept() {
    for text in ["", "{", "null", "{\"format\": 99}", "\u{0}\u{0}", "{\"format\": 1, \"inputs\": 7}"] {
        let root = FakeRoot::new();
        ToyKernel::new(K).install(&root);
        ToyModule::new("good", "1").register(&root);
        root.hook(&[]).expect(0);
        let installed = root.snapshot_of(format!("/usr/lib/modules/{K}/updates"));
        root.take_make_calls();
        let record = format!("/var/lib/dkms/good/1/{K}/x86_64/.dkms-hook.json");
        root.write(&record, text);
        let note = format!("/var/lib/dkms/.dkms-hook/kernels/{K}.json");
        root.write(&note, text);
        let verdict = format!("/var/lib/dkms/.dkms-hook/verdicts/good/1/{K}-x86_64.json");
        root.write(&verdict, text);
        root.hook(&[]).expect(11).says(&record);
        root.deb("trigger", "", "triggered").expect(0).says(&record);
        root.hook(&["status"]).expect(1);
        assert!(root.take_make_calls().is_empty(), "{text:?}: a good build is not replaced for that");
        assert!(installed == root.snapshot_of(format!("/usr/lib/modules/{K}/updates")));
        assert_eq!(root.read(&record), text);
        if text.contains("99") {
            // No damage: a newer version wrote them, and only a person moves them away.
            root.dkms(&["build", "good/1", "-k", K, "--force"]).expect(1).says("format 99");
            for file in [&record, &note, &verdict] {
                assert_eq!(root.read(file), text);
                fs::remove_file(root.path(file)).unwrap();
            }
        } else {
            root.dkms(&["build", "good/1", "-k", K, "--force"]).expect(0);
            assert_eq!(root.read(record + ".damaged"), text);
        }
        root.hook(&[]).expect(0);
        assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n", "{text:?}");
    }
}

#[test]
fn no_compiler() {
    let root = root();
    let compiler = format!("{}-linux-gnu-gcc-99", std::env::consts::ARCH);
    ToyKernel::new(K).insists_on(&compiler).install_headers(&root);
    let run = |face, args: &[&str]| finish(root.program(face).args(args));
    run(Face::Hook, &[])
        .expect(11)
        .says(&format!("{compiler} was not found in "))
        .says("`apt install gcc-99`");
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    run(Face::Hook, &["deb", "trigger"]).expect(0);
    run(Face::Dkms, &["autoinstall", "-k", K]).expect(11);
    run(Face::Hook, &["status"]).expect(1).says("good/1");
    // It is there again.
    let text = "#!/bin/sh\ncase $1 in -dump*) echo 99.1; exit ;; esac\nexec gcc \"$@\"\n";
    root.write_script(format!("/var/log/stand-ins/{compiler}"), text);
    root.hook(&[]).expect(0);
    root.hook(&["status"]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "good.ko"]);
}

#[test]
fn settings_that_cannot_be_understood_are_no_reason_to_stop() {
    let root = root();
    root.write("/etc/dkms/framework.conf", "if then fi (\n");
    root.hook(&[]).expect(0).says("framework.conf");
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["bad.ko", "good.ko"]);
}

#[test]
fn a_patch_that_is_missing_or_does_not_apply() {
    let root = root();
    ToyModule::new("bad", "1").missing_patch("gone.patch").write_source(&root);
    others_are_built(&root).expect(11);
    root.dkms(&["build", "bad/1", "-k", K]).expect(5).says("gone.patch");
    let patch = "--- a/bad.c\n+++ b/bad.c\n@@ -1 +1 @@\n-no such line\n+another\n";
    ToyModule::new("bad", "1").patch("wrong.patch", patch).write_source(&root);
    root.dkms(&["build", "bad/1", "-k", K]).expect(6).says("wrong.patch");
    root.dkms(&["status", "bad"]).expect(0).says("bad/1: added");
}

/// A pipe in place of a file: whoever opens it waits for ever.
fn pipe(root: &FakeRoot, path: &str) {
    let (dir, name) = path.rsplit_once('/').unwrap();
    let dir = root.layout.root.resolve(dir).unwrap_or_else(|_| root.path(dir));
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    let _ = fs::remove_file(&path);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
}

#[test]
fn pipes_in_place_of_files_are_not_waited_for() {
    let record = format!("/var/lib/dkms/bad/1/{K}/x86_64/.dkms-hook.json");
    let places = [
        "/var/lib/dkms/.dkms-hook/lock".to_owned(),
        record.clone(),
        format!("/var/lib/dkms/.dkms-hook/verdicts/bad/1/{K}-x86_64.json"),
        format!("/var/lib/dkms/.dkms-hook/kernels/{K}.json"),
        format!("/lib/modules/{K}/build/include/config/auto.conf"),
        format!("/lib/modules/{K}/build/Module.symvers"),
        format!("/lib/modules/{K}/updates/dkms/bad.ko"),
        format!("/lib/modules/{K}/modules.dep"),
        format!("/var/lib/dkms/bad/1/{K}/x86_64/module/bad.ko"),
        format!("/var/lib/dkms/bad/1/{K}/x86_64/.dkms-hook-conf.json"),
        "/var/lib/dkms/.dkms-hook/directories".to_owned(),
        "/usr/src/bad-1/dkms.conf".to_owned(),
        "/etc/dkms/framework.conf".to_owned(),
        "/etc/os-release".to_owned(),
    ];
    for place in places {
        let root = root();
        root.hook(&[]).expect(0);
        pipe(&root, &place);
        if place == record {
            let answer = root.hook(&[]).expect(11);
            answer.says(&record).says("it is not a regular file").says("away to continue without it");
        }
        // Each of them ends, whatever it says; dkms status and a hook end well.
        root.dkms(&["status"]).expect(0);
        root.deb("trigger", "", "triggered").expect(0);
        root.hook(&["--dry-run"]);
        root.hook(&[]);
        root.dkms(&["install", "good/1", "-k", K, "--force"]);
        assert_eq!(
            root.dkms(&["status", "-m", "good"]).expect(0).out,
            format!("good/1, {K}, x86_64: installed\n")
        );
    }
}

#[test]
fn a_pipe_in_the_build_directory_is_not_waited_for() {
    let root = root();
    let text = ToyModule::new("bad", "1").conf_text();
    let make = "MAKE[0]=\"rm make.log; mkfifo make.log; false\"\n";
    root.write("/usr/src/bad-1/dkms.conf", text + make);
    others_are_built(&root).expect(11);
    root.dkms(&["build", "bad/1", "-k", K]).expect(10);
}

#[test]
fn a_device_for_a_configuration_ends() {
    let root = root();
    fs::create_dir_all(root.path("/tmp")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", root.path("/tmp/config")).unwrap();
    for config in ["/dev/zero", root.path("/tmp/config").to_str().unwrap()] {
        root.dkms(&["build", "good/1", "-k", K, "--config", config]);
    }
}

#[test]
fn a_record_cannot_have_files_elsewhere_deleted() {
    let victims = [
        "/etc/victim".to_owned(),
        format!("/lib/modules/{K}/../victim"),
        format!("/lib/modules/{K}/updates/../../other/victim"),
        "/usr/lib/modules/victim".to_owned(),
    ];
    for victim in victims {
        for words in [
            &["install", "good/1", "-k", K, "--force"][..],
            &["uninstall", "good/1", "-k", K],
            &["remove", "good/1", "--all"],
        ] {
            let root = root();
            root.hook(&[]).expect(0);
            fs::create_dir_all(root.path("/lib/modules/other")).unwrap();
            root.write(&victim, "somebody else's");
            let record = format!("/var/lib/dkms/good/1/{K}/x86_64/.dkms-hook.json");
            let own = format!("/lib/modules/{K}/updates/dkms/good.ko");
            let text = root.read(&record);
            assert!(text.contains(&own), "{text}");
            root.write(&record, text.replace(&own, &victim));
            root.dkms(words);
            assert_eq!(root.read(&victim), "somebody else's", "{words:?}");
        }
    }
}

#[test]
fn no_place_in_a_conf_leads_out_of_its_tree() {
    let rows = [
        ("DEST_MODULE_LOCATION[0]=\"/updates/../../../../etc\"\n", "DEST_MODULE_LOCATION"),
        ("DEST_MODULE_LOCATION[0]=\"/kernel/..\"\n", "DEST_MODULE_LOCATION"),
        ("DEST_MODULE_NAME[0]=\"../bad\"\n", "DEST_MODULE_NAME"),
        ("DEST_MODULE_NAME[0]=\"..\"\n", "DEST_MODULE_NAME"),
        ("BUILT_MODULE_LOCATION[0]=\"../\"\n", "BUILT_MODULE_LOCATION"),
        ("BUILT_MODULE_LOCATION[0]=\"sub/../..\"\n", "BUILT_MODULE_LOCATION"),
        ("BUILT_MODULE_NAME[0]=\"../bad\"\n", "BUILT_MODULE_NAME"),
    ];
    for distribution in ["debian", "gentoo", "alpine"] {
        for (line, name) in rows {
            let root = root();
            root.write("/etc/os-release", format!("ID={distribution}\n"));
            root.write("/usr/src/bad-1/dkms.conf", ToyModule::new("bad", "1").conf_text() + line);
            root.hook(&[]).expect(11).says("/usr/src/bad-1/dkms.conf").says(name);
            root.dkms(&["build", "bad/1", "-k", K]).expect(8).says(name);
        }
    }
}
