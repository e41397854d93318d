//! Which modules the initramfs of a kernel holds, and which belong into it. Starts a program for each file, so
//! it is looked at only where a plan asks for it.

use std::collections::BTreeSet;

use crate::boot;
use crate::elf::module_stem;
use crate::fs::regular;
use crate::model::ids::KernelRelease;
use crate::model::system::Contents;
use crate::process::{Process, QUERY_LIMIT, find_program};
use crate::tree::layout::Layout;

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

/// Programs that list what an initramfs holds: those of initramfs-tools, mkinitcpio and dracut. Those of trixie leave
/// out what was appended to the image afterwards (findings/initrd-second-archive-unlisted.sh).
const LISTERS: [&str; 3] = ["lsinitramfs", "lsinitcpio", "lsinitrd"];

/// What is in the initramfs of a kernel.
pub(super) fn contents(layout: &Layout, kernel: &KernelRelease) -> Contents {
    Contents { held: held(layout, kernel), wanted: wanted(layout) }
}

/// Every word of the settings and hooks of generators: they mention a module that may belong into an
/// initramfs and not be in it yet.
fn wanted(layout: &Layout) -> BTreeSet<String> {
    let files =
        WISHES.iter().flat_map(|place| walkdir::WalkDir::new(layout.root.path(place)).follow_links(true));
    let mut found = BTreeSet::new();
    for entry in files.flatten().filter(|e| e.file_type().is_file()) {
        let text = regular::read(entry.path()).unwrap_or_default();
        found.extend(words(&String::from_utf8_lossy(&text)));
    }
    found
}

fn words(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words =
        lines.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-'));
    words.filter(|word| !word.is_empty()).map(Contents::normal).collect()
}

/// The modules in the files that are loaded beside a kernel; `None` when nobody can tell.
fn held(layout: &Layout, kernel: &KernelRelease) -> Option<BTreeSet<String>> {
    let lister = LISTERS.into_iter().find(|name| find_program(name).is_some())?;
    let mut found = BTreeSet::new();
    for file in boot::files(layout, kernel) {
        let listing = Process::new(lister).arg(&file.path).limit(QUERY_LIMIT).capture().ok()?;
        if listing.status != 0 {
            return None;
        }
        found.extend(listed(&String::from_utf8_lossy(&listing.stdout)));
    }
    Some(found)
}

fn listed(text: &str) -> BTreeSet<String> {
    let names = text.lines().filter_map(|line| module_stem(line.rsplit('/').next().unwrap_or(line)));
    names.map(Contents::normal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_hooks_are_read_by_word() {
        let found = Contents {
            held: Some(BTreeSet::new()),
            wanted: words("# other\nlabmod\nmanual_add_modules \"snd_aloop\"\nlabmodx x-labmodz\n"),
        };
        let of = |names: &[&str]| names.iter().map(|name| found.concerns(name)).collect::<Vec<_>>();
        assert_eq!(
            of(&["labmod", "snd-aloop", "other", "aloop", "labmodz"]),
            [true, true, false, false, false]
        );
    }

    #[test]
    fn listings_of_every_generator() {
        let short = "usr/lib/modules/6.1/updates/dkms/lab-mod.ko.zst\n";
        let long =
            "-rw-r--r--   1 root     root   9000 Jan  1  1970 usr/lib/modules/6.1/extra/lab_mod.ko.xz\n";
        for text in [short, long] {
            let found = Contents { held: Some(listed(text)), wanted: BTreeSet::new() };
            assert!(found.concerns("lab-mod") && found.concerns("lab_mod") && !found.concerns("lab"));
        }
        assert!(listed("usr/lib/modules/6.1/labmod/other.txt\n").is_empty());
        assert!(Contents::default().concerns("anything"), "nobody can tell");
    }
}
