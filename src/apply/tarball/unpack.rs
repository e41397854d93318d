//! From an archive to a directory in which everything is known to be what it says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::archive::{self, BINARIES_ONLY, MAIN_TREE, SOURCE_TREE, UnpackError};
use crate::elf;
use crate::elf::is_module;
use crate::fs::copy::remove_tree;
use crate::fs::regular;
use crate::fs::stamp::content_tree;
use crate::fs::temporary;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::settings::Limit;
use crate::process::{ProcessError, not_found};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::lock::{self, Lock};
use crate::tree::registry;

/// What kind of archive it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A source as its author packed it.
    Plain,
    /// Made by mktarball, with the source and perhaps builds.
    WithSource,
    /// Made by mktarball, with builds and a dkms.conf.
    BinariesOnly,
}

/// A build in an archive, whose modules are all for its kernel.
#[derive(Debug)]
pub struct Build {
    /// The kernel.
    pub kernel: KernelRelease,
    /// The architecture.
    pub arch: Arch,
    /// Where it was unpacked.
    pub(super) dir: PathBuf,
}

/// An archive that was unpacked where nobody sees it. Dropped, it disappears.
#[derive(Debug)]
pub struct Unpacked {
    // In this order: it is deleted while the lock is still held.
    pub(super) place: temporary::Dir,
    lock: Lock,
    form: Form,
    conf_dir: PathBuf,
    pub(super) builds: Vec<Build>,
}

impl Unpacked {
    /// What kind of archive it is.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The directory whose dkms.conf says what module it is, as this process opens it: the source, or
    /// what stands for it.
    pub fn conf_dir(&self) -> &Path {
        &self.conf_dir
    }

    /// The directory that messages should not name, as seen from inside the root.
    pub fn place(&self, layout: &Layout) -> PathBuf {
        layout.shown(self.place.path())
    }

    /// The builds in it, in the order of their kernels.
    pub fn builds(&self) -> &[Build] {
        &self.builds
    }

    /// True when a module version has what the archive would bring: the same source, or, for an archive
    /// of binaries, builds for the same kernels.
    pub fn is_here(&self, layout: &Layout, id: &ModuleId) -> bool {
        if self.form == Form::BinariesOnly {
            let built = |build: &Build| {
                let (kernel, arch) = (build.kernel.clone(), build.arch.clone());
                registry::is_built(layout, &Cell { module: id.clone(), kernel, arch })
            };
            return self.builds.iter().all(built);
        }
        matches!((content_tree(&self.conf_dir), content_tree(&layout.source(id))), (Ok(a), Ok(b)) if a == b)
    }

    /// True when a script of a run under way called us.
    pub fn is_nested(&self) -> bool {
        self.lock.is_nested()
    }
}

/// Unpacks an archive and looks at it: its form, its names, its links, and for which kernel each
/// module was made. Takes the lock, which the result holds; another run is waited for as long as `patience` says.
///
/// # Errors
/// 2 when it cannot be read, 3 when it has no dkms.conf or is no archive, 7 when it is damaged, could
/// do harm, or has builds that are not what they seem.
pub fn unpack(layout: &Layout, file: &Path, patience: Limit, report: &dyn Report) -> Result<Unpacked> {
    let shown = file.display();
    let input = regular::open(file).map_err(|e| Error::io("read", file, &e).of_kind(Kind::ArchiveMissing))?;
    // What a run that is killed leaves behind is told from a build of its own by its age.
    let latest = SystemTime::now() - Duration::from_secs(1);
    let lock = lock::take(layout, patience, report)?;
    let tree = layout.tree();
    let place =
        temporary::Dir::new(&tree, ".tmp-").map_err(|e| Error::io("create a directory in", &tree, &e))?;
    archive::unpack(input, place.path(), latest).map_err(|error| refused(layout, file, error))?;
    let found = inspect(place.path(), latest).map_err(|problem| match problem {
        Problem::Archive(error) => refused(layout, file, error),
        Problem::Other(kind, what) => Error::new(kind, format!("{shown}: {what}")),
    });
    let (form, conf_dir, builds) = found?;
    Ok(Unpacked { place, lock, form, conf_dir, builds })
}

fn refused(layout: &Layout, file: &Path, error: UnpackError) -> Error {
    let shown = file.display();
    match error {
        UnpackError::NotAnArchive => Error::new(Kind::NotAnArchive, format!("{shown}: {error}")),
        UnpackError::NotOpened(ProcessError::Missing { program }) => {
            let program = program.to_string_lossy();
            let text = format!("reading {shown} needs {program}, and {}", not_found(&program));
            Error::new(Kind::NotAnArchive, text).hint(format!("install {program}"))
        }
        UnpackError::Write { path, source } => Error::io("write", &layout.shown(&path), &source),
        UnpackError::Unsafe { .. } => Error::new(Kind::ArchiveRefused, format!("{shown}: {error}"))
            .hint("nothing was loaded; ask the maker of the archive for one without it"),
        UnpackError::NotOpened(_) | UnpackError::Damaged(_) => {
            Error::new(Kind::ArchiveRefused, format!("{shown}: {error}"))
                .hint("nothing was loaded; get the archive again")
        }
    }
}

