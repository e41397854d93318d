//! What is told at the end of a package manager's run.

use std::io::Write;

use crate::fs::atomic;
use crate::model::error::Result;
use crate::model::ids::{Cell, Version};
use crate::model::settings::Limit;
use crate::model::version;
use crate::progress::Report;
use crate::report::summary::describe;
use crate::tree::failures::failures;
use crate::tree::held::{self, Held};
use crate::tree::layout::Layout;
use crate::tree::lock;
use crate::tree::registry;
use crate::tree::state;

/// Shows the failures that nobody has been told of, and marks them as told. Another run is waited for
/// as long as `patience` says.
///
/// # Errors
/// When that cannot be written down.
pub fn print_unreported(layout: &Layout, patience: Limit, report: &dyn Report) -> Result<()> {
    let marker = layout.unreported();
    if !marker.exists() {
        return Ok(());
    }
    let _lock = lock::take(layout, patience, report)?;
    let mut text = String::new();
    for (cell, mut verdict) in failures(layout) {
        let Some(failure) = verdict.failure.as_mut().filter(|f| !f.reported) else { continue };
        text.push_str(&describe(&cell, failure, installed_instead(layout, &cell).as_ref()));
        failure.reported = true;
        state::save_verdict(layout, &cell, &verdict)?;
    }
    if !text.is_empty() {
        let head = "dkms-hook: these kernel modules could not be built:\n";
        let _ = write!(std::io::stderr(), "\n{head}{text}");
    }
    if let Some(held) = held::held(layout).filter(|held| !held.told) {
        let _ = write!(std::io::stderr(), "\ndkms-hook: a transaction was held: {}\n", held.text);
        held::save(layout, &Held { told: true, ..held })?;
    }
    atomic::remove(&marker, &layout.state())
}

/// The older version of a module that is installed where one failed.
fn installed_instead(layout: &Layout, failed: &Cell) -> Option<Version> {
    let active = registry::active(layout, &failed.module.name, &failed.kernel, &failed.arch)?;
    version::compare(active.as_str(), failed.module.version.as_str()).is_lt().then_some(active)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;
    use crate::model::error::Kind;
    use crate::model::ids::{Arch, KernelRelease, ModuleId};
    use crate::model::inputs::Inputs;
    use crate::model::record::Facts;
    use crate::model::record::{FailureNote, Verdict};

    #[test]
    fn a_failure_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let cell = Cell {
            module: ModuleId::new("openrazer-driver", "3.10.2").unwrap(),
            kernel: KernelRelease::new("6.12.107+deb13-amd64").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        let verdict = Verdict {
            inputs: Inputs::default(),
            stamp: String::new(),
            facts: Facts::default(),
            failure: Some(FailureNote {
                kind: Kind::Make,
                what: "make failed with exit status 2".into(),
                first_errors: vec!["razer.c:1: error: too few arguments".into()],
                log: Some("/var/lib/dkms/x.log".into()),
                hint: None,
                when: 0,
                provisional: false,
                by_source: true,
                reported: false,
            }),
        };
        state::save_verdict(&layout, &cell, &verdict).unwrap();
        atomic::write(&layout.unreported(), b"").unwrap();
        assert_eq!(failures(&layout), [(cell.clone(), verdict)]);
        print_unreported(&layout, Limit::seconds("", 0), &crate::progress::Memory::default()).unwrap();
        assert!(failures(&layout)[0].1.failure.as_ref().unwrap().reported);
        assert!(!layout.unreported().exists());
        let text = describe(&cell, failures(&layout)[0].1.failure.as_ref().unwrap(), None);
        for part in
            ["openrazer-driver/3.10.2", "6.12.107+deb13-amd64", "too few arguments", "x.log", "dkms install"]
        {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
