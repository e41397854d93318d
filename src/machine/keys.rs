//! The keys of a machine: making them, and whether its firmware knows them.

use std::collections::{BTreeMap, BTreeSet};

use super::Machine;
use crate::apply::run::{Done, Flags};
use crate::apply::sign::pair;
use crate::kernel::{self, Judge, KernelFiles, Pair, PairState, Verdict};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::model::record::Overrides;
use crate::model::system::System;
use crate::plan::{Action, Plan};
use crate::progress::Report;
use crate::report::signing::{Bare, Key, Signing};
use crate::trust::firmware::SecureBoot;
use crate::trust::pki::Certificate;

impl Machine {
    /// Key and certificate for a kernel, or for any.
    ///
    /// # Errors
    /// When the settings cannot be read for this kernel.
    pub fn pair(&self, kernel: Option<&KernelRelease>) -> Result<Pair> {
        let overrides = Overrides::default();
        let places = kernel.map(|kernel| (kernel, self.observer(&overrides).kernel_source(kernel)));
        let files =
            places.as_ref().map(|(release, (source, config))| KernelFiles { release, source, config });
        kernel::pair(&self.layout, &self.settings, files.as_ref(), &self.distribution.id)
            .map_err(|unsigned| Error::new(Kind::SigningKey, unsigned.why))
    }

    /// Makes a key pair where there is none; false when it was there.
    ///
    /// # Errors
    /// Exit status 1: half a pair, or it cannot be made.
    pub fn make_pair(&self, pair: &Pair, may_ask: bool, report: &dyn Report) -> Result<bool> {
        let failed = |why: String| Error::new(Kind::SigningKey, why);
        match pair.state(&self.layout) {
            PairState::There => return Ok(false),
            PairState::Broken(why) => return Err(failed(why)),
            PairState::Missing => {}
        }
        // A hook may be making one at this moment.
        let _lock = self.lock(report)?;
        match pair.state(&self.layout) {
            PairState::There => Ok(false),
            PairState::Broken(why) => Err(failed(why)),
            PairState::Missing => {
                pair::make(pair, may_ask, *self.settings.limits.tool).map(|()| true).map_err(failed)
            }
        }
    }

    /// What is left to do for a pair that one of the kernels asks for.
    pub fn next_for(&self, pair: &Pair) -> Option<String> {
        let judge = Judge::of(&self.layout);
        let certificate = Certificate::read(&pair.certificate).ok()?;
        let kernels = kernel::releases(&self.layout, []);
        let asked = kernels.iter().filter(|kernel| kernel::headers_present(&self.layout, kernel));
        let verdicts = asked.filter_map(|kernel| {
            let own = [(certificate.clone(), pair.is_the_kernels())];
            self.with_files(kernel, |files| {
                let recipe =
                    kernel::recipe(&self.layout, &self.settings, files, &self.distribution.id).ok()?;
                let verdict = judge.kernel(files, &own).signed_with(&certificate, &recipe.hash);
                Some((kernel.clone(), verdict))
            })
        });
        let verdicts: Vec<_> = verdicts.collect();
        let asks = verdicts.iter().any(|(_, verdict)| !verdict.loads());
        self.key(&judge, pair, verdicts).next.filter(|_| asks)
    }

    /// What signs here, and what the kernels ask for.
    pub fn signing(&self, system: &System) -> Signing {
        let kernels = system.kernels.iter().filter(|(_, kernel)| kernel.image && !kernel.note.removed);
        let judge = Judge::of(&self.layout);
        let mut signing = self.signing_for(&judge, kernels.map(|(release, _)| release));
        self.add_bare(&judge, system, &mut signing);
        signing
    }

