//! What `dkms status` says of a module version. The words are those of `report`.

use std::path::PathBuf;

use crate::model::ids::{Cell, ModuleId};

/// One line of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusLine {
    /// Registered, but the source or the link to it is gone.
    Broken(ModuleId),
    /// Registered; no build that the filter lets through.
    Added(ModuleId),
    /// Built for one kernel.
    Built {
        /// The module version, kernel and architecture.
        cell: Cell,
        /// Whether it is also the installed version for that kernel.
        installed: bool,
        /// What to mention about it.
        remarks: Remarks,
    },
}

/// The remarks behind a `built` or `installed`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Modules that were there before ours are kept in the tree.
    pub originals: bool,
    /// The first thing found wrong with the module files.
    pub trouble: Option<Trouble>,
}

/// What can be wrong with the module files of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A module that belongs to the build is not in the tree.
    Missing,
    /// An installed file is not the built one, or is gone.
    Different,
    /// The installed files are the built ones, and modprobe(8) takes this one instead.
    Displaced(PathBuf),
    /// The installed files are the built ones, and the index of modules does not know them: depmod(8) has not run
    /// since, or left them out.
    NotIndexed,
}

impl StatusLine {
    /// The module version that the line is about.
    pub fn module(&self) -> &ModuleId {
        match self {
            Self::Broken(id) | Self::Added(id) => id,
            Self::Built { cell, .. } => &cell.module,
        }
    }
}
