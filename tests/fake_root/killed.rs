//! What is left of a run that was killed, laid out as the kill leaves it: the next run that takes the lock clears away
//! what is its own, and nothing of anybody else.

use std::fs;
use std::path::Path;

use crate::support::program::{Face, finish};
use crate::support::syncs;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1").register(&root);
    root
}

fn record(version: &str) -> String {
    format!("/var/lib/dkms/hello/{version}/{K}/x86_64/.dkms-hook.json")
}

fn installed(root: &FakeRoot, version: &str) -> usize {
    let record: serde_json::Value = serde_json::from_str(&root.read(record(version))).unwrap();
    record["installed"].as_array().unwrap().len()
}

/// The lock as a run leaves it that was killed: with an id that no process can have.
fn killed(root: &FakeRoot) {
    root.write("/var/lib/dkms/.dkms-hook/lock", "4194999\n");
}

/// Has a run take the lock that has nothing to do with the module. (What it clears away is no step of its plan.)
fn another_run(root: &FakeRoot) {
    ToyModule::new("other", "1").write_source(root);
    for words in [["add", "other/1"].as_slice(), &["remove", "other/1", "--all"]] {
        assert!(root.program(Face::Dkms).args(words).output().unwrap().status.success());
    }
}

#[test]
fn a_file_that_somebody_else_put_in_a_listed_place_stays() {
    let place = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    // With the recovery, and after a power cut, of which the lock may know nothing.
    for recovers in [true, false] {
        let root = root();
        root.dkms(&["install", "hello/1", "-k", K]).expect(0);
        // An uninstallation that was killed before it had emptied its list.
        fs::remove_file(root.path(&place)).unwrap();
        fs::remove_file(root.path(format!("/var/lib/dkms/hello/kernel-{K}-x86_64"))).unwrap();
        if recovers {
            killed(&root);
            another_run(&root);
            assert_eq!(installed(&root, "1"), 0);
        }
        root.write(&place, "of somebody else");
        root.dkms(&["remove", "hello/1", "--all"]).expect(0);
        assert_eq!(root.read(&place), "of somebody else");
        assert!(!root.exists("/var/lib/dkms/hello"));
    }
}

#[test]
fn what_an_upgrade_that_was_killed_had_replaced_is_deleted_once() {
    let place = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    let root = root();
    root.dkms(&["install", "hello/1", "-k", K]).expect(0);
    let before = root.read(record("1"));
    ToyModule::new("hello", "2").register(&root);
    root.dkms(&["install", "hello/2", "-k", K]).expect(0);
    // It had not emptied the list of the version before.
    root.write(record("1"), &before);
    killed(&root);
    another_run(&root);
    assert_eq!((installed(&root, "1"), installed(&root, "2")), (0, 1));
    assert!(root.exists(&place));
    root.dkms(&["remove", "hello/2", "--all"]).expect(0);
    assert!(!root.exists(&place));
    root.write(&place, "of somebody else");
    root.dkms(&["remove", "hello/1", "--all"]).expect(0);
    assert_eq!(root.read(&place), "of somebody else");
}

#[test]
fn a_file_of_ours_that_was_signed_in_its_place_is_still_ours() {
    let place = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    let root = root();
    root.dkms(&["install", "hello/1", "-k", K]).expect(0);
    let mut bytes = fs::read(root.path(&place)).unwrap();
    bytes.extend(b"a signature");
    root.write(&place, bytes);
    root.dkms(&["uninstall", "hello/1", "-k", K]).expect(0);
    assert!(!root.exists(&place));
    // By its link, by its content after a restored backup, and not what is none of it.
    for (text, stays) in [(None, false), (Some("of somebody else"), true)] {
        root.dkms(&["install", "hello/1", "-k", K]).expect(0);
        let kept = fs::read(root.path(&place)).unwrap();
        fs::remove_file(root.path(&place)).unwrap();
        root.write(&place, text.map_or(kept, |text| text.as_bytes().to_vec()));
        let answer = root.dkms(&["uninstall", "hello/1", "-k", K]).expect(0);
        assert_eq!(root.exists(&place), stays);
        if stays {
            answer.says("stays: it is not the file that was installed there");
            fs::remove_file(root.path(&place)).unwrap();
        }
    }
}

