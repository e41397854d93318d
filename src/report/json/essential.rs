//! `dkms-hook essential --json`: docs/essential.schema.json.

use serde::Serialize;
use serde_json::Value;

use super::settings::Origin;
use super::{FORMAT, value};
use crate::model::essential::{self, Proposal};
use crate::model::settings::Settings;

#[derive(Serialize)]
struct Essential<'a> {
    format: u32,
    essential: Vec<&'a str>,
    from: Origin<'a>,
    boot_guard: bool,
    proposals: Vec<Proposed<'a>>,
}

#[derive(Serialize)]
struct Proposed<'a> {
    module: &'a str,
    driver: &'a str,
    because: Because<'a>,
    essential: bool,
}

/// [`essential::Because`].
#[derive(Serialize)]
#[serde(tag = "need", rename_all = "kebab-case")]
enum Because<'a> {
    FileSystem { at: &'a str },
    Network { interface: &'a str },
    Display { device: &'a str },
}

/// What is essential, and what is proposed.
pub fn essential(settings: &Settings, proposals: &[Proposal]) -> Value {
    let proposed = |proposal: &'_ Proposal| -> bool { settings.essential.contains(&proposal.module) };
    value(Essential {
        format: FORMAT,
        essential: settings.essential.iter().map(|name| name.as_str()).collect(),
        from: Origin::from(&settings.essential.origin),
        boot_guard: *settings.boot_guard,
        proposals: proposals
            .iter()
            .map(|proposal| Proposed {
                module: proposal.module.as_str(),
                driver: &proposal.driver,
                because: Because::from(&proposal.because),
                essential: proposed(proposal),
            })
            .collect(),
    })
}

impl<'a> From<&'a essential::Because> for Because<'a> {
    fn from(because: &'a essential::Because) -> Self {
        match because {
            essential::Because::FileSystem { at } => Self::FileSystem { at },
            essential::Because::Network { interface } => Self::Network { interface },
            essential::Because::Display { device } => Self::Display { device },
        }
    }
}
