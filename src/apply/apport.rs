//! Ubuntu's crash reporter, told of builds that fail.

use crate::model::error::Kind;
use crate::model::ids::Cell;
use crate::process::{Output, Process, QUERY_LIMIT, find_program};
use crate::tree::layout::Layout;

/// The failures that it is told of: those of the source (patches, make, missing modules), not of the
/// machine.
const REPORTED: [Kind; 5] =
    [Kind::PatchMissing, Kind::PatchFailed, Kind::ModuleNotBuilt, Kind::Make, Kind::ToolMissing];

/// Lets apport file a report with the log of a failed build, where it is installed. In a root that is
/// reached by a prefix nobody would read the report.
pub fn tell(layout: &Layout, cell: &Cell, kind: Kind) {
    let root = &layout.root;
    let installed = root.path("/usr/share/apport/apport");
    let script = root.path("/usr/share/apport/package-hooks/dkms_packages.py");
    let can = root.is_slash() && installed.to_str().is_some_and(|path| find_program(path).is_some());
    if !can || !script.is_file() || !REPORTED.contains(&kind) {
        return;
    }
    let process = Process::new("python3").arg(script).limit(QUERY_LIMIT);
    let process = process.args(["-m", cell.module.name.as_str(), "-v", cell.module.version.as_str()]);
    if let Err(error) = process.args(["-k", cell.kernel.as_str()]).run(Output::Null) {
        log::info!("no crash report: {error}");
    }
}
