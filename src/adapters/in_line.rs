//! What every package manager's hook comes to: kernels are brought in line, and what a person should
//! know of it is told in short lines.

use std::collections::BTreeSet;

use crate::apply::run::Flags;
use crate::machine::{Machine, Ran};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::model::record::Overrides;
use crate::model::request::Request;
use crate::plan::{Action, Note, Options};
use crate::progress::Report;
use crate::tree::failures;

/// Brings these kernels in line, or all of them.
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub(super) fn bring(
    machine: &Machine,
    kernels: Option<Vec<KernelRelease>>,
    options: &Options,
    report: &dyn Report,
) -> Result<()> {
    let request = Request::Reconcile { kernels, retry: false };
    carry_out(machine, &request, options, report)
}

/// Carries out what a hook asks for.
///
/// # Errors
/// As for [`bring`].
pub(super) fn carry_out(
    machine: &Machine,
    request: &Request,
    options: &Options,
    report: &dyn Report,
) -> Result<()> {
    let ran = machine.run(request, options, &Overrides::default(), &Flags::default(), report)?;
    tell(machine, &ran, report);
    Ok(())
}

/// A note that cannot be written is no reason not to do the rest.
pub(super) fn or_warn(result: Result<()>, report: &dyn Report) {
    if let Err(error) = result {
        report.warning(&format!("dkms-hook: {error}"));
    }
}

/// Short lines for the package manager's terminal. Failed builds are told at the end, together.
fn tell(machine: &Machine, ran: &Ran, report: &dyn Report) {
    if let Some(error) = ran.stop() {
        report.warning(&format!("dkms-hook: {error}"));
    }
    for (action, error) in ran.errors() {
        match action {
            Action::Build { cell, .. } if failures::will_tell(&machine.layout, cell) => {
                report.line(&format!(
                    "dkms-hook: {} could not be built for {}; the package manager continues.",
                    cell.module, cell.kernel
                ))
            }
            _ => report.warning(&format!("dkms-hook: {error}")),
        }
    }
    for note in &ran.plan.notes {
        match note {
            Note::Waiting { kernel, .. } => {
                let first = ran
                    .plan
                    .steps
                    .iter()
                    .any(|s| matches!(&s.action, Action::Wait { kernel: k, .. } if k == kernel));
                if first {
                    report.line(&format!("dkms-hook: {}", note.text()));
                }
            }
            // A removal leaves no kernel behind; that is no finding.
            Note::UnknownKernel { .. } => {}
            note if note.is_failure() => match note {
                // Said once, when it was refused.
                Note::Refused { .. } => {}
                // What this transaction has not told yet comes in the summary at its end.
                Note::FailedBefore { failure, .. } if !failure.reported => {}
                Note::FailedBefore { cell, .. } => report.line(&format!(
                    "dkms-hook: {} failed to build for {} before; not retried.",
                    cell.module, cell.kernel
                )),
                note => report.warning(&format!("dkms-hook: {}", note.text())),
            },
            _ => {}
        }
    }
}

/// What a hook is given as a release, checked.
///
/// # Errors
/// When it is none.
pub fn release(text: &str) -> Result<KernelRelease> {
    KernelRelease::new(text).map_err(|e| Error::new(Kind::BadName, e.to_string()))
}

/// Releases whose file `lib/modules/R/<file>` is one of these paths of packages (with or without a
/// slash before them, with or without `usr/`; that of a directory ends with a slash).
pub(super) fn releases_with<'a>(
    paths: impl IntoIterator<Item = &'a str>,
    file: &str,
) -> BTreeSet<KernelRelease> {
    let release = |path: &str| {
        let path = path.trim_start_matches('/');
        let path = path.strip_prefix("usr/").unwrap_or(path);
        let (release, rest) = path.strip_prefix("lib/modules/")?.split_once('/')?;
        (rest == file).then(|| KernelRelease::new(release).ok()).flatten()
    };
    paths.into_iter().filter_map(release).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_come_from_the_paths_of_their_images() {
        let paths = [
            "/lib/modules/6.1-1.fc40.x86_64/vmlinuz",
            "usr/lib/modules/6.2-arch1-1/vmlinuz",
            "usr/lib/modules/6.3/kernel/vmlinuz",
            "/lib/modules//vmlinuz",
            "usr/lib/modules/6.4/modules.order",
        ];
        let found: Vec<String> = releases_with(paths, "vmlinuz").iter().map(ToString::to_string).collect();
        assert_eq!(found, ["6.1-1.fc40.x86_64", "6.2-arch1-1"]);
    }
}
