//! Modules that several kernels share: distributions with stable kernel symbols link what was built for
//! one kernel below `weak-updates` of the others, by a program of theirs.
//!
//! That program compares symbols as far as it goes; people were left with modules that do not load. So
//! every link to a module of ours is looked at once more, and one that does not fit is taken away.

use std::path::{Path, PathBuf};

use crate::apply::depmod;
use crate::elf;
use crate::elf::module_stem;
use crate::fs::atomic;
use crate::kernel;
use crate::kernel::Symvers;
use crate::model::error::Result;
use crate::model::ids::{Cell, KernelRelease};
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
            WeakModules::Suse => Process::new(program).args([words[1], kernel.as_str()]).run(Output::Null),
            WeakModules::RedHat => {
                let lines: String = modules.iter().map(|path| format!("{}\n", path.display())).collect();
                let process = Process::new(program).args(["--no-initramfs", words[0]]).input(lines);
                process.run(Output::Null)
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

    /// Looks at the links of all other kernels to what changed for this one. Those that lead nowhere or
    /// to a module that the kernel would refuse are taken away, and its index is made again. Returns
    /// the cells that now want a build of their own and can have one.
    ///
    /// # Errors
    /// When a link cannot be removed.
    pub fn check(&self, kernel: &KernelRelease, changed: &[Changed]) -> Result<Vec<Cell>> {
        let mut wanting = Vec::new();
        for other in kernel::releases(self.layout, []) {
            let dir = self.layout.kernel(&other).join("weak-updates");
            if other != *kernel && dir.is_dir() {
                self.check_kernel(kernel, changed, &other, &dir, &mut wanting)?;
            }
        }
        Ok(wanting)
    }

    fn check_kernel(
        &self,
        kernel: &KernelRelease,
        changed: &[Changed],
        other: &KernelRelease,
        dir: &Path,
        wanting: &mut Vec<Cell>,
    ) -> Result<()> {
        let kernel_symbols = Symvers::of_kernel(self.layout, other);
        let mut removed = false;
        // A link that goes takes its symbols with it: then look again.
        'again: loop {
            let links = links(dir, kernel);
            let symbols = kernel_symbols.clone().map(|s| self.with_modules(s, kernel, other, &links));
            for link in &links {
                let of =
                    changed.iter().find(|(_, paths)| paths.iter().any(|path| self.is(kernel, path, link)));
                let Some((cell, _)) = of else { continue };
                let module = self.layout.install_tree.join(kernel).join(&link.target);
                let module = match self.layout.root.resolve(module) {
                    Ok(path) => Some(path),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                    // It may fit: the link stays.
                    Err(_) => continue,
                };
                let module = module.filter(|path| path.is_file());
                let fit = module.map(|path| fit(&path, symbols.as_ref()));
                if fit == Some(Fit::Fits) {
                    continue;
                }
                notes::depmod_lags(self.layout, other)?;
                atomic::delete(&link.path)?;
                atomic::prune_empty(link.path.parent(), dir);
                removed = true;
                if let Some(Fit::Not(why)) = fit {
                    self.tell(cell, other, &why, wanting);
                }
                continue 'again;
            }
            break;
        }
        if removed { depmod::run(self.layout, other, self.report) } else { Ok(()) }
    }

    fn tell(&self, cell: &Cell, other: &KernelRelease, why: &str, wanting: &mut Vec<Cell>) {
        let (module, kernel) = (&cell.module, &cell.kernel);
        let text = format!(
            "{module} built for {kernel} was also linked for {other}, but does not fit because {why}"
        );
        let own = Cell { kernel: other.clone(), ..cell.clone() };
        let active = registry::active(self.layout, &module.name, other, &cell.arch).is_some();
        let image = self.layout.kernel(other).join("kernel").is_dir();
        if active || wanting.contains(&own) {
            self.report.warning(&format!("{text}: the link is removed"));
        } else if image && kernel::headers_present(self.layout, other) {
            self.report.warning(&format!("{text}: the link is removed and {module} built for {other}"));
            wanting.push(own);
        } else {
            let package = self.distribution.headers_package(other.as_str(), None);
            self.report.warning(&format!(
                "{text}: the link is removed, and {other} has no {module} until {package} is installed"
            ));
        }
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
    let Ok(bytes) = std::fs::read(module).and_then(|bytes| kind.unpack(bytes)) else { return Fit::Fits };
    match (elf::imported_versions(&bytes), symbols) {
        (Ok(None), _) => {
            Fit::Not("it has no symbol versions, so only the kernel that it was built for can load it".into())
        }
        (Ok(Some(imported)), Some(symbols)) => symbols.refuses(&imported).map_or(Fit::Fits, Fit::Not),
        (Ok(Some(_)), None) | (Err(_), _) => Fit::Fits,
    }
}
