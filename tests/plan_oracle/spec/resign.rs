//! Signatures that are not of the present key.

use super::{Act, Expected, Spec};
use crate::machine::{M, Name};
use crate::observe::can_sign;

impl Spec<'_> {
    /// A build gets another signature. Its installed files follow where they are those of the build;
    /// otherwise, where something is installed (true), an installation brings them.
    pub(super) fn sign(&self, m: M, out: &mut Expected) -> bool {
        let listed = self.build(m).and_then(|b| b.written.as_ref()).is_some_and(|w| w.files);
        let follows = self.installed(m) && self.machine.intact(m, self.k) && listed;
        out.acts.insert(Act::Resign(m, self.k, follows));
        self.installed(m) && !follows
    }

    /// A person wants every build to bear the present key's signature. True when installed files change.
    pub(super) fn resign(&self, module: Option<(Name, Option<u8>)>, out: &mut Expected) -> bool {
        let Some(key) = self.machine.key.filter(|_| can_sign(self.machine, self.k)) else { return false };
        let meant = |m: &M| {
            module.is_none_or(|(name, version)| name == m.0 && version.is_none_or(|version| version == m.1))
        };
        let mut files = false;
        for m in self.machine.modules.keys().filter(|m| meant(m)) {
            let Some(build) = self.build(*m).filter(|_| !self.unseen(*m)) else { continue };
            let said = build.written.is_none() || build.made.key == Some(key);
            // One for another kernel is not to be installed.
            if build.bears == Some(key) && said {
                // A run that was cut off between signing and installing is finished.
                let wanted = build.written.as_ref().is_some_and(|w| !w.refused);
                if wanted && self.installed(*m) && !self.machine.intact(*m, self.k) {
                    out.acts.insert(Act::Install(*m, self.k, false));
                    files = true;
                }
                continue;
            }
            if build.written.is_none() && !build.fits_kernel {
                continue;
            }
            if self.sign(*m, out) {
                out.acts.insert(Act::Install(*m, self.k, false));
            }
            files |= self.installed(*m);
        }
        files
    }
}
