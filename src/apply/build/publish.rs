//! From a finished build to `T/m/v/k/a`: staged beside it, synced, and put in place at once.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::fs::copy::{copy_tree, remove_tree};
use crate::fs::exchange::exchange;
use crate::fs::{sync, temporary};
use crate::model::ids::Cell;
use crate::tree::layout::Layout;

/// A build result that nobody sees yet. Dropped, it disappears.
#[derive(Debug)]
pub struct Staging {
    dir: temporary::Dir,
    synced: bool,
}

fn prefix(cell: &Cell) -> String {
    format!(".tmp_{}_", cell.arch)
}

/// The directory of one kernel below a module version.
fn kernel_dir(layout: &Layout, cell: &Cell) -> PathBuf {
    layout.version(&cell.module).join(&cell.kernel)
}

/// Removes what killed runs left for this cell. The caller holds the lock that keeps others from
/// building it now.
///
/// # Errors
/// When something cannot be removed.
pub fn remove_leftovers(layout: &Layout, cell: &Cell) -> io::Result<()> {
    let dir = kernel_dir(layout, cell);
    let entries = match fs::read_dir(&dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix(cell)) {
            remove_tree(&entry.path())?;
        }
    }
    remove_if_empty(&dir);
    Ok(())
}

/// A kernel's directory without builds would look like a kernel that something is built for.
pub fn remove_kernel_dir_if_empty(layout: &Layout, cell: &Cell) {
    remove_if_empty(&kernel_dir(layout, cell));
}

fn remove_if_empty(dir: &Path) {
    temporary::remove_if_empty(dir);
}

impl Staging {
    /// An empty one, with `log/` and `module/`.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn new(layout: &Layout, cell: &Cell) -> io::Result<Self> {
        let parent = kernel_dir(layout, cell);
        fs::create_dir_all(&parent)?;
        let dir = temporary::Dir::new(&parent, &prefix(cell))?;
        fs::create_dir(dir.path().join("log"))?;
        fs::create_dir(dir.path().join("module"))?;
        Ok(Self { dir, synced: false })
    }

    /// Begins with everything that the build of the cell has now, times included.
    ///
    /// # Errors
    /// When something cannot be copied.
    pub fn copy_of(layout: &Layout, cell: &Cell) -> io::Result<Self> {
        let staging = Self::new(layout, cell)?;
        copy_tree(&layout.cell(cell), staging.dir.path()).map_err(io::Error::other)?;
        Ok(staging)
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the modules go.
    pub fn modules(&self) -> PathBuf {
        self.dir.path().join("module")
    }

    /// Where the log goes.
    pub fn log(&self) -> PathBuf {
        self.dir.path().join("log/make.log")
    }

    /// Brings it to disk: the part of [`Self::publish`] that may take long. Nothing is to be changed in it after
    /// that.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn sync(&mut self) -> io::Result<()> {
        fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o755))?;
        sync::tree(self.dir.path())?;
        self.synced = true;
        Ok(())
    }

    /// Makes it the build of the cell. A build that is there already takes the staging name and
    /// is kept until [`Published::keep`], so that it can come back.
    ///
    /// # Errors
    /// When it cannot be written to disk or put in place; the build that was there is unchanged.
    pub fn publish(mut self, layout: &Layout, cell: &Cell) -> io::Result<Published> {
        let target = layout.cell(cell);
        if !self.synced {
            self.sync()?;
        }
        let replaced = match fs::symlink_metadata(&target) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::rename(self.dir.path(), &target)?;
                false
            }
            Err(e) => return Err(e),
            Ok(_) => {
                exchange(self.dir.path(), &target)?;
                true
            }
        };
        let old = self.dir.keep();
        let parent = target.parent().unwrap_or(Path::new("/")).to_path_buf();
        let published = Published { target, old: replaced.then_some(old) };
        match sync::dir(&parent) {
            Ok(()) => Ok(published),
            // A build that is called a failed one is not to be found in place.
            Err(error) => published.undo().and(Err(error)),
        }
    }
}

/// A build in place, whose predecessor (if any) still exists.
#[derive(Debug)]
pub struct Published {
    target: PathBuf,
    old: Option<PathBuf>,
}

impl Published {
    /// `T/m/v/k/a`.
    pub fn dir(&self) -> &Path {
        &self.target
    }

    /// Removes the predecessor.
    ///
    /// # Errors
    /// When a part of it cannot be removed; the next build of the cell will.
    pub fn keep(self) -> io::Result<()> {
        self.old.as_deref().map_or(Ok(()), remove_tree).inspect_err(|_| temporary::leave())
    }

    /// Puts the predecessor back, or leaves the cell without a build when there was none.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn undo(self) -> io::Result<()> {
        match &self.old {
            None => remove_tree(&self.target),
            Some(old) => {
                exchange(old, &self.target).inspect_err(|_| temporary::leave())?;
                remove_tree(old)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;
    use crate::model::ids::{Arch, KernelRelease, ModuleId};

    fn cell() -> Cell {
        Cell {
            module: ModuleId::new("m", "1").unwrap(),
            kernel: KernelRelease::new("6.1").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        }
    }

    fn staged(layout: &Layout, text: &str) -> Staging {
        let staging = Staging::new(layout, &cell()).unwrap();
        fs::write(staging.modules().join("m.ko"), text).unwrap();
        staging
    }

    fn entries(dir: &Path) -> Vec<String> {
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_build_can_replace_another_and_be_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let file = layout.built_modules(&cell()).join("m.ko");
        staged(&layout, "one").publish(&layout, &cell()).unwrap().keep().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        let mode = fs::metadata(layout.cell(&cell())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);

        let second = staged(&layout, "two").publish(&layout, &cell()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        second.undo().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");

        staged(&layout, "three").publish(&layout, &cell()).unwrap().keep().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "three");
        assert_eq!(entries(&kernel_dir(&layout, &cell())), ["x86_64"]);
    }

    #[test]
    fn a_dropped_staging_and_leftovers_disappear() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        drop(staged(&layout, "x"));
        fs::create_dir_all(kernel_dir(&layout, &cell()).join(".tmp_x86_64_AbCdEf/module")).unwrap();
        fs::create_dir_all(kernel_dir(&layout, &cell()).join(".tmp_i386_AbCdEf")).unwrap();
        remove_leftovers(&layout, &cell()).unwrap();
        assert_eq!(entries(&kernel_dir(&layout, &cell())), [".tmp_i386_AbCdEf"]);
    }
}
