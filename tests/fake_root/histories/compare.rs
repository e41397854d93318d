//! Whether a root ended as one in which only the end was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::state::{KERNELS, NAMES, State};
use crate::support::toy_kernel::{ARCH, FakeRoot};

/// Of a kernel of which nothing is left, nothing of ours is: neither installed, nor built, nor remembered.
pub fn nothing_of_gone_kernels(root: &FakeRoot, state: &State) {
    for k in (0..KERNELS.len()).filter(|k| state.gone(*k)) {
        let release = KERNELS[k];
        assert!(!root.exists(format!("/usr/lib/modules/{release}")), "/lib/modules/{release} is left");
        let walk = walkdir::WalkDir::new(root.path("/var/lib/dkms")).into_iter();
        // Builds that can be had again are kept for a kernel that comes back.
        let walk = walk.filter_entry(|entry| !entry.path().ends_with(".dkms-hook/cache")).map(Result::unwrap);
        let left: Vec<_> = walk
            .filter(|entry| entry.file_name().to_string_lossy().contains(release))
            .map(|entry| entry.path().to_owned())
            .collect();
        assert!(left.is_empty(), "left of {release}: {left:?}");
    }
}

/// Every index lists what is there; where something of ours is, there is one.
pub fn indexes_are_up_to_date(root: &FakeRoot, state: &State) {
    for release in KERNELS.iter().enumerate().filter(|(k, _)| state.image[*k]).map(|(_, release)| release) {
        let dir = root.path(format!("/usr/lib/modules/{release}"));
        let entries = walkdir::WalkDir::new(&dir).into_iter().map(Result::unwrap);
        let modules = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".ko"));
        let there: BTreeSet<String> =
            modules.map(|entry| format!("{}:", entry.path().strip_prefix(&dir).unwrap().display())).collect();
        match fs::read_to_string(dir.join("modules.dep")) {
            Ok(text) => {
                let listed: BTreeSet<String> = text.lines().map(str::to_owned).collect();
                assert_eq!(listed, there, "the index of {release}, and what there is");
            }
            Err(_) => {
                assert!(!there.iter().any(|name| name.starts_with("updates/")), "{release} has no index")
            }
        }
    }
}

/// What is installed, and what it was made from.
///
/// Left out is what the past may decide: modules of which a source vanished, and what depends on something that
/// cannot be had (what is there of them stays); kernels that have only an image or only headers (nothing is judged
/// without headers; builds for a kernel without an image stay that were asked for); builds that are not installed (an older version's, one that DKMS made).
#[derive(Debug)]
pub struct End(BTreeMap<String, Vec<u8>>);

impl End {
    pub fn of(root: &FakeRoot, state: &State) -> Self {
        let cannot_be_had = state.vanished.contains(&0) || !state.sources.keys().any(|m| m.0 == 0);
        let free = |name: usize| state.vanished.contains(&name) || name == 1 && cannot_be_had;
        let mut all = BTreeMap::new();
        for (k, release) in KERNELS.iter().enumerate() {
            if state.image[k] == state.headers[k].is_some() {
                all.extend(files(&root.path("/usr/lib/modules"), release, &free));
                all.extend(installed(root, release, &free));
            }
        }
        Self(all)
    }

    /// Fails unless both are the same; `other` is of a root that saw only the end.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        let names = |end: &Self| end.0.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "what there is, and what there should be");
        if let Some(name) = self.0.keys().find(|name| self.0[*name] != other.0[*name]) {
            let text = |end: &Self| String::from_utf8_lossy(&end.0[name]).into_owned();
            panic!("{name} is not as if only the end had been:\n{}\n{}", text(self), text(other));
        }
    }
}

/// The files of a kernel's directory by name, without modules that are left out.
fn files(dir: &Path, release: &str, free: &dyn Fn(usize) -> bool) -> BTreeMap<String, Vec<u8>> {
    let left_out = |name: &str| (0..NAMES.len()).any(|n| free(n) && name == format!("{}.ko", NAMES[n]));
    let entries = walkdir::WalkDir::new(dir.join(release)).into_iter().flatten();
    let files = entries.filter(|entry| !entry.file_type().is_dir());
    let wanted = files.filter(|entry| {
        let name = entry.file_name().to_string_lossy();
        name != "modules.dep" && !left_out(&name)
    });
    wanted
        .map(|entry| {
            let name = entry.path().strip_prefix(dir).unwrap().display().to_string();
            let content = match entry.path_is_symlink() {
                true => fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes(),
                false => fs::read(entry.path()).unwrap(),
            };
            (name, content)
        })
        .collect()
}

/// For each installed module its version, and the inputs that are written down.
fn installed(root: &FakeRoot, release: &str, free: &dyn Fn(usize) -> bool) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for (_, name) in NAMES.iter().enumerate().filter(|(place, _)| !free(*place)) {
        let link = format!("/var/lib/dkms/{name}/kernel-{release}-{ARCH}");
        let Ok(target) = fs::read_link(root.path(link)) else { continue };
        let record = root.read(format!("/var/lib/dkms/{name}/{}/.dkms-hook.json", target.display()));
        let record: serde_json::Value = serde_json::from_str(&record).expect("a record");
        let text = format!("{} {:#}", target.display(), record["inputs"]);
        out.insert(format!("{name} for {release}"), text.into_bytes());
    }
    out
}
