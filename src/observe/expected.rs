//! Kernels that are still to come.

use std::sync::Arc;

use super::Observer;
use super::judge::facts_of;
use crate::conf::Strictness;
use crate::model::ids::{Cell, KernelRelease};
use crate::model::inputs::Inputs;
use crate::model::system::{CellView, Kernel, Now, Source, System};
use crate::tree::registry;

impl Observer<'_> {
    /// The picture as it will be when these kernels are there with their headers, and nothing is built
    /// for them. What a dkms.conf asks of a kernel's configuration is taken as given: there is none to
    /// look into yet.
    pub fn expect(&self, kernels: &[KernelRelease]) -> System {
        let mut system = System {
            autoinstall_disabled: self.autoinstall_disabled(),
            arch: Some(self.arch.clone()),
            modules: registry::registered(self.layout).into_iter().collect(),
            ..System::default()
        };
        for release in kernels {
            let kernel = Kernel { image: true, headers: true, ..Kernel::default() };
            system.kernels.insert(release.clone(), kernel);
            let added = system.modules.iter().filter(|(_, source)| **source == Source::Added);
            let cells = added.map(|(id, _)| Cell {
                module: id.clone(),
                kernel: release.clone(),
                arch: self.arch.clone(),
            });
            let views: Vec<_> = cells.map(|cell| (self.unbuilt(&cell), cell)).collect();
            system.cells.extend(views.into_iter().map(|(view, cell)| (cell, view)));
        }
        system
    }

    fn unbuilt(&self, cell: &Cell) -> CellView {
        let now = match self.conf(cell, &self.context(cell), Strictness::Other) {
            Ok(conf) => Now::Judged {
                facts: facts_of(&conf),
                inputs: Arc::new(Inputs::default()),
                stamp: String::new(),
            },
            Err(error) => Now::Unreadable(error.into()),
        };
        CellView {
            blind: None,
            unread_verdict: None,
            built: false,
            installed: false,
            intact: true,
            record: None,
            verdict: None,
            provenance: None,
            autoinstall: false,
            fit: None,
            directive: None,
            cached: false,
            now,
            vermagic_matches: false,
        }
    }
}
