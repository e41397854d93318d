//! kernel-install's calls, one history after the other: how often make and depmod run, what is there
//! afterwards. Every call ends with status 0: another would leave a kernel without initramfs.

#[path = "support/program.rs"]
mod program;
#[path = "support/snapshot.rs"]
mod snapshot;
#[path = "support/toy_kernel.rs"]
mod toy_kernel;

use toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-200.toy.x86_64";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyModule::new("hello", "1.0").register(&root);
    root
}

fn add(root: &FakeRoot) -> program::Answer {
    root.kernel_install("add", K, &[]).expect(0)
}

fn remove(root: &FakeRoot) -> program::Answer {
    root.kernel_install("remove", K, &[]).expect(0)
}

fn installed() -> FakeRoot {
    let root = root();
    ToyKernel::new(K).install(&root);
    add(&root);
    assert_eq!(root.take_make_calls().len(), 1);
    root.take_calls();
    root
}

fn status(root: &FakeRoot) -> String {
    root.dkms(&["status"]).expect(0).out
}

#[test]
fn added_twice_is_built_once() {
    let root = installed();
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
    let before = root.snapshot();
    add(&root);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty());
}

#[test]
fn removed_and_added_again_is_not_built_again() {
    let root = installed();
    remove(&root);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\n"), "nobody boots it");
    root.hook(&[]).expect(0).says("its boot entry was removed").says("kernel-install add");
    add(&root);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
    assert!(root.take_make_calls().is_empty());
}

#[test]
fn removed_for_good() {
    let root = installed();
    remove(&root);
    ToyKernel::new(K).remove_image(&root);
    ToyKernel::new(K).remove_headers(&root);
    root.event("rpm out", &[]).expect(0);
    assert_eq!(status(&root), "hello/1.0: added\n");
    assert!(!root.exists(format!("/lib/modules/{K}")));
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook"), ["lock"]);
}
