//! What each kernel makes of each installed module file, as far as signatures go.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Machine;
use crate::apply::run::Done;
use crate::apply::sign::enrol;
use crate::boot;
use crate::fs::look::read_dir;
use crate::kernel::{self, Judge, KernelJudge, Pair, Verdict};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::system::{CellView, System};
use crate::plan::{Action, Plan};
use crate::progress::Report;
use crate::report::secure_boot::{OfKernel, OfModule, Pointless, Table};
use crate::trust::firmware::Enrolment;
use crate::trust::pki::Certificate;

impl Machine {
    /// The table: for these kernels (all of `system` when none is named), and for `files` where some are named, else for what is
    /// installed.
    pub fn secure_boot(
        &self,
        system: &System,
        kernels: Option<&[KernelRelease]>,
        files: &[PathBuf],
    ) -> Table {
        let judge = Judge::of(&self.layout);
        let here = system.kernels.iter().filter(|(_, kernel)| kernel.image && !kernel.note.removed);
        let asked: BTreeSet<&KernelRelease> = match kernels {
            Some(named) => named.iter().collect(),
            None => here.map(|(release, _)| release).collect(),
        };
        let signing = self.signing_for(&judge, asked.iter().copied());
        let own = self.own_certificates(&asked);
        let of_kernels = asked.into_iter().map(|release| {
            let judged = self.with_files(release, |files| judge.kernel(files, &own));
            let modules = match files.is_empty() {
                true => self.installed_for(system, release, &judged),
                false => files.iter().map(|file| of_module(None, file.clone(), judged.file(file))).collect(),
            };
            OfKernel {
                release: release.clone(),
                running: judge.is_running(release),
                enforced: judged.enforced(),
                modules,
            }
        });
        Table { boot: *judge.boot(), kernels: of_kernels.collect(), keys: signing.keys }
    }

    /// The certificates that sign here, each with whether its kernel was built with it.
    fn own_certificates(&self, kernels: &BTreeSet<&KernelRelease>) -> Vec<(Certificate, bool)> {
        let mut own: Vec<(Certificate, bool)> = Vec::new();
        for kernel in kernels {
            let pair = self.with_files(kernel, |files| {
                kernel::pair(&self.layout, &self.settings, Some(files), &self.distribution.id).ok()
            });
            let Some(pair) = pair else { continue };
            if let Ok(certificate) = Certificate::read(&pair.certificate)
                && !own.iter().any(|(known, _)| known.der == certificate.der)
            {
                own.push((certificate, pair.is_the_kernels()));
            }
        }
        own
    }

    fn installed_for(&self, system: &System, kernel: &KernelRelease, judged: &KernelJudge) -> Vec<OfModule> {
        let cells = system.cells.iter().filter(|(cell, view)| cell.kernel == *kernel && view.installed);
        cells
            .flat_map(|(cell, view)| {
                self.files_of(cell, view).into_iter().map(|file| {
                    let verdict = judged.file(&self.layout.root.path(&file));
                    of_module(Some(cell.module.to_string()), file, verdict)
                })
            })
            .collect()
    }

    /// The files of an installed build, inside the root: those that were written down, or the build's own where
    /// nobody did.
    fn files_of(&self, cell: &Cell, view: &CellView) -> Vec<PathBuf> {
        let recorded = view.record.iter().flat_map(|record| &record.installed);
        let recorded: Vec<PathBuf> = recorded.map(|file| file.path.clone()).collect();
        if !recorded.is_empty() {
            return recorded;
        }
        let built = read_dir(&self.layout.built_modules(cell));
        built.map(|entry| self.layout.shown(&entry.path())).collect()
    }

    /// One word about a new initramfs where the key of a disk may be bound to what starts.
    pub(super) fn tell_of_measuring(&self, plan: &Plan, done: &[Done], report: &dyn Report) {
        let made = plan
            .steps
            .iter()
            .zip(done)
            .any(|(step, done)| matches!(step.action, Action::Initramfs { .. }) && *done == Done::Yes);
        if let Some(sealed) = made.then(|| boot::sealed(&self.layout)).flatten() {
            report.line(&sealed.text());
        }
    }

    /// Why there is no use in asking for the enrolment of a pair's certificate now, if there is none.
    pub fn pointless(&self, pair: &Pair) -> Option<Pointless> {
        // Whoever enrolls speaks to the firmware of the machine that this process runs on.
        if self.layout.root.is_foreign() {
            return Some(Pointless::Unknown);
        }
        let judge = Judge::of(&self.layout);
        let enrolment = Certificate::read(&pair.certificate).ok().map(|c| judge.firmware().enrolment(&c));
        let in_db = enrolment == Some(Enrolment::InFirmware);
        let enough = pair.is_the_kernels() || in_db && self.next_for(pair).is_none();
        Pointless::of(judge.boot(), enrolment, enough)
    }

    /// Asks shim to enrol a pair's certificate at the next start, which makes a pair that is missing. The password that
    /// shim will ask for.
    ///
    /// # Errors
    /// Exit status 1: only root may do it, or mokutil did not.
    pub fn enrol(&self, pair: &Pair, report: &dyn Report) -> Result<String> {
        self.make_pair(pair, false, report)?;
        let failed = |why: String| Error::new(Kind::SigningKey, why);
        let certificate = Certificate::read(&pair.certificate)
            .map_err(|e| failed(format!("the certificate {} cannot be used: {e}", pair.shown.1)))?;
        let password = enrol::password().map_err(|e| failed(format!("no password can be made: {e}")))?;
        enrol::request(pair, &certificate, &password, *self.settings.limits.tool).map_err(failed)?;
        // mokutil passes over some requests with status 0.
        match Judge::of(&self.layout).firmware().enrolment(&certificate) {
            Enrolment::Pending => Ok(password),
            _ => Err(failed("mokutil left no request for shim (there is no MokNew)".to_owned())
                .hint(format!("see what `mokutil --import {}` says", pair.shown.1))),
        }
    }
}

fn of_module(module: Option<String>, file: PathBuf, verdict: Verdict) -> OfModule {
    OfModule { module, file, verdict }
}
