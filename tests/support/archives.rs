//! Roots to make archives in, archives, and what is in them.

use std::path::Path;
use std::process::Command;

use super::program::finish;
use super::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

/// Toy kernels.
pub const K: &str = "6.12.1-toy";
/// See [`K`].
pub const K2: &str = "6.13.0-toy";
/// See [`K`].
pub const K3: &str = "6.14.0-toy";

/// A root with kernels and nothing else.
pub fn empty(kernels: &[&str]) -> FakeRoot {
    let root = FakeRoot::new();
    kernels.iter().for_each(|kernel| ToyKernel::new(kernel).install(&root));
    root
}

/// Two modules and a script.
pub fn hello() -> ToyModule {
    ToyModule::new("hello", "1.0").record("second").executable("helper.sh", "#!/bin/sh\n")
}

/// A root in which hello/1.0 is built for these kernels.
pub fn builder(kernels: &[&str]) -> FakeRoot {
    let root = empty(kernels);
    hello().write_source(&root);
    root.dkms(&["add", "hello/1.0"]).expect(0);
    for kernel in kernels {
        root.dkms(&["build", "hello/1.0", "-k", kernel]).expect(0);
    }
    root.take_make_calls();
    root
}

/// What `tar` lists, sorted.
pub fn members(file: &Path) -> Vec<String> {
    let listed = finish(Command::new("tar").arg("-tf").arg(file)).expect(0);
    let mut names: Vec<String> = listed.out.lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// An archive made elsewhere of a build for these kernels.
pub fn archive(kernels: &[&str], name: &str, args: &[&str]) -> (tempfile::TempDir, String) {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join(name).display().to_string();
    let mut words = vec!["mktarball", "hello/1.0", "--archive", file.as_str()];
    words.extend(args);
    builder(kernels).dkms(&words).expect(0);
    (place, file)
}

/// Packs a directory with tar.
pub fn tar(dir: &Path, file: &Path) {
    finish(Command::new("tar").arg("-caf").arg(file).arg("-C").arg(dir).arg(".")).expect(0);
}

/// What `dkms status` prints.
pub fn status(root: &FakeRoot) -> String {
    root.dkms(&["status"]).expect(0).out
}
