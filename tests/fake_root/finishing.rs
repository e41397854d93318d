//! Programs that rewrite a module after make (strip, sign-file, a compressor, POST_BUILD) and are stopped in the middle,
//! or leave something else: what is installed is whole.

use std::fs;

use crate::support::signing::{INSTALLED, K as SIGNED_K};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::elf;

const K: &str = "6.12.1-toy";

/// What goes wrong with the file `$f`, and the exit status that tells of it, if one does.
const FAULTS: [&str; 6] = [
    ": > \"$f\"; exit 1",
    ": > \"$f\"; exit 0",
    "head -c $(($(wc -c < \"$f\") / 2)) \"$f\" > \"$f.part\"; cat \"$f.part\" > \"$f\"; exit 0",
    "head -c $(($(wc -c < \"$f\") / 2)) \"$f\" > \"$f.part\"; cat \"$f.part\" > \"$f\"; touch \"${f%/*}/stABCDEF\"; kill -9 $$",
    // As long as before, with zeros in it: a file system that lost a block.
    "dd if=/dev/zero of=\"$f\" bs=1 seek=64 count=100 conv=notrunc 2>/dev/null; exit 0",
    "rm \"$f\"; exit 0",
];

/// The file that the program was called with is the last word.
fn spoils(fault: &str) -> String {
    format!("for f; do :; done\n{fault}\n")
}

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1").register(&root);
    root
}

/// The installed module is whole, and the next run believes so, too.
#[track_caller]
fn whole(root: &FakeRoot, file: &str) -> Vec<u8> {
    let path = root.path(file);
    let bytes = elf::Compression::of(&path).unwrap().unpack(fs::read(&path).unwrap()).unwrap();
    elf::check_whole(&bytes).unwrap();
    assert_eq!(elf::modinfo_of_bytes(&bytes).unwrap().kernel(), Some(K));
    root.hook(&[]).expect(0).says("nothing to do");
    bytes
}

#[test]
fn a_strip_that_is_stopped_leaves_the_module_as_it_was() {
    let installed = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    for fault in FAULTS {
        let root = root();
        root.stand_in("strip", &spoils(fault));
        root.dkms(&["install", "hello/1", "-k", K]).expect(0).says("not stripped");
        let bytes = whole(&root, &installed);
        assert!(bytes.windows(11).any(|w| w == b".debug_info"), "{fault}");
        let built = root.names(format!("/var/lib/dkms/hello/1/{K}/x86_64/module"));
        assert_eq!(built, ["Module.symvers", "hello.ko"], "{fault}");
    }
}

#[test]
fn a_compressor_that_is_stopped_is_not_believed() {
    for fault in FAULTS {
        let root = FakeRoot::new();
        ToyKernel::new(K).compressed("XZ").install(&root);
        ToyModule::new("hello", "1").register(&root);
        root.write("/etc/dkms/framework.conf", "compress_xz_opts=-6\n");
        let text = "for f; do :; done\nPATH=/usr/bin:/bin xz \"$@\" || exit 9\nf=$f.xz\n";
        root.stand_in("xz", &format!("{text}{fault}\n"));
        root.dkms(&["install", "hello/1", "-k", K]).expect(0).says("xz -6");
        whole(&root, &format!("/lib/modules/{K}/updates/dkms/hello.ko.xz"));
        let built = root.names(format!("/var/lib/dkms/hello/1/{K}/x86_64/module"));
        assert_eq!(built, ["Module.symvers", "hello.ko.xz"], "{fault}");
    }
}

#[test]
fn a_signing_tool_that_is_stopped_leaves_the_module_unsigned() {
    for fault in FAULTS {
        let root = crate::support::signing::root();
        root.write_script(
            format!("/usr/src/linux-headers-{SIGNED_K}/scripts/sign-file"),
            &format!("#!/bin/sh\n{}", spoils(fault)),
        );
        root.dkms(&["install", "hello/1.0", "-k", SIGNED_K]).expect(0).says("could not be signed");
        let bytes = elf::Compression::Xz.unpack(fs::read(root.path(INSTALLED)).unwrap()).unwrap();
        elf::check_whole(&bytes).unwrap();
        assert!(!elf::has_signature(&bytes), "{fault}");
    }
}

#[test]
fn a_good_signature_over_half_a_module_is_none() {
    let root = crate::support::signing::root();
    let place = format!("/usr/src/linux-headers-{SIGNED_K}/scripts/sign-file");
    let real = root.read(&place);
    root.write_script(format!("{place}.real"), &real);
    let cut = "head -c 700 \"$4\" > \"$4.part\" && mv \"$4.part\" \"$4\"";
    root.write_script(
        &place,
        &format!("#!/bin/sh\n{cut}\nexec {}.real \"$@\"\n", root.path(&place).display()),
    );
    root.dkms(&["install", "hello/1.0", "-k", SIGNED_K]).expect(0).says("no whole module");
    let bytes = elf::Compression::Xz.unpack(fs::read(root.path(INSTALLED)).unwrap()).unwrap();
    elf::check_whole(&bytes).unwrap();
    assert!(!elf::has_signature(&bytes));
}

#[test]
fn a_post_build_that_spoils_a_module_leaves_no_build() {
    let text = format!("#!/bin/sh\nf=../{K}/x86_64/module/hello.ko\nhead -c 700 $f > part && cp part $f\n");
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1").line("POST_BUILD=post.sh").executable("post.sh", &text).register(&root);
    root.dkms(&["install", "hello/1", "-k", K]).says("POST_BUILD left a hello.ko that cannot be used");
    assert!(!root.exists(format!("/var/lib/dkms/hello/1/{K}")));
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
}

#[test]
fn signing_anew_keeps_what_it_cannot_make_whole() {
    let root = crate::support::signing::root();
    root.hook(&[]).expect(0);
    let before = fs::read(root.path(INSTALLED)).unwrap();
    root.write_pair(crate::support::signing::KEY, crate::support::signing::CERTIFICATE, None);
    for fault in FAULTS {
        root.write_script(
            format!("/usr/src/linux-headers-{SIGNED_K}/scripts/sign-file"),
            &format!("#!/bin/sh\n{}", spoils(fault)),
        );
        root.hook(&["resign"]).says("could not be signed");
        assert!(fs::read(root.path(INSTALLED)).unwrap() == before, "{fault}");
    }
}
