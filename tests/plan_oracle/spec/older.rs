//! An older version in the place of one that does not compile for the kernel.

use std::collections::BTreeSet;

use super::choice::{Choice, Own, only_headers_differ};
use super::serve::{Serving, Servings};
use super::{Expected, Spec};
use crate::machine::{M, Name, has_symbol_versions, same_symbols};

impl Spec<'_> {
    /// Those that the plan is about, and what they need.
    pub(super) fn names_to_serve(&self) -> BTreeSet<Name> {
        let (asked, mut all) =
            (self.names().into_iter().filter(|name| self.in_question(*name)), BTreeSet::new());
        for name in asked {
            all.insert(name);
            if let Choice::This(m) = self.choice(name)
                && !self.untold(m)
            {
                all.extend(self.stands_on(m));
            }
        }
        all
    }

    /// A version that does not compile gives way, unless what is installed of it can still be loaded.
    pub(super) fn gives_way(&self, m: M) -> bool {
        !self.machine.only_newest && (!self.installed(m) || self.cannot_be_loaded(m))
    }

    fn cannot_be_loaded(&self, m: M) -> bool {
        let Some((build, now)) = self.build(m).zip(self.machine.now(m, self.k)) else { return false };
        let compared = |kept: Option<u8>| {
            kept != Some(now.headers)
                && only_headers_differ(&now, &build.made)
                && (has_symbol_versions(self.k) || build.uses)
                && !same_symbols(now.headers, build.made.headers)
        };
        match &build.written {
            Some(written) => compared(written.kept),
            None => matches!(self.own(m), Own::Wrong | Own::Unfit),
        }
    }

    /// What others have of a version that nobody touches.
    pub(super) fn if_installed(&self, m: M) -> Serving {
        if self.installed(m) { self.as_it_is(m) } else { Serving::Missing }
    }

    /// The newest that compiles, of those that need nothing that the newest does not need.
    pub(super) fn bring_or_older(&self, newest: M, state: &Servings, out: &mut Expected) -> Serving {
        let needs: BTreeSet<Name> = self.machine.modules[&newest].conf.needs.iter().copied().collect();
        let mut by_hand = self.machine.versions(newest.0).any(|(m, known)| {
            m >= newest
                && known.present
                && !known.conf.broken
                && !known.conf.refuses(self.k)
                && known.conf.manual
        });
        if let Some(serving) = self.bring(newest, state, out) {
            return serving;
        }
        for (m, known) in self.machine.versions(newest.0).filter(|(m, _)| *m < newest) {
            if !known.present {
                if self.installed(m) {
                    return self.as_it_is(m);
                }
                continue;
            }
            if self.unseen(m) || known.conf.broken {
                return self.if_installed(m);
            }
            if known.conf.refuses(self.k) {
                match self.own(m) {
                    Own::Stale => self.drop_build(m, out),
                    Own::Wrong => {}
                    _ if self.installed(m) => return self.as_it_is(m),
                    _ => {}
                }
                continue;
            }
            by_hand |= known.conf.manual;
            let suits = (self.installed(m) || !by_hand) && known.conf.needs.iter().all(|d| needs.contains(d));
            if let Some(serving) = suits.then(|| self.bring(m, state, out)).flatten() {
                return serving;
            }
        }
        Serving::Missing
    }
}
