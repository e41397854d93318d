//! What a boot loader loads beside a kernel: its initramfs, by itself or inside a unified kernel image.
//!
//! Nothing says which of several files is the one that is loaded: a machine that was moved from GRUB to
//! systemd-boot has both. So all of them count, and the oldest decides whether modules changed since.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use crate::fs::look::{self, Seen, mtime, read_dir};
use crate::fs::regular;
use crate::kernel;
use crate::model::blind::{Blind, Cause};
use crate::model::ids::KernelRelease;
use crate::model::version;
use crate::tree::layout::Layout;

/// Where boot partitions are mounted (uapi-group.org, Boot Loader Specification; systemd's
/// kernel-install looks there, too).
const PLACES: [&str; 3] = ["/boot", "/efi", "/boot/efi"];

/// The largest image of a kernel that is read, in bytes: one with an initramfs in it has some hundred MiB.
const LARGEST_KERNEL: u64 = 1 << 30;

/// How an initramfs is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file of its own beside the kernel, below `/boot`.
    Plain,
    /// A file in the directory of a boot entry of kernel-install: `$BOOT/TOKEN/R/`.
    Entry,
    /// Part of a unified kernel image.
    Unified,
}

/// A file with an initramfs of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootFile {
    /// How it is kept.
    pub kind: Kind,
    /// Where, as this process opens it.
    pub path: PathBuf,
}

/// The files with an initramfs of a release, as far as they could be looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that are there.
    pub files: Vec<BootFile>,
    /// The first place that could not be looked at: there may be more.
    pub unseen: Option<Blind>,
}

impl Found {
    fn add(&mut self, kind: Kind, path: PathBuf) {
        if self.or_note(look::metadata(&path)).is_some_and(|meta| meta.is_file()) {
            self.files.push(BootFile { kind, path });
        }
    }

    fn entries(&mut self, dir: &Path) -> Vec<DirEntry> {
        self.or_note(look::entries(dir)).unwrap_or_default()
    }

    fn or_note<T>(&mut self, seen: Seen<T>) -> Option<T> {
        seen.unwrap_or_else(|blind| {
            // Below a file there is nothing.
            if blind.cause != Cause::NotADirectory {
                self.unseen.get_or_insert(blind);
            }
            None
        })
    }

    /// Modification time of the oldest file, nanoseconds since the epoch; `None` when there is none.
    pub fn oldest(&self) -> Option<i64> {
        self.times().min()
    }

    /// As [`Self::oldest`], of the newest.
    pub fn newest(&self) -> Option<i64> {
        self.times().max()
    }

    fn times(&self) -> impl Iterator<Item = i64> {
        self.files.iter().filter_map(|f| std::fs::metadata(&f.path).ok()).map(|meta| mtime(&meta))
    }
}

/// Every file with an initramfs of a release.
pub fn files(layout: &Layout, release: &KernelRelease) -> Vec<BootFile> {
    look_for_files(layout, release).files
}

/// As [`files`], with what could not be looked at.
pub fn look_for_files(layout: &Layout, release: &KernelRelease) -> Found {
    let root = &layout.root;
    let mut found = Found::default();
    let mut names = vec![
        format!("initrd.img-{release}"),
        format!("initramfs-{release}.img"),
        format!("initrd-{release}"),
        format!("booster-{release}.img"),
    ];
    names.extend(flavour(layout, release).map(|flavour| format!("initramfs-{flavour}")));
    for name in names {
        found.add(Kind::Plain, root.path(Path::new("/boot").join(name)));
    }
    for inside in of_package(layout, release) {
        let kind = if inside.extension().is_some_and(|e| e == "efi") { Kind::Unified } else { Kind::Plain };
        found.add(kind, root.path(inside));
    }
    for place in PLACES {
        for token in found.entries(&root.path(place)) {
            if !token.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            for entry in found.entries(&token.path().join(release)) {
                let name = entry.file_name();
                if name.to_str().is_some_and(|n| n.starts_with("initrd") || n.starts_with("initramfs")) {
                    found.add(Kind::Entry, entry.path());
                }
            }
        }
        for entry in found.entries(&root.path(Path::new(place).join("EFI/Linux"))) {
            if entry.file_name().to_str().is_some_and(|name| is_unified(name, release.as_str())) {
                found.add(Kind::Unified, entry.path());
            }
        }
    }
    // Two names of one file, where one place is mounted twice or is a link.
    let mut seen = std::collections::BTreeSet::new();
    found.files.retain(|file| seen.insert(file.path.canonicalize().unwrap_or_else(|_| file.path.clone())));
    found
}

/// The directories of boot loaders: `$BOOT/EFI/*`.
pub fn loaders(layout: &Layout) -> Vec<PathBuf> {
    let dirs = PLACES.iter().map(|place| layout.root.path(Path::new(place).join("EFI")));
    dirs.flat_map(|dir| read_dir(&dir)).map(|entry| entry.path()).collect()
}

