//! Modules that several kernels share: distributions with stable kernel symbols link what was built for
//! one kernel below `weak-updates` of the others, by a program of theirs.
//!
//! That program compares symbols as far as it goes; people were left with modules that do not load. So
//! every link to a module of ours is looked at once more, and one that does not fit is taken away.

use std::path::{Path, PathBuf};

use crate::elf;
use crate::elf::module_stem;
use crate::fs::atomic;
use crate::fs::regular;
use crate::kernel;
use crate::kernel::Symvers;
use crate::model::error::Result;
use crate::model::ids::{Cell, KernelRelease};
use crate::model::settings::Limit;
use crate::observe::distribution::{Distribution, WeakModules};
use crate::process::{Output, Process, find_program};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::notes;
use crate::tree::registry;
use crate::tree::state;

/// A cell that was installed or uninstalled, with the files in question as seen from inside the root.
pub type Changed = (Cell, Vec<PathBuf>);

/// Shares modules between kernels.
#[derive(Clone, Copy)]
pub struct Sharing<'a> {
    /// Where things are.
    pub layout: &'a Layout,
    /// Whose program it is.
    pub distribution: &'a Distribution,
    /// How long that program may take.
    pub limit: Limit,
    /// Where findings go.
    pub report: &'a dyn Report,
}

/// Whether a module can be loaded by another kernel.
#[derive(Debug, PartialEq, Eq)]
enum Fit {
    /// Every symbol is there, of the same type; or nobody can say.
    Fits,
    /// Why not, in words that follow "because".
    Not(String),
}

/// A link below `weak-updates` of a kernel.
struct Link {
    path: PathBuf,
    /// Its target, relative to the directory of the kernel that it was built for.
    target: PathBuf,
}

