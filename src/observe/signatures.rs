//! How built modules are signed. Reads every module file, so it is done only when asked for.

use crate::fs::digest::file_digest;
use crate::kernel::{KernelFiles, Recipe, check_file, recipe};
use crate::model::ids::Cell;
use crate::model::system::{CellView, Signature, System};
use crate::observe::Observer;
use crate::trust::pki::Certificate;

impl Observer<'_> {
    /// Fills in [`System::signatures`] for the builds in `system` that `wanted` accepts.
    pub fn look_at_signatures(&self, system: &mut System, wanted: &dyn Fn(&Cell, &CellView) -> bool) {
        let built = system.cells.iter().filter(|(cell, view)| view.built && wanted(cell, view));
        system.signatures = built.map(|(cell, _)| (cell.clone(), self.signature(cell))).collect();
    }

    /// How the build of one cell is signed, compared with what a build would do now.
    pub fn signature(&self, cell: &Cell) -> Signature {
        let context = self.kept_context(cell);
        let recipe = match recipe(
            self.layout,
            self.settings,
            &KernelFiles::of(&cell.kernel, &context),
            &self.distribution.id,
        ) {
            Ok(recipe) => recipe,
            Err(unsigned) => return Signature::Impossible(unsigned.why),
        };
        let certificate = Certificate::read(&recipe.pair.certificate);
        match (certificate, file_digest(&recipe.pair.certificate)) {
            (Ok(certificate), Ok(digest)) if self.bears(cell, &recipe, &certificate) => {
                Signature::Ours { certificate: digest }
            }
            // No key yet: signing makes one.
            _ => Signature::Other,
        }
    }

    fn bears(&self, cell: &Cell, recipe: &Recipe, certificate: &Certificate) -> bool {
        self.module_files(cell).into_iter().all(|path| match check_file(&path, certificate, &recipe.hash) {
            Ok(checked) => checked.is_ours(),
            Err(error) => {
                log::warn!("cannot read {}: {error}", path.display());
                false
            }
        })
    }
}
