//! What could not be looked at is never taken for an absence: nothing is deleted, forgotten or rebuilt by
//! it, a message names the place and the next step, a person's command ends with a status that is not 0,
//! and hooks end with 0.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";
const RECORD: &str = "/var/lib/dkms/hello/1/6.13.0-toy/x86_64/.dkms-hook.json";
const NOTE: &str = "/var/lib/dkms/.dkms-hook/kernels/6.13.0-toy.json";
const MODULES: &str = "/usr/lib/modules";

/// Two kernels, with a module installed for both.
fn installed() -> FakeRoot {
    let root = FakeRoot::new();
    for release in [K, K2] {
        ToyKernel::new(release).install(&root);
    }
    ToyModule::new("hello", "1").register(&root);
    root.hook(&[]).expect(0);
    root.take_make_calls();
    root
}

/// Puts something else in a place for as long as `during` lasts.
fn instead(root: &FakeRoot, place: &str, put: impl FnOnce(&Path), during: impl FnOnce()) {
    let (path, aside) = (root.path(place), root.path("/aside"));
    fs::rename(&path, &aside).unwrap();
    put(&path);
    during();
    if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(&path).unwrap();
    } else if path.symlink_metadata().is_ok() {
        fs::remove_file(&path).unwrap();
    }
    fs::rename(&aside, &path).unwrap();
}

/// Every way in which the program is called while something cannot be looked at: nothing changes, and what
/// is wrong is said.
#[track_caller]
fn nothing_is_lost(root: &FakeRoot, says: &[&str]) {
    let before = root.snapshot();
    let said = |text: &str| says.iter().all(|words| text.contains(words));
    for (args, code) in [(&[][..], 11), (&["--dry-run"], 1), (&["--json"], 1), (&["status"], 1)] {
        let answer = root.hook(args);
        assert_eq!(answer.code, code, "{args:?}\n{}{}", answer.out, answer.err);
        let text = format!("{}{}", answer.out, answer.err);
        assert!(said(&text), "{args:?} does not say {says:?}:\n{text}");
    }
    for (event, params) in
        [("trigger", "triggered"), ("kernel-postinst", "configure"), ("header-postinst", "")]
    {
        let answer = root.deb(event, K2, params).expect(0);
        let text = format!("{}{}", answer.out, answer.err);
        assert!(event != "trigger" || said(&text), "{event} does not say {says:?}:\n{text}");
    }
    assert_eq!(root.take_make_calls(), [""; 0]);
    root.assert_untouched(&before);
}

