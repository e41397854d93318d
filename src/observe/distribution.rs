//! Which distribution this is, and what follows from it. One table; a distribution is a row.

use std::path::Path;

use crate::boot::generator::Generator;
use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::inside::is_inside;

/// The families whose conventions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian and what is made from it, but not Ubuntu.
    Debian,
    /// Ubuntu and what is made from it.
    Ubuntu,
    /// Fedora, CentOS, RHEL and what is made from them.
    Fedora,
    /// SUSE and openSUSE.
    Suse,
    /// Arch Linux and what is made from it.
    Arch,
    /// Gentoo.
    Gentoo,
    /// Anything else.
    Other,
}

struct Row {
    family: Family,
    /// Prefixes of DKMS's distribution id (see [`distribution_id`]).
    ids: &'static [&'static str],
    /// Where modules are installed below `/lib/modules/K`; `None`: where dkms.conf says.
    destination: Option<&'static str>,
    /// The package that brings a kernel's headers.
    headers_package: HeadersPackage,
    /// What lets kernels share modules; for the family of Fedora only where [`is_enterprise`].
    weak_modules: Option<WeakModules>,
    /// What makes an initramfs, the preferred first. One that is not installed is passed over.
    generators: &'static [Generator],
    /// Modules without AUTOINSTALL are installed for every kernel, too: DKMS's hooks for pacman never
    /// asked for it, so packages there may not say it.
    every_module: bool,
}

/// A distribution's program that links modules built for one kernel into the trees of others whose
/// symbols have the same CRCs (below `weak-updates`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeakModules {
    /// Red Hat's: takes the paths of modules on standard input.
    RedHat,
    /// SUSE's: takes a kernel release.
    Suse,
}

impl WeakModules {
    /// Where the program is, inside the root.
    pub fn program(self) -> &'static str {
        match self {
            Self::RedHat => "/usr/sbin/weak-modules",
            Self::Suse => "/usr/lib/module-init-tools/weak-modules2",
        }
    }
}

/// How this distribution names a kernel's headers package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeadersPackage {
    /// A text; `{}` is the release.
    Named(&'static str),
    /// Fedora's and RHEL's: `kernel-devel-R`, with what follows a plus in the release as the variant:
    /// `kernel-debug-devel-R`.
    KernelDevel,
    /// SUSE's: the release ends with the flavour, `6.4.0-150600.23-default`.
    FlavourDevel,
    /// Arch's: named after the package that the kernel comes from.
    PackageHeaders,
}

impl HeadersPackage {
    fn name(self, release: &str, package_base: Option<&str>) -> String {
        match self {
            Self::Named(text) => text.replace("{}", release),
            Self::KernelDevel => match release.split_once('+') {
                Some((plain, variant)) => format!("kernel-{variant}-devel-{plain}"),
                None if release.contains("uek") => format!("kernel-uek-devel-{release}"),
                None => format!("kernel-devel-{release}"),
            },
            Self::FlavourDevel => match release.rsplit_once('-') {
                Some((_, flavour)) if flavour.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    format!("kernel-{flavour}-devel")
                }
                _ => "kernel-default-devel".to_owned(),
            },
            // A kernel that is not there yet: `6.12.1-zen1-1-zen` is of linux-zen.
            Self::PackageHeaders => match (package_base, release.rsplit_once('-')) {
                (Some(base), _) => format!("{base}-headers"),
                (None, Some((_, flavour))) if flavour.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    format!("linux-{flavour}-headers")
                }
                _ => "linux-headers".to_owned(),
            },
        }
    }
}

use Generator::{
    AlpmBooster, AlpmDracut, AlpmMkinitcpio, Booster, Dracut, KernelInstall, Mkinitcpio, Mkinitfs,
    Sdbootutil, UpdateInitramfs,
};