/// The flavour of a kernel of Alpine's, which its files in `/boot` are called by
/// (`/usr/share/kernel/FLAVOUR/kernel.release`).
pub fn flavour(layout: &Layout, release: &KernelRelease) -> Option<String> {
    let mut flavours = read_dir(&layout.root.path("/usr/share/kernel"));
    flavours.find_map(|entry| {
        let text = regular::read_to_string(&entry.path().join("kernel.release")).ok()?;
        (text.trim() == release.as_str()).then(|| entry.file_name().into_string().ok()).flatten()
    })
}

/// The name of the package that a kernel of Arch's comes from, which is what its files in `/boot` are
/// called by (`/usr/lib/modules/R/pkgbase`).
pub fn package_base(layout: &Layout, release: &KernelRelease) -> Option<String> {
    let text = regular::read_to_string(&layout.kernel(release).join("pkgbase")).ok()?;
    let name = text.lines().next()?.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

/// The name of the package whose files in `/boot` this kernel is booted by. There is one set of them for all
/// releases of a package: what a hook keeps of the old release until the next boot has none, and an
/// initramfs "of the old kernel" would put that one in the new one's place.
pub fn boots_by_package(layout: &Layout, release: &KernelRelease) -> Option<String> {
    let base = package_base(layout, release)?;
    let others: Vec<KernelRelease> = kernel::releases(layout, [])
        .into_iter()
        .filter(|other| other != release && package_base(layout, other).as_ref() == Some(&base))
        .collect();
    if others.is_empty() {
        return Some(base);
    }
    let image = |release: &KernelRelease| {
        regular::read_up_to(&layout.kernel(release).join("vmlinuz"), LARGEST_KERNEL).ok()
    };
    let booted = regular::read_up_to(&layout.root.path(format!("/boot/vmlinuz-{base}")), LARGEST_KERNEL).ok();
    if booted.is_some() && booted == image(release) {
        return Some(base);
    }
    let another = booted.is_some() && others.iter().any(|other| image(other) == booted);
    let newer = |other: &KernelRelease| version::compare(other.as_str(), release.as_str()).is_gt();
    (!another && !others.iter().any(newer)).then_some(base)
}

/// The files of Arch's kernels: those that the preset of mkinitcpio(8) names, or the usual one, and
/// booster's. The fallback image is left out: it has everything from the start, and presets of today
/// make none.
fn of_package(layout: &Layout, release: &KernelRelease) -> Vec<PathBuf> {
    let Some(base) = boots_by_package(layout, release) else { return Vec::new() };
    let preset = layout.root.path(format!("/etc/mkinitcpio.d/{base}.preset"));
    let mut named = regular::read_to_string(&preset).map(|text| of_preset(&text)).unwrap_or_default();
    if named.is_empty() {
        named.push(format!("/boot/initramfs-{base}.img").into());
    }
    named.push(format!("/boot/booster-{base}.img").into());
    named
}

/// `NAME_image` and `NAME_uki` of a preset, as far as they are plain words.
fn of_preset(text: &str) -> Vec<PathBuf> {
    let assignments = text.lines().filter_map(|line| line.trim().split_once('='));
    assignments
        .filter_map(|(name, value)| {
            let preset = name.strip_suffix("_image").or_else(|| name.strip_suffix("_uki"))?;
            let value = value.trim().trim_matches(|c| c == '"' || c == '\'');
            let plain = value.starts_with('/') && !value.contains(['$', '`', '"', '\'', ' ']);
            let word = preset.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            (word && preset != "fallback" && plain).then(|| PathBuf::from(value))
        })
        .collect()
}

/// True for a unified kernel image of this release: `TOKEN-R.efi`, with the tries that are left behind
/// a plus (`TOKEN-R+3-1.efi`), or `linux-R-MACHINE.efi`, which is what dracut(8) calls them.
fn is_unified(name: &str, release: &str) -> bool {
    let Some(stem) = name.strip_suffix(".efi") else { return false };
    let tries = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '-');
    let ends = |stem: &str| {
        stem.strip_suffix(release).is_some_and(|before| before.is_empty() || before.ends_with('-'))
    };
    if ends(stem) || stem.rsplit_once('+').is_some_and(|(stem, left)| tries(left) && ends(stem)) {
        return true;
    }
    let machine = stem.strip_prefix("linux-").and_then(|rest| rest.strip_prefix(release)?.strip_prefix('-'));
    machine.is_some_and(|id| id.len() >= 32 && id.bytes().take(32).all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    const K: &str = "6.12.1-200.fc41.x86_64";

    fn layout() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        (dir, layout)
    }

    fn write(layout: &Layout, inside: &str, text: &str) {
        let path = layout.root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn names(layout: &Layout, release: &str) -> Vec<String> {
        let found = files(layout, &KernelRelease::new(release).unwrap());
        found.iter().map(|f| layout.shown(&f.path).display().to_string()).collect()
    }

    #[test]
    fn a_place_that_cannot_be_looked_at_is_not_an_empty_one() {
        let release = KernelRelease::new(K).unwrap();
        // A link to itself is refused even to root.
        for (dir, name) in [
            ("/", "boot"),
            ("/boot", "initrd.img-6.12.1-200.fc41.x86_64"),
            ("/efi/EFI", "Linux"),
            ("/boot/efi/token", K),
        ] {
            let (_dir, layout) = layout();
            std::fs::create_dir_all(layout.root.path(dir)).unwrap();
            let seen = look_for_files(&layout, &release);
            assert!(seen.files.is_empty() && seen.unseen.is_none(), "{dir}");
            let path = layout.root.path(Path::new(dir).join(name));
            std::os::unix::fs::symlink(name, &path).unwrap();
            let blind = look_for_files(&layout, &release).unseen.unwrap();
            assert!(blind.path.starts_with(&path), "{blind:?}");
        }
        let (_dir, layout) = layout();
        write(&layout, "/efi", "a file");
        assert!(look_for_files(&layout, &release).unseen.is_none(), "nothing is below it");
    }

    #[test]
    fn every_place_of_every_distribution() {
        let (_dir, layout) = layout();
        let all = [
            format!("/boot/initrd.img-{K}"),
            format!("/boot/initramfs-{K}.img"),
            format!("/boot/initrd-{K}"),
            format!("/boot/booster-{K}.img"),
            "/boot/initramfs-lts".to_owned(),
            format!("/boot/0123456789abcdef0123456789abcdef/{K}/initrd"),
            format!("/efi/fedora/{K}/initrd.img-{K}"),
            format!("/efi/EFI/Linux/0123456789abcdef0123456789abcdef-{K}+3-0.efi"),
            format!("/boot/efi/EFI/Linux/linux-{K}-0123456789abcdef0123456789abcdef-1.efi"),
        ];
        all.iter().for_each(|path| write(&layout, path, ""));
        write(&layout, "/usr/share/kernel/lts/kernel.release", &format!("{K}\n"));
        write(&layout, "/usr/share/kernel/edge/kernel.release", "6.12.2-0-edge\n");
        write(&layout, "/boot/initramfs-edge", "");
        write(&layout, &format!("/boot/fedora/{K}/linux"), "");
        write(&layout, &format!("/boot/EFI/Linux/fedora-{K}.rt.efi"), "");
        let mut found = names(&layout, K);
        found.sort();
        let mut expected = all.to_vec();
        expected.sort();
        assert_eq!(found, expected);
        assert!(names(&layout, "6.12.1").is_empty(), "another release with the same beginning");
    }

    #[test]
    fn the_oldest_counts() {
        let (_dir, layout) = layout();
        write(&layout, &format!("/boot/initramfs-{K}.img"), "");
        let old = std::fs::File::open(layout.root.path(format!("/boot/initramfs-{K}.img"))).unwrap();
        old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7)).unwrap();
        write(&layout, &format!("/boot/fedora/{K}/initrd"), "");
        assert_eq!(look_for_files(&layout, &KernelRelease::new(K).unwrap()).oldest(), Some(7_000_000_000));
        assert!(look_for_files(&layout, &KernelRelease::new(K).unwrap()).newest() > Some(7_000_000_000));
        assert_eq!(look_for_files(&layout, &KernelRelease::new("6.1").unwrap()).oldest(), None);
    }

    #[test]
    fn kernels_of_arch_are_called_by_their_package() {
        let (_dir, layout) = layout();
        let k = "6.12.1-arch1-1";
        write(&layout, &format!("/usr/lib/modules/{k}/pkgbase"), "linux\n");
        std::os::unix::fs::symlink("usr/lib", layout.root.path("/lib")).unwrap();
        write(&layout, "/boot/initramfs-linux.img", "");
        write(&layout, "/boot/initramfs-linux-fallback.img", "");
        write(&layout, "/efi/EFI/Linux/arch-linux.efi", "");
        assert_eq!(names(&layout, k), ["/boot/initramfs-linux.img"]);
        let preset = "PRESETS=('default' 'fallback')\n#default_image=\"/boot/initramfs-linux.img\"\n\
                      default_uki=\"/efi/EFI/Linux/arch-linux.efi\"\nfallback_image='/boot/initramfs-linux-fallback.img'\n\
                      odd_image=\"$x\"\n";
        write(&layout, "/etc/mkinitcpio.d/linux.preset", preset);
        assert_eq!(names(&layout, k), ["/efi/EFI/Linux/arch-linux.efi"]);
        write(&layout, "/boot/booster-linux.img", "");
        assert_eq!(names(&layout, k), ["/efi/EFI/Linux/arch-linux.efi", "/boot/booster-linux.img"]);
        write(&layout, &format!("/usr/lib/modules/{k}/pkgbase"), "../../etc\n");
        assert!(names(&layout, k).is_empty());
    }

    #[test]
    fn a_release_is_a_whole_part_of_a_name() {
        assert!(is_unified("6.1.efi", "6.1") && is_unified("debian-6.1.efi", "6.1"));
        for name in ["debian-6.1.5.efi", "debian-16.1.efi", "debian-6.1-rt.efi", "debian-6.1+rt.efi", "6.1"] {
            assert!(!is_unified(name, "6.1"), "{name}");
        }
    }
}
