//! What a run has to do, said as a difference: what every kernel should have, against what it has.
//!
//! Written from the documentation, not from the planner: nothing is walked in an order, no step is
//! numbered. What modules have of each other is the least solution of what each says of itself.

use std::collections::{BTreeMap, BTreeSet};

use dkms_hook::model::request::Goal;
use dkms_hook::plan::Options;

use crate::machine::{Build, K, KERNELS, M, Machine, Made, Name, Thing, Verdict};
use crate::observe::{id, release};

mod choice;
mod dependents;
mod endings;
mod kernels;
mod named;
mod older;
mod resign;
mod serve;

pub use choice::only_headers_differ;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `dkms-hook`: every kernel, or one.
    Reconcile(Option<K>, bool),
    /// `dkms autoinstall`.
    Autoinstall(K),
    /// `dkms kernel_prerm`.
    KernelLeft(K),
    /// `dkms remove --all`.
    Remove(M),
    /// `dkms add`, `build`, `install`, `uninstall`, `unbuild`, with `--force` or without.
    Bring { m: M, k: K, to: Goal, force: bool },
    /// `dkms-hook resign`: for every kernel, or one; every module, or one, in one version perhaps.
    Resign { k: Option<K>, module: Option<(Name, Option<u8>)> },
}

/// What may happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Register(M),
    /// Whatever speaks against it, when true.
    Build(M, K, bool),
    Adopt(M, K),
    Keep(M, K),
    Resign(M, K, bool),
    /// Whatever the version checks say, when true.
    Install(M, K, bool),
    Uninstall(M, K),
    Unbuild(M, K),
    Forget(M),
    Wait(K),
    /// Only if something has changed by then, when true.
    Depmod(K, bool),
    /// Whether whatever it holds; whatever has changed by then; and for which modules.
    Initramfs(K, bool, bool, BTreeSet<Name>),
    Sweep(K),
}

/// A duty that is fulfilled or void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    Headers,
    Depmod,
    Initramfs,
}

/// All that a plan must say, without any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub acts: BTreeSet<Act>,
    pub settled: BTreeSet<(K, Duty)>,
    /// What will be installed where modules are brought in line and nothing fails.
    pub wanted: BTreeMap<(Name, K), Made>,
    /// What will be built where a person asks and nothing fails.
    pub made: BTreeMap<(M, K), Made>,
}

struct Spec<'a> {
    machine: &'a Machine,
    options: &'a Options,
    k: K,
    retry: bool,
    /// A person asks for this kernel by name.
    asked: bool,
}

/// What a run has to do.
pub fn expected(machine: &Machine, ask: Ask, options: &Options) -> Expected {
    let machine = &*machine.as_seen();
    let mut out = Expected::default();
    let every = || (0..KERNELS.len() as K).collect();
    let mut scope: Vec<K> = match ask {
        Ask::Reconcile(None, _) | Ask::Resign { k: None, .. } => every(),
        Ask::Reconcile(Some(k), _) | Ask::Autoinstall(k) | Ask::KernelLeft(k) => vec![k],
        Ask::Resign { k: Some(k), .. } => vec![k],
        Ask::Remove(m) => (0..KERNELS.len() as K).filter(|k| machine.builds.contains_key(&(m, *k))).collect(),
        // That a source is registered concerns no kernel.
        Ask::Bring { to: Goal::Added, .. } => Vec::new(),
        Ask::Bring { k, .. } => vec![k],
    };
    scope.retain(|k| machine.knows(*k));
    scope.retain(|k| options.instead.is_empty() || options.instead.iter().any(|(at, _)| *at == release(*k)));
    let retry = match ask {
        // One more plan of a run that tried it.
        _ if !options.instead.is_empty() => false,
        Ask::Reconcile(_, retry) => retry,
        Ask::Bring { .. } => !options.heed_failures,
        _ => matches!(ask, Ask::Autoinstall(_)),
    };
    let asked = matches!(ask, Ask::Remove(_) | Ask::Bring { .. });
    for k in scope {
        let spec = Spec { machine, options, k, retry, asked };
        let unseen = machine.is_unseen(Thing::Kernel(k));
        match ask {
            // Nothing is decided for a kernel that cannot be looked at; a person may take away what is there.
            Ask::Reconcile(..) | Ask::Autoinstall(_) | Ask::KernelLeft(_) | Ask::Resign { .. } if unseen => {}
            Ask::Bring { to: Goal::Built | Goal::Installed, .. } if unseen => {}
            Ask::Reconcile(..) => spec.reconcile(&mut out),
            Ask::Autoinstall(_) if machine.no_autoinstall => {}
            Ask::Autoinstall(_) => match spec.kernel().headers {
                Some(_) => spec.serve(&mut out),
                None => drop(spec.without_headers(&mut out)),
            },
            Ask::KernelLeft(_) => spec.purge(&mut out),
            Ask::Remove(m) => spec.drop_build(m, &mut out),
            Ask::Bring { m, to, force, .. } => spec.named(m, to, force, &mut out),
            Ask::Resign { module, .. } => {
                // It is about signatures: what else is due is for others, unless files change.
                if !spec.resign(module, &mut out) {
                    continue;
                }
            }
        }
        spec.endings(&mut out);
    }
    match ask {
        Ask::Remove(m) if machine.modules.contains_key(&m) => {
            // What may be a build keeps the entry.
            let perhaps = |k: K| {
                machine.is_unseen(Thing::Build(m, k))
                    && !machine.builds.contains_key(&(m, k))
                    && machine.knows(k)
            };
            if !(0..KERNELS.len() as K).any(perhaps) {
                out.acts.insert(Act::Forget(m));
            }
        }
        Ask::Bring { m, to: Goal::Added, .. } if !machine.modules.contains_key(&m) => {
            out.acts.insert(Act::Register(m));
        }
        _ => {}
    }
    out
}

impl Spec<'_> {
    fn kernel(&self) -> &crate::machine::Kernel {
        &self.machine.kernels[usize::from(self.k)]
    }

    /// The build of a module version cannot be looked at.
    fn unseen(&self, m: M) -> bool {
        self.machine.is_unseen(Thing::Build(m, self.k))
    }

    /// Nobody knows whether it failed before, and nobody asks for another try.
    fn untold(&self, m: M) -> bool {
        !self.retry && self.machine.is_unseen(Thing::Verdict(m, self.k))
    }

    fn build(&self, m: M) -> Option<&Build> {
        self.machine.builds.get(&(m, self.k))
    }

    fn verdict(&self, m: M) -> Option<&Verdict> {
        self.machine.verdicts.get(&(m, self.k))
    }

    fn installed(&self, m: M) -> bool {
        self.machine.installed(m.0, self.k) == Some(m)
    }

    /// Whether this plan is about a module by itself.
    fn in_question(&self, name: Name) -> bool {
        let instead = &self.options.instead;
        instead.is_empty() || instead.contains(&(release(self.k), id(M(name, 0)).name))
    }

    fn names(&self) -> BTreeSet<Name> {
        self.machine.modules.keys().map(|m| m.0).collect()
    }
}
