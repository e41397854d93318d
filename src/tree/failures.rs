//! Failed builds that are remembered.

use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::record::Verdict;
use crate::tree::layout::Layout;
use crate::tree::state;

/// Every failed build that is remembered.
pub fn failures(layout: &Layout) -> Vec<(Cell, Verdict)> {
    let root = layout.state().join("verdicts");
    let mut out: Vec<(Cell, Verdict)> = walkdir::WalkDir::new(&root)
        .min_depth(3)
        .max_depth(3)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let stem = path.file_name()?.to_str()?.strip_suffix(".json")?;
            let (kernel, arch) = stem.rsplit_once('-')?;
            let mut parts = path.strip_prefix(&root).ok()?.components().map(|c| c.as_os_str().to_str());
            let module = ModuleId::new(parts.next()??, parts.next()??).ok()?;
            let cell = Cell { module, kernel: KernelRelease::new(kernel).ok()?, arch: Arch::new(arch).ok()? };
            let verdict = state::known(state::verdict(layout, &cell))?;
            verdict.failure.is_some().then_some((cell, verdict))
        })
        .collect();
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

/// True when the summary at the end will tell of a failed build.
pub fn will_tell(layout: &Layout, cell: &Cell) -> bool {
    let verdict = state::known(state::verdict(layout, cell));
    layout.unreported().exists() && verdict.and_then(|v| v.failure).is_some_and(|f| !f.reported)
}
