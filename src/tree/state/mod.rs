//! Files beside the builds that outlive a release of this program: records, verdicts, notes on kernels, the
//! directives of builds, what packages write into their sources, additions under way.
//!
//! Each kind of file has types of its own in here, apart from those that the program computes with, so that a
//! field renamed there changes no file. tests/fixtures has files of every format; each later version reads
//! them all.
//!
//! **Formats.** Every file has a number, and a file without one has format 1. A name may be added under the
//! same number if an older version may do without it: that version drops it when it writes the file again. A
//! name that an older version must not drop, or that changes its meaning, takes a new number. A file of a
//! higher number is reported as [`Cause::Format`] and not overwritten.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::elf::Compression;
use crate::fs::atomic;
use crate::fs::directories::Directories;
use crate::fs::look::{self, Seen};
use crate::fs::{sync, temporary};
use crate::model::blind::{Blind, Cause};
use crate::model::directive::Directives;
use crate::model::error::{Error, Kind, Result};
use crate::model::guard::Remembered;
use crate::model::ids::{Cell, KernelRelease, ModuleId};
use crate::model::indexed::IndexLooks;
use crate::model::own_writes::OwnWrites;
use crate::model::record::{KernelNote, Record, Verdict};
use crate::model::system::TreePlace;
use crate::model::uses::Uses;
use crate::tree::layout::Layout;

mod directives;
mod guard;
mod inputs;
mod install_tree;
mod looks;
mod note;
mod own_writes;
mod record;
#[cfg(test)]
mod tests;
mod upgrades;
mod uses;
mod verdict;

pub use upgrades::Upgrade;

/// How hard what a build uses is compressed: better costs more than the rest of writing it down.
const LEVEL: i32 = 9;

/// The number of today's format of all these files.
const FORMAT: u64 = 1;

/// The format of a file that names none.
fn first() -> u64 {
    1
}

/// A type on disk.
trait OnDisk: Serialize + DeserializeOwned {
    /// What the program computes with.
    type Model;

    /// The number of its format.
    fn format(&self) -> u64;

    /// Reads the values; an error says what is wrong with them.
    fn into_model(self) -> Result<Self::Model, String>;
}

/// What is known of the content of a file of any format.
#[derive(Deserialize)]
struct Head {
    #[serde(default = "first")]
    format: u64,
}

fn load<T: OnDisk>(layout: &Layout, path: &Path) -> Seen<T::Model> {
    let blind = |cause| Blind::new(layout.shown(path), cause);
    let Some(bytes) = look::read(path).map_err(|seen| blind(seen.cause))? else { return Ok(None) };
    understand::<T>(&bytes).map(Some).map_err(blind)
}

fn understand<T: OnDisk>(bytes: &[u8]) -> Result<T::Model, Cause> {
    let (format, value) = match serde_json::from_slice::<T>(bytes) {
        Ok(value) => (value.format(), value.into_model()),
        Err(error) => {
            // Of a format that is not known, nothing else can be understood.
            let head = serde_json::from_slice::<Head>(bytes);
            (head.map_or(FORMAT, |head| head.format), Err(error.to_string()))
        }
    };
    if format != FORMAT {
        return Err(Cause::Format(format));
    }
    value.map_err(Cause::Damaged)
}

/// Writes what may be the old one after a power cut.
fn save(path: &Path, value: &impl Serialize) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let made = std::fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, &error));
    made.and_then(|()| atomic::write(path, &text(value)?)).inspect_err(|_| temporary::leave())
}

/// Writes what is to be on the disk before anything that is done afterwards.
fn save_durably(path: &Path, value: &impl Serialize) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let made = sync::create_dir_all(dir).map_err(|error| Error::io("create", dir, &error));
    made.and_then(|()| atomic::write_durably(path, &text(value)?)).inspect_err(|_| temporary::leave())
}

