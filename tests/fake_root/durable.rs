//! What is on the disk after a power cut: the old or the new of each file, and a duty that nobody lost.

use std::path::Path;

use crate::support::program::Face;
use crate::support::syncs::{self, Sync};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const NOTE: &str = "/var/lib/dkms/.dkms-hook/kernels/6.12.1-toy.json";
const INDEX: &str = "/usr/lib/modules/6.12.1-toy/modules.dep";
const MODULE: &str = "/usr/lib/modules/6.12.1-toy/updates/dkms/hello.ko";
const KERNEL: &str = "/usr/lib/modules/6.12.1-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1").register(&root);
    root
}

/// Where the first call is that fits; the test fails when there is none.
#[track_caller]
fn first(syncs: &[Sync], what: &str, fits: impl Fn(&Sync) -> bool) -> usize {
    syncs.iter().position(fits).unwrap_or_else(|| panic!("{what}: {syncs:#?}"))
}

fn is(sync: &Sync, call: &str, path: &str) -> bool {
    sync.call == call && sync.path == Path::new(path)
}

fn is_due(held: &Option<String>) -> bool {
    held.as_ref().is_some_and(|note| note.contains("\"depmod-due\": true"))
}

#[test]
fn a_duty_is_on_disk_before_its_cause_and_until_it_is_done() {
    let root = root();
    let watched = [NOTE, INDEX, MODULE, "/var/lib/dkms/hello/1/6.12.1-toy/x86_64/.dkms-hook.json"];
    let (answer, syncs) = syncs::run(&root, Face::Dkms, &["install", "hello/1", "-k", K], &watched);
    answer.expect(0);
    let kernels = Path::new(NOTE).parent().unwrap().to_str().unwrap();
    let noted = first(&syncs, "the note", |s| is(s, "fsync", kernels) && is_due(&s.held[0]));
    assert!(syncs[noted].held[2].is_none(), "nothing has changed before");
    let content = first(&syncs, "the module", |s| s.path.starts_with(format!("{KERNEL}/updates")));
    assert!(noted < content && syncs[content].held[2].is_none(), "its content, before it has its name");
    let named = first(&syncs, "its name", |s| is(s, "fsync", &format!("{KERNEL}/updates/dkms")));
    assert!(content < named && syncs[named].held[2].is_some());
    let done = first(&syncs, "the index", |s| is(s, "syncfs", KERNEL));
    let [note, index, ..] = &syncs[done].held[..] else { panic!() };
    assert!(named < done && is_due(note), "the duty is forgotten too early");
    assert!(index.as_ref().is_some_and(|text| text.contains("hello.ko")));
    assert!(!root.exists(NOTE), "and is forgotten then");
    assert_eq!(syncs.iter().filter(|s| s.call == "syncfs").count(), 1, "there is no initramfs: {syncs:#?}");
    // So that it is noticed when they become more: six of them are for the files of the build.
    let count = syncs.len();
    assert!(count <= 26, "{count} calls: {syncs:#?}");
}

#[test]
fn files_are_gone_from_the_disk_before_the_list_of_them() {
    let root = root();
    root.dkms(&["install", "hello/1", "-k", K]).expect(0);
    let record = "/var/lib/dkms/hello/1/6.12.1-toy/x86_64/.dkms-hook.json";
    let (answer, syncs) =
        syncs::run(&root, Face::Dkms, &["uninstall", "hello/1", "-k", K], &[MODULE, record]);
    answer.expect(0);
    let gone = first(&syncs, "the directory", |s| is(s, "fsync", &format!("{KERNEL}/updates/dkms")));
    let [module, list] = &syncs[gone].held[..] else { panic!() };
    assert!(module.is_none() && list.as_ref().is_some_and(|list| list.contains("updates/dkms/hello.ko")));
}

#[test]
fn a_run_with_nothing_to_do_brings_nothing_to_the_disk() {
    let root = root();
    root.hook(&[]).expect(0);
    root.hook(&[]).expect(0).says("nothing to do");
    let (answer, syncs) = syncs::run(&root, Face::Hook, &[], &[]);
    answer.expect(0).says("nothing to do");
    assert!(syncs.is_empty(), "{syncs:#?}");
    for words in [&["status"][..], &["autoinstall", "-k", K]] {
        let (answer, syncs) = syncs::run(&root, Face::Dkms, words, &[]);
        answer.expect(0);
        assert!(syncs.is_empty(), "{words:?}: {syncs:#?}");
    }
}
