use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{Brings, Kind, Package, ReadError};
use crate::model::ids::KernelRelease;

#[path = "../../tests/support/packages.rs"]
mod made;
use made::{Made, Packed};

const R: &str = "6.12.1-100.fc43.x86_64";

fn example() -> Made {
    // A name that does not fit into the header of a tar archive, and one that mtree has to escape.
    let long = format!("usr/lib/modules/{R}/kernel/{}/x.ko", "d".repeat(150));
    Made::new("kernel-all").kernel(R).headers(R).source("hello 1-1.0").file(long)
}

fn forms(package: &Made, dir: &Path) -> Vec<(Kind, PathBuf)> {
    let mut out = vec![(Kind::Rpm, package.rpm(dir))];
    for packed in Packed::ALL {
        out.push((Kind::Deb, package.deb(&sub(dir, packed), packed)));
        out.push((Kind::Pacman, package.pacman(&sub(dir, packed), packed)));
    }
    out
}

fn sub(dir: &Path, packed: Packed) -> PathBuf {
    let sub = dir.join(format!("{packed:?}"));
    std::fs::create_dir_all(&sub).unwrap();
    sub
}

#[test]
fn every_form_of_a_package_says_the_same() {
    for package in [example(), example().unlisted()] {
        let dir = tempfile::tempdir().unwrap();
        for (kind, path) in forms(&package, dir.path()) {
            let found = Package::read(&path).unwrap();
            assert_eq!(found.name, "kernel-all");
            assert_eq!(found.version, "1:2.0-1");
            assert_eq!(found.arch, if kind == Kind::Deb { "amd64" } else { "x86_64" });
            assert_eq!(found.kind, kind);
            let release = || BTreeSet::from([KernelRelease::new(R).unwrap()]);
            let wanted = Brings {
                kernels: release(),
                headers: release(),
                sources: BTreeSet::from(["hello 1-1.0".to_owned()]),
                parts: true,
                images: release(),
                compilers: BTreeSet::new(),
            };
            assert_eq!(found.brings, wanted, "{}", path.display());
        }
    }
}

#[test]
fn links_are_followed_inside_a_package_only() {
    let dir = tempfile::tempdir().unwrap();
    let obj = "usr/src/linux-6.4.0-1-obj/x86_64/default";
    let suse = Made::new("devel")
        .link("usr/lib/modules/6.4.0-1-default/build", format!("/{obj}"))
        .file(format!("{obj}/include/generated/utsrelease.h"));
    let alone = Made::new("core").link(format!("usr/lib/modules/{R}/build"), format!("/usr/src/kernels/{R}"));
    for (kind, path) in forms(&suse, dir.path()).into_iter().filter(|(kind, _)| *kind != Kind::Deb) {
        let headers = Package::read(&path).unwrap().brings.headers;
        assert_eq!(headers.len(), 1, "{kind:?}");
    }
    for (kind, path) in forms(&alone, dir.path()) {
        assert!(Package::read(&path).unwrap().brings.is_empty(), "{kind:?}");
    }
}

/// Every file, directory and link below a directory.
fn tree(top: &Path) -> Vec<String> {
    let mut out: Vec<String> = walkdir::WalkDir::new(top)
        .min_depth(1)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path().strip_prefix(top).unwrap().display().to_string();
            match std::fs::read_link(entry.path()) {
                Ok(target) => format!("{path} -> {}", target.display()),
                Err(_) if entry.file_type().is_dir() => format!("{path}/"),
                Err(_) => path,
            }
        })
        .collect();
    out.sort();
    out
}

#[test]
fn every_form_of_a_package_unpacks_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let package = example()
        .file("usr/bin/x")
        .file("usr/src/other")
        .link(format!("usr/lib/modules/{R}/build"), format!("/usr/src/kernels/{R}"));
    let wanted = |path: &Path| {
        ["usr/lib/modules", "usr/src/kernels", "usr/src/hello 1-1.0"].iter().any(|dir| path.starts_with(dir))
    };
    let mut first: Option<Vec<String>> = None;
    for (kind, path) in forms(&package, dir.path()) {
        let into = tempfile::tempdir().unwrap();
        Package::unpack(&path, &wanted, into.path()).unwrap();
        let found = tree(into.path());
        assert!(found.contains(&format!("usr/lib/modules/{R}/build -> /usr/src/kernels/{R}")), "{found:?}");
        assert!(found.contains(&"usr/src/hello 1-1.0/dkms.conf".to_owned()), "{found:?}");
        assert!(!found.iter().any(|path| path.starts_with("usr/bin") || path.contains("other")), "{found:?}");
        let content = std::fs::read(into.path().join("usr/src/hello 1-1.0/dkms.conf")).unwrap();
        assert_eq!(content.len(), if kind == Kind::Rpm { 1 } else { 700 });
        assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{}", path.display());
    }
    let nothing = tempfile::tempdir().unwrap();
    for (_, path) in forms(&package, dir.path()) {
        Package::unpack(&path, &|_| false, nothing.path()).unwrap();
    }
    assert!(tree(nothing.path()).is_empty());
}

