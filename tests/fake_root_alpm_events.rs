//! pacman's hooks, one transaction after the other: how often make runs, and what is there afterwards.
//! Every call ends with status 0.

#[path = "support/program.rs"]
mod program;
#[path = "support/snapshot.rs"]
mod snapshot;
#[path = "support/toy_kernel.rs"]
mod toy_kernel;

use toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-arch1-1";
const NEXT: &str = "6.12.2-arch1-1";

fn conf(module: &str) -> String {
    format!("usr/src/{module}/dkms.conf")
}

fn kernel(release: &str) -> Vec<String> {
    ["build/include/", "modules.order", "vmlinuz"]
        .iter()
        .map(|file| format!("usr/lib/modules/{release}/{file}"))
        .collect()
}

/// What pacman runs after a transaction that brings and takes these.
fn transaction(root: &FakeRoot, came: &[String], went: &[String]) {
    if !came.is_empty() {
        root.event("pacman install", came).expect(0);
    }
    if !went.is_empty() {
        root.event("pacman remove", went).expect(0);
    }
    root.event("pacman initramfs", came).expect(0);
}

fn delete_source(root: &FakeRoot, module: &str) {
    std::fs::remove_dir_all(root.path(format!("/usr/src/{module}"))).unwrap();
}

fn status(root: &FakeRoot) -> String {
    root.dkms(&["status"]).expect(0).out
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert!(root.hook(&["--dry-run"]).expect(0).out.ends_with("nothing to do\n"));
    transaction(root, &kernel(K), &kernel(NEXT));
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty());
}

/// A kernel with one module, both as packages.
fn installed() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").write_source(&root);
    transaction(&root, &[kernel(K), vec![conf("hello-1.0")]].concat(), &[]);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
    root
}

#[test]
fn a_module_package_comes_and_goes() {
    let root = installed();
    in_line(&root);
    delete_source(&root, "hello-1.0");
    transaction(&root, &[], &[conf("hello-1.0")]);
    assert_eq!(status(&root), "");
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook"]);
}

#[test]
fn a_module_package_is_upgraded() {
    let root = installed();
    delete_source(&root, "hello-1.0");
    ToyModule::new("hello", "2.0").write_source(&root);
    transaction(&root, &[conf("hello-2.0")], &[conf("hello-1.0")]);
    assert_eq!(status(&root), format!("hello/2.0, {K}, x86_64: installed\n"));
    assert_eq!(root.take_make_calls().len(), 1);
    in_line(&root);
}

#[test]
fn a_kernel_is_upgraded() {
    let root = installed();
    ToyKernel::new(NEXT).install(&root);
    ToyKernel::new(K).remove_image(&root);
    ToyKernel::new(K).remove_headers(&root);
    transaction(&root, &kernel(NEXT), &kernel(K));
    assert_eq!(status(&root), format!("hello/1.0, {NEXT}, x86_64: installed\n"));
    assert_eq!(root.take_make_calls().len(), 1);
    assert!(!root.exists(format!("/lib/modules/{K}")));
}
