//! The file triggers of the rpm, one transaction after the other: how often make and depmod run, and what
//! is there afterwards. Every call ends with status 0.

use std::process::Stdio;

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-200.toy.x86_64";
const NEXT: &str = "6.12.2-200.toy.x86_64";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    root.write("/etc/os-release", "ID=fedora\n");
    ToyModule::new("hello", "1.0").register(&root);
    root
}

/// The paths that rpm has for the trigger, of an image and of headers.
fn paths(release: &str) -> Vec<String> {
    ["/lib/modules/R/vmlinuz", "/lib/modules/R/kernel/fs/toyfs/toyfs.ko", "/usr/src/kernels/R/Makefile"]
        .iter()
        .map(|path| path.replace('R', release))
        .collect()
}

fn came(root: &FakeRoot, paths: &[String]) -> Answer {
    root.event("rpm in", paths).expect(0)
}

fn went(root: &FakeRoot, paths: &[String]) {
    root.event("rpm leaving", paths).expect(0);
}

fn installed() -> FakeRoot {
    let root = root();
    ToyKernel::new(K).install(&root);
    came(&root, &paths(K));
    assert_eq!((root.take_make_calls().len(), root.take_depmods()), (1, vec![K.to_owned()]));
    root
}

fn status(root: &FakeRoot) -> String {
    root.dkms(&["status"]).expect(0).out
}

#[track_caller]
fn in_line(root: &FakeRoot, release: &str) {
    let before = root.snapshot();
    assert!(root.hook(&["--dry-run"]).expect(0).out.ends_with("nothing to do\n"));
    let quiet = came(root, &paths(release));
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    went(root, &paths(release));
    root.event("rpm out", &[]).expect(0);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty() && root.take_calls().is_empty(), "no process is started");
}

#[test]
fn without_kernel_install_the_trigger_does_it_all() {
    let root = installed();
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
    assert!(root.exists(format!("/lib/modules/{K}/extra/hello.ko")));
    in_line(&root, K);
}

#[test]
fn headers_a_day_later() {
    let root = root();
    let kernel = ToyKernel::new(K);
    kernel.install_image(&root);
    came(&root, &paths(K)[..2]).says(&format!("kernel-devel-{K}"));
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
    came(&root, &[]).does_not_say("kernel-devel");
    kernel.install_headers(&root);
    came(&root, &paths(K)[2..]);
    assert_eq!((root.take_make_calls().len(), root.take_depmods()), (1, vec![K.to_owned()]));
    in_line(&root, K);
}

#[test]
fn headers_without_a_kernel_build_nothing() {
    let root = root();
    ToyKernel::new(K).install_headers(&root);
    came(&root, &paths(K)[2..]);
    assert!(root.take_make_calls().is_empty());
    assert!(!root.exists(format!("/lib/modules/{K}/extra")));
}

#[test]
fn what_was_there_before_the_package_is_caught_up_with() {
    let root = root();
    let kernels = [K, NEXT];
    kernels.iter().for_each(|release| ToyKernel::new(release).install(&root));
    came(&root, &kernels.map(paths).concat());
    assert_eq!(root.take_make_calls().len(), 2);
    assert_eq!(root.take_depmods(), kernels);
    in_line(&root, K);
}

