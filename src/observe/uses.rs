//! How builds stand to the headers of a kernel without symbol versions: by what they were written down to use of it.
//! The types of the kernel are read only when this is asked.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::Observer;
use crate::btf::{self, Comparison, KernelTypes, RULES};
use crate::elf::module_stem;
use crate::kernel::{self, Exports};
use crate::model::fit::{Compared, Fit, Misfit};
use crate::model::ids::Cell;
use crate::model::uses::{ChangeOfType, TypeChange, UsedHeader, Uses};
use crate::tree::state;

impl Observer<'_> {
    /// Whether the kernel has unchanged what a build of ours uses. Unknown where that was not written down.
    pub(super) fn fit_of_uses(&self, cell: &Cell, headers: &Path, config: &Path) -> Fit {
        let Some(uses) = state::known(state::uses(self.layout, cell)) else { return Fit::Unknown };
        if uses.rules != RULES || !self.describes(cell, &uses) {
            return Fit::Unknown;
        }
        match kernel::configuration(config) {
            Ok(now) if now == uses.configuration => {}
            Ok(_) => return Fit::Not(Misfit::Configuration),
            Err(_) => return Fit::Unknown,
        }
        let Some(types) = self.kernel_types(cell, headers) else { return Fit::Unknown };
        let Ok(exports) = Exports::read(&headers.join("Module.symvers")) else { return Fit::Unknown };
        let (mut changed, mut unknown) = (Vec::new(), false);
        for module in &uses.modules {
            changed.extend(module.headers.iter().filter_map(|header| self.other_text(header)));
            match btf::compare(module, &types, |symbol| exports.get(symbol).cloned()) {
                Comparison::Same => {}
                Comparison::Changed(changes) => changed.extend(changes),
                Comparison::Unknown(why) => {
                    log::info!("{}: {why}", module.module);
                    unknown = true;
                }
            }
        }
        match Misfit::of_uses(changed) {
            Some(misfit) => Fit::Not(misfit),
            None if unknown => Fit::Unknown,
            None => Fit::Fits(count(&uses)),
        }
    }

    /// Whether the kernel would refuse a build of which nothing is written down: its modules name types that the
    /// kernel has not, or has in another size. If it would not, nothing is known.
    pub(super) fn fit_of_names(&self, cell: &Cell, headers: &Path) -> Fit {
        let mut changed = Vec::new();
        for path in self.module_files(cell) {
            let Ok(Some(names)) = btf::based_on(&path) else { continue };
            let Some(types) = self.kernel_types(cell, headers) else { return Fit::Unknown };
            changed.extend(btf::refused(&names, &types).unwrap_or_default());
        }
        Misfit::of_uses(changed).map_or(Fit::Unknown, Fit::Not)
    }

    /// A type of a header that has another text than it had.
    fn other_text(&self, header: &UsedHeader) -> Option<TypeChange> {
        let now = kernel::text_digest(&self.layout.root.path(&header.file));
        let same = now.is_ok_and(|now| now == header.digest);
        let change = ChangeOfType::Header { file: header.file.clone() };
        (!same).then(|| TypeChange { name: header.types.first().cloned().unwrap_or_default(), change })
    }

    fn kernel_types(&self, cell: &Cell, headers: &Path) -> Option<Arc<KernelTypes>> {
        let types = kernel::kernel_types(headers, &self.layout.kernel(&cell.kernel));
        types.inspect_err(|error| log::info!("cannot read the types of {}: {error}", cell.kernel)).ok()
    }

    /// Every module that is there was written down.
    fn describes(&self, cell: &Cell, uses: &Uses) -> bool {
        let known: BTreeSet<&str> = uses.modules.iter().map(|module| module.module.as_str()).collect();
        self.module_files(cell).iter().all(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(module_stem).is_some_and(|stem| known.contains(stem))
        })
    }
}

fn count(uses: &Uses) -> Compared {
    let types: BTreeSet<_> =
        uses.modules.iter().flat_map(|m| &m.types).map(|used| (used.kind, &used.name)).collect();
    let symbols: BTreeSet<_> = uses.modules.iter().flat_map(|m| &m.symbols).map(|used| &used.name).collect();
    Compared { symbols: symbols.len(), types: Some(types.len()) }
}