#[test]
fn builds_of_dkms_are_no_business_of_a_recovery() {
    let root = root();
    root.hook(&[]).expect(0);
    killed(&root);
    // Then DKMS built, and failed to build something else, and the headers went.
    let cell = format!("/var/lib/dkms/hello/1/{K}/x86_64");
    fs::remove_file(root.path(record("1"))).unwrap();
    let log = "DKMS (dkms-3.4.3) make.log for hello/1 for kernel 6.12.1-toy (x86_64)\n";
    root.write(format!("{cell}/log/make.log"), log);
    root.write(format!("{cell}/module/touched"), "");
    ToyModule::new("broken", "1").register(&root);
    root.write("/var/lib/dkms/broken/1/build/make.log", log.replace("hello", "broken"));
    ToyKernel::new(K).remove_headers(&root);
    another_run(&root);
    assert!(root.exists(format!("{cell}/module/hello.ko")));
    assert!(root.exists("/var/lib/dkms/broken/1/build/make.log"));
    // What a run of ours had not finished goes.
    killed(&root);
    let version = env!("CARGO_PKG_VERSION");
    let ours = log.replace("dkms-3.4.3", &format!("dkms-hook-{version}"));
    root.write(format!("{cell}/log/make.log"), &ours);
    root.write(format!("{cell}/module/touched-again"), "");
    root.write("/var/lib/dkms/broken/1/build/make.log", &ours);
    another_run(&root);
    assert!(!root.exists(format!("{cell}/module")));
    assert!(!root.exists("/var/lib/dkms/broken/1/build"));
}

#[test]
fn the_stand_in_for_a_source_goes_with_the_entry_that_was_on_its_way_out() {
    let root = root();
    let stub = "/usr/src/loaded-1";
    root.write(format!("{stub}/dkms.conf"), "");
    root.write(format!("{stub}/.dkms-hook-binaries-only"), "");
    let gone = root.path("/var/lib/dkms/loaded/.tmp-abcdef/gone");
    fs::create_dir_all(&gone).unwrap();
    std::os::unix::fs::symlink(stub, gone.join("source")).unwrap();
    killed(&root);
    another_run(&root);
    assert!(!root.exists(stub) && !root.exists("/var/lib/dkms/loaded/.tmp-abcdef"));
    assert!(root.exists("/usr/src/hello-1"));
}

#[test]
fn signatures_are_looked_at_without_a_trace_in_the_temporary_directory() {
    let root = crate::support::signing::root();
    root.hook(&[]).expect(0);
    let temporary = root.path("/var/log/temporary");
    fs::create_dir(&temporary).unwrap();
    let changed = |dir: &Path| fs::metadata(dir).unwrap().modified().unwrap();
    let before = changed(&temporary);
    let mut command = root.program(Face::Hook);
    command.env("TMPDIR", &temporary).env("RUST_LOG", "debug").args(["resign"]);
    finish(&mut command).expect(0).says("nothing to do").does_not_say("could not be checked");
    assert_eq!(changed(&temporary), before, "a kill would leave a module there");
}

/// A command that was killed when its files and records were right, and index and initramfs were not made yet.
fn cut_off(root: &FakeRoot) {
    let note =
        r#"{ "depmod-due": true, "initramfs-due": { "since": 1, "always": false, "modules": ["hello"] } }"#;
    root.write(format!("/var/lib/dkms/.dkms-hook/kernels/{K}.json"), note);
    root.take_calls();
}

#[test]
fn a_command_that_finds_nothing_left_to_take_away_makes_the_index_that_is_due() {
    let done = |root: &FakeRoot, words: &[&str], code: i32| {
        cut_off(root);
        root.dkms(words).expect(code);
        assert_eq!(root.take_depmods(), [K], "{words:?}");
        assert!(!root.exists(format!("/var/lib/dkms/.dkms-hook/kernels/{K}.json")), "{words:?}");
    };
    let root = root();
    done(&root, &["unbuild", "hello/1", "--all"], 0);
    done(&root, &["uninstall", "hello/1", "--all"], 0);
    root.dkms(&["remove", "hello/1", "--all"]).expect(0);
    for words in
        [["remove", "hello/1", "--all"], ["unbuild", "hello/1", "--all"], ["remove", "hello/1", "-k"]]
    {
        let words = words.into_iter().chain((words[2] == "-k").then_some(K)).collect::<Vec<_>>();
        done(&root, &words, 3);
    }
    // Of another kernel it is not asked.
    cut_off(&root);
    root.dkms(&["remove", "hello/1", "-k", "6.99"]).expect(3);
    assert_eq!(root.take_depmods(), [""; 0]);
}

#[test]
fn what_a_run_could_not_remove_the_next_one_does() {
    let rows: [(&[&str], &str, &str); 2] = [
        // The directory of an entry that is on its way out of the tree, and of a build.
        (&["remove", "hello/1", "--all"], ".tmp-", "/var/lib/dkms/hello"),
        (&["unbuild", "hello/1", "-k", K], ".tmp_", "/var/lib/dkms/hello/1/6.12.1-toy"),
    ];
    for (words, stubborn, dir) in rows {
        let root = root();
        root.hook(&[]).expect(0);
        syncs::run_where_stubborn(&root, Face::Dkms, words, stubborn).expect(0);
        let left = |root: &FakeRoot| root.names(dir).iter().any(|name| name.starts_with(stubborn));
        assert!(left(&root), "{words:?}: {:?}", root.names(dir));
        another_run(&root);
        assert!(!left(&root), "{words:?}");
        assert_eq!(root.read("/var/lib/dkms/.dkms-hook/lock"), "");
    }
}