#[test]
fn an_upgrade_that_takes_the_oldest_kernel_out() {
    let root = installed();
    // kernel-install is called for both before any file of the old one goes.
    ToyKernel::new(NEXT).install(&root);
    root.kernel_install("remove", K, &[]).expect(0);
    root.kernel_install("add", NEXT, &[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    ToyKernel::new(K).remove_image(&root);
    ToyKernel::new(K).remove_headers(&root);
    root.take_calls();
    came(&root, &paths(NEXT));
    root.event("rpm out", &[]).expect(0);
    assert_eq!(status(&root), format!("hello/1.0, {NEXT}, x86_64: installed\n"));
    assert!(!root.exists(format!("/lib/modules/{K}")));
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
    in_line(&root, NEXT);
}

#[test]
fn a_kernel_that_goes_without_kernel_install() {
    for lost in [false, true] {
        let root = installed();
        // Of the last kernel nobody would believe it.
        ToyKernel::new(NEXT).install_image(&root);
        root.hook(&[]).expect(0);
        let before = root.snapshot();
        went(&root, &paths(K));
        root.assert_untouched(&before);
        ToyKernel::new(K).remove_headers(&root);
        ToyKernel::new(K).remove_image(&root);
        // The trigger of the transaction may be lost; that of the next sees it as well.
        if lost {
            came(&root, &paths(NEXT))
        } else {
            root.event("rpm out", &[]).expect(0)
        };
        assert_eq!(status(&root), "hello/1.0: added\n");
        assert!(!root.exists(format!("/lib/modules/{K}")));
        assert!(!root.exists(format!("/var/lib/dkms/.dkms-hook/kernels/{K}.json")));
    }
}

#[test]
fn a_transaction_that_fails_after_it_announced_what_leaves_has_cost_nothing() {
    let root = installed();
    let before = root.snapshot();
    // More than a pipe holds: whoever does not read it keeps rpm waiting, or fails it.
    let many: Vec<String> =
        (0..40_000).map(|n| format!("/lib/modules/{K}/kernel/drivers/{n}.ko.xz")).collect();
    went(&root, &many);
    root.assert_untouched(&before);
    assert!(root.take_calls().is_empty());
}

#[test]
fn headers_go_and_the_modules_stay() {
    let root = installed();
    ToyKernel::new(K).remove_headers(&root);
    root.event("rpm out", &[]).expect(0);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
    assert!(root.take_depmods().is_empty());
}

#[test]
fn other_files_below_lib_modules_are_no_matter() {
    let root = installed();
    root.write(format!("/lib/modules/{K}/extra/kmod-other/other.ko"), "");
    let before = root.snapshot();
    came(&root, &[format!("/lib/modules/{K}/extra/kmod-other/other.ko")]);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty() && root.take_calls().is_empty());
}

#[test]
fn new_headers_of_the_same_release_build_once() {
    let root = installed();
    ToyKernel::new(K).config("CONFIG_OTHER=y").install_headers(&root);
    came(&root, &paths(K)[2..]);
    assert_eq!(root.take_make_calls().len(), 1);
    root.take_calls();
    in_line(&root, K);
}

#[test]
fn a_module_that_does_not_build_is_told_once_and_fails_nobody() {
    let root = root();
    ToyModule::new("broken", "1.0").failing().register(&root);
    ToyKernel::new(K).install(&root);
    came(&root, &paths(K)).says("broken/1.0 for kernel").says("dkms install broken/1.0 -k");
    assert!(status(&root).contains(&format!("hello/1.0, {K}, x86_64: installed")), "the others go on");
    came(&root, &paths(K)).says("not retried").does_not_say("dkms install broken");
}

#[test]
fn a_module_package_that_calls_dkms_in_its_scriptlets() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").write_source(&root);
    for words in [
        &["add", "-m", "hello", "-v", "1.0"][..],
        &["build", "-m", "hello", "-v", "1.0", "-k", K],
        &["install", "-m", "hello", "-v", "1.0", "-k", K, "--force"],
    ] {
        root.dkms(words).expect(0);
    }
    assert_eq!(root.take_make_calls().len(), 1);
    root.take_calls();
    in_line(&root, K);
    root.dkms(&["remove", "-m", "hello", "-v", "1.0", "--all"]).expect(0);
    root.event("rpm out", &[]).expect(0);
    assert_eq!(status(&root), "");
}

#[test]
fn the_surroundings_of_a_scriptlet() {
    // TMPDIR of a login session that rpm's own /tmp does not have, no terminal, nothing on standard input.
    let root = root();
    ToyKernel::new(K).install(&root);
    let mut command = root.program(Face::Hook);
    command.args(["rpm", "in"]).env("TMPDIR", "/nonexistent/of/a/session").stdin(Stdio::null());
    finish(&mut command).expect(0);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
}