/// Afterwards everything is as it was, and nothing is to do.
#[track_caller]
fn and_then_all_is_well(root: &FakeRoot) {
    root.hook(&[]).expect(0);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    assert_eq!(root.take_make_calls(), [""; 0], "nothing need be built again");
    let state = |k: &str| format!("hello/1, {k}, x86_64: installed\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, state(K) + &state(K2));
    for k in [K, K2] {
        assert!(root.exists(format!("/lib/modules/{k}/updates/dkms/hello.ko")));
    }
}

#[test]
fn an_install_tree_without_any_kernel_purges_nothing() {
    let root = installed();
    let says = ["there is no kernel in /lib/modules", K, K2, "mount it", "dkms-hook --purge-missing"];
    instead(&root, MODULES, |path| fs::create_dir(path).unwrap(), || nothing_is_lost(&root, &says));
    and_then_all_is_well(&root);
    // It is not there at all.
    instead(&root, MODULES, |_| {}, || nothing_is_lost(&root, &says));
    and_then_all_is_well(&root);
}

#[test]
fn an_install_tree_that_cannot_be_looked_at_purges_nothing() {
    let root = installed();
    let looks = ["cannot look at /lib/modules", "the modules of", "are kept", "mount or repair"];
    instead(&root, MODULES, |path| symlink("modules", path).unwrap(), || nothing_is_lost(&root, &looks));
    instead(&root, MODULES, |path| symlink("/nowhere", path).unwrap(), || nothing_is_lost(&root, &looks));
    instead(&root, MODULES, |path| fs::write(path, "").unwrap(), || nothing_is_lost(&root, &looks));
    // /usr is not mounted.
    let looks = ["cannot look at /lib: it is a broken link", looks[1], looks[2], looks[3]];
    instead(&root, "/usr/lib", |_| {}, || nothing_is_lost(&root, &looks));
    and_then_all_is_well(&root);
    // The word of a person proves nothing about what cannot be read.
    instead(
        &root,
        MODULES,
        |path| symlink("modules", path).unwrap(),
        || drop(root.hook(&["--purge-missing"]).expect(11)),
    );
    and_then_all_is_well(&root);
}

#[test]
fn a_wrong_install_tree_in_the_settings_purges_nothing() {
    let root = installed();
    let config = "/etc/dkms/framework.conf";
    root.write(config, "install_tree=\"/lib/modulez\"\n");
    nothing_is_lost(
        &root,
        &["there is no kernel in /lib/modulez", "install_tree in /etc/dkms/framework.conf"],
    );
    root.write(config, "install_tree=\"/libs/modules\"\n");
    nothing_is_lost(&root, &["cannot look at /libs/modules", "install_tree in /etc/dkms/framework.conf"]);
    // One with another kernel in it.
    fs::create_dir_all(root.path("/opt/modules/6.0.0/kernel")).unwrap();
    root.write(config, "install_tree=\"/opt/modules\"\n");
    let before = root.snapshot_of("/usr/lib/modules");
    let answer = root.hook(&[]).expect(11);
    answer.says("were in /usr/lib/modules at the last run").says("/opt/modules").says(K);
    fs::remove_file(root.path(config)).unwrap();
    assert!(before == root.snapshot_of("/usr/lib/modules"));
    and_then_all_is_well(&root);
}

#[test]
fn a_wrong_install_tree_on_the_command_line_of_dkms_is_said() {
    let root = installed();
    let before = root.snapshot();
    // DKMS's status for a run over everything in which something failed is 11.
    for (words, status) in [(&["autoinstall"][..], 11), (&["install", "hello/1"], 1)] {
        let words = [words, &["-k", K, "--installtree", "/lib/nonsense"]].concat();
        let answer = root.dkms(&words).expect(status);
        answer.says("there is no kernel in /lib/nonsense").says("install_tree").says(K);
        root.assert_untouched(&before);
    }
    and_then_all_is_well(&root);
}

#[test]
fn a_person_says_that_the_last_kernel_is_gone_for_good() {
    let root = installed();
    for k in [K, K2] {
        ToyKernel::new(k).remove_image(&root);
        ToyKernel::new(k).remove_headers(&root);
    }
    root.hook(&[]).expect(11).says("--purge-missing");
    let dry = root.hook(&["--purge-missing", "--dry-run"]).expect(0).out;
    assert!(dry.contains(&format!("would delete the build of hello/1 for {K}")), "{dry}");
    root.hook(&["--purge-missing"]).expect(0);
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1: added\n");
    assert_eq!(root.names("/lib/modules"), [""; 0]);
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
    root.hook(&["status", "--purge-missing"]).expect(2);
}

#[test]
fn a_package_manager_that_removes_the_last_kernel_need_not_be_doubted() {
    let root = installed();
    for k in [K, K2] {
        ToyKernel::new(k).remove_image(&root);
        ToyKernel::new(k).remove_headers(&root);
        root.deb("kernel-postrm", k, "remove").expect(0).does_not_say("purge-missing");
    }
    root.deb("trigger", "", "triggered").expect(0).does_not_say("purge-missing");
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1: added\n");
    assert_eq!(root.names("/lib/modules"), [""; 0]);

    // kernel-install removes the boot entry before the files go; rpm's trigger comes after that.
    let root = installed();
    for k in [K, K2] {
        root.kernel_install("remove", k, &[]).expect(0);
        ToyKernel::new(k).remove_image(&root);
        ToyKernel::new(k).remove_headers(&root);
    }
    root.event("rpm out", &[]).expect(0).does_not_say("purge-missing");
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1: added\n");
}

#[test]
fn without_anything_of_ours_a_root_without_kernels_is_nothing_to_speak_of() {
    let root = FakeRoot::new();
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
    ToyModule::new("hello", "1").register(&root);
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
    fs::remove_dir(root.path(MODULES)).unwrap();
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
    root.deb("trigger", "", "triggered").expect(0);
}

#[test]
fn originals_that_were_set_aside_stay_while_their_kernel_may_be_there() {
    let root = FakeRoot::new();
    ToyKernel::new(K).in_tree("drivers/hello.ko").install(&root);
    root.write("/etc/depmod.d/first.conf", "search built-in updates\n");
    ToyModule::new("hello", "1").register(&root);
    root.dkms(&["install", "hello/1", "-k", K, "--force"]).expect(0);
    let original = format!("/var/lib/dkms/hello/original_module/{K}/x86_64/hello.ko");
    assert!(root.exists(&original));
    instead(
        &root,
        MODULES,
        |path| fs::create_dir(path).unwrap(),
        || {
            root.dkms(&["remove", "hello/1", "--all"]).expect(0);
            assert!(root.exists(&original), "the kernel's own module is lost");
        },
    );
}

#[test]
fn a_kernel_that_cannot_be_looked_at_stops_no_other() {
    let root = installed();
    let dir = format!("{MODULES}/{K2}");
    let says =
        [&*format!("cannot look at {}", &dir[4..]), "nothing is changed for kernel 6.13.0-toy", "repair"];
    let kernel = format!("{dir}/kernel");
    instead(&root, &kernel, |path| symlink("kernel", path).unwrap(), || nothing_is_lost(&root, &says));
    instead(&root, &kernel, |path| fs::write(path, "").unwrap(), || nothing_is_lost(&root, &says));
    instead(&root, &dir, |path| symlink(K2, path).unwrap(), || nothing_is_lost(&root, &says));
    instead(&root, &dir, |path| fs::write(path, "").unwrap(), || nothing_is_lost(&root, &says));
    instead(&root, &dir, |path| symlink("/mnt/away", path).unwrap(), || nothing_is_lost(&root, &says));
    // Headers alone.
    let build = format!("{dir}/build");
    instead(&root, &build, |path| symlink("build", path).unwrap(), || nothing_is_lost(&root, &says));
    instead(
        &root,
        &build,
        |path| symlink("build", path).unwrap(),
        || {
            root.dkms(&["install", "hello/1", "-k", K2]).expect(1).says("nothing is changed for kernel");
            root.dkms(&["autoinstall", "-k", K2]).expect(11).says("nothing is changed for kernel");
            root.write("/usr/src/hello-1/hello.h", "/* new */");
            root.hook(&[]).expect(11);
            assert_eq!(root.take_make_calls(), ["/var/lib/dkms/hello/1/build"], "for the other kernel");
        },
    );
    root.hook(&[]).expect(0);
    root.take_make_calls();
    and_then_all_is_well(&root);
}

#[test]
fn a_module_tree_or_a_source_that_cannot_be_looked_at_is_said() {
    let root = installed();
    let tree = ["cannot look at /var/lib/dkms", "mount or repair"];
    let before = root.snapshot_of(MODULES);
    for place in ["/var/lib/dkms", "/var/lib/dkms/hello"] {
        instead(
            &root,
            place,
            |path| symlink(path.file_name().unwrap(), path).unwrap(),
            || {
                let answer = root.hook(&[]).expect(11);
                tree.into_iter().fold(answer, |answer, text| answer.says(text));
                root.deb("trigger", "", "triggered").expect(0).says("cannot look at /var/lib/dkms");
                // An empty listing would say that there is no module.
                let answer = root.dkms(&["status"]).expect(1);
                assert_eq!(answer.out, "");
                answer.says("cannot look at /var/lib/dkms").says("mount or repair");
                // What was not asked about is nobody's trouble.
                let other = root.dkms(&["status", "other"]);
                assert_eq!(other.code, i32::from(place == "/var/lib/dkms"), "{place}: {}", other.err);
            },
        );
    }
    instead(
        &root,
        "/usr/src/hello-1",
        |path| symlink("hello-1", path).unwrap(),
        || {
            nothing_is_lost(&root, &["cannot look at /var/lib/dkms/hello/1/source", "hello/1 is left alone"]);
        },
    );
    assert!(before == root.snapshot_of(MODULES));
    and_then_all_is_well(&root);
}

#[test]
fn a_damaged_record_is_kept_and_its_build_left_alone() {
    let root = installed();
    let whole = root.read(RECORD);
    let damages = ["{\"format\": 99}", "", &whole[..whole.len() / 2]];
    for damage in damages {
        root.write(RECORD, damage);
        let next = match damage {
            // A newer version wrote it.
            "{\"format\": 99}" => "install the version of dkms-hook that wrote it",
            _ => "dkms build hello/1 -k 6.13.0-toy --force",
        };
        let says = ["cannot look at", RECORD, next];
        nothing_is_lost(&root, &says);
        root.dkms(&["install", "hello/1", "-k", K2]).expect(1).says(RECORD);
        root.dkms(&["autoinstall", "-k", K2]).expect(11).says(RECORD);
        assert_eq!(root.read(RECORD), damage);
    }
    // One damaged file stops no other module, and no other kernel.
    ToyModule::new("second", "1").register(&root);
    root.hook(&[]).expect(11);
    assert_eq!(root.names(format!("/lib/modules/{K2}/updates/dkms")), ["hello.ko", "second.ko"]);
    root.dkms(&["remove", "second/1", "--all"]).expect(0);
    root.take_make_calls();
    // The next step, as it was said.
    root.dkms(&["build", "hello/1", "-k", K2, "--force"]).expect(0);
    root.dkms(&["install", "hello/1", "-k", K2]).expect(0);
    assert_eq!(root.read(format!("{RECORD}.damaged")), damages[2]);
    root.take_make_calls();
    and_then_all_is_well(&root);
    // It is gone with its kernel only when somebody says so.
    root.write(RECORD, "");
    ToyKernel::new(K2).remove_image(&root);
    ToyKernel::new(K2).remove_headers(&root);
    root.hook(&[]).expect(11).says(RECORD);
    assert_eq!(root.read(RECORD), "");
    root.dkms(&["remove", "hello/1", "-k", K2]).expect(0);
    assert_eq!(root.hook(&[]).expect(0).code, 0);
}

#[test]
fn a_damaged_verdict_is_kept_and_the_build_not_tried_again_by_hooks() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("bad", "1").make("false").register(&root);
    root.hook(&[]).expect(11);
    let verdict = format!("/var/lib/dkms/.dkms-hook/verdicts/bad/1/{K}-x86_64.json");
    root.write(&verdict, "{");
    let before = root.snapshot();
    for _ in 0..2 {
        root.hook(&[]).expect(11).says(&verdict).says("is not retried");
        root.deb("trigger", "", "triggered").expect(0).says(&verdict);
    }
    root.assert_untouched(&before);
    root.dkms(&["install", "bad/1", "-k", K]).expect(10);
    assert_eq!(root.read(format!("{verdict}.damaged")), "{");
    root.hook(&[]).expect(11).says("failed before, and no input changed since");
}

