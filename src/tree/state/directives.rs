//! `.dkms-hook-conf.json`: the directives that a build was made with.

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};
use crate::model::directive::Directives;

/// [`Directives`]. The first versions wrote them without anything around them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum OnDisk {
    /// As today.
    Numbered {
        #[serde(default = "first")]
        format: u64,
        directives: Directives,
    },
    /// As at first.
    Bare(Directives),
}

impl super::OnDisk for OnDisk {
    type Model = Directives;

    fn format(&self) -> u64 {
        match self {
            Self::Numbered { format, .. } => *format,
            Self::Bare(_) => first(),
        }
    }

    fn into_model(self) -> Result<Directives, String> {
        match self {
            Self::Numbered { directives, .. } | Self::Bare(directives) => Ok(directives),
        }
    }
}

impl From<&Directives> for OnDisk {
    fn from(directives: &Directives) -> Self {
        Self::Numbered { format: FORMAT, directives: directives.clone() }
    }
}
