//! What a module wants of a kernel by itself: how its builds stand, and which version it is to be.

use std::collections::BTreeSet;

use super::Spec;
use crate::machine::{GONE, M, Made, NAMES, Name, Registered, has_symbol_versions, same_symbols};

/// What a module wants of a kernel by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// Whatever is installed stays.
    Stays(M),
    /// This version, built from what there is now.
    This(M),
    /// None of its versions supports the kernel.
    Refused,
    /// Nothing.
    Nothing,
}

/// How a build stands against what it would be made from now; what it depends on is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    Absent,
    /// By somebody else: for another kernel.
    Wrong,
    /// By somebody else: does not fit.
    Unfit,
    /// By somebody else: can be taken over.
    Foreign,
    Stale,
    Sound,
}

/// True when two differ in what is compiled, the modules that they depend on left aside.
pub(super) fn differ(now: &Made, then: &Made, headers_count: bool) -> bool {
    (now.source, &now.conf, now.patches, now.compression)
        != (then.source, &then.conf, then.patches, then.compression)
        || now.compiler != GONE && now.compiler != then.compiler
        || headers_count && now.headers != then.headers
}

/// Of what is compiled, nothing but the headers differs.
pub fn only_headers_differ(now: &Made, then: &Made) -> bool {
    now.headers != then.headers && !differ(now, then, false)
}

pub(super) fn key_changed(now: &Made, then: &Made) -> bool {
    matches!((now.key, then.key), (Some(now), Some(then)) if now != then)
}

impl Spec<'_> {
    pub(super) fn own(&self, m: M) -> Own {
        let Some(build) = self.build(m) else { return Own::Absent };
        let Some(now) = self.machine.now(m, self.k) else { return Own::Sound };
        match &build.written {
            None if !build.fits_kernel => Own::Wrong,
            None if build.outdated && !build.loaded => Own::Unfit,
            None if has_symbol_versions(self.k) && !same_symbols(now.headers, build.made.headers) => {
                Own::Unfit
            }
            None => Own::Foreign,
            Some(_) if differ(&now, &build.made, !self.fits_headers(m)) => Own::Stale,
            Some(_) => Own::Sound,
        }
    }

    /// Headers that changed do not count: the administrator wants it so, and the symbols are the same.
    pub(super) fn fits_headers(&self, m: M) -> bool {
        let Some((build, now)) = self.build(m).zip(self.machine.now(m, self.k)) else { return false };
        let Some(written) = &build.written else { return false };
        let looked_at = self.installed(m) && only_headers_differ(&now, &build.made);
        let fits = written.kept == Some(now.headers)
            || looked_at
                && (has_symbol_versions(self.k) || build.uses)
                && same_symbols(now.headers, build.made.headers);
        self.machine.abi && fits
    }

    /// Installed as it should be, whatever becomes of what it depends on.
    pub(super) fn held(&self, m: M) -> bool {
        let whole = self.installed(m) && self.machine.intact(m, self.k);
        whole && matches!(self.own(m), Own::Sound | Own::Foreign)
    }

    pub(super) fn choice(&self, name: Name) -> Choice {
        let readable = |known: &Registered| known.present && !known.conf.broken;
        let usable = |known: &Registered| readable(known) && !known.conf.refuses(self.k);
        let by_hand = |m: M| {
            self.machine.versions(name).any(|(other, known)| other >= m && usable(known) && known.conf.manual)
        };
        let decision = |(m, known): (M, &Registered)| {
            let refused = readable(known) && known.conf.refuses(self.k);
            // Somebody got it built all the same, from what is there now.
            let defiant = refused && !matches!(self.own(m), Own::Stale | Own::Wrong);
            if known.present && self.unseen(m) {
                return Some(if self.installed(m) { Choice::Stays(m) } else { Choice::Nothing });
            }
            if self.installed(m) && (!readable(known) || defiant) {
                Some(Choice::Stays(m))
            } else if known.present && known.conf.broken {
                // An older version is no cure for a broken conf.
                Some(Choice::Nothing)
            } else if usable(known) && (self.installed(m) || !by_hand(m)) {
                Some(Choice::This(m))
            } else {
                None
            }
        };
        let refused = self.refused_before(name, None);
        let none = if refused.is_empty() { Choice::Nothing } else { Choice::Refused };
        self.machine.versions(name).find_map(decision).unwrap_or(none)
    }

    /// Versions newer than one (all when `None`) that say they do not support this kernel.
    pub(super) fn refused_before(&self, name: Name, chosen: Option<M>) -> Vec<M> {
        self.machine
            .versions(name)
            .filter(|(m, _)| chosen.is_none_or(|chosen| *m > chosen))
            .filter(|(_, known)| known.present && !known.conf.broken && known.conf.refuses(self.k))
            .map(|(m, _)| m)
            .collect()
    }

    pub(super) fn needs(&self, name: Name) -> Vec<Name> {
        match self.choice(name) {
            Choice::This(m) => self.machine.modules[&m].conf.needs.clone(),
            _ => Vec::new(),
        }
    }

    /// Everything that a module depends on, at any remove.
    pub(super) fn reach(&self, name: Name) -> BTreeSet<Name> {
        let mut found = BTreeSet::new();
        for _ in NAMES {
            let step: Vec<Name> = found.iter().chain([&name]).flat_map(|n| self.needs(*n)).collect();
            found.extend(step);
        }
        found
    }
}