const TABLE: &[Row] = &[
    Row {
        family: Family::Ubuntu,
        ids: &["ubuntu"],
        destination: Some("/updates/dkms"),
        headers_package: HeadersPackage::Named("linux-headers-{}"),
        weak_modules: None,
        generators: &[UpdateInitramfs, KernelInstall, Dracut],
        every_module: false,
    },
    Row {
        family: Family::Debian,
        ids: &["debian"],
        destination: Some("/updates/dkms"),
        headers_package: HeadersPackage::Named("linux-headers-{}"),
        weak_modules: None,
        generators: &[UpdateInitramfs, KernelInstall, Dracut],
        every_module: false,
    },
    Row {
        family: Family::Fedora,
        ids: &["fedora", "centos", "rhel"],
        destination: Some("/extra"),
        headers_package: HeadersPackage::KernelDevel,
        weak_modules: Some(WeakModules::RedHat),
        generators: &[KernelInstall, Dracut],
        every_module: false,
    },
    Row {
        family: Family::Suse,
        ids: &["sles", "suse", "opensuse"],
        destination: Some("/updates"),
        headers_package: HeadersPackage::FlavourDevel,
        weak_modules: Some(WeakModules::Suse),
        generators: &[Sdbootutil, Dracut, KernelInstall],
        every_module: false,
    },
    Row {
        family: Family::Arch,
        ids: &["arch"],
        destination: Some("/updates/dkms"),
        headers_package: HeadersPackage::PackageHeaders,
        weak_modules: None,
        generators: &[AlpmMkinitcpio, AlpmDracut, AlpmBooster, KernelInstall, Mkinitcpio, Booster, Dracut],
        every_module: true,
    },
    Row {
        family: Family::Gentoo,
        ids: &["gentoo"],
        destination: None,
        headers_package: HeadersPackage::Named("the sources of kernel {}"),
        weak_modules: None,
        generators: &[KernelInstall, Dracut],
        every_module: false,
    },
];

/// What a distribution without a row may use.
const GENERATORS: &[Generator] = &[
    UpdateInitramfs,
    AlpmMkinitcpio,
    AlpmDracut,
    AlpmBooster,
    KernelInstall,
    Mkinitcpio,
    Sdbootutil,
    Booster,
    Mkinitfs,
    Dracut,
];

/// A distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Its family.
    pub family: Family,
    /// DKMS's idea of its id.
    pub id: String,
    /// Its program for sharing modules between kernels, if it has one; whether it is installed is
    /// another question.
    pub weak_modules: Option<WeakModules>,
    destination: Option<String>,
    headers_package: HeadersPackage,
    generators: &'static [Generator],
    /// Modules without AUTOINSTALL are installed by hooks, too.
    pub every_module: bool,
}

impl Distribution {
    /// Reads `/etc/os-release`, else `/usr/lib/os-release` (os-release(5)). Neither: the rules of
    /// an unknown distribution.
    ///
    /// The administrator's ADDON_MODULES_DIR, `addon`, comes before the distribution's rule.
    pub fn of(root: &Root, addon: Option<&str>) -> Self {
        let (id, id_like) = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|file| read_ids(&root.resolve(file).unwrap_or_else(|_| root.path(file))))
            .unwrap_or_else(|| ("linux".to_owned(), String::new()));
        let mut distribution = Self::from_id(&distribution_id(&id, &id_like));
        if distribution.family == Family::Fedora && !is_enterprise(&id, &id_like) {
            distribution.weak_modules = None;
        }
        if let Some(dir) = addon.map(|dir| dir.trim_matches('/')) {
            match is_inside(Path::new(dir)) {
                true => distribution.destination = Some(format!("/{dir}")),
                false => {
                    log::warn!("ADDON_MODULES_DIR is `{dir}`, which leads out of the kernel's directory")
                }
            }
        }
        distribution
    }

    /// The rules for a DKMS distribution id.
    pub fn from_id(id: &str) -> Self {
        let row = TABLE.iter().find(|row| row.ids.iter().any(|p| id.starts_with(p)));
        Self {
            family: row.map_or(Family::Other, |r| r.family),
            id: id.to_owned(),
            weak_modules: row.and_then(|r| r.weak_modules),
            destination: row.and_then(|r| r.destination).map(str::to_owned),
            headers_package: row
                .map_or(HeadersPackage::Named("the headers of kernel {}"), |r| r.headers_package),
            generators: row.map_or(GENERATORS, |r| r.generators),
            every_module: row.is_some_and(|r| r.every_module),
        }
    }

    /// Where modules go below `/lib/modules/K`, given what dkms.conf says.
    pub fn destination(&self, from_conf: &str) -> String {
        self.destination.clone().unwrap_or_else(|| from_conf.trim_end_matches('/').to_owned())
    }

    /// Where every module goes, whatever its conf says; `None` where the conf decides.
    pub fn fixed_destination(&self) -> Option<&str> {
        self.destination.as_deref()
    }

    /// The package to install when headers are missing. `package_base` is the name of the package that
    /// the kernel comes from, where it says so ([`crate::boot::package_base`]).
    pub fn headers_package(&self, release: &str, package_base: Option<&str>) -> String {
        self.headers_package.name(release, package_base)
    }

    /// What makes an initramfs here, the preferred first.
    pub fn generators(&self) -> &'static [Generator] {
        self.generators
    }
}