fn text(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|error| Error::new(Kind::Io, error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

/// What is known of a file to somebody who decides nothing by it: nothing where it could not be read, which is
/// logged.
pub fn known<T>(seen: Seen<T>) -> Option<T> {
    seen.unwrap_or_else(|blind| {
        log::warn!("cannot look at {}: {}", blind.path.display(), blind.cause);
        None
    })
}

/// What the boot guard found and did; nothing where there is no such file.
///
/// # Errors
/// When it is there and not understood, or cannot be read.
pub fn boot_guard(layout: &Layout) -> Seen<Remembered> {
    load::<guard::OnDisk>(layout, &layout.boot_guard())
}

/// Writes down what the boot guard found and did, before anything else is done. Nothing to remember is no file.
///
/// # Errors
/// When it cannot be written.
pub fn save_boot_guard(layout: &Layout, remembered: &Remembered) -> Result<()> {
    let path = layout.boot_guard();
    if remembered.is_empty() {
        return atomic::remove(&path, &layout.state());
    }
    save_durably(&path, &guard::OnDisk::from(remembered))
}

/// The record of a build.
///
/// # Errors
/// When it is there and not understood, or cannot be read.
pub fn record(layout: &Layout, cell: &Cell) -> Seen<Record> {
    record_at(layout, &layout.record(cell))
}

/// As [`record`]; it is not read where it is remembered.
///
/// # Errors
/// As [`record`].
pub fn record_by(layout: &Layout, cell: &Cell, dirs: &Directories<'_>) -> Seen<Record> {
    let path = layout.record(cell);
    let blind = |cause| Blind::new(layout.shown(&path), cause);
    let Some(bytes) = dirs.read(&path).map_err(|seen| blind(seen.cause))? else { return Ok(None) };
    understand::<record::OnDisk>(&bytes).map(Some).map_err(blind)
}

/// The record of a build that is not in its place yet.
///
/// # Errors
/// When it is there and not understood, or cannot be read.
pub fn record_at(layout: &Layout, path: &Path) -> Seen<Record> {
    load::<record::OnDisk>(layout, path)
}

/// Writes the record of a build.
///
/// # Errors
/// When it cannot be written.
pub fn save_record(layout: &Layout, cell: &Cell, record: &Record) -> Result<()> {
    save_record_at(&layout.record(cell), record)
}

/// Writes the record of a build that is not in its place yet.
///
/// # Errors
/// When it cannot be written.
pub fn save_record_at(path: &Path, record: &Record) -> Result<()> {
    save_durably(path, &record::OnDisk::from(record))
}

/// Why there is no build.
///
/// # Errors
/// When it is there and not understood, or cannot be read.
pub fn verdict(layout: &Layout, cell: &Cell) -> Seen<Verdict> {
    load::<verdict::OnDisk>(layout, &layout.verdict(cell))
}

/// Writes down why there is no build.
///
/// # Errors
/// When it cannot be written.
pub fn save_verdict(layout: &Layout, cell: &Cell, verdict: &Verdict) -> Result<()> {
    save(&layout.verdict(cell), &verdict::OnDisk::from(verdict))
}

/// The note on a kernel. Without a file there is nothing to remember.
///
/// # Errors
/// When it is there and not understood, or cannot be read.
pub fn note(layout: &Layout, kernel: &KernelRelease) -> Result<KernelNote, Blind> {
    Ok(load::<note::OnDisk>(layout, &layout.kernel_note(kernel))?.unwrap_or_default())
}

/// Writes the note on a kernel. An empty one is no file.
///
/// # Errors
/// When it cannot be written.
pub fn save_note(layout: &Layout, kernel: &KernelRelease, note: &KernelNote) -> Result<()> {
    let path = layout.kernel_note(kernel);
    match note.is_empty() {
        true => atomic::remove(&path, &layout.state()),
        false => save_durably(&path, &note::OnDisk::from(note)),
    }
}

/// The directives that a build was made with.
///
/// # Errors
/// When they are there and not understood, or cannot be read.
pub fn directives(layout: &Layout, cell: &Cell) -> Seen<Directives> {
    load::<directives::OnDisk>(layout, &layout.directives(cell))
}

/// Writes the directives that a build was made with.
///
/// # Errors
/// When they cannot be written.
pub fn save_directives(layout: &Layout, cell: &Cell, directives: &Directives) -> Result<()> {
    save(&layout.directives(cell), &directives::OnDisk::from(directives))
}

/// What a package's own commands wrote into its source.
///
/// # Errors
/// When that is there and not understood, or cannot be read.
pub fn own_writes(layout: &Layout, module: &ModuleId) -> Seen<OwnWrites> {
    load::<own_writes::OnDisk>(layout, &layout.own_writes(module))
}

/// Writes down what a package's own commands wrote into its source. A file that is damaged is set aside.
///
/// # Errors
/// When it cannot be written, or is of a newer format.
pub fn save_own_writes(layout: &Layout, module: &ModuleId, writes: &OwnWrites) -> Result<()> {
    let path = layout.own_writes(module);
    match own_writes(layout, module) {
        Ok(_) => {}
        Err(Blind { cause: Cause::Damaged(_), .. }) => set_aside(&path)?,
        Err(blind) => return Err(blind.into()),
    }
    save(&path, &own_writes::OnDisk::from(writes))
}

/// What a build uses of its kernel.
///
/// # Errors
/// When that is there and not understood, or cannot be read.
pub fn uses(layout: &Layout, cell: &Cell) -> Seen<Uses> {
    let path = layout.uses(cell);
    let damaged = |what: String| Blind::new(layout.shown(&path), Cause::Damaged(what));
    let Some(bytes) = look::read(&path).map_err(|seen| Blind::new(layout.shown(&path), seen.cause))? else {
        return Ok(None);
    };
    let bytes = Compression::Zstd.unpack(bytes).map_err(|error| damaged(error.to_string()))?;
    understand::<uses::OnDisk>(&bytes).map(Some).map_err(|cause| Blind::new(layout.shown(&path), cause))
}

/// Writes down what a build uses of its kernel.
///
/// # Errors
/// When it cannot be written.
pub fn save_uses(layout: &Layout, cell: &Cell, uses: &Uses) -> Result<()> {
    let text = serde_json::to_vec(&uses::OnDisk::from(uses));
    let text = text.map_err(|error| Error::new(Kind::Io, error.to_string()))?;
    let path = layout.uses(cell);
    let packed = zstd::encode_all(&text[..], LEVEL).map_err(|error| Error::io("write", &path, &error))?;
    atomic::write(&path, &packed)
}

/// The modules that rpm transactions are adding.
///
/// # Errors
/// When the file is there and not understood, or cannot be read.
pub fn upgrades(layout: &Layout) -> Result<Vec<Upgrade>, Blind> {
    Ok(load::<upgrades::OnDisk>(layout, &layout.upgrades())?.unwrap_or_default())
}

/// Writes the modules that rpm transactions are adding. None of them is no file.
///
/// # Errors
/// When the file cannot be written.
pub fn save_upgrades(layout: &Layout, upgrades: &[Upgrade]) -> Result<()> {
    match upgrades {
        [] => atomic::remove(&layout.upgrades(), &layout.state()),
        upgrades => save_durably(&layout.upgrades(), &upgrades::OnDisk::from(upgrades)),
    }
}

/// Which directory held the kernels at the last run that looked at all of them.
///
/// # Errors
/// When that is there and not understood, or cannot be read.
pub fn install_tree(layout: &Layout) -> Seen<TreePlace> {
    load::<install_tree::OnDisk>(layout, &layout.install_tree_file())
}

/// Writes down which directory holds the kernels. A file that is not understood is set aside.
///
/// # Errors
/// When it cannot be written.
pub fn save_install_tree(layout: &Layout, tree: &TreePlace) -> Result<()> {
    let path = layout.install_tree_file();
    if install_tree(layout).is_err() {
        set_aside(&path)?;
    }
    save(&path, &install_tree::OnDisk::from(tree))
}

/// What is known of the index of a kernel's modules; nothing where that cannot be read: then it is looked at
/// again.
pub fn index_looks(layout: &Layout, kernel: &KernelRelease) -> IndexLooks {
    known(load::<looks::OnDisk>(layout, &layout.index_looks(kernel))).unwrap_or_default()
}

/// Writes down what is known of the index of a kernel's modules. Of nothing there is no file.
///
/// # Errors
/// When it cannot be written.
pub fn save_index_looks(layout: &Layout, kernel: &KernelRelease, looks: &IndexLooks) -> Result<()> {
    let path = layout.index_looks(kernel);
    if looks.ours.is_empty() && looks.left_out.is_empty() {
        return atomic::remove(&path, &layout.state());
    }
    save(&path, &looks::OnDisk::from(looks))
}

/// With the path as it looks from inside the root.
///
/// # Errors
/// As before.
pub fn shown<T>(layout: &Layout, result: Result<T, Blind>) -> Result<T, Blind> {
    result.map_err(|blind| Blind { path: layout.shown(&blind.path), ..blind })
}

/// Where a file is kept that is not understood: beside its place, with `.damaged` added to its name.
pub fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}

/// Keeps a file that is not understood beside its place, with `.damaged` added to its name, so that a new one
/// can be written there.
///
/// # Errors
/// When it cannot be renamed.
pub fn set_aside(path: &Path) -> Result<()> {
    let aside = aside(path);
    match std::fs::rename(path, &aside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("rename", path, &error)),
        _ => Ok(()),
    }
}
