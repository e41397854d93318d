//! A whole system in a fake root: the machine's programs and libraries, with kernels, module tree and
//! settings of its own. Needs a mount namespace ([`super::namespaces`]).

use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::{FsFlags, statvfs};

use super::toy_kernel::FakeRoot;

/// Fails where no such system can be put together.
pub const PROBE: &str = "mount -t tmpfs probe /mnt && mount --rbind /dev /mnt && chroot / true";

/// Directories of `/usr/lib` that are not the machine's.
const OWN_LIBRARIES: &[&str] = &["modules", "dkms", "kernel", "module-init-tools"];
/// Directories of `/usr/share` that are not the machine's.
const OWN_SHARED: &[&str] = &["apport", "kernel", "libalpm"];

/// A root with the machine's programs and libraries in it: a whole system, which we enter.
pub fn whole_system() -> FakeRoot {
    let root = FakeRoot::new();
    for name in ["bin", "libexec", "lib64", "lib32"] {
        lend(&root, &format!("/usr/{name}"));
    }
    // All directories but those that the root has of its own.
    for (dir, own) in [("/usr/lib", OWN_LIBRARIES), ("/usr/share", OWN_SHARED)] {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            if !own.iter().any(|own| entry.file_name() == *own) {
                lend(&root, entry.path().to_str().unwrap());
            }
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
    let call = "echo \"${0##*/} $*\" >> /var/log/toy-calls\n";
    let head = format!("#!/bin/sh\n{call}");
    // It does not say which kmod it is, so that the program leaves every index to it.
    root.write_script(
        "/usr/sbin/depmod",
        &format!(
            "#!/bin/sh\ncase $1 in --version) exit 0 ;; esac\n{call}for k; do :; done\ncd /lib/modules/$k || exit 1\n\
                 find . -name '*.ko*' ! -path './build/*' | sed 's,^[.]/,,; s,$,:,' > modules.dep\n"
        ),
    );
    root.write_script("/usr/sbin/dpkg-query", &format!("{head}exit 1\n"));
    let written = std::fs::write(root.path("/usr/bin/dkms-hook-test"), "");
    assert!(written.is_err(), "a test could write to the machine");
    root
}

/// Shows a directory of the machine in the root, as it is.
fn bind(root: &FakeRoot, path: &str) {
    if !Path::new(path).is_dir() || Path::new(path).is_symlink() {
        return;
    }
    let place = root.path(path);
    std::fs::create_dir_all(&place).unwrap();
    mount(Some(path), &place, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>).unwrap();
}

/// As [`bind`], but what is written there by mistake fails instead of reaching the machine.
fn lend(root: &FakeRoot, path: &str) {
    bind(root, path);
    let place = root.path(path);
    if !place.is_dir() || place.is_symlink() {
        return;
    }
    // What the machine's mount forbids must go on being forbidden.
    let kept = statvfs(&place).unwrap().flags();
    let pairs = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    let kept = pairs.iter().filter(|(has, _)| kept.contains(*has)).map(|(_, flag)| *flag);
    let flags =
        kept.fold(MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, |all, flag| all | flag);
    mount(None::<&str>, &place, None::<&str>, flags, None::<&str>).unwrap();
}
