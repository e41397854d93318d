//! Which distribution this is, and what follows from it. One table; a distribution is a row.

use std::path::Path;

use crate::root::Root;

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
    /// The package that brings a kernel's headers; `{}` is the release.
    headers_package: &'static str,
}

const TABLE: &[Row] = &[
    Row {
        family: Family::Ubuntu,
        ids: &["ubuntu"],
        destination: Some("/updates/dkms"),
        headers_package: "linux-headers-{}",
    },
    Row {
        family: Family::Debian,
        ids: &["debian"],
        destination: Some("/updates/dkms"),
        headers_package: "linux-headers-{}",
    },
    Row {
        family: Family::Fedora,
        ids: &["fedora", "centos", "rhel", "ovm"],
        destination: Some("/extra"),
        headers_package: "kernel-devel-{}",
    },
    Row {
        family: Family::Suse,
        ids: &["sles", "suse", "opensuse"],
        destination: Some("/updates"),
        headers_package: "kernel-default-devel",
    },
    Row {
        family: Family::Arch,
        ids: &["arch"],
        destination: Some("/updates/dkms"),
        headers_package: "linux-headers",
    },
    Row {
        family: Family::Gentoo,
        ids: &["gentoo"],
        destination: None,
        headers_package: "the sources of kernel {}",
    },
];

/// A distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Its family.
    pub family: Family,
    /// DKMS's idea of its id.
    pub id: String,
    destination: Option<&'static str>,
    headers_package: &'static str,
}

impl Distribution {
    /// Reads `/etc/os-release`, else `/usr/lib/os-release` (os-release(5)). Neither: the rules of
    /// an unknown distribution.
    pub fn of(root: &Root) -> Self {
        let id = ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|file| read_id(&root.resolve(file).unwrap_or_else(|_| root.path(file))))
            .unwrap_or_else(|| "linux".to_owned());
        Self::from_id(&id)
    }

    /// The rules for a DKMS distribution id.
    pub fn from_id(id: &str) -> Self {
        let row = TABLE.iter().find(|row| row.ids.iter().any(|p| id.starts_with(p)));
        Self {
            family: row.map_or(Family::Other, |r| r.family),
            id: id.to_owned(),
            destination: row.and_then(|r| r.destination),
            headers_package: row.map_or("the headers of kernel {}", |r| r.headers_package),
        }
    }

    /// Where modules go below `/lib/modules/K`, given what dkms.conf says. `ADDON_MODULES_DIR` in
    /// the environment wins everywhere, as in DKMS.
    pub fn destination(&self, from_conf: &str, addon_modules_dir: Option<&str>) -> String {
        match (addon_modules_dir, self.destination) {
            (Some(dir), _) => format!("/{}", dir.trim_matches('/')),
            (None, Some(dir)) => dir.to_owned(),
            (None, None) => from_conf.trim_end_matches('/').to_owned(),
        }
    }

    /// Where every module goes, whatever its conf says; `None` where the conf decides.
    pub fn fixed_destination(&self) -> Option<&'static str> {
        self.destination
    }

    /// The package to install when headers are missing.
    pub fn headers_package(&self, release: &str) -> String {
        self.headers_package.replace("{}", release)
    }
}

/// ID if it is `ubuntu`, else the whole ID_LIKE text if set, else ID: DKMS matches prefixes of this.
fn distribution_id(id: &str, id_like: &str) -> String {
    if id == "ubuntu" || id_like.is_empty() { id.to_owned() } else { id_like.to_owned() }
}

/// The crate os-release reads a directory for ever and panics on a value that is a single quote,
/// so it is given the lines it is to read, checked.
fn read_id(path: &Path) -> Option<String> {
    const LARGEST: u64 = 64 * 1024;
    let meta = std::fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > LARGEST {
        return None;
    }
    let text = String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned();
    let safe = text.lines().map(str::trim).filter(|line| {
        let Some((key, value)) = line.split_once('=') else { return false };
        matches!(key, "ID" | "ID_LIKE") && !matches!(value, "\"" | "'")
    });
    let parsed: os_release::OsRelease = safe.map(str::to_owned).collect();
    let id = if parsed.id.is_empty() { "linux".to_owned() } else { parsed.id };
    Some(distribution_id(&id, &parsed.id_like))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Distribution {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/os-release"), text).unwrap();
        Distribution::of(&Root::at(dir.path()))
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
        assert_eq!(Distribution::of(&Root::at(dir.path())).family, Family::Other);
    }

    #[test]
    fn destinations() {
        let debian = Distribution::from_id("debian");
        assert_eq!(debian.destination("/kernel/drivers", None), "/updates/dkms");
        assert_eq!(debian.destination("/kernel", Some("addon")), "/addon");
        assert_eq!(Distribution::from_id("void").destination("/extra/", None), "/extra");
        assert_eq!(debian.headers_package("6.1"), "linux-headers-6.1");
    }
}