#[test]
fn a_damaged_note_leaves_its_duties_due() {
    let root = installed();
    for damage in ["", "{\"depmod-due\": tr"] {
        root.write(NOTE, damage);
        root.take_calls();
        let dry = root.hook(&["--dry-run"]).expect(1).out;
        assert!(dry.contains(NOTE) && dry.contains(&format!("would depmod {K2}")), "{dry}");
        assert_eq!(root.read(NOTE), damage);
        // A hook leaves the initramfs to the next one, and the note to the trigger.
        root.deb("kernel-postinst", K2, "configure").expect(0).says(NOTE);
        assert_eq!(root.take_depmods(), [K2]);
        assert_eq!(root.read(format!("{NOTE}.damaged")), damage);
        assert!(root.read(NOTE).contains("\"always\": true"), "{}", root.read(NOTE));
        root.deb("trigger", "", "triggered").expect(0);
        fs::remove_file(root.path(format!("{NOTE}.damaged"))).unwrap();
        and_then_all_is_well(&root);
    }
    // A pipe would never end, a directory can be set aside.
    fs::create_dir(root.path(NOTE)).unwrap();
    root.hook(&[]).expect(11).says(NOTE);
    and_then_all_is_well(&root);
}

#[test]
fn a_dkms_conf_that_cannot_be_read_skips_no_script_in_silence() {
    let root = installed();
    let with = ToyModule::new("scripted", "1")
        .line("POST_REMOVE=gone.sh")
        .executable("gone.sh", "#!/bin/sh\necho it is removed\n");
    with.register(&root);
    root.hook(&[]).expect(0);
    let conf = "/usr/src/scripted-1/dkms.conf";
    let text = root.read(conf);
    root.write(conf, "PACKAGE_NAME=(((\n");
    let answer = root.dkms(&["uninstall", "scripted/1", "-k", K]).expect(0);
    answer.says("POST_REMOVE of scripted/1, if it has one, is not run").says(conf);
    root.dkms(&["install", "scripted/1", "-k", K]).says("scripted/1 is not installed").says(conf);
    assert!(!root.exists(format!("/lib/modules/{K}/updates/dkms/scripted.ko")));
    root.write(conf, text);
    root.dkms(&["install", "scripted/1", "-k", K]).expect(0);
    root.dkms(&["uninstall", "scripted/1", "-k", K]).expect(0).says("it is removed");
}

#[test]
fn a_module_that_cannot_be_read_is_not_replaced() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root.write(format!("{MODULES}/{K}/kernel/drivers/hello.ko"), b"\x7fELF, and cut off");
    ToyModule::new("hello", "1").register(&root);
    let own = format!("/lib/modules/{K}/kernel/drivers/hello.ko");
    root.hook(&[]).expect(11).says(&own).says("versions cannot be compared").says("--force");
    assert!(root.read(&own).ends_with("cut off"));
    root.hook(&[]).expect(11).says(&own);
    root.dkms(&["install", "hello/1", "-k", K, "--force"]).expect(0);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/hello.ko")));
}
