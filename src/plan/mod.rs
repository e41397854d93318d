//! Decides: what was observed and what is asked become the smallest ordered set of actions, each
//! with its reason. Pure: no files, no processes, no clock; the same input gives the same plan.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::model::ids::{Cell, KernelRelease, ModuleId, ModuleName};

mod bring;
mod builds;
mod choice;
mod condition;
mod dependents;
mod depends;
mod ending;
mod guard;
mod headerless;
mod index;
mod install;
mod names;
mod note;
mod note_text;
mod planner;
mod provision;
mod purge;
mod reason;
mod reconcile;
mod resign;
mod sharing;
#[cfg(test)]
mod tests;

pub use condition::Condition;
pub use guard::danger;
pub use note::{Note, Subject};
pub use note_text::other_architecture;
pub use planner::kernels_of;
pub use reason::Reason;

use crate::model::request::Request;
use crate::model::system::{Questions, System};

/// What to do, in an order that respects every `needs`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The actions.
    pub steps: Vec<Step>,
    /// Where nothing is done although something might be expected, and why.
    pub notes: Vec<Note>,
    /// Remembered duties that are fulfilled or void, to be forgotten. Nobody need see it: nothing
    /// on disk changes but our own note.
    pub settled: BTreeSet<(KernelRelease, Duty)>,
    /// Something is kept or remembered of a kernel that is not on disk, because nothing proves that it is
    /// gone.
    pub in_doubt: bool,
    /// Builds that are not installed because of what the kernel has already, and why: to be written down,
    /// so that the next run need not look.
    pub refused: Vec<(Cell, String)>,
    /// What would have to be looked at to say more. A plan with questions is not carried out.
    pub questions: Questions,
}

/// A duty that a kernel note can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Building when the headers arrive.
    Headers,
    /// Running depmod.
    Depmod,
    /// Making the initramfs again.
    Initramfs,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Indices of earlier steps that must have succeeded.
    pub needs: Vec<usize>,
    /// What else decides, when its turn comes, whether it is carried out.
    pub when: Condition,
}

/// What can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Register a source that lies in the source tree.
    Add {
        /// The module version.
        module: ModuleId,
    },
    /// Build, replacing an earlier build once the new one is complete.
    Build {
        /// Where.
        cell: Cell,
        /// Build even though something (a missing dependency) speaks against it.
        force: bool,
        /// The cache of builds has it: it is copied from there.
        cached: bool,
    },
    /// Take over a build made by DKMS: write down what it was made from.
    Adopt {
        /// Where.
        cell: Cell,
    },
    /// Keep a build although the headers changed, and write down that it fits them.
    Keep {
        /// Where.
        cell: Cell,
    },
    /// Sign a build with the present key, in place of the signature that it bears.
    Resign {
        /// Where.
        cell: Cell,
        /// Its installed files, which are those of the build, follow.
        reinstall: bool,
    },
    /// Copy the build below `/lib/modules`.
    Install {
        /// Where.
        cell: Cell,
        /// Whatever the version checks say.
        force: bool,
        /// Its POST_INSTALL runs then, after a depmod of its own.
        post_install: bool,
        /// Files of the same names that are there and are set aside, inside the root.
        aside: Vec<PathBuf>,
    },
    /// Remove what was installed, and put back what was there before.
    Uninstall {
        /// Where.
        cell: Cell,
    },
    /// Delete a build.
    Unbuild {
        /// Where.
        cell: Cell,
    },
    /// Take a module version out of the tree.
    Forget {
        /// The module version.
        module: ModuleId,
    },
    /// Remember that modules wait for the headers of a kernel.
    Wait {
        /// The kernel.
        kernel: KernelRelease,
        /// The package that brings them.
        package: String,
    },
    /// depmod, once for everything that changed below `/lib/modules/K`.
    Depmod {
        /// The kernel.
        kernel: KernelRelease,
    },
    /// Make the initramfs again.
    Initramfs {
        /// The kernel.
        kernel: KernelRelease,
        /// Whatever it holds.
        always: bool,
        /// Names of the modules for which it is made: those that change, and are in it or belong into it.
        modules: Vec<String>,
    },
    /// Load the modules that the machine's devices ask for, now that there are new ones.
    Modprobe {
        /// The running kernel.
        kernel: KernelRelease,
    },
    /// Let other kernels use the modules of this one, by the distribution's own program.
    Share {
        /// The kernel that has the modules.
        kernel: KernelRelease,
    },
    /// Take the link to the module of one kernel away from another.
    Unlink {
        /// The module, and the kernel that it was built for.
        cell: Cell,
        /// The kernel that has the link.
        other: KernelRelease,
        /// A build of its own follows.
        replaced: bool,
    },
    /// See to it that the kernel that is started by itself has every essential module.
    Guard,
    /// Remove what is left of a kernel that is gone.
    Sweep {
        /// The kernel.
        kernel: KernelRelease,
    },
}

impl Action {
    /// The cell it acts on, if it acts on one.
    pub fn cell(&self) -> Option<&Cell> {
        match self {
            Self::Build { cell, .. }
            | Self::Adopt { cell }
            | Self::Keep { cell }
            | Self::Resign { cell, .. }
            | Self::Install { cell, .. }
            | Self::Uninstall { cell }
            | Self::Unbuild { cell } => Some(cell),
            _ => None,
        }
    }