enum Problem {
    Archive(UnpackError),
    Other(Kind, String),
}

impl From<UnpackError> for Problem {
    fn from(error: UnpackError) -> Self {
        Self::Archive(error)
    }
}

fn invalid(what: impl Into<String>) -> Problem {
    Problem::Other(Kind::ArchiveRefused, what.into())
}

fn inspect(dir: &Path, latest: SystemTime) -> Result<(Form, PathBuf, Vec<Build>), Problem> {
    if !is_dir(&dir.join(MAIN_TREE)) {
        let conf_dir = outermost_conf(dir)
            .ok_or_else(|| Problem::Other(Kind::NotAnArchive, "it has no dkms.conf".into()))?;
        archive::check_links(&conf_dir)?;
        return Ok((Form::Plain, conf_dir, Vec::new()));
    }
    let forms = [(Form::WithSource, SOURCE_TREE), (Form::BinariesOnly, BINARIES_ONLY)];
    for (form, name) in forms {
        let conf_dir = dir.join(name);
        if is_dir(&conf_dir) {
            archive::check_links(&conf_dir)?;
            if conf_dir.join("dkms.conf").is_file() {
                return Ok((form, conf_dir, builds(&dir.join(MAIN_TREE), latest)?));
            }
        }
    }
    Err(invalid(format!("it has a {MAIN_TREE}, but no dkms.conf in {SOURCE_TREE} or {BINARIES_ONLY}")))
}

/// The directory of the dkms.conf that is nearest to the top.
fn outermost_conf(dir: &Path) -> Option<PathBuf> {
    let walk = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().filter_map(Result::ok);
    let confs = walk.filter(|entry| entry.file_name() == "dkms.conf" && !entry.file_type().is_dir());
    // The first of several is kept.
    confs.min_by_key(walkdir::DirEntry::depth)?.path().parent().map(Path::to_path_buf)
}

fn builds(main: &Path, latest: SystemTime) -> Result<Vec<Build>, Problem> {
    let mut found = Vec::new();
    for kernel in names(main)? {
        let release = KernelRelease::new(kernel.as_str()).map_err(|bad| invalid(bad.to_string()))?;
        if !registry::is_kernel_name(&kernel) {
            return Err(invalid(format!("{MAIN_TREE}/{kernel} is not named after a kernel")));
        }
        for arch in names(&main.join(&kernel))? {
            let dir = main.join(&kernel).join(&arch);
            let arch = Arch::new(arch).map_err(|bad| invalid(bad.to_string()))?;
            look_at_build(&dir, &release, latest).map_err(|problem| match problem {
                Problem::Other(code, what) => {
                    Problem::Other(code, format!("the build for kernel {release} ({arch}) {what}"))
                }
                other => other,
            })?;
            found.push(Build { kernel: release.clone(), arch, dir });
        }
    }
    Ok(found)
}

/// The names in a directory of the main tree, which has directories only.
fn names(dir: &Path) -> Result<Vec<String>, Problem> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(|e| invalid(e.to_string()))? {
        let entry = entry.map_err(|e| invalid(e.to_string()))?;
        match entry.file_name().into_string() {
            Ok(name) if is_dir(&entry.path()) => names.push(name),
            _ => {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                return Err(invalid(format!("{name} in {MAIN_TREE} is not a directory of builds")));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Takes out what is not for other machines, and looks at every module.
fn look_at_build(dir: &Path, kernel: &KernelRelease, latest: SystemTime) -> Result<(), Problem> {
    archive::check_links(dir)?;
    let failed = |e: std::io::Error| invalid(format!("cannot be read: {e}"));
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.file_name().is_some_and(|name| is_private(Path::new(name))) {
            remove_tree(&path).map_err(failed)?;
        }
    }
    let modules = dir.join("module");
    if !is_dir(&modules) {
        return Err(invalid("has no module directory"));
    }
    let mut any = false;
    for entry in fs::read_dir(&modules).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !is_module(&path) {
            continue;
        }
        any = true;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let info =
            elf::modinfo(&path).map_err(|_| invalid(format!("has {name}, which is not a kernel module")))?;
        if info.kernel() != Some(kernel.as_str()) {
            let made_for = info.kernel().unwrap_or("no kernel");
            return Err(invalid(format!("has {name}, which was made for {made_for}")));
        }
    }
    if !any {
        return Err(invalid("has no modules"));
    }
    let dir = File::open(&modules).map_err(failed)?;
    if dir.metadata().and_then(|meta| meta.modified()).is_ok_and(|modified| modified > latest) {
        dir.set_modified(latest).map_err(failed)?;
    }
    Ok(())
}

/// Whether a name in a build belongs to this machine: notes of ours, and unfinished files.
pub(super) fn is_private(name: &Path) -> bool {
    let name = name.as_os_str().as_encoded_bytes();
    name.starts_with(b".dkms-hook") || name.starts_with(b".tmp")
}

/// A directory, not a link to one.
pub(super) fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}