#[test]
fn a_link_of_another_package_leads_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let out = tempfile::tempdir().unwrap();
    let link = Made::new("link").link("usr/src/x", out.path().display().to_string());
    let behind = Made::new("behind").file("usr/src/x/file");
    for ((_, first), (kind, second)) in forms(&link, dir.path()).iter().zip(forms(&behind, dir.path())) {
        let into = tempfile::tempdir().unwrap();
        Package::unpack(first, &|_| true, into.path()).unwrap();
        let refused = Package::unpack(&second, &|_| true, into.path());
        assert!(matches!(refused, Err(ReadError::NotUnpacked(_))), "{kind:?}: {refused:?}");
    }
    assert!(tree(out.path()).is_empty());
}

#[test]
fn what_is_no_package_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for content in [&b""[..], b"hello\n", b"!<arch>\nhello", &[0xed, 0xab, 0xee, 0xdb], b"\x1f\x8b\x08"] {
        std::fs::write(&path, content).unwrap();
        assert!(Package::read(&path).is_err(), "{content:?}");
    }
    let tar = Made::new("x").file("usr/bin/x");
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut tar::Header::new_gnu(), "some/file", &b""[..]).unwrap();
    std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
    assert!(matches!(Package::read(&path), Err(ReadError::NotAPackage)));
    assert!(matches!(Package::read(dir.path()), Err(ReadError::NotAPackage)));
    assert!(matches!(Package::read(&dir.path().join("none")), Err(ReadError::Io(_))));
    // A source package of rpm, and one without any files.
    assert!(Package::read(&Made::new("empty").rpm(dir.path())).unwrap().brings.is_empty());
    assert!(Package::read(&tar.rpm(dir.path())).unwrap().brings.is_empty());
}

#[test]
fn a_length_that_makes_no_sense_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = example().rpm(dir.path());
    let good = std::fs::read(&path).unwrap();
    // The lengths of the first header, and each number of its first entries.
    for at in (96..96 + 5 * 16).step_by(4) {
        for number in [0xffff_ffff, 0x7fff_ffff, 0x1000_0000] {
            let mut bytes = good.clone();
            bytes[at..at + 4].copy_from_slice(&u32::to_be_bytes(number));
            std::fs::write(&path, &bytes).unwrap();
            let _ = Package::read(&path);
        }
    }
    let path = example().deb(dir.path(), Packed::Gzip);
    let mut bytes = std::fs::read(&path).unwrap();
    let size = 8 + 60 + 4 + 48;
    bytes[size..size + 10].copy_from_slice(b"9999999999");
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Package::read(&path), Err(ReadError::Damaged(_))));
}

/// What a disk, a network or somebody with bad intentions makes of a file.
#[derive(Debug, Clone)]
enum Harm {
    Cut(prop::sample::Index),
    Flip(Vec<(prop::sample::Index, u8)>),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        index().prop_map(Harm::Cut),
        prop::collection::vec((index(), any::<u8>()), 1..8).prop_map(Harm::Flip),
        (index(), index()).prop_map(|(from, to)| Harm::Repeat(from, to)),
    ]
}

impl Harm {
    fn done_to(&self, good: &[u8]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        match self {
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Flip(places) => {
                for (at, byte) in places {
                    // Near the beginning is where sizes and places are.
                    let length = bytes.len();
                    bytes[at.index(length).min(at.index(4096.min(length)))] = *byte;
                }
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let part = bytes[from..].to_vec();
                bytes.splice(to.., part);
            }
        }
        bytes
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_packages_are_errors_at_worst(which in 0..18usize, harm in harm()) {
        static GOOD: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
        let good = GOOD.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            let both = [example(), example().unlisted()];
            both.iter()
                .flat_map(|package| forms(package, dir.path()))
                .map(|(_, path)| std::fs::read(path).unwrap())
                .collect()
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), harm.done_to(&good[which])).unwrap();
        if let Err(error) = Package::read(file.path()) {
            prop_assert!(!error.to_string().is_empty());
        }
        let into = tempfile::tempdir().unwrap();
        if let Err(error) = Package::unpack(file.path(), &|_| true, into.path()) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
