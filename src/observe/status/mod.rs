//! What `dkms status` lists: every entry of the tree, in the order of its directories.
//!
//! Everything here reads directories; no conf is evaluated and the kernel's own tree is never
//! searched, so that a listing costs milliseconds however many modules and kernels there are. The index of a
//! kernel's modules is read when it changed since it was found to name ours.

mod glob;

use std::path::Path;

use crate::elf::module_stem;
use crate::fs::directories::{Directories, Kind, Memory};
use crate::model::blind::Blind;
use crate::model::ids::{Cell, ModuleId, ModuleName};
use crate::model::indexed::Found;
use crate::model::record::Record;
use crate::model::status::{Remarks, StatusLine, Trouble};
use crate::model::system::Source;
use crate::observe::distribution::Distribution;
use crate::observe::indexed::{Indexes, Standing};
use crate::tree::layout::{Layout, ORIGINALS};
use crate::tree::{installed, registry, state};

/// What a listing is limited to. Each is a shell pattern (`zfs*`); `None` lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Module name.
    pub module: Option<String>,
    /// Module version.
    pub version: Option<String>,
    /// Kernel release. Without it only directories that look like one (`6.…`) are listed.
    pub kernel: Option<String>,
    /// Architecture.
    pub arch: Option<String>,
}

/// A listing, as far as the tree could be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its lines.
    pub lines: Vec<StatusLine>,
    /// What could not be looked at: there may be more to list.
    pub unseen: Vec<Blind>,
}

/// The listing, from what is on disk and in our own records alone.
/// `addon` is the administrator's ADDON_MODULES_DIR.
pub fn list(layout: &Layout, addon: Option<&str>, filter: &Filter) -> Listing {
    let destination = Distribution::of(&layout.root, addon).fixed_destination().map(str::to_owned);
    let memory = Memory::read(&layout.directories());
    let dirs = Directories::new(&memory);
    let registry::Registered { versions, blind } = registry::look(layout, &dirs);
    let mut lines = Vec::new();
    let mut indexes = Indexes::new(layout);
    for (id, source) in versions {
        if !lets(&filter.module, id.name.as_str()) || !lets(&filter.version, id.version.as_str()) {
            continue;
        }
        match source {
            Source::Dangling(_) | Source::Blind(_) => lines.push(StatusLine::Broken(id)),
            Source::Added => {
                let before = lines.len();
                lines.extend(builds(layout, &id, filter, destination.as_deref(), &dirs, &mut indexes));
                if lines.len() == before {
                    lines.push(StatusLine::Added(id));
                }
            }
            // Entries without any source are refused by every action and have never been listed.
            Source::BinariesOnly => {}
        }
    }
    let about =
        |name: &Option<ModuleName>| name.as_ref().is_none_or(|name| lets(&filter.module, name.as_str()));
    let unseen = blind.into_iter().filter(|(name, _)| about(name)).map(|(_, blind)| blind).collect();
    Listing { lines, unseen }
}

fn builds(
    layout: &Layout,
    id: &ModuleId,
    filter: &Filter,
    destination: Option<&str>,
    dirs: &Directories<'_>,
    indexes: &mut Indexes<'_>,
) -> Vec<StatusLine> {
    let wanted = |cell: &Cell| {
        let kernel = match &filter.kernel {
            Some(pattern) => glob::matches(pattern, cell.kernel.as_str()),
            None => looks_like_a_release(cell.kernel.as_str()),
        };
        kernel && lets(&filter.arch, cell.arch.as_str())
    };
    let of_module = dirs.known(&layout.module(&id.name));
    let may_have = of_module.is_none_or(|listing| listing.get(ORIGINALS).is_some());
    let line = |cell: Cell| {
        let installed = registry::look_at_active_by(layout, &cell, dirs).unwrap_or(false);
        let record = state::known(state::record_by(layout, &cell, dirs));
        let aside = || may_have && layout.originals(&id.name, &cell.kernel, &cell.arch).is_dir();
        // Whichever version is installed, as in DKMS.
        let left = || match installed {
            true => record.as_ref().is_some_and(|record| stays(layout, record)),
            false => record_of_active(layout, &cell, dirs).is_some_and(|record| stays(layout, &record)),
        };
        let remarks = Remarks {
            originals: aside() || left(),
            trouble: trouble(layout, &cell, record.as_ref(), installed, destination, indexes),
        };
        StatusLine::Built { cell, installed, remarks }
    };
    let is_built = |cell: &Cell| {
        let listing = dirs.known(&layout.cell(cell));
        match listing.as_ref().map(|listing| listing.get("module")) {
            Some(Some(Kind::Dir)) => true,
            Some(None) => false,
            _ => registry::is_built(layout, cell),
        }
    };
    registry::cells_by(layout, id, None, dirs).into_iter().filter(wanted).filter(is_built).map(line).collect()
}

