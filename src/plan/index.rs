//! The cells by kernel and module, so that planning looks nothing up by name: it is linear in cells.

use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::model::system::{CellView, Source, System};
use crate::model::version;

/// Where a module meets a kernel, whatever its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The kernel's number.
    pub(super) kernel: usize,
    /// The module's number.
    pub(super) name: usize,
}

/// A cell as found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    name: usize,
    /// Place among the registered versions, newest first; those that are only built come last.
    age: usize,
    /// Which.
    pub(super) cell: &'a Cell,
    /// What was found in it.
    pub(super) view: &'a CellView,
    /// The source of its module version, if that is registered.
    pub(super) source: Option<&'a Source>,
}

#[derive(Debug)]
struct Named<'a> {
    name: &'a ModuleName,
    registered: bool,
    added: bool,
}

/// All cells of a system.
#[derive(Debug)]
pub(super) struct Index<'a> {
    /// By name.
    names: Vec<Named<'a>>,
    /// By release.
    kernels: Vec<OfKernel<'a>>,
}

#[derive(Debug)]
struct OfKernel<'a> {
    release: &'a KernelRelease,
    /// By name and age.
    cells: Vec<Known<'a>>,
    /// Where the cells of each name begin, and one more: where the last ones end.
    starts: Vec<usize>,
}

impl<'a> OfKernel<'a> {
    fn new(release: &'a KernelRelease) -> Self {
        Self { release, cells: Vec::new(), starts: Vec::new() }
    }

    fn complete(&mut self, names: usize) {
        self.cells.sort_by_key(|known| (known.name, known.age));
        self.starts = Vec::with_capacity(names + 1);
        for (at, known) in self.cells.iter().enumerate() {
            self.starts.resize(self.starts.len().max(known.name + 1), at);
        }
        self.starts.resize(names + 1, self.cells.len());
    }
}

impl<'a> Index<'a> {
    pub(super) fn new(system: &'a System) -> Self {
        let mut kernels: Vec<_> = system.kernels.keys().map(OfKernel::new).collect();
        let mut names: Vec<Named<'a>> = Vec::new();
        let mut cells = system.cells.iter().peekable();
        let mut modules = system.modules.iter().peekable();
        // Both are in the order of names and versions.
        loop {
            let next = [cells.peek().map(|(cell, _)| &cell.module), modules.peek().map(|(id, _)| *id)];
            let Some(name) = next.into_iter().flatten().min().map(|id| &id.name) else { break };
            let mut versions: Vec<(&ModuleId, &Source)> = Vec::new();
            while let Some(version) = modules.next_if(|(id, _)| id.name == *name) {
                versions.push(version);
            }
            versions.sort_by(|(a, _), (b, _)| version::compare(b.version.as_str(), a.version.as_str()));
            names.push(Named {
                name,
                registered: !versions.is_empty(),
                added: versions.iter().any(|(_, source)| **source == Source::Added),
            });
            let number = names.len() - 1;
            let (mut at, mut last, mut place): (usize, Option<&ModuleId>, Option<usize>) = (0, None, None);
            while let Some((cell, view)) = cells.next_if(|(cell, _)| cell.module.name == *name) {
                if last != Some(&cell.module) {
                    (at, last) = (0, Some(&cell.module));
                    place = versions.iter().position(|(id, _)| **id == cell.module);
                }
                // Kernels, too, come in their order.
                while kernels.get(at).is_some_and(|kernel| *kernel.release < cell.kernel) {
                    at += 1;
                }
                if kernels.get(at).is_none_or(|kernel| *kernel.release != cell.kernel) {
                    kernels.insert(at, OfKernel::new(&cell.kernel));
                }
                let age = place.unwrap_or(usize::MAX);
                let source = place.map(|place| versions[place].1);
                kernels[at].cells.push(Known { name: number, age, cell, view, source });
            }
        }
        for kernel in &mut kernels {
            kernel.complete(names.len());
        }
        Self { names, kernels }
    }

    /// The number of a kernel.
    pub(super) fn kernel(&self, release: &KernelRelease) -> Option<usize> {
        self.kernels.binary_search_by(|known| known.release.cmp(release)).ok()
    }

    /// Where a module meets a kernel; `None` where nothing is known of the module or of the kernel.
    pub(super) fn place(&self, name: &ModuleName, kernel: &KernelRelease) -> Option<Place> {
        let kernel = self.kernel(kernel)?;
        let name = self.names.binary_search_by(|known| known.name.cmp(name)).ok()?;
        Some(Place { kernel, name })
    }

    /// How many modules there are; each place has a number below that.
    pub(super) fn modules(&self) -> usize {
        self.names.len()
    }

    /// The name at a place.
    pub(super) fn name(&self, place: Place) -> &'a ModuleName {
        self.names[place.name].name
    }

    /// True when some version of the module is registered.
    pub(super) fn is_registered(&self, place: Place) -> bool {
        self.names[place.name].registered
    }

    /// True when some version of the module has its source.
    pub(super) fn is_added(&self, place: Place) -> bool {
        self.names[place.name].added
    }

    /// Every cell of a kernel.
    pub(super) fn of_kernel(&self, release: &KernelRelease) -> &[Known<'a>] {
        self.kernel(release).map_or(&[], |kernel| &self.kernels[kernel].cells)
    }

    /// The versions of a module for a kernel, newest first, those that are not registered last.
    pub(super) fn versions<'s>(
        &'s self,
        place: Place,
        arch: &'s Arch,
    ) -> impl Iterator<Item = Known<'a>> + 's {
        let OfKernel { cells, starts, .. } = &self.kernels[place.kernel];
        let here = cells[starts[place.name]..starts[place.name + 1]].iter();
        here.filter(|known| known.cell.arch == *arch).copied()
    }

    /// The version of a module that is installed for a kernel.
    pub(super) fn installed(&self, place: Place, arch: &Arch) -> Option<Known<'a>> {
        self.versions(place, arch).find(|known| known.view.installed)
    }
}