    /// The kernel it acts on, if it acts on one.
    pub fn kernel(&self) -> Option<&KernelRelease> {
        match self {
            Self::Wait { kernel, .. }
            | Self::Depmod { kernel }
            | Self::Initramfs { kernel, .. }
            | Self::Modprobe { kernel }
            | Self::Share { kernel }
            | Self::Unlink { other: kernel, .. }
            | Self::Sweep { kernel } => Some(kernel),
            other => other.cell().map(|c| &c.kernel),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = |f: &mut fmt::Formatter<'_>, verb: &str, cell: &Cell| {
            write!(f, "{verb} {} for {}", cell.module, cell.kernel)
        };
        match self {
            Self::Add { module } => write!(f, "add {module}"),
            Self::Build { cell, cached, .. } => {
                on(f, "build", cell)?;
                f.write_str(if *cached { " (from the cache)" } else { "" })
            }
            Self::Adopt { cell } => on(f, "take over", cell),
            Self::Keep { cell } => on(f, "keep", cell),
            Self::Resign { cell, .. } => on(f, "sign", cell),
            Self::Install { cell, post_install, aside, .. } => {
                on(f, "install", cell)?;
                for (index, file) in aside.iter().enumerate() {
                    let before = if index == 0 { ", setting aside " } else { " and " };
                    write!(f, "{before}{}", file.display())?;
                }
                f.write_str(if *post_install { ", then depmod and its POST_INSTALL" } else { "" })
            }
            Self::Uninstall { cell } => on(f, "uninstall", cell),
            Self::Unbuild { cell } => on(f, "delete the build of", cell),
            Self::Forget { module } => write!(f, "remove {module} from the tree"),
            Self::Wait { kernel, package } => write!(f, "remember that {kernel} waits for {package}"),
            Self::Depmod { kernel } => write!(f, "depmod {kernel}"),
            Self::Initramfs { kernel, .. } => write!(f, "rebuild the initramfs of {kernel}"),
            Self::Modprobe { kernel } => write!(f, "load modules into the running kernel {kernel}"),
            Self::Share { kernel } => write!(f, "share modules of {kernel} with other kernels"),
            Self::Unlink { cell, other, .. } => {
                write!(f, "remove the link to {} of {} from {other}", cell.module, cell.kernel)
            }
            Self::Guard => f.write_str("look after the boot guard"),
            Self::Sweep { kernel } => write!(f, "sweep up after {kernel}"),
        }
    }
}

/// Who makes the initramfs after modules changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitramfsDuty {
    /// We do, in this run, for what changes now and for what earlier runs left due.
    Now,
    /// A later run of ours does: remember that it is due.
    Later,
}

/// What a run is allowed and obliged to do beside the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Run depmod (`--no-depmod` says no).
    pub depmod: bool,
    /// Who makes the initramfs.
    pub initramfs: InitramfsDuty,
    /// A kernel came or went, or its headers did: an initramfs made before may lack modules that
    /// belong into it, so it is made again whatever it holds now.
    pub kernel_event: bool,
    /// Install as with `--force`, whatever is asked for.
    pub force_install: bool,
    /// Install whatever MODULE_VERSION the present module has.
    pub any_version: bool,
    /// Retry builds whose failure may have been the toolchain's (half-unpacked packages).
    pub retry_provisional: bool,
    /// Do not build again what failed with the same inputs, even when asked for by name: a
    /// package's script asks, not a person.
    pub heed_failures: bool,
    /// The package manager says that the kernel was removed: builds that DKMS made for it and
    /// nobody took over go, too.
    pub kernel_left: bool,
    /// A person says that kernels which are not on disk are gone for good, whatever the directory that
    /// should hold them looks like.
    pub purge_missing: bool,
    /// Kernels for which whoever called us runs depmod as soon as this run is over.
    pub depmod_follows: BTreeSet<KernelRelease>,
    /// Kernels whose own package will make the initramfs later in this transaction.
    pub initramfs_follows: BTreeSet<KernelRelease>,
    /// This is one more plan of a run that is under way. It is about these modules alone, whose newest version did not
    /// compile in it, or that were left out for one of those. Nothing is tried again. Empty for every other plan.
    pub instead: BTreeSet<(KernelRelease, ModuleName)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            depmod: true,
            initramfs: InitramfsDuty::Now,
            kernel_event: false,
            force_install: false,
            any_version: false,
            retry_provisional: true,
            heed_failures: false,
            kernel_left: false,
            purge_missing: false,
            depmod_follows: BTreeSet::new(),
            initramfs_follows: BTreeSet::new(),
            instead: BTreeSet::new(),
        }
    }
}

/// Makes the plan.
pub fn plan(system: &System, request: &Request, options: &Options) -> Plan {
    let mut planner = planner::Planner::new(system, options);
    planner.note_blind_modules(request);
    match request {
        Request::Reconcile { kernels, retry } => planner.reconcile(kernels.as_deref(), *retry),
        Request::Autoinstall { kernel, arch } => planner.autoinstall(kernel, arch),
        Request::Bring { module, kernel, arch, to, force } => {
            let cell = Cell { module: module.clone(), kernel: kernel.clone(), arch: arch.clone() };
            planner.bring(cell, *to, *force);
        }
        Request::Remove { module, cells } => planner.remove(module, cells),
        Request::Resign { kernels, modules, .. } => planner.resign(kernels.as_deref(), modules),
        Request::KernelRemoved { kernel } => planner.purge_kernel(kernel, Reason::KernelRemoved),
    }
    planner.finish()
}

impl Plan {
    /// True when there is nothing to do. Notes may still have something to say.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// True when a run would write nothing at all, not even a note of its own.
    pub fn is_idle(&self) -> bool {
        self.steps.is_empty() && self.settled.is_empty() && self.refused.is_empty()
    }
}
