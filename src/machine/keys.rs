//! The keys of a machine: making them, and whether its firmware knows them.

use std::collections::BTreeMap;

use super::Machine;
use crate::apply::run::{Done, Flags};
use crate::apply::sign::pair;
use crate::kernel::{self, KernelFiles, Pair, PairState};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::model::record::Overrides;
use crate::model::system::System;
use crate::plan::{Action, Plan};
use crate::progress::Report;
use crate::report::signing::{Key, Signing};
use crate::trust::firmware::{Firmware, SecureBoot};
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

    /// What is left to do for a pair, where Secure Boot asks for it.
    pub fn next_for(&self, pair: &Pair) -> Option<String> {
        let firmware = Firmware::of(&self.layout.root);
        self.key(&firmware, pair, Vec::new()).next.filter(|_| firmware.state() == SecureBoot::On)
    }

    /// What signs here, and whether the firmware asks for that.
    pub fn signing(&self, system: &System) -> Signing {
        let kernels = system.kernels.iter().filter(|(_, kernel)| kernel.image && !kernel.note.removed);
        self.signing_for(kernels.map(|(release, _)| release))
    }

    fn signing_for<'k>(&self, kernels: impl IntoIterator<Item = &'k KernelRelease>) -> Signing {
        let firmware = Firmware::of(&self.layout.root);
        let overrides = Overrides::default();
        let observer = self.observer(&overrides);
        let mut signing = Signing::new(firmware.state());
        let mut pairs: BTreeMap<String, (Pair, Vec<KernelRelease>)> = BTreeMap::new();
        for kernel in kernels {
            if !kernel::headers_present(&self.layout, kernel) {
                continue;
            }
            let (source, config) = observer.kernel_source(kernel);
            let files = KernelFiles { release: kernel, source: &source, config: &config };
            match kernel::recipe(&self.layout, &self.settings, &files, &self.distribution.id) {
                Ok(recipe) => {
                    let name = recipe.pair.shown.1.clone();
                    pairs.entry(name).or_insert((recipe.pair, Vec::new())).1.push(kernel.clone());
                }
                Err(unsigned) => signing.unsigned.push((kernel.clone(), unsigned.why)),
            }
        }
        signing.keys =
            pairs.into_values().map(|(pair, kernels)| self.key(&firmware, &pair, kernels)).collect();
        signing
    }

    fn key(&self, firmware: &Firmware, pair: &Pair, kernels: Vec<KernelRelease>) -> Key {
        let known = matches!(firmware.state(), SecureBoot::On | SecureBoot::Off | SecureBoot::OffInShim);
        let certificate = Certificate::read(&pair.certificate).ok();
        let enrolment = certificate.as_ref().filter(|_| known).map(|c| firmware.enrolment(c));
        Key::new(pair, certificate.as_ref(), enrolment, kernels)
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
        for warning in self.signing_for(kernels).warnings() {
            report.warning(&warning);
        }
    }
}
