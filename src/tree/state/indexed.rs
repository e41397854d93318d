//! `.dkms-hook.indexed.json`: what the index of a kernel's modules said of a build.

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};

/// A look into the index, after depmod had seen the installed files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Digest of what was compared.
    pub seen: String,
    /// The index names the installed files.
    pub ours: bool,
}

/// [`Look`].
#[derive(Serialize, Deserialize)]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    seen: String,
    ours: bool,
}

impl super::OnDisk for OnDisk {
    type Model = Look;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<Look, String> {
        let Self { format: _, seen, ours } = self;
        Ok(Look { seen, ours })
    }
}

impl From<&Look> for OnDisk {
    fn from(look: &Look) -> Self {
        let Look { seen, ours } = look.clone();
        Self { format: FORMAT, seen, ours }
    }
}
