//! A failed build in a few lines.

use crate::model::error::Kind;
use crate::model::ids::{Cell, Version};
use crate::model::record::FailureNote;

/// A failure in a few lines: module, kernel, first errors, log, the version that is installed instead, next step.
pub fn describe(cell: &Cell, failure: &FailureNote, instead: Option<&Version>) -> String {
    let mut text = format!("  {} for kernel {}: {}\n", cell.module, cell.kernel, failure.what);
    for line in &failure.first_errors {
        text.push_str(&format!("      {line}\n"));
    }
    if let Some(log) = &failure.log {
        text.push_str(&format!("    log:  {}\n", log.display()));
    }
    if let Some(version) = instead {
        text.push_str(&format!("    {}/{version} is installed for this kernel instead\n", cell.module.name));
    }
    let again = match failure.kind {
        Kind::NotSigned => format!("dkms-hook resign {} -k {}", cell.module, cell.kernel),
        _ => format!("dkms install {} -k {}", cell.module, cell.kernel),
    };
    match &failure.hint {
        Some(hint) => text.push_str(&format!("    next: {}; then `{again}`\n", hint.trim_end_matches('.'))),
        None => text.push_str(&format!(
            "    next: look for a newer version of this module that supports {}, or keep using an older kernel;\n          to try again: `{again}`\n",
            cell.kernel
        )),
    }
    text
}
