//! `dkms-hook secure-boot --json`: docs/secure-boot.schema.json.

use serde::Serialize;
use serde_json::Value;

use super::status::{Key, SecureBoot};
use super::{FORMAT, value};
use crate::kernel;
use crate::report::secure_boot as table;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Table<'a> {
    format: u32,
    secure_boot: SecureBoot,
    shim: bool,
    keys: Vec<Key<'a>>,
    kernels: Vec<Kernel<'a>>,
    status: u8,
}

/// [`table::OfKernel`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kernel<'a> {
    release: &'a str,
    running: bool,
    enforces: Option<bool>,
    text: String,
    modules: Vec<Module<'a>>,
}

/// [`table::OfModule`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Module<'a> {
    module: Option<&'a str>,
    file: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<&'static str>,
    text: Vec<String>,
}

/// What the text says, for programs.
pub fn secure_boot(table: &table::Table) -> Value {
    value(Table {
        format: FORMAT,
        secure_boot: table.boot.secure.into(),
        shim: table.boot.shim,
        keys: table.keys.iter().map(Into::into).collect(),
        kernels: table.kernels.iter().map(kernel).collect(),
        status: table.status(),
    })
}

fn kernel(kernel: &table::OfKernel) -> Kernel<'_> {
    let (enforces, text) = match &kernel.enforced {
        kernel::Answer::Yes(enforcer) => (Some(true), enforcer.to_string()),
        kernel::Answer::No(()) => (Some(false), String::new()),
        kernel::Answer::Unknown(missing) => (None, missing.to_string()),
    };
    Kernel {
        release: kernel.release.as_str(),
        running: kernel.running,
        enforces,
        text,
        modules: kernel.modules.iter().map(module).collect(),
    }
}

fn module(module: &table::OfModule) -> Module<'_> {
    let (verdict, because, missing, text) = match &module.verdict {
        kernel::Verdict::Loads => ("loads", None, Vec::new(), Vec::new()),
        kernel::Verdict::Refused(why) => ("refused", Some(refusal(why)), Vec::new(), vec![why.to_string()]),
        kernel::Verdict::CannotTell(missing) => (
            "cannot-tell",
            None,
            missing.iter().map(name).collect(),
            missing.iter().map(ToString::to_string).collect(),
        ),
    };
    Module {
        module: module.module.as_deref(),
        file: module.file.display().to_string(),
        verdict,
        because,
        missing,
        text,
    }
}

/// [`kernel::Refusal`].
pub fn refusal(why: &kernel::Refusal) -> &'static str {
    match why {
        kernel::Refusal::Unsigned(_) => "unsigned",
        kernel::Refusal::UnknownKey(..) => "unknown-key",
        kernel::Refusal::Digest(..) => "digest",
        kernel::Refusal::Changed(_) => "changed",
        kernel::Refusal::Malformed(_) => "malformed",
    }
}

/// [`kernel::Missing`].
pub fn name(missing: &kernel::Missing) -> &'static str {
    match missing {
        kernel::Missing::Config => "configuration",
        kernel::Missing::Parameters => "parameters",
        kernel::Missing::OneSetOfParameters => "one-set-of-parameters",
        kernel::Missing::Firmware => "firmware",
        kernel::Missing::Shim => "shim",
        kernel::Missing::Efi => "efi",
        kernel::Missing::PlatformPatch => "platform-keys",
        kernel::Missing::BuiltinKeys(_) => "builtin-keys",
        kernel::Missing::Signer => "signer",
        kernel::Missing::Digest(_) => "digest",
        kernel::Missing::Content(_) => "content",
        kernel::Missing::Form(_) => "form",
        kernel::Missing::Unblocked => "unblocked",
        kernel::Missing::ImaPolicy => "ima-policy",
        kernel::Missing::File(_) => "file",
    }
}