impl Sharing<'_> {
    /// Links modules that were just installed for a kernel into the trees of others.
    pub fn add(&self, kernel: &KernelRelease, modules: &[PathBuf]) {
        self.call(kernel, modules, ["--add-modules", "--add-kernel-modules"]);
    }

    /// Takes the links away again, before the modules go.
    pub fn remove(&self, kernel: &KernelRelease, modules: &[PathBuf]) {
        self.call(kernel, modules, ["--remove-modules", "--remove-kernel-modules"]);
    }

    /// Runs the distribution's program, with the first word for Red Hat's and the second for SUSE's.
    /// One that fails is told: the modules themselves are where they belong.
    fn call(&self, kernel: &KernelRelease, modules: &[PathBuf], words: [&str; 2]) {
        let Some(kind) = self.distribution.weak_modules else { return };
        // It knows no other root than `/`.
        if !self.layout.root.is_slash() || modules.is_empty() {
            return;
        }
        let Some(program) = find_program(kind.program()) else { return };
        let result = match kind {
            WeakModules::Suse => {
                let process = Process::new(program).args([words[1], kernel.as_str()]);
                process.within(self.limit).run(Output::Null)
            }
            WeakModules::RedHat => {
                let lines: String = modules.iter().map(|path| format!("{}\n", path.display())).collect();
                let process = Process::new(program).args(["--no-initramfs", words[0]]).input(lines);
                process.within(self.limit).run(Output::Null)
            }
        };
        match result {
            Ok(0) => {}
            Ok(status) => self.report.warning(&format!(
                "{} {} ended with status {status}: other kernels may lack the modules of {kernel}",
                kind.program(),
                words[0]
            )),
            Err(error) => self.report.warning(&error.to_string()),
        }
    }

    /// The first link of another kernel to one of these modules of a cell that leads nowhere, or to a module
    /// that the kernel would refuse; then also why.
    pub fn misfit(
        &self,
        kernel: &KernelRelease,
        modules: &[PathBuf],
        other: &KernelRelease,
    ) -> Option<(PathBuf, Option<String>)> {
        let links = links(&self.layout.kernel(other).join("weak-updates"), kernel);
        let of = |link: &Link| modules.iter().any(|path| self.is(kernel, path, link));
        if !links.iter().any(of) {
            return None;
        }
        let symbols = Symvers::of_kernel(self.layout, other);
        let symbols = symbols.map(|symbols| self.with_modules(symbols, kernel, other, &links));
        links.iter().filter(|link| of(link)).find_map(|link| {
            let module = self.layout.install_tree.join(kernel).join(&link.target);
            let module = self.layout.root.resolve(module).ok().filter(|path| path.is_file());
            match module.map(|path| fit(&path, symbols.as_ref())) {
                Some(Fit::Fits) => None,
                Some(Fit::Not(why)) => Some((link.path.clone(), Some(why))),
                None => Some((link.path.clone(), None)),
            }
        })
    }

    /// Takes the links of another kernel to modules of a cell away that do not fit. `replaced`: a build of its
    /// own follows.
    ///
    /// # Errors
    /// When a link cannot be removed.
    pub fn unlink(
        &self,
        cell: &Cell,
        modules: &[PathBuf],
        other: &KernelRelease,
        replaced: bool,
    ) -> Result<()> {
        let dir = self.layout.kernel(other).join("weak-updates");
        let mut told = false;
        // A link that goes takes its symbols with it: then look again.
        while let Some((link, why)) = self.misfit(&cell.kernel, modules, other) {
            notes::depmod_lags(self.layout, other)?;
            atomic::delete(&link)?;
            atomic::prune_empty(link.parent(), &dir);
            if let Some(why) = why {
                self.tell(cell, other, &why, replaced && !told);
                told = true;
            }
        }
        Ok(())
    }

    fn tell(&self, cell: &Cell, other: &KernelRelease, why: &str, replaced: bool) {
        let (module, kernel) = (&cell.module, &cell.kernel);
        let text = format!(
            "{module} built for {kernel} was also linked for {other}, but does not fit because {why}"
        );
        let end = if replaced {
            format!("the link is removed and {module} built for {other}")
        } else if kernel::headers_present(self.layout, other) {
            "the link is removed".to_owned()
        } else {
            let package = self.distribution.headers_package(other.as_str(), None);
            format!("the link is removed, and {other} has no {module} until {package} is installed")
        };
        self.report.warning(&format!("{text}: {end}"));
    }

    /// A kernel's symbols with those of our modules that it can load: its own, and those of `kernel` that
    /// are linked for it.
    fn with_modules(
        &self,
        mut symbols: Symvers,
        kernel: &KernelRelease,
        other: &KernelRelease,
        links: &[Link],
    ) -> Symvers {
        for (id, _) in registry::registered(self.layout) {
            for cell in registry::cells(self.layout, &id) {
                if !registry::is_installed(self.layout, &cell) {
                    continue;
                }
                let linked = cell.kernel == *kernel && {
                    let record = state::known(state::record(self.layout, &cell));
                    let installed = record.map(|r| r.installed).unwrap_or_default();
                    installed.iter().any(|file| links.iter().any(|link| self.is(kernel, &file.path, link)))
                };
                if linked || cell.kernel == *other {
                    let file = self.layout.built_modules(&cell).join("Module.symvers");
                    symbols.extend(Symvers::read(&file).unwrap_or_default());
                }
            }
        }
        symbols
    }

    /// Whether a link is to a module of `kernel` of the same name as the file `path` (inside the root),
    /// however either is compressed.
    fn is(&self, kernel: &KernelRelease, path: &Path, link: &Link) -> bool {
        let stem =
            |path: &Path| path.file_name().and_then(|n| n.to_str()).and_then(module_stem).map(str::to_owned);
        let below = path.strip_prefix(self.layout.install_tree.join(kernel)).ok();
        below.is_some_and(|below| {
            below.parent() == link.target.parent()
                && stem(below).is_some()
                && stem(below) == stem(&link.target)
        })
    }
}

/// The links below a directory that lead to modules of `kernel`, in the order of their names.
fn links(dir: &Path, kernel: &KernelRelease) -> Vec<Link> {
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().flatten();
    entries
        .filter(|entry| entry.file_type().is_symlink())
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            let top = target
                .ancestors()
                .filter(|above| above.ends_with(Path::new("modules").join(kernel)))
                .last()?;
            let target = target.strip_prefix(top).ok()?.to_path_buf();
            Some(Link { path: entry.into_path(), target })
        })
        .collect()
}

/// Whether a kernel with these symbols (unknown when `None`) takes a module that was built for another.
fn fit(module: &Path, symbols: Option<&Symvers>) -> Fit {
    let kind = elf::Compression::of(module).unwrap_or(elf::Compression::None);
    let Ok(bytes) = regular::read_module(module).and_then(|bytes| kind.unpack(bytes)) else {
        return Fit::Fits;
    };
    match (elf::imported_versions(&bytes), symbols) {
        (Ok(None), _) => {
            Fit::Not("it has no symbol versions, so only the kernel that it was built for can load it".into())
        }
        (Ok(Some(imported)), Some(symbols)) => symbols.refuses(&imported).map_or(Fit::Fits, Fit::Not),
        (Ok(Some(_)), None) | (Err(_), _) => Fit::Fits,
    }
}
