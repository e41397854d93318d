//! Writing a `.deb`: an ar archive of two compressed tar archives, deb(5).

use std::io::Cursor;

use debian_packaging::deb::DebCompression;

use super::stage::{Content, Entry};
use super::{Error, Result};

/// xz, which every dpkg that is still in use reads, at its own default level.
const COMPRESSION: DebCompression = DebCompression::Xz(6);

/// The bytes of a package with these control members and these files, all dated `mtime` (seconds
/// since 1970): the same input gives the same bytes.
///
/// # Errors
/// When a path is too long for the tar header that all dpkg versions read (99 bytes).
pub fn deb(control: &[Entry], tree: &[Entry], mtime: u64) -> Result<Vec<u8>> {
    let mut archive = ar::Builder::new(Vec::new());
    let mut append = |name: String, bytes: &[u8]| {
        let mut header = ar::Header::new(name.into_bytes(), bytes.len() as u64);
        header.set_mode(0o100_644);
        header.set_mtime(mtime);
        archive.append(&header, bytes).map_err(|err| Error::Package(format!("cannot be written: {err}")))
    };
    append("debian-binary".to_owned(), b"2.0\n")?;
    for (member, entries) in [("control", control), ("data", tree)] {
        let packed = COMPRESSION
            .compress(&mut Cursor::new(tar(entries, mtime)?))
            .map_err(|err| Error::Package(format!("cannot be compressed: {err}")))?;
        append(format!("{member}.tar{}", COMPRESSION.extension()), &packed)?;
    }
    archive.into_inner().map_err(|err| Error::Package(format!("cannot be written: {err}")))
}

fn tar(entries: &[Entry], mtime: u64) -> Result<Vec<u8>> {
    let failed = |err: std::io::Error| Error::Package(format!("cannot be written: {err}"));
    let mut tar = tar::Builder::new(Vec::new());
    let root = Entry { path: String::new(), mode: 0o755, content: Content::Directory };
    for entry in std::iter::once(&root).chain(entries) {
        let mut header = tar::Header::new_gnu();
        header.set_uid(0);
        header.set_gid(0);
        header.set_username("root").map_err(failed)?;
        header.set_groupname("root").map_err(failed)?;
        header.set_mtime(mtime);
        header.set_mode(entry.mode);
        let (kind, suffix, bytes) = match &entry.content {
            Content::Directory if entry.path.is_empty() => (tar::EntryType::Directory, "", &[][..]),
            Content::Directory => (tar::EntryType::Directory, "/", &[][..]),
            Content::File(bytes) => (tar::EntryType::Regular, "", bytes.as_slice()),
            Content::Link(target) => {
                header.set_link_name_literal(target).map_err(failed)?;
                (tar::EntryType::Symlink, "", &[][..])
            }
        };
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        // Not through set_path, which takes the leading "./" away that dpkg's own archives have.
        let name = format!("./{}{suffix}", entry.path);
        let field = &mut header.as_old_mut().name;
        if name.len() >= field.len() {
            return Err(Error::Stage(format!("has a path too long for a package: {name}")));
        }
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, bytes).map_err(failed)?;
    }
    tar.into_inner().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_tree_gives_the_same_bytes() {
        let tree = [Entry::file("usr/b", 0o644, "hello\n")];
        let control = [Entry::file("control", 0o644, "Package: p\n")];
        assert_eq!(deb(&control, &tree, 7).unwrap(), deb(&control, &tree, 7).unwrap());
        assert_ne!(deb(&control, &tree, 7).unwrap(), deb(&control, &tree, 8).unwrap());
    }

    #[test]
    fn a_path_that_some_dpkg_could_not_read_is_refused() {
        let tree = [Entry::file("x".repeat(99), 0o644, "")];
        assert!(deb(&[], &tree, 0).is_err());
    }
}
