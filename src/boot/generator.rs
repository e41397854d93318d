//! What makes the initramfs of a kernel here. One enumeration; which of them a distribution prefers is in
//! its row ([`crate::observe::distribution`]).

use std::path::Path;

use crate::boot::plugins::Plugins;
use crate::boot::{self, Kind};
use crate::fs::look;
use crate::fs::root::Root;
use crate::model::ids::KernelRelease;
use crate::process::find_program;
use crate::tree::layout::Layout;

/// Where pacman's hooks have their scripts.
const ALPM_SCRIPTS: &str = "/usr/share/libalpm/scripts";

/// A program that makes an initramfs, and how it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// `update-initramfs`, initramfs-tools' own and, in newer releases of Debian, dracut's too.
    UpdateInitramfs,
    /// kernel-install(8), whose plugins call the generator and make boot entry and unified kernel
    /// image as well.
    KernelInstall,
    /// The script of mkinitcpio's hook for pacman, which reads paths of kernels.
    AlpmMkinitcpio,
    /// The script of dracut's hook for pacman.
    AlpmDracut,
    /// The script of booster's hook for pacman, which reads paths of kernels.
    AlpmBooster,
    /// mkinitcpio(8) with the preset of the kernel's package.
    Mkinitcpio,
    /// openSUSE's, which has dracut make it and gives it a name of its own beside the old one.
    Sdbootutil,
    /// booster(1), into the file that is there.
    Booster,
    /// Alpine's mkinitfs(1), into the file that is there.
    Mkinitfs,
    /// dracut(8), into the file that is there.
    Dracut,
}

/// A command that makes an initramfs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// The program's name or path.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it reads.
    pub input: Option<String>,
    /// The new file is beside the old ones, which boot entries of other snapshots go on using: the newest
    /// tells whether it was made.
    pub beside: bool,
}

/// What matters of the environment of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// KERNEL_INSTALL_PLUGINS.
    pub plugins: Option<String>,
    /// kernel-install is not to be called: it runs us, or it is switched off (KERNEL_INSTALL_BYPASS).
    pub without_kernel_install: bool,
}

impl Environment {
    /// That of this process.
    pub fn here() -> Self {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        // What systemd takes for true, in any case of letters; anything else is no.
        let bypass = set("KERNEL_INSTALL_BYPASS").is_some_and(|value| {
            matches!(&*value.to_ascii_lowercase(), "1" | "yes" | "y" | "true" | "t" | "on")
        });
        Self {
            plugins: set("KERNEL_INSTALL_PLUGINS"),
            without_kernel_install: bypass || set("KERNEL_INSTALL_STAGING_AREA").is_some(),
        }
    }
}

