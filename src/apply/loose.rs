//! Whether root runs what a source says: not where somebody else can write to it.
//!
//! DKMS does not ask. A build has few rights of its own, but its module becomes a part of the kernel, and the scripts
//! around an installation are root's: so whoever can write to the source of a registered module is root when the next
//! kernel comes. A source that is named with its path (`dkms add PATH`) is copied, and the copy belongs to root.

use std::path::Path;

use nix::unistd::Uid;

use crate::fs::ownership;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::ModuleId;
use crate::model::settings::Settings;
use crate::progress::Report;
use crate::tree::layout::Layout;

/// Looks at a source before root builds it or runs a script of it. For other users there is nothing to fear. An
/// exception that framework.conf makes is told every time.
///
/// # Errors
/// When somebody beside root can change it, or it cannot be looked at.
pub fn refuse(
    layout: &Layout,
    settings: &Settings,
    module: &ModuleId,
    source: &Path,
    report: &dyn Report,
) -> Result<()> {
    if !Uid::effective().is_root() {
        return Ok(());
    }
    let found =
        ownership::loose(&layout.root, source).map_err(|error| Error::io("look at", source, &error))?;
    let Some(loose) = found else { return Ok(()) };
    let path = layout.shown(&loose.path);
    let what =
        format!("others than root can change the source of {module}: {}, {}", path.display(), loose.whose);
    if let Some(reason) = settings.writable_sources.reason(module.name.as_str()) {
        report.warning(&format!("{what}; framework.conf allows that ({reason})"));
        return Ok(());
    }
    let inside = path.starts_with(layout.shown(source));
    let dir = layout.source_inside(module).display().to_string();
    let mend = match inside {
        true => format!("give it to root: `chown -R root:root {dir}` and `chmod -R go-w {dir}`"),
        // Somebody's home need not become root's.
        false => format!("copy the source into {dir}, as root's own"),
    };
    Err(Error::new(Kind::NotPermitted, what).hint(format!(
        "whoever can do that would be root at the next build; {mend}. If it is meant to be so, say why in \
         framework.conf: writable_sources=\"{}: REASON\"",
        module.name
    )))
}
