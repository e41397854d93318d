//! A whole system in a fake root: the machine's programs and libraries, with kernels, module tree and
//! settings of its own. Needs a mount namespace ([`crate::namespaces`]).

#![allow(dead_code)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::toy_kernel::FakeRoot;

/// Fails where no such system can be put together.
pub const PROBE: &str = "mount -t tmpfs probe /mnt && mount --rbind /dev /mnt && chroot / true";

/// A root with the machine's programs and libraries in it: a whole system, which we enter.
pub fn whole_system() -> FakeRoot {
    let root = FakeRoot::new();
    for name in ["bin", "libexec", "lib64", "lib32", "share"] {
        bind(&root, &format!("/usr/{name}"));
    }
    // Everything in /usr/lib but the kernels, which are the root's own.
    for entry in std::fs::read_dir("/usr/lib").unwrap().flatten() {
        if entry.path().is_dir() && !["modules", "dkms", "kernel"].iter().any(|own| entry.file_name() == *own)
        {
            bind(&root, entry.path().to_str().unwrap());
        }
    }
    for name in ["bin", "sbin", "lib64", "lib32"] {
        if Path::new("/").join(name).is_symlink() {
            symlink(format!("usr/{name}"), root.path(name)).unwrap();
        }
    }
    std::fs::create_dir_all(root.path("/tmp")).unwrap();
    for name in ["/dev", "/proc"] {
        bind(&root, name);
    }
    // Toy kernels note what they do under the name by which the root is known out here.
    let outside = root.layout.root.dir().to_owned();
    let inside = root.path(&outside);
    std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
    symlink("/", inside).unwrap();
    // In the way of the machine's own: what would ask it for something.
    let head = "#!/bin/sh\necho \"${0##*/} $*\" >> /var/log/toy-calls\n";
    root.write_script(
        "/usr/sbin/depmod",
        &format!("{head}for k; do :; done\n: > /lib/modules/$k/modules.dep\n"),
    );
    root.write_script("/usr/sbin/dpkg-query", &format!("{head}exit 1\n"));
    root
}

fn bind(root: &FakeRoot, path: &str) {
    if !Path::new(path).is_dir() || Path::new(path).is_symlink() {
        return;
    }
    std::fs::create_dir_all(root.path(path)).unwrap();
    let mut command = Command::new("mount");
    command.args(["--rbind", path]).arg(root.path(path));
    assert!(command.status().unwrap().success(), "{command:?}");
}
