//! From the module tree to an archive.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::unpack::is_private;
use crate::archive::{BINARIES_ONLY, Format, MAIN_TREE, Member, Packer, SOURCE_TREE, Writer};
use crate::fs::atomic::TEMPORARY;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, ModuleId};
use crate::process::ProcessError;
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::stub::STUB;

/// What goes into an archive beside builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The source.
    Source,
    /// Its dkms.conf.
    ConfOnly,
}

/// An archive to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Of this module version, which is registered.
    pub id: ModuleId,
    /// Its builds for these cells.
    pub cells: Vec<Cell>,
    /// And this.
    pub part: Part,
    /// Where it goes, as this process opens it. The suffix says how it is compressed.
    pub file: PathBuf,
}

/// Makes an archive: beside its place, then renamed. The same tree gives the same bytes.
///
/// # Errors
/// 9 when its directory cannot be written to, 6 when anything else fails.
pub fn pack(layout: &Layout, order: &Pack, report: &dyn Report) -> Result<()> {
    let file = &order.file;
    let shown = layout.shown(file);
    let no_access = |e: std::io::Error| Error::io("write", &shown, &e).of_kind(Kind::ArchivePlace);
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(no_access)?;
    // A device is to be written to, not to be replaced; and no archive is the right thing to get there.
    if fs::metadata(file).is_ok_and(|meta| !meta.is_file()) {
        return Err(Error::new(Kind::ArchivePlace, format!("{} is not a regular file", shown.display())));
    }
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .suffix(".tmp")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(dir)
        .map_err(no_access)?;
    let failed = |e: std::io::Error| Error::io("write", &shown, &e).of_kind(Kind::ArchiveNotWritten);
    let packer =
        Packer::new(temporary.reopen().map_err(failed)?, Format::of_name(file)).map_err(|error| {
            let what = format!("cannot make {}: {error}", shown.display());
            match error {
                ProcessError::Missing { .. } => Error::new(Kind::ArchiveNotWritten, what)
                    .hint("install it, or choose another suffix, such as .tar.gz"),
                _ => Error::new(Kind::ArchiveNotWritten, what),
            }
        })?;
    let source = layout.root.resolve(layout.shown(&layout.source_link(&order.id))).map_err(failed)?;
    let members = write(layout, order, &source, packer).map_err(failed)?;
    for member in members {
        let (name, what) = match &member {
            Member::Followed(name) => (name, "points out of the source; the archive contains its target"),
            Member::LeftOut(name) => {
                (name, "is not in the archive: it points out of the source, or is not a file")
            }
        };
        report.warning(&format!("{} {what}", name.display()));
    }
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist(file).map_err(|e| failed(e.error))?;
    Ok(())
}

fn write(layout: &Layout, order: &Pack, source: &Path, packer: Packer) -> std::io::Result<Vec<Member>> {
    let conf = source.join("dkms.conf");
    // Directories that exist in the archive only: dated, so that it is the same each time.
    let date = fs::metadata(&conf).map_or(0, |meta| meta.mtime());
    let mut writer = Writer::new(packer);
    let mut members = Vec::new();
    match order.part {
        Part::Source => {
            members = writer.tree(Path::new(SOURCE_TREE), source, &|name| name == Path::new(STUB))?;
        }
        Part::ConfOnly => {
            let dir = Path::new(BINARIES_ONLY);
            writer.directory(dir, 0o755, date)?;
            writer.text(&dir.join("PACKAGE_NAME"), &format!("{}\n", order.id.name), date)?;
            writer.text(&dir.join("PACKAGE_VERSION"), &format!("{}\n", order.id.version), date)?;
            writer.file(&dir.join("dkms.conf"), &conf)?;
        }
    }
    let main = Path::new(MAIN_TREE);
    writer.directory(main, 0o755, date)?;
    let mut kernel = None;
    for cell in &order.cells {
        let dir = main.join(&cell.kernel);
        if kernel != Some(&cell.kernel) {
            writer.directory(&dir, 0o755, date)?;
            kernel = Some(&cell.kernel);
        }
        members.extend(writer.tree(&dir.join(&cell.arch), &layout.cell(cell), &is_private)?);
    }
    writer.finish()?.finish()?;
    Ok(members)
}