/// The record of the version that is installed.
fn record_of_active(layout: &Layout, cell: &Cell, dirs: &Directories<'_>) -> Option<Record> {
    let version = registry::active(layout, &cell.module.name, &cell.kernel, &cell.arch)?;
    let module = ModuleId { version, ..cell.module.clone() };
    state::known(state::record_by(layout, &Cell { module, ..cell.clone() }, dirs))
}

/// Whether a module that one of ours is used instead of is still in its place.
fn stays(layout: &Layout, record: &Record) -> bool {
    let originals = record.installed.iter().filter_map(|file| Some((file, file.original.as_ref()?)));
    let is_there = |path: &Path| layout.root.path(path).exists();
    let mut elsewhere = originals.filter(|(file, original)| file.path != **original);
    elsewhere.any(|(file, original)| is_there(&file.path) && is_there(original))
}

/// The first thing wrong with the files of a build. Where the distribution puts every module whatever its conf
/// says, that is `destination`.
fn trouble(
    layout: &Layout,
    cell: &Cell,
    record: Option<&Record>,
    is_installed: bool,
    destination: Option<&str>,
    indexes: &mut Indexes<'_>,
) -> Option<Trouble> {
    if let Some(record) = record {
        // Whatever the record says of files is looked at below: the directory need be listed for others alone.
        let is = |name: &str, module: &String| module_stem(name) == Some(module);
        let recorded = |module: &String| record.installed.iter().any(|file| is(&file.built, module));
        let mut others = record.facts.modules.iter().filter(|module| !recorded(module)).peekable();
        if others.peek().is_some() {
            let built = installed::built_files(layout, cell);
            if !others.all(|module| built.iter().any(|name| is(name, module))) {
                return Some(Trouble::Missing);
            }
        }
    }
    let of_files = match record.filter(|record| !record.installed.is_empty()) {
        Some(record) => {
            let mut found: Vec<Trouble> = installed::by_record(layout, cell, &record.installed).collect();
            let missing = found.contains(&Trouble::Missing);
            found.retain(|trouble| if missing { *trouble == Trouble::Missing } else { is_installed });
            found.into_iter().next()
        }
        None if is_installed => installed::by_place(layout, cell, |_| destination.map(str::to_owned)).next(),
        None => None,
    };
    of_files.or_else(|| is_installed.then(|| trouble_of_index(cell, record, indexes)).flatten())
}

/// What is wrong with the index of modules, for a build whose files are in their places.
fn trouble_of_index(cell: &Cell, record: Option<&Record>, indexes: &mut Indexes<'_>) -> Option<Trouble> {
    match indexes.standing(&cell.kernel) {
        Standing::Nobodys => return None,
        Standing::Due => return Some(Trouble::NotIndexed),
        Standing::Made => {}
    }
    match indexes.look(cell, record?)?.found {
        Found::Ours => None,
        Found::Another { by, .. } => Some(Trouble::Displaced(by)),
        Found::Nothing { .. } => Some(Trouble::NotIndexed),
    }
}

fn lets(pattern: &Option<String>, name: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, name))
}

