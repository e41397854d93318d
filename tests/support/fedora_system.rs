//! A whole system that says it is Fedora: kernel-install with its plugins and dracut, all of them stand-ins
//! that note their calls and list the modules they find.

use std::process::Command;

use super::program::{Answer, Face, finish};
use super::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use super::whole_system::whole_system;

/// The release of its kernel.
pub const K: &str = "6.12.1-200.toy.x86_64";

/// Notes a call.
pub const CALLS: &str = "echo \"${0##*/} $*\" >> /var/log/toy-calls\n";

/// The names of a kernel's modules, as a toy initramfs has them.
pub const LIST: &str =
    "list() { (cd /lib/modules/$1 && find . -name '*.ko*' ! -path './build/*' | sort); }\n";

/// kernel-install(8), as far as plugins see it.
pub const KERNEL_INSTALL: &str = "
[ -z \"$KERNEL_INSTALL_BYPASS\" ] || exit 0
export KERNEL_INSTALL_LAYOUT=$(cat /etc/kernel/layout)
export KERNEL_INSTALL_STAGING_AREA=$(mktemp -d /tmp/ki.XXXXXX)
for plugin in /usr/lib/kernel/install.d/*.install; do
    \"$plugin\" \"$1\" \"$2\" /boot/toy/$2 ${3:+\"$3\"} || exit 1
done
rm -r $KERNEL_INSTALL_STAGING_AREA
";

const DEPMOD_PLUGIN: &str = "
case $1 in
add) depmod -a $2 ;;
remove) rm -f /lib/modules/$2/modules.dep ;;
esac
";

const DRACUT_PLUGIN: &str = "
[ $1 = add ] || exit 0
case $KERNEL_INSTALL_LAYOUT in
bls) mkdir -p $3 && list $2 > $3/initrd ;;
uki) mkdir -p /efi/EFI/Linux && rm -f /efi/EFI/Linux/toy-$2*.efi && list $2 > /efi/EFI/Linux/toy-$2+3.efi ;;
esac
";

const REMOVE_PLUGIN: &str = "
[ $1 = remove ] || exit 0
rm -rf $3
";

/// A Fedora whose kernel-install has this layout, with one module registered.
pub fn fedora(layout: &str) -> FakeRoot {
    let root = whole_system();
    root.write("/etc/os-release", "ID=fedora\n");
    root.write("/etc/kernel/layout", layout);
    let binary = std::fs::read(env!("CARGO_BIN_EXE_dkms-hook")).unwrap();
    let program = root.write("/usr/sbin/dkms-hook", binary);
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let ours = include_str!("../../kernel-install.d/40-dkms.install");
    root.write_script("/usr/lib/kernel/install.d/40-dkms.install", ours);
    let plugins =
        [("50-depmod", DEPMOD_PLUGIN), ("50-dracut", DRACUT_PLUGIN), ("90-loaderentry", REMOVE_PLUGIN)];
    for (name, text) in plugins {
        let path = format!("/usr/lib/kernel/install.d/{name}.install");
        root.write_script(path, &format!("#!/bin/sh\n{CALLS}{LIST}{text}"));
    }
    root.write_script("/usr/sbin/kernel-install", &format!("#!/bin/sh\n{CALLS}{KERNEL_INSTALL}"));
    root.write_script(
        "/usr/sbin/dracut",
        &format!(
            "#!/bin/sh\n{CALLS}{LIST}while case $1 in -*) ;; *) false ;; esac; do shift; done\nlist $2 > $1\n"
        ),
    );
    root.write_script("/usr/sbin/lsinitrd", &format!("#!/bin/sh\n{CALLS}cat \"$1\"\n"));
    ToyModule::new("hello", "1.0").register(&root);
    root
}

/// Runs a program of the system as a package's scriptlet does.
pub fn scriptlet(root: &FakeRoot, command: &str) -> Answer {
    let mut sh = Command::new("chroot");
    sh.arg(root.layout.root.dir()).args(["/bin/sh", "-c", command]);
    sh.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(std::process::Stdio::null());
    // Its toys note each call of make in the root.
    sh.env("DKMS_HOOK_UNCONFINED", "*: toys");
    finish(&mut sh).expect(0)
}

/// The files of a kernel package.
pub fn install_image(root: &FakeRoot) {
    ToyKernel::new(K).install_image(root);
    root.write(format!("/lib/modules/{K}/vmlinuz"), "kernel");
}

/// What its scriptlet does after the transaction.
pub fn posttrans(root: &FakeRoot) -> Answer {
    scriptlet(root, &format!("kernel-install add {K} /lib/modules/{K}/vmlinuz"))
}

/// An rpm or pacman event in the system, with its own search path.
pub fn event(root: &FakeRoot, words: &str, paths: &[&str], variables: &[(&str, &str)]) -> Answer {
    let list = root.write("/var/log/paths", paths.iter().map(|p| format!("{p}\n")).collect::<String>());
    let mut command = root.program(Face::Hook);
    command.args(words.split(' ')).stdin(std::fs::File::open(list).unwrap());
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(variables.iter().copied());
    finish(&mut command).expect(0)
}

/// How often each of these programs ran since calls were last taken.
pub fn counts<const N: usize>(root: &FakeRoot, programs: [&str; N]) -> [usize; N] {
    let calls = root.take_calls();
    programs.map(|name| calls.iter().filter(|c| c.split(' ').next() == Some(name)).count())
}

/// The initramfs was made after the module, holds it, and nothing is due any more.
#[track_caller]
pub fn holds_the_module(root: &FakeRoot, file: &str) {
    let text = root.read(file);
    assert!(text.contains("/hello.ko"), "{file}: {text}");
    let of = |path: &str| std::fs::metadata(root.path(path)).unwrap().modified().unwrap();
    assert!(of(file) > of(&format!("/lib/modules/{K}/extra/hello.ko")), "{file} is older");
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook/kernels"), [""; 0], "nothing is due any more");
}
