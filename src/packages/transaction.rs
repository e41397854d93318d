//! What the packages of one transaction bring together.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Package};
use crate::model::ids::KernelRelease;

/// What the packages of one transaction bring together: a kernel and its headers are nearly never in
/// the same package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Releases of which the kernel comes, with the name that its headers may be called by
    /// ([`crate::observe::distribution::Distribution::headers_package`]).
    pub kernels: BTreeMap<KernelRelease, Option<String>>,
    /// Releases of which headers come.
    pub headers: BTreeSet<KernelRelease>,
    /// Directories of `/usr/src` with a dkms.conf.
    pub sources: BTreeSet<String>,
    /// Packages that could not be looked into: a kernel, headers or nothing of the kind may be in them.
    pub unseen: BTreeSet<String>,
}

impl Transaction {
    /// Puts packages together.
    pub fn of(packages: &[Package]) -> Self {
        let mut out = Self::default();
        for package in packages {
            for kernel in &package.brings.kernels {
                let base = (package.kind == Kind::Pacman).then(|| package.name.clone());
                out.kernels
                    .entry(kernel.clone())
                    .or_default()
                    .get_or_insert_with(|| base.unwrap_or_default());
            }
            out.headers.extend(package.brings.headers.iter().cloned());
            out.sources.extend(package.brings.sources.iter().cloned());
        }
        out.kernels.values_mut().for_each(|base| *base = base.take().filter(|base| !base.is_empty()));
        out
    }

    /// True when no kernel is concerned.
    pub fn is_empty(&self) -> bool {
        self.kernels.is_empty() && self.headers.is_empty()
    }

    /// The kernels that it is about.
    pub fn releases(&self) -> BTreeSet<KernelRelease> {
        self.kernels.keys().chain(&self.headers).cloned().collect()
    }
}
