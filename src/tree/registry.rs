//! Module versions registered in the tree, and the builds they have.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::fs::look::read_dir;
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName, Version};
use crate::model::system::Source;
use crate::tree::layout::Layout;

/// Directories of `T/m/v` that are no kernels (DKMS's own list).
pub const NOT_KERNELS: &[&str] = &["build", "tarball", "driver_disk", "rpm", "deb", "source"];

/// Every registered module version with the state of its source.
pub fn registered(layout: &Layout) -> Vec<(ModuleId, Source)> {
    let mut out = Vec::new();
    for module in dirs(&layout.tree()) {
        let Ok(name) = ModuleName::new(module.clone()) else { continue };
        for version in dirs(&layout.module(&name)) {
            if version == "original_module" {
                continue;
            }
            let Ok(version) = Version::new(version) else { continue };
            let id = ModuleId { name: name.clone(), version };
            if let Some(source) = source(layout, &id) {
                out.push((id, source));
            }
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

/// The state of one version's source; `None` when nothing of that name is registered.
pub fn source(layout: &Layout, id: &ModuleId) -> Option<Source> {
    if !layout.version(id).is_dir() {
        return None;
    }
    let link = layout.source_link(id);
    let meta = std::fs::symlink_metadata(&link);
    Some(match meta {
        Ok(m) if m.file_type().is_symlink() => {
            if layout.root.is_dir(layout.root.inside(&link)) {
                Source::Added
            } else {
                Source::Dangling(std::fs::read_link(&link).unwrap_or_default())
            }
        }
        Ok(m) if m.is_dir() => Source::BinariesOnly,
        // A version directory without any `source` is what an interrupted add or a removal by
        // hand leaves.
        _ => Source::Dangling(layout.source_inside(id)),
    })
}

/// The cells of a module version that have a directory, whatever is in it.
pub fn cells(layout: &Layout, id: &ModuleId) -> Vec<Cell> {
    let dir = layout.version(id);
    let mut out = Vec::new();
    for kernel in dirs(&dir) {
        if NOT_KERNELS.contains(&kernel.as_str()) {
            continue;
        }
        let Ok(release) = KernelRelease::new(kernel) else { continue };
        for arch in dirs(&dir.join(&release)) {
            if let Ok(arch) = Arch::new(arch) {
                out.push(Cell { module: id.clone(), kernel: release.clone(), arch });
            }
        }
    }
    out.sort();
    out
}

/// The verdicts on file, by their paths. Most machines have none.
pub fn verdicts(layout: &Layout) -> BTreeSet<PathBuf> {
    let below =
        |dirs: Vec<PathBuf>| dirs.into_iter().flat_map(|dir| read_dir(&dir)).map(|entry| entry.path());
    let names = below(vec![layout.state().join("verdicts")]).collect();
    let versions = below(names).collect();
    below(versions).collect()
}

/// The version of a module that is installed for a kernel: where the active link leads.
pub fn active(layout: &Layout, name: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> Option<Version> {
    let target = std::fs::read_link(layout.active_link(name, kernel, arch)).ok()?;
    let version = target.components().next()?.as_os_str().to_str()?.to_owned();
    let expected = Path::new(&version).join(kernel).join(arch);
    (target == expected).then(|| Version::new(version).ok()).flatten()
}

/// Names of sub-directories, without dot entries and links.
fn dirs(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = read_dir(dir)
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| !n.starts_with('.'))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn what_dkms_wrote_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let id = ModuleId::new("spl", "2.0").unwrap();
        let cell = Cell {
            module: id.clone(),
            kernel: KernelRelease::new("6.1").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        std::fs::create_dir_all(layout.built_modules(&cell)).unwrap();
        std::fs::create_dir_all(layout.version(&id).join("build")).unwrap();
        std::fs::create_dir_all(layout.version(&id).join("6.1/.tmp_x86_64_AbC")).unwrap();
        std::fs::create_dir_all(layout.module(&id.name).join("original_module/6.1/x86_64")).unwrap();
        std::fs::create_dir_all(layout.state().join("verdicts/x/1")).unwrap();
        std::os::unix::fs::symlink("/usr/src/spl-2.0", layout.source_link(&id)).unwrap();
        std::os::unix::fs::symlink("2.0/6.1/x86_64", layout.active_link(&id.name, &cell.kernel, &cell.arch))
            .unwrap();

        assert_eq!(registered(&layout), [(id.clone(), Source::Dangling("/usr/src/spl-2.0".into()))]);
        std::fs::create_dir_all(layout.source(&id)).unwrap();
        assert_eq!(registered(&layout), [(id.clone(), Source::Added)]);
        assert_eq!(cells(&layout, &id), std::slice::from_ref(&cell));
        assert_eq!(active(&layout, &id.name, &cell.kernel, &cell.arch), Some(id.version));
    }
}
