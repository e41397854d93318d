//! What builds cost: counted after one, and looked up for the next.

use std::io::Read;
use std::path::Path;

use crate::fs::regular;
use crate::model::ids::{Cell, KernelRelease};
use crate::model::record::Effort;
use crate::model::version;
use crate::progress::Made;
use crate::tree::layout::Layout;
use crate::tree::{registry, state};

/// How many files a build made, by its log. What cannot be read is not counted.
pub(super) fn files_made(log: &Path) -> usize {
    let mut made = Made::default();
    let mut buffer = vec![0; 64 << 10];
    if let Ok(mut file) = regular::open_itself(log) {
        while let Ok(read @ 1..) = file.read(&mut buffer) {
            made.feed(&buffer[..read]);
        }
    }
    made.files()
}

/// What a build of this cell will cost, by the nearest earlier build of the module that was made here: of this cell,
/// else of this version for another kernel, else of another version; the newest of several.
///
/// This reads the records of the module's builds: to be asked only when a build is due.
pub fn expected(layout: &Layout, cell: &Cell) -> Option<Effort> {
    let effort = |cell: &Cell| state::record(layout, cell).ok().flatten()?.effort;
    effort(cell).or_else(|| {
        let mut versions = registry::versions(layout, &cell.module.name);
        versions.sort_by(|a, b| version::compare(b.version.as_str(), a.version.as_str()));
        // A stable order: this version comes first.
        versions.sort_by_key(|id| *id != cell.module);
        versions.iter().find_map(|id| {
            let mut builds = registry::builds(layout, id);
            builds.sort_by(|a, b| newer_first(&a.kernel, &b.kernel));
            builds.sort_by_key(|build| build.kernel != cell.kernel);
            builds.iter().find_map(effort)
        })
    })
}

fn newer_first(a: &KernelRelease, b: &KernelRelease) -> std::cmp::Ordering {
    version::compare(b.as_str(), a.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fs::root::Root;
    use crate::model::ids::{Arch, ModuleId};

    /// A record that an earlier version left.
    const RECORD: &str = include_str!(
        "../../../tests/fixtures/format-1/owed/root/var/lib/dkms/hello/1.0/6.9.0-toy/x86_64/.dkms-hook.json"
    );

    #[test]
    fn the_nearest_build_tells_what_the_next_one_will_cost() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let cell = |version: &str, kernel: &str| Cell {
            module: ModuleId::new("zfs", version).unwrap(),
            kernel: KernelRelease::new(kernel).unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        let wanted = cell("2.3", "6.12");
        assert_eq!(expected(&layout, &wanted), None);
        // Each is nearer than those before it.
        let rows = [
            ("2.1", "6.9", Some(1)),
            ("2.2", "6.9", Some(2)),
            ("2.2", "6.10", Some(3)),
            ("2.2", "6.12", Some(4)),
            ("2.3", "6.9", Some(5)),
            ("2.3", "6.10", Some(6)),
            // Not built here.
            ("2.3", "6.11", None),
            ("2.3", "6.12", Some(7)),
        ];
        let mut nearest = None;
        for (version, kernel, took) in rows {
            let cell = cell(version, kernel);
            let mut record: serde_json::Value = serde_json::from_str(RECORD).unwrap();
            if let Some(took) = took {
                record["took"] = (took * 1000).into();
                nearest = Some(Effort { took: Duration::from_secs(took), files: 0 });
            }
            std::fs::create_dir_all(layout.built_modules(&cell)).unwrap();
            std::fs::write(layout.record(&cell), record.to_string()).unwrap();
            assert_eq!(expected(&layout, &wanted), nearest, "{version} for {kernel}");
        }
    }
}
