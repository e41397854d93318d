use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::{Kind, Package, ReadError};

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
            let brings = format!("{:?}", found.brings);
            let wanted = format!(
                "Brings {{ kernels: {{KernelRelease({R:?})}}, headers: {{KernelRelease({R:?})}}, \
                 sources: {{\"hello 1-1.0\"}} }}"
            );
            assert_eq!(brings, wanted, "{}", path.display());
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
    }
}
