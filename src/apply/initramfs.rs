//! The initramfs of a kernel, made again by the distribution's own generator.

use crate::apply::notes;
use crate::error::{Error, Result, exit};
use crate::ids::KernelRelease;
use crate::layout::Layout;
use crate::process::{Output, Process, find_program};
use crate::report::Report;
use crate::system::kernels;

/// Makes the initramfs of a kernel again if that is due: always, or when one of the modules that
/// changed is in it or is wanted in it. Forgets the duty once done.
///
/// # Errors
/// When the generator is missing or fails; it stays due, and the old initramfs is still there.
pub fn mend(layout: &Layout, kernel: &KernelRelease, always: bool, report: &dyn Report) -> Result<()> {
    let Some(due) = notes::kernel_note(layout, kernel).initramfs_due else { return Ok(()) };
    if !always && !wants(layout, &due.modules) && !holds(kernel, &due.modules) {
        return forget(layout, kernel);
    }
    let Some(process) = generator(kernel) else {
        report.warning(&format!("modules of {kernel} changed: make its initramfs again"));
        return forget(layout, kernel);
    };
    report.line(&format!("Making the initramfs of {kernel} again: its modules changed"));
    let status = process.run(Output::Inherit).map_err(|e| Error::new(exit::INSTALL, e.to_string()))?;
    if status != 0 {
        let text = format!("making the initramfs of {kernel} ended with status {status}: {}", process.text());
        return Err(Error::new(exit::INSTALL, text)
            .hint("the old one is still there; see the messages above, then run the same command again"));
    }
    forget(layout, kernel)
}

/// The generator that is installed. `update-initramfs` is initramfs-tools' own and, in newer
/// releases of Debian, dracut's too; with `-k` it acts at once even in a maintainer script (plain
/// `-u` is put off and takes only the newest kernel).
fn generator(kernel: &KernelRelease) -> Option<Process> {
    if let Some(program) = find_program("update-initramfs") {
        return Some(Process::new(program).args(["-u", "-k", kernel.as_str()]));
    }
    let image = image(kernel);
    let program = find_program("dracut")?;
    Some(Process::new(program).args(["--quiet", "--force"]).arg(image).arg(kernel.as_str()))
}

/// The initramfs as Debian names it, in a root that is `/`.
fn image(kernel: &KernelRelease) -> std::path::PathBuf {
    let layout = Layout::new(crate::root::Root::host());
    kernels::initramfs(&layout, kernel).unwrap_or_else(|| format!("/boot/initrd.img-{kernel}").into())
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

/// True when the initramfs holds a module file of one of these names, or when nobody can
/// tell.
fn holds(kernel: &KernelRelease, modules: &[String]) -> bool {
    let path = image(kernel);
    let lister = if find_program("lsinitramfs").is_some() { "lsinitramfs" } else { "lsinitrd" };
    let Ok(listing) = Process::new(lister).arg(&path).capture() else { return true };
    if listing.status != 0 {
        return true;
    }
    let text = String::from_utf8_lossy(&listing.stdout);
    text.lines().any(|line| {
        let file = line.rsplit('/').next().unwrap_or(line);
        crate::system::observe::module_stem(file)
            .is_some_and(|stem| modules.iter().any(|m| same_module(m, stem)))
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
    fn dashes_and_underscores_are_the_same_letter() {
        assert!(same_module("snd-aloop", "snd_aloop"));
        assert!(!same_module("snd-aloop", "snd_aloopx"));
        assert!(!same_module("a-b", "a.b"));
    }
}
