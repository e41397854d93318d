//! The program that signs.

use std::path::PathBuf;

use super::KernelFiles;
use crate::model::settings::Settings;
use crate::process::find_program;
use crate::tree::layout::Layout;

/// What framework.conf names; else where the distribution has it, else what comes with the headers.
///
/// # Errors
/// Says which file is missing.
pub(super) fn find(
    layout: &Layout,
    settings: &Settings,
    kernel: &KernelFiles<'_>,
    distro: &str,
) -> Result<PathBuf, String> {
    let release = kernel.release.as_str();
    let series = release.rsplit_once('.').map_or(release, |(series, _)| series);
    let mut candidates: Vec<PathBuf> = Vec::new();
    if let Some(named) = settings.sign_file.as_deref().filter(|text| !text.is_empty()) {
        let named = kernel.expand(named);
        if !named.contains('/') {
            return find_program(&named).ok_or_else(|| format!("there is no program {named}"));
        }
        candidates.push(named.into());
    } else {
        if distro.starts_with("debian") {
            candidates.push(format!("/usr/lib/linux-kbuild-{series}/scripts/sign-file").into());
        } else if distro.starts_with("ubuntu") {
            if let Some(path) = find_program("kmodsign").filter(|_| layout.root.is_slash()) {
                return Ok(path);
            }
            candidates.push(format!("/usr/src/linux-headers-{release}/scripts/sign-file").into());
        } else if distro.starts_with("gentoo") {
            candidates.push(format!("/usr/src/linux-{release}/scripts/sign-file").into());
        }
        candidates.push(layout.install_tree.join(release).join("build/scripts/sign-file"));
    }
    let found = candidates.iter().filter_map(|path| layout.root.resolve(path).ok());
    found.map(|path| path.to_string_lossy().into_owned()).find_map(|path| find_program(&path)).ok_or_else(
        || {
            let last = candidates.last().cloned().unwrap_or_default();
            format!("there is no executable {}", last.display())
        },
    )
}