/// RHEL and its rebuilds, which keep the symbols of a kernel stable; Fedora does not. RHEL itself
/// says `ID_LIKE=fedora`, which is all that DKMS looks at.
fn is_enterprise(id: &str, id_like: &str) -> bool {
    const IDS: [&str; 6] = ["rhel", "centos", "rocky", "almalinux", "ol", "cloudlinux"];
    IDS.contains(&id) || id_like.split_whitespace().any(|word| matches!(word, "rhel" | "centos"))
}

/// ID if it is `ubuntu`, else the whole ID_LIKE text if set, else ID: DKMS matches prefixes of this.
fn distribution_id(id: &str, id_like: &str) -> String {
    if id == "ubuntu" || id_like.is_empty() { id.to_owned() } else { id_like.to_owned() }
}

/// The crate os-release reads a directory for ever, panics on a value that is a single quote, and takes a
/// comment for a part of the value, so it is given the lines it is to read, as a shell reads them.
fn read_ids(path: &Path) -> Option<(String, String)> {
    const LARGEST: u64 = 64 * 1024;
    let text = String::from_utf8_lossy(&regular::read_up_to(path, LARGEST).ok()?).into_owned();
    let parsed: os_release::OsRelease = text.lines().flat_map(assignments).collect();
    let id = if parsed.id.is_empty() { "linux".to_owned() } else { parsed.id };
    Some((id, parsed.id_like))
}

