//! Modules that a machine should start no kernel without.

use std::fmt;

use crate::model::ids::ModuleName;

/// A registered module that this machine seems to depend on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proposal {
    /// Its package.
    pub module: ModuleName,
    /// Which of its kernel modules is meant.
    pub driver: String,
    /// What would be missing without it.
    pub because: Because,
}

/// What a machine needs a module for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// A file system that the system itself is on.
    FileSystem {
        /// Where it is mounted.
        at: String,
    },
    /// The network card that the machine is reached by.
    Network {
        /// The interface of a default route.
        interface: String,
    },
    /// What the machine shows a picture with.
    Display {
        /// Its name in sysfs: `card0`, or its address on the bus.
        device: String,
    },
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileSystem { at } => write!(f, "{at} is on such a file system"),
            Self::Network { interface } => {
                write!(f, "the network card {interface} has the default route")
            }
            Self::Display { device } => write!(f, "the display {device} uses it"),
        }
    }
}
