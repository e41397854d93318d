//! Which files the packages of a transaction of pacman are in. A hook is not told: it is asked of pacman's command
//! line, for packages that a person named, and of the directory that pacman downloads to. What a package brings is
//! read from the package; its name only says which of the thousands there are worth a look.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::ids::KernelRelease;
use crate::packages::{Package, Transaction};
use crate::process::ancestors;

/// Where pacman keeps packages, unless it is told otherwise.
const CACHE: &str = "/var/cache/pacman/pkg";

/// The most packages that are looked into.
const MOST: usize = 64;

/// The packages of the transaction that bring kernels, headers and sources, each with its file.
pub(super) fn find(root: &Root, transaction: &Transaction) -> Vec<(PathBuf, Package)> {
    let mut kernels: BTreeSet<KernelRelease> = transaction.kernels.keys().cloned().collect();
    let (mut headers, mut sources) = (transaction.headers.clone(), transaction.sources.clone());
    let caller = Caller::find();
    let mut found = Vec::new();
    for path in caller.named.iter().cloned().chain(cached(root, &caller, &hints(transaction))).take(MOST) {
        if kernels.is_empty() && headers.is_empty() && sources.is_empty() {
            break;
        }
        let Ok(package) = Package::read(&path) else { continue };
        let brings = &package.brings;
        let mut new = false;
        new |= brings.kernels.iter().filter(|release| kernels.remove(*release)).count() > 0;
        new |= brings.headers.iter().filter(|release| headers.remove(*release)).count() > 0;
        new |= brings.sources.iter().filter(|source| sources.remove(*source)).count() > 0;
        if new {
            found.push((path, package));
        }
    }
    found
}

/// pacman, as proc(5) shows it: what started us.
#[derive(Default)]
struct Caller {
    /// Package files on its command line.
    named: Vec<PathBuf>,
    /// `--cachedir`.
    caches: Vec<PathBuf>,
    /// `--config`.
    config: Option<PathBuf>,
}

impl Caller {
    fn find() -> Self {
        // A shell of the hook file is between pacman and us.
        let own = ancestors::own();
        let parents = std::iter::successors(own, |process| ancestors::find(process.parent)).skip(1).take(2);
        parents.map(|process| Self::of(process.pid)).find(|caller| !caller.is_empty()).unwrap_or_default()
    }

    fn of(pid: u32) -> Self {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&Path> =
            line.split(|byte| *byte == 0).map(|word| Path::new(std::ffi::OsStr::from_bytes(word))).collect();
        // What a person typed is relative to where pacman was started.
        let here = PathBuf::from(format!("/proc/{pid}/cwd"));
        let value = |index: usize, name: &str| {
            let word = words[index].to_str()?;
            let inline = word.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
            let next = || words.get(index + 1).filter(|_| word == name).copied();
            inline.map(Path::new).or_else(next).map(|path| here.join(path))
        };
        Self {
            named: words.iter().skip(1).filter(|word| is_package(word)).map(|word| here.join(word)).collect(),
            caches: (0..words.len()).filter_map(|index| value(index, "--cachedir")).collect(),
            config: (0..words.len()).filter_map(|index| value(index, "--config")).next_back(),
        }
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.caches.is_empty() && self.config.is_none()
    }
}

/// Packages in pacman's cache whose names have one of the hints, the newest first.
fn cached(root: &Root, caller: &Caller, hints: &BTreeSet<String>) -> Vec<PathBuf> {
    let mut caches = caller.caches.clone();
    if caches.is_empty() {
        let config = caller.config.clone().unwrap_or_else(|| root.path("/etc/pacman.conf"));
        let text = regular::read(&config).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        caches = cache_dirs(&text.unwrap_or_default()).iter().map(|dir| root.path(dir)).collect();
    }
    if caches.is_empty() {
        caches.push(root.path(CACHE));
    }
    let entries = caches.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            is_package(Path::new(&name)) && hints.iter().any(|hint| text.contains(hint.as_str()))
        })
        .map(|entry| (entry.metadata().and_then(|meta| meta.modified()).ok(), entry.path()))
        .collect();
    found.sort_by_key(|(time, path)| (Reverse(*time), path.clone()));
    found.into_iter().map(|(_, path)| path).collect()
}

/// True for what is called as packages are, and is no signature.
fn is_package(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let suffix = name.split_once(".pkg.tar").map(|(_, rest)| rest);
    suffix.is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && !rest[1..].contains('.')))
}

/// The directories of `CacheDir` in pacman.conf(5).
fn cache_dirs(text: &str) -> Vec<String> {
    let values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "CacheDir").then(|| value.trim())
    });
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

/// What is in the name of a package that brings one of these: the first two numbers of a kernel's release, and the
/// name or the version of a source.
fn hints(transaction: &Transaction) -> BTreeSet<String> {
    let numbers = |release: &KernelRelease| {
        let text = release.as_str();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        text[..end].split('.').take(2).collect::<Vec<_>>().join(".")
    };
    let sources = transaction.sources.iter().filter_map(|dir| dir.rsplit_once('-')).flat_map(|(a, b)| [a, b]);
    let mut hints: BTreeSet<String> = transaction.releases().iter().map(numbers).collect();
    hints.extend(sources.map(str::to_owned));
    hints.remove("");
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_by_their_names() {
        for name in ["linux-6.1-1-x86_64.pkg.tar.zst", "/srv/a.pkg.tar.xz", "a.pkg.tar"] {
            assert!(is_package(Path::new(name)), "{name}");
        }
        for name in ["a.pkg.tar.zst.sig", "a.pkg.tar.zst.part", "a.tar.zst", "-U", "a.pkg.tarx"] {
            assert!(!is_package(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn settings_name_the_caches() {
        let text = "[options]\n#CacheDir = /no\nCacheDir = /a /b\n CacheDir=/c\nRootDir = /d\n";
        assert_eq!(cache_dirs(text), ["/a", "/b", "/c"]);
    }

    #[test]
    fn hints_are_parts_of_the_names_of_packages() {
        let release = |text: &str| KernelRelease::new(text).unwrap();
        let transaction = Transaction {
            kernels: [(release("6.13.1-zen1-1-zen"), None)].into(),
            headers: [release("7.0.0-rc1-1-mainline")].into(),
            sources: ["v4l2loopback-0.15.3".to_owned()].into(),
            ..Transaction::default()
        };
        let hints: Vec<String> = hints(&transaction).into_iter().collect();
        assert_eq!(hints, ["0.15.3", "6.13", "7.0", "v4l2loopback"]);
    }
}
