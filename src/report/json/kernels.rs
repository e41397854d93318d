//! `dkms-hook kernels --json`: docs/kernels.schema.json.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::{FORMAT, value};
use crate::report::kernels::{self, State};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kernels<'a> {
    format: u32,
    kernels: Vec<Kernel<'a>>,
    newest: Option<&'a str>,
    supported: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kernel<'a> {
    release: &'a str,
    running: bool,
    default: bool,
    newest: bool,
    leaving: bool,
    has_everything: bool,
    modules: Vec<Module<'a>>,
}

#[derive(Serialize)]
struct Module<'a> {
    name: &'a str,
    version: &'a str,
    there: bool,
    #[serde(flatten)]
    state: Stands<'a>,
}

/// [`State`].
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum Stands<'a> {
    Installed,
    OlderInstead { of: &'a str },
    ToDo,
    Waiting { package: &'a str },
    Excluded { why: &'a str },
    Failed { what: &'a str, log: Option<&'a Path> },
    Missing { why: &'a str },
}

/// Which kernels there are, and what each has.
pub fn kernels(kernels: &kernels::Kernels) -> Value {
    let newest = kernels.kernels.iter().find(|row| row.newest).map(|row| row.release.as_str());
    let supported = kernels.supported().map(|release| release.as_str());
    value(Kernels {
        format: FORMAT,
        kernels: kernels.kernels.iter().map(Kernel::from).collect(),
        newest,
        supported,
    })
}

impl<'a> From<&'a kernels::Row> for Kernel<'a> {
    fn from(row: &'a kernels::Row) -> Self {
        Self {
            release: row.release.as_str(),
            running: row.running,
            default: row.default,
            newest: row.newest,
            leaving: row.leaving,
            has_everything: row.has_everything(),
            modules: row.modules.iter().map(Module::from).collect(),
        }
    }
}

impl<'a> From<&'a kernels::Module> for Module<'a> {
    fn from(module: &'a kernels::Module) -> Self {
        let state = match &module.state {
            State::Installed => Stands::Installed,
            State::OlderInstead(of) => Stands::OlderInstead { of: of.as_str() },
            State::ToDo => Stands::ToDo,
            State::Waiting(package) => Stands::Waiting { package },
            State::Excluded(why) => Stands::Excluded { why },
            State::Failed(what, log) => Stands::Failed { what, log: log.as_deref() },
            State::Missing(why) => Stands::Missing { why },
        };
        Self {
            name: module.name.as_str(),
            version: module.version.as_str(),
            there: module.state.is_there(),
            state,
        }
    }
}
