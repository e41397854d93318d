//! Opening a finished package again.
//!
//! The control archive through debian-packaging, the data archive with another xz decoder than the
//! one that wrote it: a mistake of the writer should not be invisible to the reader.

use std::io::Read;

use debian_packaging::binary_package_control::BinaryPackageControlFile;
use debian_packaging::deb::reader::{BinaryPackageEntry, BinaryPackageReader, ControlTarFile};

use super::stage::{Content, Entry};
use super::{Error, Result};

/// What is in a `.deb`.
pub struct Package {
    /// The control file.
    pub control: BinaryPackageControlFile<'static>,
    /// All members of the control archive.
    pub members: Vec<Packed>,
    /// Everything that will be unpacked on a machine, in the order of the archive.
    pub tree: Vec<Packed>,
}

/// An [`Entry`] together with what only a package knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Name, mode and content.
    pub entry: Entry,
    /// The name as it is in the archive.
    pub raw_name: String,
    /// Numeric user and group.
    pub owner: (u64, u64),
    /// User and group by name.
    pub owner_names: (String, String),
    /// Seconds since 1970.
    pub mtime: u64,
}

impl Package {
    /// Reads a package from its bytes.
    ///
    /// # Errors
    /// When it is damaged, has no control file, or has members that dpkg would refuse.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let control = control_file(bytes)?;
        let mut archive = ar::Archive::new(bytes);
        let mut names = Vec::new();
        let (mut members, mut tree) = (Vec::new(), Vec::new());
        while let Some(member) = archive.next_entry() {
            let mut member = member.map_err(broken)?;
            let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
            let mut content = Vec::new();
            member.read_to_end(&mut content).map_err(broken)?;
            match name.as_str() {
                "debian-binary" if content != b"2.0\n" => return Err(broken("is not of format 2.0")),
                "control.tar.xz" => members = untar(&content)?,
                "data.tar.xz" => tree = untar(&content)?,
                _ => {}
            }
            names.push(name);
        }
        if names != ["debian-binary", "control.tar.xz", "data.tar.xz"] {
            return Err(broken(format!("has the members {names:?}")));
        }
        Ok(Self { control, members, tree })
    }

    /// A member of the control archive as text.
    pub fn member(&self, name: &str) -> Option<&str> {
        let packed = self.members.iter().find(|packed| packed.entry.path == name)?;
        std::str::from_utf8(packed.entry.bytes()?).ok()
    }

    /// Something in the tree, by its path from the root.
    pub fn path(&self, path: &str) -> Option<&Packed> {
        self.tree.iter().find(|packed| packed.entry.path == path)
    }
}

fn broken(err: impl std::fmt::Display) -> Error {
    Error::Package(format!("is damaged: {err}"))
}

fn control_file(bytes: &[u8]) -> Result<BinaryPackageControlFile<'static>> {
    let mut reader = BinaryPackageReader::new(bytes).map_err(broken)?;
    while let Some(entry) = reader.next_entry() {
        let BinaryPackageEntry::Control(mut archive) = entry.map_err(broken)? else { continue };
        for member in archive.entries().map_err(broken)? {
            if let (_, ControlTarFile::Control(file)) =
                member.map_err(broken)?.to_control_file().map_err(broken)?
            {
                return Ok(file);
            }
        }
    }
    Err(Error::Package("has no control file".into()))
}

fn untar(compressed: &[u8]) -> Result<Vec<Packed>> {
    let mut plain = Vec::new();
    lzma_rust2::XzReader::new(compressed, false).read_to_end(&mut plain).map_err(broken)?;
    let mut found = Vec::new();
    for item in tar::Archive::new(plain.as_slice()).entries().map_err(broken)? {
        let mut item = item.map_err(broken)?;
        let raw_name = String::from_utf8_lossy(&item.path_bytes()).into_owned();
        let mut bytes = Vec::new();
        item.read_to_end(&mut bytes).map_err(broken)?;
        let header = item.header();
        let content = match header.entry_type() {
            tar::EntryType::Directory => Content::Directory,
            tar::EntryType::Regular => Content::File(bytes),
            tar::EntryType::Symlink => {
                let target = item.link_name_bytes().unwrap_or_default();
                Content::Link(String::from_utf8_lossy(&target).into_owned())
            }
            other => return Err(broken(format!("{raw_name} is a {other:?}"))),
        };
        let text = |name: Option<&[u8]>| String::from_utf8_lossy(name.unwrap_or_default()).into_owned();
        let path = raw_name.strip_prefix("./").unwrap_or(&raw_name).trim_end_matches('/').to_owned();
        found.push(Packed {
            entry: Entry { path, mode: header.mode().map_err(broken)?, content },
            owner: (header.uid().map_err(broken)?, header.gid().map_err(broken)?),
            owner_names: (text(header.username_bytes()), text(header.groupname_bytes())),
            mtime: header.mtime().map_err(broken)?,
            raw_name,
        });
    }
    Ok(found)
}
