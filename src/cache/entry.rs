//! One build in the cache: its files, and a description with the digest of each. The description begins with a
//! digest of itself.

use std::fmt::Write;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use super::{DESCRIPTION, FILES};
use crate::fs::copy::copy_file;
use crate::fs::digest::file_digest;
use crate::fs::regular;
use crate::model::inside::is_inside;
use crate::model::record::Effort;

/// What is known of a build beside its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Digest of the certificate whose signature its modules have, or why they have none.
    pub signed: Result<String, String>,
    /// What it cost.
    pub effort: Effort,
}

#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    certificate: Option<String>,
    unsigned: Option<String>,
    milliseconds: u64,
    compiled: usize,
    items: Vec<Item>,
}

/// A file, link or directory, by its path in the cell's directory.
#[derive(Serialize, Deserialize)]
struct Item {
    path: String,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Its mode.
    Directory(u32),
    /// Its content's digest.
    File(String),
    /// What it points at.
    Link(String),
}

const FORMAT: u32 = 1;

/// Writes an entry with everything in `from`.
pub(super) fn write(dir: &Path, from: &Path, without: &[&str], entry: &Entry) -> io::Result<()> {
    let files = dir.join(FILES);
    fs::create_dir(&files)?;
    let mut items = Vec::new();
    for found in WalkDir::new(from).min_depth(1).sort_by_file_name() {
        let found = found?;
        let relative = found.path().strip_prefix(from).map_err(io::Error::other)?;
        let path = relative.to_str().ok_or(ErrorKind::InvalidFilename)?.to_owned();
        if without.contains(&path.as_str()) {
            continue;
        }
        let (kind, to) = (found.file_type(), files.join(relative));
        let kind = if kind.is_dir() {
            fs::create_dir(&to)?;
            Kind::Directory(found.metadata()?.permissions().mode() & 0o7777)
        } else if kind.is_symlink() {
            let target = fs::read_link(found.path())?;
            Kind::Link(target.to_str().ok_or(ErrorKind::InvalidFilename)?.to_owned())
        } else if kind.is_file() {
            copy_file(found.path(), &to).map_err(io::Error::other)?;
            Kind::File(file_digest(&to)?)
        } else {
            return Err(ErrorKind::Unsupported.into());
        };
        items.push(Item { path, kind });
    }
    let description = Description {
        format: FORMAT,
        certificate: entry.signed.clone().ok(),
        unsigned: entry.signed.clone().err(),
        milliseconds: u64::try_from(entry.effort.took.as_millis()).unwrap_or(u64::MAX),
        compiled: entry.effort.files,
        items,
    };
    let text = serde_json::to_string(&description)?;
    regular::write(&dir.join(DESCRIPTION), format!("{}\n{text}\n", hex(text.as_bytes())).as_bytes())
}

/// Copies all files of an entry into a directory, and compares each with its digest.
///
/// # Errors
/// When something is missing, or is not what it was.
pub(super) fn read(dir: &Path, to: &Path) -> io::Result<Entry> {
    let damaged = |what: &str| io::Error::new(ErrorKind::InvalidData, format!("{what} is damaged"));
    let text = regular::read_to_string(&dir.join(DESCRIPTION))?;
    let (digest, text) = text.split_once('\n').ok_or_else(|| damaged(DESCRIPTION))?;
    let text = text.strip_suffix('\n').filter(|text| hex(text.as_bytes()) == digest);
    let description: Description = serde_json::from_str(text.ok_or_else(|| damaged(DESCRIPTION))?)?;
    if description.format != FORMAT {
        return Err(damaged("its format"));
    }
    for Item { path, kind } in &description.items {
        if !is_inside(Path::new(path)) {
            return Err(damaged(path));
        }
        let target = to.join(path);
        match kind {
            Kind::Directory(mode) => {
                fs::create_dir_all(&target)?;
                fs::set_permissions(&target, fs::Permissions::from_mode(*mode))?;
            }
            Kind::Link(points_at) => std::os::unix::fs::symlink(points_at, &target)?,
            Kind::File(digest) => {
                copy_file(&dir.join(FILES).join(path), &target).map_err(io::Error::other)?;
                // Of the copy: that is what counts from now on.
                if file_digest(&target)? != *digest {
                    return Err(damaged(path));
                }
            }
        }
    }
    let effort = Effort {
        took: std::time::Duration::from_millis(description.milliseconds),
        files: description.compiled,
    };
    let unsigned = description.unsigned.unwrap_or_default();
    Ok(Entry { signed: description.certificate.ok_or(unsigned), effort })
}

/// SHA-256 in lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
