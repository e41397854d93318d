//! Packages of the three package managers, made from one list of files.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::Write;
use std::path::{Path, PathBuf};

/// A package to be written.
#[derive(Clone)]
pub struct Made {
    pub name: String,
    /// Paths without a leading slash, with where they lead if they are links.
    files: Vec<(String, Option<String>)>,
    /// Whether it has what lists its files apart from them (md5sums, .MTREE).
    pub listed: bool,
}

/// How the archives in a package are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    Plain,
    Gzip,
    Xz,
    Zstd,
}

impl Packed {
    pub const ALL: [Self; 4] = [Self::Plain, Self::Gzip, Self::Xz, Self::Zstd];

    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => bytes.to_vec(),
            Self::Gzip => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Self::Xz => {
                let options = lzma_rust2::XzOptions::with_preset(0);
                let mut out = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
                out.write_all(bytes).unwrap();
                out.finish().unwrap()
            }
            Self::Zstd => zstd::stream::encode_all(bytes, 1).unwrap(),
        }
    }
}

impl Made {
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), files: Vec::new(), listed: true }
    }

    pub fn file(mut self, path: impl Into<String>) -> Self {
        self.files.push((path.into(), None));
        self
    }

    pub fn link(mut self, path: impl Into<String>, target: impl Into<String>) -> Self {
        self.files.push((path.into(), Some(target.into())));
        self
    }

    /// A kernel as all families have it on disk.
    pub fn kernel(self, release: &str) -> Self {
        self.file(format!("usr/lib/modules/{release}/vmlinuz"))
            .file(format!("usr/lib/modules/{release}/modules.builtin"))
            .file(format!("usr/lib/modules/{release}/kernel/fs/ext4/ext4.ko.xz"))
    }

    /// Headers in a directory of their own, as Fedora has them.
    pub fn headers(self, release: &str) -> Self {
        self.file(format!("usr/src/kernels/{release}/Makefile"))
            .file(format!("usr/src/kernels/{release}/include/generated/utsrelease.h"))
    }

    pub fn source(self, dir: &str) -> Self {
        self.file(format!("usr/src/{dir}/dkms.conf"))
    }

    pub fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    /// Writes a `.deb`.
    pub fn deb(&self, dir: &Path, packed: Packed) -> PathBuf {
        let control = format!("Package: {}\nVersion: 1:2.0-1\nArchitecture: amd64\n", self.name);
        let mut members = vec![("./control".to_owned(), None, control.into_bytes())];
        if self.listed {
            let files = self.files.iter().filter(|(_, link)| link.is_none());
            let sums: String = files.map(|(path, _)| format!("{:032x}  {path}\n", 7)).collect();
            members.push(("./md5sums".into(), None, sums.into_bytes()));
        }
        let control = packed.pack(&tarball(members));
        let data = packed.pack(&tarball(self.members("./")));
        let mut out = b"!<arch>\n".to_vec();
        let suffix = packed.suffix();
        for (name, content) in [
            ("debian-binary".to_owned(), b"2.0\n".to_vec()),
            (format!("control.tar{suffix}"), control),
            (format!("data.tar{suffix}"), data),
        ] {
            writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", content.len())
                .unwrap();
            out.extend(&content);
            if content.len() % 2 == 1 {
                out.push(b'\n');
            }
        }
        self.write(dir, ".deb", &out)
    }

    /// Writes a package of pacman.
    pub fn pacman(&self, dir: &Path, packed: Packed) -> PathBuf {
        let info = format!("# made by a test\npkgname = {}\npkgver = 1:2.0-1\narch = x86_64\n", self.name);
        let mut members = vec![(".BUILDINFO".to_owned(), None, b"format = 2\n".to_vec())];
        if self.listed {
            let mut tree = "#mtree\n/set type=file uid=0 gid=0 mode=644\n".to_owned();
            for (path, link) in &self.files {
                let link = link.as_ref().map(|l| format!(" type=link link={l}")).unwrap_or_default();
                tree += &format!("./{} time=1.0{link}\n", path.replace(' ', "\\040"));
            }
            members.push((".MTREE".into(), None, Packed::Gzip.pack(tree.as_bytes())));
        }
        members.push((".PKGINFO".into(), None, info.into_bytes()));
        members.extend(self.members(""));
        let suffix = packed.suffix();
        self.write(dir, &format!(".pkg.tar{suffix}"), &packed.pack(&tarball(members)))
    }

    /// Writes an rpm.
    pub fn rpm(&self, dir: &Path) -> PathBuf {
        let mut builder = rpm::PackageBuilder::new(&self.name, "2.0", "MIT", "x86_64", "made by a test");
        builder.epoch(1).release("1");
        for (path, link) in &self.files {
            let path = format!("/{path}");
            match link {
                Some(link) => builder.with_symlink(rpm::FileOptions::symlink(path, link)).unwrap(),
                None => builder.with_file_contents("x", rpm::FileOptions::new(path)).unwrap(),
            };
        }
        let path = dir.join(format!("{}.rpm", self.name));
        builder.build().unwrap().write_file(&path).unwrap();
        path
    }

    fn members(&self, before: &str) -> Vec<(String, Option<String>, Vec<u8>)> {
        self.files
            .iter()
            .map(|(path, link)| (format!("{before}{path}"), link.clone(), vec![1; 700]))
            .collect()
    }

    fn write(&self, dir: &Path, suffix: &str, bytes: &[u8]) -> PathBuf {
        let path = dir.join(format!("{}{suffix}", self.name));
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn tarball(members: Vec<(String, Option<String>, Vec<u8>)>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, link, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match link {
            Some(link) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, name, link).unwrap();
            }
            None => {
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, &content[..]).unwrap();
            }
        }
    }
    tar.into_inner().unwrap()
}