/// What a line sets of ID and ID_LIKE: DKMS has a shell read the file, which knows comments, `export`, and
/// quotes around parts of a word (os-release(5) allows none of these).
fn assignments(line: &str) -> Vec<String> {
    let Some(words) = shlex::split(line.trim()) else { return Vec::new() };
    let parts = words.iter().skip_while(|word| matches!(&***word, "export" | "readonly" | "declare" | "-x"));
    // No identifier has a semicolon in it.
    let parts = parts.flat_map(|word| word.split(';')).map_while(|part| part.split_once('='));
    // The crate takes blanks away before it looks for quotes.
    let quote = |value: &str| matches!(value.trim(), "\"" | "'");
    let ours = parts.filter(|(key, value)| matches!(*key, "ID" | "ID_LIKE") && !quote(value));
    ours.map(|(key, value)| format!("{key}={value}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Distribution {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/os-release"), text).unwrap();
        Distribution::of(&Root::at(dir.path()), None)
    }

    // As `( . FILE; echo "$ID|$ID_LIKE" )` prints them with dash 0.5.12 and bash 5.2.
    #[test]
    fn a_file_is_read_as_a_shell_reads_it() {
        let cases = [
            ("ID=\"fedora\" # comment\n", "fedora"),
            ("ID=fedora # comment\n", "fedora"),
            ("ID=fedora#40\n", "fedora#40"),
            ("export ID=fedora\n", "fedora"),
            ("  export ID='fedora' VERSION_ID=43\n", "fedora"),
            ("ID=\"fed\"ora\n", "fedora"),
            ("ID='\t\"'\nID_LIKE=' '\\''\n", "linux"),
            ("ID=fed\\ora; VERSION_ID=43\n", "fedora"),
            ("VERSION_ID=43;ID=fedora\n", "fedora"),
            ("#ID=debian\nID=debian\nID=fedora\n", "fedora"),
            ("ID=rocky\nID_LIKE='rhel centos fedora' # as RHEL\n", "rhel centos fedora"),
            ("NAME=\"a # b\"\nID=fedora\nPRETTY_NAME='it is'\\''s'\n", "fedora"),
            ("ID=\"fedora\n", "linux"),
        ];
        for (text, id) in cases {
            assert_eq!(of(text).id, id, "{text:?}");
        }
    }

    #[test]
    fn families_follow_id_and_id_like() {
        assert_eq!(of("ID=debian\n").family, Family::Debian);
        assert_eq!(of("ID=ubuntu\nID_LIKE=debian\n").family, Family::Ubuntu);
        assert_eq!(of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n").family, Family::Ubuntu);
        assert_eq!(of("ID=\"rhel\"\nID_LIKE=\"fedora\"\n").family, Family::Fedora);
        assert_eq!(of("ID=manjaro\nID_LIKE=arch\n").family, Family::Arch);
        assert_eq!(of("NAME=x\n").family, Family::Other);
    }

    #[test]
    fn files_that_the_parser_cannot_stand_are_survived() {
        assert_eq!(of("ID=\"\nID_LIKE='\n").family, Family::Other);
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/os-release")).unwrap();
        assert_eq!(Distribution::of(&Root::at(dir.path()), None).family, Family::Other);
    }

    #[test]
    fn destinations() {
        let rows = [
            ("fedora", "/extra"),
            ("centos", "/extra"),
            ("rhel centos fedora", "/extra"),
            ("sles", "/updates"),
            ("suse opensuse", "/updates"),
            ("opensuse-leap", "/updates"),
            ("debian", "/updates/dkms"),
            ("ubuntu debian", "/updates/dkms"),
            ("arch", "/updates/dkms"),
            ("gentoo", "/kernel/drivers"),
            ("alpine", "/kernel/drivers"),
            ("void", "/kernel/drivers"),
        ];
        for (id, expected) in rows {
            assert_eq!(Distribution::from_id(id).destination("/kernel/drivers/"), expected, "{id}");
        }
    }

    #[test]
    fn packages_with_headers() {
        let rows = [
            ("debian", "6.1.0-1-amd64", None, "linux-headers-6.1.0-1-amd64"),
            ("fedora", "6.12.1-200.fc41.x86_64", None, "kernel-devel-6.12.1-200.fc41.x86_64"),
            ("fedora", "6.12.1-200.fc41.x86_64+debug", None, "kernel-debug-devel-6.12.1-200.fc41.x86_64"),
            (
                "rhel centos fedora",
                "5.14.0-1.el9.aarch64+64k-debug",
                None,
                "kernel-64k-debug-devel-5.14.0-1.el9.aarch64",
            ),
            ("suse opensuse", "6.4.0-150600.23-default", None, "kernel-default-devel"),
            ("suse opensuse", "6.11.5-1-rt", None, "kernel-rt-devel"),
            ("suse", "6.11.5", None, "kernel-default-devel"),
            ("arch", "6.12.1-zen1-1-zen", Some("linux-zen"), "linux-zen-headers"),
            ("arch", "6.12.1-arch1-1", None, "linux-headers"),
            ("arch", "6.12.1-1-lts", None, "linux-lts-headers"),
            ("void", "6.12.1_1", None, "the headers of kernel 6.12.1_1"),
        ];
        for (id, release, base, expected) in rows {
            assert_eq!(Distribution::from_id(id).headers_package(release, base), expected, "{id} {release}");
        }
    }

    #[test]
    fn the_administrators_directory_wins_everywhere() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        std::fs::create_dir_all(root.path("/etc/sysconfig")).unwrap();
        std::fs::write(root.path("/etc/os-release"), "ID=sles\n").unwrap();
        assert_eq!(Distribution::of(&root, None).fixed_destination(), Some("/updates"));
        assert_eq!(Distribution::of(&root, Some("mine")).fixed_destination(), Some("/mine"));
        assert_eq!(Distribution::of(&root, Some("addon/")).fixed_destination(), Some("/addon"));
    }

    #[test]
    fn kernels_share_modules_where_their_symbols_are_stable() {
        let shares = |text: &str| of(text).weak_modules;
        for text in [
            "ID=rhel\nID_LIKE=fedora\n",
            "ID=rocky\nID_LIKE=\"rhel centos fedora\"\n",
            "ID=ol\nID_LIKE=fedora\n",
            "ID=centos\nID_LIKE=\"rhel fedora\"\n",
        ] {
            assert_eq!(shares(text), Some(WeakModules::RedHat), "{text}");
        }
        assert_eq!(shares("ID=fedora\n"), None);
        assert_eq!(shares("ID=nobara\nID_LIKE=fedora\n"), None);
        assert_eq!(shares("ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n"), Some(WeakModules::Suse));
        assert_eq!(shares("ID=debian\n"), None);
    }
}
