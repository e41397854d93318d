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
    /// Releases of which the kernel goes, and does not come again.
    pub leaving: BTreeSet<KernelRelease>,
    /// Compilers that come, as [`super::Brings::compilers`] names them. An older one may be there already.
    pub compilers: BTreeSet<String>,
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
            out.compilers.extend(package.brings.compilers.iter().cloned());
        }
        out.kernels.values_mut().for_each(|base| *base = base.take().filter(|base| !base.is_empty()));
        out
    }

    /// The same, with kernels whose image is in packages that go. One of which something comes stays.
    #[must_use]
    pub fn without(mut self, leaving: impl IntoIterator<Item = KernelRelease>) -> Self {
        self.leaving.extend(leaving);
        self.leaving.retain(|release| !self.kernels.contains_key(release));
        self
    }

    /// True when it has nothing to do with kernels and their modules.
    pub fn is_empty(&self) -> bool {
        self.kernels.is_empty()
            && self.headers.is_empty()
            && self.sources.is_empty()
            && self.leaving.is_empty()
    }

    /// The kernels of which something comes.
    pub fn releases(&self) -> BTreeSet<KernelRelease> {
        self.kernels.keys().chain(&self.headers).cloned().collect()
    }
}