    /// A kernel's files, for those who ask about its signatures.
    pub(super) fn with_files<T>(&self, kernel: &KernelRelease, ask: impl FnOnce(&KernelFiles<'_>) -> T) -> T {
        let overrides = Overrides::default();
        let (source, config) = self.observer(&overrides).kernel_source(kernel);
        ask(&KernelFiles { release: kernel, source: &source, config: &config })
    }

    pub(super) fn signing_for<'k>(
        &self,
        judge: &Judge,
        kernels: impl IntoIterator<Item = &'k KernelRelease>,
    ) -> Signing {
        let mut signing = Signing::new(judge.boot().secure);
        let mut pairs: BTreeMap<String, (Pair, Vec<(KernelRelease, Verdict)>)> = BTreeMap::new();
        for kernel in kernels {
            if !kernel::headers_present(&self.layout, kernel) {
                continue;
            }
            self.with_files(kernel, |files| {
                match kernel::recipe(&self.layout, &self.settings, files, &self.distribution.id) {
                    Ok(recipe) => {
                        let certificate = Certificate::read(&recipe.pair.certificate).ok();
                        let own: Vec<_> =
                            certificate.into_iter().map(|c| (c, recipe.pair.is_the_kernels())).collect();
                        let judged = judge.kernel(files, &own);
                        // A pair that is yet to be made is enrolled nowhere.
                        let verdict = own.first().map_or(Verdict::Loads, |(certificate, _)| {
                            judged.signed_with(certificate, &recipe.hash)
                        });
                        let name = recipe.pair.shown.1.clone();
                        pairs
                            .entry(name)
                            .or_insert((recipe.pair, Vec::new()))
                            .1
                            .push((kernel.clone(), verdict));
                    }
                    Err(unsigned) => signing.unsigned.push(Bare {
                        kernel: kernel.clone(),
                        why: unsigned.why,
                        verdict: judge.kernel(files, &[]).unsigned(),
                    }),
                }
            });
        }
        signing.keys = pairs.into_values().map(|(pair, kernels)| self.key(judge, &pair, kernels)).collect();
        signing
    }

    /// Adds what was built without a signature, where one could be had now.
    fn add_bare(&self, judge: &Judge, system: &System, signing: &mut Signing) {
        let told: BTreeSet<KernelRelease> = signing.unsigned.iter().map(|bare| bare.kernel.clone()).collect();
        let mut bare: BTreeMap<&KernelRelease, Vec<String>> = BTreeMap::new();
        for (cell, view) in
            system.cells.iter().filter(|(cell, view)| view.installed && !told.contains(&cell.kernel))
        {
            let is_bare = view.record.as_ref().is_some_and(|record| record.inputs.signing.is_none());
            let here =
                system.kernels.get(&cell.kernel).is_some_and(|kernel| kernel.image && !kernel.note.removed);
            if is_bare && here {
                bare.entry(&cell.kernel).or_default().push(cell.module.to_string());
            }
        }
        for (kernel, modules) in bare {
            let verdict = self.with_files(kernel, |files| judge.kernel(files, &[]).unsigned());
            let why = format!("{} had no signature when built; `dkms-hook resign` signs", modules.join(", "));
            signing.unsigned.push(Bare { kernel: kernel.clone(), why, verdict });
        }
    }

    fn key(&self, judge: &Judge, pair: &Pair, kernels: Vec<(KernelRelease, Verdict)>) -> Key {
        let (boot, firmware) = (judge.boot(), judge.firmware());
        let known = matches!(boot.secure, SecureBoot::On | SecureBoot::Off | SecureBoot::OffInShim);
        let certificate = Certificate::read(&pair.certificate).ok();
        let enrolment = certificate.as_ref().filter(|_| known).map(|c| firmware.enrolment(c));
        Key::new(pair, certificate.as_ref(), enrolment, boot, kernels)
    }

    /// One line for a person whose new modules the kernel will refuse.
    pub(super) fn tell_of_enrolment(&self, plan: &Plan, done: &[Done], flags: &Flags, report: &dyn Report) {
        if !flags.interactive {
            return;
        }
        let changed = plan.steps.iter().zip(done).filter(|(step, done)| {
            let brings =
                matches!(step.action, Action::Build { .. } | Action::Install { .. } | Action::Resign { .. });
            brings && **done == Done::Yes
        });
        let kernels: std::collections::BTreeSet<_> =
            changed.filter_map(|(step, _)| step.action.kernel()).collect();
        if kernels.is_empty() {
            return;
        }
        for name in &self.settings.ignored {
            report.warning(&format!(
                "ignoring {name} from the environment, which package hooks would not see; set it in \
                 /etc/dkms/framework.conf"
            ));
        }
        for warning in self.signing_for(&Judge::of(&self.layout), kernels).warnings() {
            report.warning(&warning);
        }
    }
}