impl Generator {
    /// How it is asked to make the initramfs of a kernel; `None` where it is not in use, or cannot make
    /// what is there.
    pub fn order(self, layout: &Layout, release: &KernelRelease, environment: &Environment) -> Option<Order> {
        let root = &layout.root;
        let order = |program: &str, args: &[&str]| Order {
            program: program.to_owned(),
            args: args.iter().map(ToString::to_string).collect(),
            ..Order::default()
        };
        match self {
            // With `-k` it acts at once even in a maintainer script; plain `-u` is put off and takes only
            // the newest kernel.
            Self::UpdateInitramfs => {
                let in_use = has_program(root, "update-initramfs");
                in_use.then(|| order("update-initramfs", &["-u", "-k", release.as_str()]))
            }
            Self::KernelInstall => {
                let image = image(layout, release)?;
                let plugins = Plugins::of(root, environment.plugins.as_deref());
                let entries = || boot::files(layout, release).iter().any(|f| f.kind != Kind::Plain);
                let in_use = !environment.without_kernel_install
                    && has_program(root, "kernel-install")
                    && (plugins.make_initramfs() || entries());
                in_use.then(|| order("kernel-install", &["add", release.as_str(), &image]))
            }
            Self::AlpmMkinitcpio => {
                let masked = is_masked(root, "90-mkinitcpio-install.hook");
                let in_use = !masked && has_program(root, "mkinitcpio");
                alpm(layout, release, "mkinitcpio").filter(|_| in_use)
            }
            Self::AlpmDracut => {
                let masked = is_masked(root, "90-dracut-install.hook");
                let in_use = !masked && has_program(root, "dracut");
                alpm(layout, release, "dracut-install").filter(|_| in_use)
            }
            Self::AlpmBooster => {
                let masked = is_masked(root, "90-booster-install.hook");
                let in_use = !masked && has_program(root, "booster");
                alpm(layout, release, "booster-install").filter(|_| in_use)
            }
            Self::Mkinitcpio => {
                let base = boot::boots_by_package(layout, release)?;
                let preset = root.path(format!("/etc/mkinitcpio.d/{base}.preset")).is_file();
                let in_use = preset && has_program(root, "mkinitcpio");
                in_use.then(|| order("mkinitcpio", &["-p", &base]))
            }
            Self::Sdbootutil => {
                let in_use = has_sdbootutil(layout) && has_program(root, "sdbootutil");
                let args = ["--no-reuse-initrd", "add-kernel", release.as_str()];
                in_use.then(|| Order { beside: true, ..order("sdbootutil", &args) })
            }
            Self::Booster => {
                let file = plain_file(layout, release, |name| name.starts_with("booster-"))?;
                let args = ["build", "--force", "--kernel-version", release.as_str(), &file];
                has_program(root, "booster").then(|| order("booster", &args))
            }
            Self::Mkinitfs => {
                let own = format!("initramfs-{}", boot::flavour(layout, release)?);
                let file = plain_file(layout, release, |name| name == own)?;
                has_program(root, "mkinitfs").then(|| order("mkinitfs", &["-o", &file, release.as_str()]))
            }
            // Those of sdbootutil are named by what is in them.
            Self::Dracut if has_sdbootutil(layout) => None,
            Self::Dracut => {
                let files = boot::files(layout, release);
                let file = files.iter().find(|f| f.kind != Kind::Unified)?;
                let file = layout.shown(&file.path).display().to_string();
                has_program(root, "dracut")
                    .then(|| order("dracut", &["--quiet", "--force", &file, release.as_str()]))
            }
        }
    }
}

/// A script of pacman's hooks reads the paths that pacman matches: mkinitcpio's and booster's by the image,
/// dracut's by the file that names the package, which leaves the other's alone.
fn alpm(layout: &Layout, release: &KernelRelease, script: &str) -> Option<Order> {
    let program = format!("{ALPM_SCRIPTS}/{script}");
    layout.root.path(&program).is_file().then_some(())?;
    boot::boots_by_package(layout, release)?;
    let path = |file: &str| format!("usr/lib/modules/{release}/{file}\n");
    // To all but dracut's, another file than the image means every kernel there is.
    let both = script == "dracut-install";
    let input = if both { path("pkgbase") + &path("vmlinuz") } else { path("vmlinuz") };
    let args = if script == "mkinitcpio" { vec!["install".to_owned()] } else { Vec::new() };
    Some(Order { program, args, input: Some(input), beside: false })
}

/// The file in `/boot` with an initramfs of a kernel whose name is like this, as seen from inside the root.
fn plain_file(layout: &Layout, release: &KernelRelease, like: impl Fn(&str) -> bool) -> Option<String> {
    let files = boot::files(layout, release).into_iter().filter(|f| f.kind == Kind::Plain);
    let mut paths = files.map(|f| layout.shown(&f.path).display().to_string());
    paths.find(|path| path.rsplit('/').next().is_some_and(&like))
}

/// True when sdbootutil has installed the boot loader: that is the mark by which it knows.
fn has_sdbootutil(layout: &Layout) -> bool {
    boot::loaders(layout).iter().any(|dir| dir.join("installed_by_sdbootutil").is_file())
}

/// The image of a kernel, as seen from inside the root.
fn image(layout: &Layout, release: &KernelRelease) -> Option<String> {
    let places =
        [layout.install_tree.join(release).join("vmlinuz"), format!("/boot/vmlinuz-{release}").into()];
    places.into_iter().find(|p| layout.root.path(p).is_file()).map(|p| p.display().to_string())
}

