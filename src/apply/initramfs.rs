//! The initramfs of a kernel, made again by the distribution's own generator.

use crate::boot::generator::{Environment, Order};
use crate::boot::{self, BootFile};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::observe::distribution::Distribution;
use crate::process::{Output, Process, find_program};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::notes;

/// Makes the initramfs of a kernel again if that is due: always, or when one of the modules that
/// changed is in it or is wanted in it. Forgets the duty once done.
///
/// A generator that ends well may have made another file than the one that is old (kernel-install does
/// not keep an initramfs in every layout). So the file is looked at, and the next generator is asked.
///
/// # Errors
/// When a generator fails and none mends it; it stays due, and the old initramfs is still there.
pub fn mend(
    layout: &Layout,
    distribution: &Distribution,
    kernel: &KernelRelease,
    always: bool,
    report: &dyn Report,
) -> Result<()> {
    let Some(due) = notes::kernel_note(layout, kernel).initramfs_due else { return Ok(()) };
    if !always && !wants(layout, &due.modules) && !holds(layout, kernel, &due.modules) {
        return forget(layout, kernel);
    }
    let environment = Environment::here();
    let mut failed = None;
    let mut told = false;
    for order in distribution.generators().iter().filter_map(|g| g.order(layout, kernel, &environment)) {
        if !told {
            report.line(&format!("Rebuilding the initramfs of {kernel}: its modules changed"));
            told = true;
        }
        match run(&order) {
            Ok(()) => {
                let made =
                    if order.beside { boot::newest(layout, kernel) } else { boot::oldest(layout, kernel) };
                if made.is_none_or(|made| made > due.since) {
                    return forget(layout, kernel);
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let old = oldest_name(layout, kernel);
    report.warning(&format!("modules of {kernel} changed: rebuild its initramfs{old}"));
    forget(layout, kernel)
}

fn run(order: &Order) -> Result<()> {
    // Scripts of pacman's hooks read paths that are relative to the root.
    let mut process = Process::new(&order.program).args(&order.args).dir("/");
    if let Some(text) = &order.input {
        process = process.input(text.as_str());
    }
    let failed = |text: String| {
        Error::new(Kind::InitramfsFailed, text)
            .hint("the old one is unchanged; see the messages above, then repeat the command")
    };
    match process.run(Output::Inherit) {
        Ok(0) => Ok(()),
        Ok(status) => {
            Err(failed(format!("making the initramfs: {} ended with status {status}", process.text())))
        }
        Err(error) => Err(failed(format!("making the initramfs: {error}"))),
    }
}

/// The oldest of several files, for a message.
fn oldest_name(layout: &Layout, kernel: &KernelRelease) -> String {
    let time = |file: &BootFile| std::fs::metadata(&file.path).and_then(|m| m.modified()).ok();
    let oldest = boot::files(layout, kernel).into_iter().min_by_key(time);
    oldest.map(|file| format!(" {}", layout.shown(&file.path).display())).unwrap_or_default()
}

fn forget(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    notes::update(layout, kernel, |note| note.initramfs_due = None)
}

/// Where the generators are told what belongs into an initramfs: lists of modules, settings, and
/// hook scripts, which name the modules that they add.
const WISHES: &[&str] = &[
    "/etc/initramfs-tools",
    "/usr/share/initramfs-tools/hooks",
    "/usr/share/initramfs-tools/modules.d",
    "/etc/dracut.conf",
    "/etc/dracut.conf.d",
    "/usr/lib/dracut/dracut.conf.d",
    "/etc/mkinitcpio.conf",
    "/etc/mkinitcpio.conf.d",
    "/etc/mkinitcpio.d",
    "/etc/booster.yaml",
    "/etc/mkinitfs",
    "/etc/modules-load.d",
    "/etc/modules",
];

/// True when a generator's settings or hooks mention one of the modules: it may belong into an
/// initramfs that does not hold it yet.
fn wants(layout: &Layout, modules: &[String]) -> bool {
    let files =
        WISHES.iter().flat_map(|place| walkdir::WalkDir::new(layout.root.path(place)).follow_links(true));
    files.flatten().filter(|e| e.file_type().is_file()).any(|entry| {
        let text = std::fs::read(entry.path()).unwrap_or_default();
        mentions(&String::from_utf8_lossy(&text), modules)
    })
}

fn mentions(text: &str, modules: &[String]) -> bool {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| {
        line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .any(|word| modules.iter().any(|m| same_module(m, word)))
    })
}

/// Programs that list what an initramfs holds: those of initramfs-tools, mkinitcpio and dracut.
const LISTERS: [&str; 3] = ["lsinitramfs", "lsinitcpio", "lsinitrd"];

/// True when an initramfs of the kernel holds a module file of one of these names, or when nobody can
/// tell.
fn holds(layout: &Layout, kernel: &KernelRelease, modules: &[String]) -> bool {
    let Some(lister) = LISTERS.into_iter().find(|name| find_program(name).is_some()) else { return true };
    boot::files(layout, kernel).iter().any(|file| {
        let Ok(listing) = Process::new(lister).arg(&file.path).capture() else { return true };
        listing.status != 0 || lists(&String::from_utf8_lossy(&listing.stdout), modules)
    })
}

fn lists(text: &str, modules: &[String]) -> bool {
    text.lines().any(|line| {
        let file = line.rsplit('/').next().unwrap_or(line);
        crate::elf::module_stem(file).is_some_and(|stem| modules.iter().any(|m| same_module(m, stem)))
    })
}

/// The kernel takes `-` and `_` in a module's name for the same.
fn same_module(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && a.bytes().zip(b.bytes()).all(|(x, y)| x == y || matches!((x, y), (b'-', b'_') | (b'_', b'-')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_hooks_are_read_by_word() {
        let names = ["labmod".to_owned(), "snd-aloop".to_owned()];
        assert!(mentions("# comment\nlabmod\n", &names));
        assert!(mentions("manual_add_modules \"snd_aloop\"", &names));
        assert!(!mentions("# labmod\nlabmodx x-labmod\n", &names));
    }

    #[test]
    fn listings_of_every_generator() {
        let names = ["labmod".to_owned()];
        assert!(lists("usr/lib/modules/6.1/updates/dkms/labmod.ko.zst\n", &names));
        let long =
            "-rw-r--r--   1 root     root   9000 Jan  1  1970 usr/lib/modules/6.1/extra/labmod.ko.xz\n";
        assert!(lists(long, &names));
        assert!(!lists("usr/lib/modules/6.1/labmod/other.ko\n", &names));
    }

    #[test]
    fn dashes_and_underscores_are_the_same_letter() {
        assert!(same_module("snd-aloop", "snd_aloop"));
        assert!(!same_module("snd-aloop", "snd_aloopx"));
        assert!(!same_module("a-b", "a.b"));
    }
}