/// Digits, a dot, anything: `build` and `tarball` stand in the same directory.
fn looks_like_a_release(name: &str) -> bool {
    let rest = name.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < name.len() && rest.starts_with('.')
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;
    use crate::fs::root::Root;

    const K: &str = "6.12.107+deb13-amd64";

    struct Tree {
        dir: tempfile::TempDir,
        layout: Layout,
    }

    impl Tree {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let layout = Layout::new(Root::at(dir.path()));
            let tree = Self { dir, layout };
            tree.write("etc/os-release", "ID=debian\n");
            tree
        }
        fn write(&self, path: &str, text: &str) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fn add(&self, name: &str, version: &str) {
            self.write(&format!("usr/src/{name}-{version}/dkms.conf"), "");
            let dir = self.dir.path().join(format!("var/lib/dkms/{name}/{version}"));
            fs::create_dir_all(dir.join("build")).unwrap();
            symlink(format!("/usr/src/{name}-{version}"), dir.join("source")).unwrap();
        }
        fn build(&self, name: &str, version: &str, kernel: &str) {
            self.write(&format!("var/lib/dkms/{name}/{version}/{kernel}/x86_64/module/{name}.ko.xz"), "new");
        }
        fn install(&self, name: &str, version: &str, kernel: &str) {
            let link = self.dir.path().join(format!("var/lib/dkms/{name}/kernel-{kernel}-x86_64"));
            symlink(format!("{version}/{kernel}/x86_64"), link).unwrap();
            self.write(&format!("lib/modules/{kernel}/updates/dkms/{name}.ko.xz"), "new");
        }
        fn remove(&self, path: &str) {
            let path = self.dir.path().join(path);
            if Path::new(&path).is_dir() && !path.is_symlink() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        fn list(&self, module: Option<&str>, kernel: Option<&str>) -> Vec<String> {
            let own = |s: &str| s.to_owned();
            let filter = Filter { module: module.map(own), kernel: kernel.map(own), ..Filter::default() };
            list(&self.layout, None, &filter).lines.iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn every_state_has_its_line() {
        let tree = Tree::new();
        tree.add("added", "1");
        tree.add("both", "1.0");
        tree.build("both", "1.0", K);
        tree.install("both", "1.0", K);
        tree.add("both", "2.0");
        tree.build("both", "2.0", K);
        tree.add("gone", "3");
        tree.remove("usr/src/gone-3");
        tree.add("unlinked", "3");
        tree.remove("var/lib/dkms/unlinked/3/source");
        tree.write("var/lib/dkms/binaries/1/source/dkms.conf", "");
        tree.write("var/lib/dkms/.dkms-hook/kernels/6.1.json", "{}");
        tree.write("var/lib/dkms/mok.key", "");
        assert_eq!(
            tree.list(None, None),
            [
                "added/1: added".to_owned(),
                format!("both/1.0, {K}, x86_64: installed"),
                format!("both/2.0, {K}, x86_64: built"),
                "gone/3: broken".to_owned(),
                "unlinked/3: broken".to_owned(),
            ]
        );
    }

    #[test]
    fn filters_are_patterns_and_an_unmatched_kernel_leaves_added() {
        let tree = Tree::new();
        tree.add("zfs", "2.3");
        tree.build("zfs", "2.3", K);
        tree.build("zfs", "2.3", "odd-name");
        tree.add("hello", "1");
        assert_eq!(tree.list(Some("zf*"), None), [format!("zfs/2.3, {K}, x86_64: built")]);
        assert_eq!(tree.list(Some("zfs"), Some("9.9")), ["zfs/2.3: added"]);
        assert_eq!(tree.list(Some("zfs"), Some("odd-name")), ["zfs/2.3, odd-name, x86_64: built"]);
        assert_eq!(tree.list(Some("zfs"), Some("6.*")).len(), 1);
        assert!(tree.list(Some("nothing"), None).is_empty());
    }

    #[test]
    fn differences_and_originals_are_told() {
        let tree = Tree::new();
        tree.add("m", "1");
        tree.build("m", "1", K);
        tree.install("m", "1", K);
        let installed = format!("lib/modules/{K}/updates/dkms/m.ko.xz");
        tree.write(&installed, "old");
        let different =
            format!("m/1, {K}, x86_64: installed (Differences between built and installed modules)");
        assert_eq!(tree.list(None, None), std::slice::from_ref(&different), "same size, other bytes");
        tree.write(&installed, "longer than it was");
        assert_eq!(tree.list(None, None), std::slice::from_ref(&different));
        tree.remove(&installed);
        assert_eq!(tree.list(None, None), [different]);
        tree.write(&installed, "new");
        fs::create_dir_all(tree.dir.path().join(format!("var/lib/dkms/m/original_module/{K}/x86_64")))
            .unwrap();
        assert_eq!(tree.list(None, None), [format!("m/1, {K}, x86_64: installed (Original modules exist)")]);
    }

    #[test]
    fn a_record_is_believed_before_any_rule() {
        let tree = Tree::new();
        tree.add("m", "1");
        tree.build("m", "1", K);
        tree.install("m", "1", K);
        tree.remove(&format!("lib/modules/{K}/updates/dkms/m.ko.xz"));
        tree.write(&format!("lib/modules/{K}/elsewhere/m.ko.xz"), "new");
        let inputs = r#"{"source":"","conf":"","overrides":"","headers":{"content":""},"compiler":"","compression":""}"#;
        let file = format!(
            r#"{{"path":"/lib/modules/{K}/elsewhere/m.ko.xz","built":"m.ko.xz","size":0,"mtime":0}}"#
        );
        let record = format!(
            r#"{{"format":1,"inputs":{inputs},"facts":{{"autoinstall":true}},"installed":[{file}]}}"#
        );
        tree.write(&format!("var/lib/dkms/m/1/{K}/x86_64/.dkms-hook.json"), &record);
        assert_eq!(tree.list(None, None), [format!("m/1, {K}, x86_64: installed")]);
        tree.remove(&format!("var/lib/dkms/m/1/{K}/x86_64/module/m.ko.xz"));
        assert_eq!(
            tree.list(None, None),
            [format!("m/1, {K}, x86_64: installed (Built modules are missing in the kernel modules folder)")]
        );
    }
}
