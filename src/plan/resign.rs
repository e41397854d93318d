//! `dkms-hook resign`: what bears no signature of the present key gets one, without a build.

use super::planner::{Planner, Standing};
use super::{Note, Reason};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::request::Wanted;
use crate::model::system::Signature;

impl Planner<'_> {
    /// Plans for what was observed in [`crate::model::system::System::signatures`].
    pub(super) fn resign(&mut self, kernels: Option<&[KernelRelease]>, modules: &[Wanted]) {
        let system = self.system;
        for kernel in kernels.into_iter().flatten() {
            if !system.kernels.contains_key(kernel) {
                self.note(Note::UnknownKernel { kernel: kernel.clone() });
            }
        }
        let looked_at = || system.signatures.keys();
        for wanted in modules {
            if !looked_at().any(|cell| wanted.includes(&cell.module)) {
                self.note(Note::NothingBuilt { name: wanted.to_string() });
            }
        }
        for (cell, signature) in &system.signatures {
            if modules.is_empty() || modules.iter().any(|wanted| wanted.includes(&cell.module)) {
                self.resign_cell(cell, signature);
            }
        }
    }

    fn resign_cell(&mut self, cell: &Cell, signature: &Signature) {
        let Some(view) = self.view(cell) else { return };
        if self.is_blind_kernel(&cell.kernel) || self.is_blind(cell, view) {
            return;
        }
        if self.standing(view) == Standing::WrongKernel {
            // To sign it would be to install it.
            let why = format!(
                "it was made for another kernel (`dkms build {} -k {}` rebuilds it)",
                cell.module, cell.kernel
            );
            self.note(Note::CannotSign { cell: cell.clone(), why });
            return;
        }
        match signature {
            Signature::Impossible(why) => {
                self.note(Note::CannotSign { cell: cell.clone(), why: why.clone() });
                return;
            }
            // What is written down of it may be wrong all the same.
            Signature::Ours { certificate }
                if view.record.as_ref().is_none_or(|r| r.inputs.signing.as_ref() == Some(certificate)) =>
            {
                // A run that was killed signed it and did not come to install it.
                let left_off = view.installed && !view.intact;
                if left_off && view.record.as_ref().is_some_and(|r| r.refused.is_none()) {
                    let reason = self.why_mended(cell);
                    self.install_step(cell, false, reason, Vec::new(), None);
                }
                return;
            }
            Signature::Ours { .. } | Signature::Other => {}
        }
        let (step, install) = self.resign_step(cell, view, Reason::OtherSignature);
        if install {
            self.install_step(cell, false, Reason::OtherSignature, vec![step], None);
        }
    }
}
