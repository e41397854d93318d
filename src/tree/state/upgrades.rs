//! `.dkms-hook/rpm-upgrades.json`: modules that an rpm transaction is adding.

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};
use crate::model::ids::ModuleId;

/// A module version that a process of rpm is adding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// Which.
    pub module: ModuleId,
    /// The process.
    pub pid: u32,
    /// When that was started, in clock ticks since the system was (proc_pid_stat(5), field 22): process ids
    /// are used again.
    pub started: u64,
}

/// All of them. The first versions wrote a bare list.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum OnDisk {
    /// As today.
    Numbered {
        #[serde(default = "first")]
        format: u64,
        adding: Vec<Adding>,
    },
    /// As at first.
    Bare(Vec<Adding>),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Adding {
    module: Module,
    by: Process,
}

#[derive(Serialize, Deserialize)]
struct Module {
    name: String,
    version: String,
}

#[derive(Serialize, Deserialize)]
struct Process {
    pid: u32,
    started: u64,
}

impl super::OnDisk for OnDisk {
    type Model = Vec<Upgrade>;

    fn format(&self) -> u64 {
        match self {
            Self::Numbered { format, .. } => *format,
            Self::Bare(_) => first(),
        }
    }

    fn into_model(self) -> Result<Vec<Upgrade>, String> {
        let (Self::Numbered { adding, .. } | Self::Bare(adding)) = self;
        let upgrade = |Adding { module, by }: Adding| {
            let module = ModuleId::new(&module.name, &module.version).map_err(|error| error.to_string())?;
            Ok(Upgrade { module, pid: by.pid, started: by.started })
        };
        adding.into_iter().map(upgrade).collect()
    }
}

impl From<&[Upgrade]> for OnDisk {
    fn from(upgrades: &[Upgrade]) -> Self {
        let adding = |upgrade: &Upgrade| Adding {
            module: Module {
                name: upgrade.module.name.to_string(),
                version: upgrade.module.version.to_string(),
            },
            by: Process { pid: upgrade.pid, started: upgrade.started },
        };
        Self::Numbered { format: FORMAT, adding: upgrades.iter().map(adding).collect() }
    }
}