/// A link to `/dev/null` in the administrator's directory switches a hook off (alpm-hooks(5)), and so does
/// any file without a trigger; a directory does not (tried with pacman 7.0.0).
fn is_masked(root: &Root, hook: &str) -> bool {
    let path = root.path(Path::new("/etc/pacman.d/hooks").join(hook));
    if std::fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null")) {
        return true;
    }
    let triggers = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().any(|l| l.trim() == "[Trigger]");
    matches!(look::read(&path), Ok(Some(bytes)) if !triggers(&bytes))
}

fn has_program(root: &Root, name: &str) -> bool {
    if root.is_slash() {
        return find_program(name).is_some();
    }
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .any(|dir| root.path(Path::new(dir).join(name)).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const K: &str = "6.12.1-1";

    fn write(layout: &Layout, inside: &str, text: &str) {
        let path = layout.root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn place(files: &[&str]) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        files.iter().for_each(|file| write(&layout, file, "#!/bin/sh\n"));
        (dir, layout)
    }

    fn order(layout: &Layout, generator: Generator) -> Option<String> {
        let order = generator.order(layout, &KernelRelease::new(K).unwrap(), &Environment::default())?;
        let input = order.input.map(|text| format!(" < {}", text.replace('\n', " "))).unwrap_or_default();
        Some(format!("{} {}{input}", order.program, order.args.join(" ")))
    }

    #[test]
    fn what_is_not_installed_is_not_in_use() {
        let (_dir, layout) = place(&["/lib/modules/6.12.1-1/vmlinuz", "/boot/initramfs-6.12.1-1.img"]);
        write(&layout, "/boot/efi/EFI/systemd/installed_by_sdbootutil", "");
        write(&layout, "/usr/share/kernel/lts/kernel.release", K);
        write(&layout, "/boot/initramfs-lts", "");
        write(&layout, "/boot/booster-6.12.1-1.img", "");
        use Generator::*;
        let all = [
            UpdateInitramfs,
            KernelInstall,
            AlpmMkinitcpio,
            AlpmDracut,
            AlpmBooster,
            Mkinitcpio,
            Sdbootutil,
            Booster,
            Mkinitfs,
            Dracut,
        ];
        for generator in all {
            assert_eq!(order(&layout, generator), None, "{generator:?}");
        }
    }

    #[test]
    fn kernel_install_with_a_plugin_that_makes_one_or_an_entry_to_be_made_again() {
        let (_dir, layout) = place(&["/usr/bin/kernel-install", "/lib/modules/6.12.1-1/vmlinuz"]);
        assert_eq!(order(&layout, Generator::KernelInstall), None);
        write(&layout, "/boot/efi/EFI/Linux/fedora-6.12.1-1.efi", "");
        let add = Some("kernel-install add 6.12.1-1 /lib/modules/6.12.1-1/vmlinuz".to_owned());
        assert_eq!(order(&layout, Generator::KernelInstall), add);
        std::fs::remove_dir_all(layout.root.path("/boot")).unwrap();
        write(&layout, "/usr/lib/kernel/install.d/50-dracut.install", "#!/bin/sh\n");
        assert_eq!(order(&layout, Generator::KernelInstall), add);
        let bypass = Environment { without_kernel_install: true, ..Environment::default() };
        let k = KernelRelease::new(K).unwrap();
        assert_eq!(Generator::KernelInstall.order(&layout, &k, &bypass), None);
    }

    #[test]
    fn scripts_of_pacmans_hooks() {
        let (_dir, layout) = place(&[
            "/usr/bin/mkinitcpio",
            "/usr/bin/dracut",
            "/usr/share/libalpm/scripts/mkinitcpio",
            "/usr/share/libalpm/scripts/dracut-install",
        ]);
        assert_eq!(order(&layout, Generator::AlpmMkinitcpio), None, "it is no kernel of a package");
        write(&layout, "/lib/modules/6.12.1-1/pkgbase", "linux-zen\n");
        let script = "/usr/share/libalpm/scripts/mkinitcpio install < usr/lib/modules/6.12.1-1/vmlinuz ";
        assert_eq!(order(&layout, Generator::AlpmMkinitcpio).as_deref(), Some(script));
        assert!(order(&layout, Generator::AlpmDracut).unwrap().contains("6.12.1-1/pkgbase"));
        std::fs::create_dir_all(layout.root.path("/etc/pacman.d/hooks")).unwrap();
        let hook = layout.root.path("/etc/pacman.d/hooks/90-mkinitcpio-install.hook");
        std::fs::create_dir(&hook).unwrap();
        assert!(order(&layout, Generator::AlpmMkinitcpio).is_some(), "a directory masks nothing");
        std::fs::remove_dir(&hook).unwrap();
        std::fs::write(&hook, "[Trigger]\nType = Path\n[Action]\nExec = /bin/true\n").unwrap();
        assert!(order(&layout, Generator::AlpmMkinitcpio).is_some(), "another hook in its place");
        for masks in ["", "# off\n[Action]\nExec = /bin/true\n"] {
            std::fs::write(&hook, masks).unwrap();
            assert_eq!(order(&layout, Generator::AlpmMkinitcpio), None, "{masks:?}");
        }
        std::fs::remove_file(&hook).unwrap();
        std::os::unix::fs::symlink("/dev/null", hook).unwrap();
        assert_eq!(order(&layout, Generator::AlpmMkinitcpio), None);
        assert_eq!(order(&layout, Generator::Mkinitcpio), None, "there is no preset");
        write(&layout, "/etc/mkinitcpio.d/linux-zen.preset", "");
        assert_eq!(order(&layout, Generator::Mkinitcpio).as_deref(), Some("mkinitcpio -p linux-zen"));
    }

    #[test]
    fn dracut_writes_the_file_that_is_there_and_no_unified_image() {
        let (_dir, layout) = place(&["/usr/bin/dracut", "/efi/EFI/Linux/linux-6.12.1-1.efi"]);
        assert_eq!(order(&layout, Generator::Dracut), None);
        write(&layout, "/boot/initrd-6.12.1-1", "");
        let expected = "dracut --quiet --force /boot/initrd-6.12.1-1 6.12.1-1";
        assert_eq!(order(&layout, Generator::Dracut).as_deref(), Some(expected));
    }

    #[test]
    fn those_that_know_their_file_by_its_name() {
        let (_dir, layout) = place(&["/usr/bin/booster", "/sbin/mkinitfs", "/boot/initramfs-6.12.1-1.img"]);
        write(&layout, "/usr/share/kernel/edge/kernel.release", "6.12.2-0-edge\n");
        write(&layout, "/boot/initramfs-edge", "");
        write(&layout, "/boot/initramfs-lts", "");
        assert_eq!(order(&layout, Generator::Booster), None);
        assert_eq!(order(&layout, Generator::Mkinitfs), None);
        write(&layout, "/lib/modules/6.12.1-1/pkgbase", "linux-zen\n");
        write(&layout, "/boot/booster-linux-zen.img", "");
        let expected = "booster build --force --kernel-version 6.12.1-1 /boot/booster-linux-zen.img";
        assert_eq!(order(&layout, Generator::Booster).as_deref(), Some(expected));
        write(&layout, "/usr/share/kernel/lts/kernel.release", "6.12.1-1\n");
        let expected = "mkinitfs -o /boot/initramfs-lts 6.12.1-1";
        assert_eq!(order(&layout, Generator::Mkinitfs).as_deref(), Some(expected));
    }

    #[test]
    fn sdbootutil_where_it_has_installed_the_boot_loader_and_then_no_dracut() {
        let (_dir, layout) =
            place(&["/usr/bin/sdbootutil", "/usr/bin/dracut", "/boot/efi/suse/6.12.1-1/initrd-1f2e"]);
        assert_eq!(order(&layout, Generator::Sdbootutil), None);
        assert!(order(&layout, Generator::Dracut).is_some());
        write(&layout, "/boot/efi/EFI/opensuse/installed_by_sdbootutil", "");
        let expected = "sdbootutil --no-reuse-initrd add-kernel 6.12.1-1";
        assert_eq!(order(&layout, Generator::Sdbootutil).as_deref(), Some(expected));
        assert_eq!(order(&layout, Generator::Dracut), None);
    }
}
