//! What a build takes from the machine beside its inputs: tools, the scripts and programs of the headers, variables.
//!
//! A record of a build does not have these: a new binutils is no reason to rebuild. But a build that comes back from
//! the cache has to be the one that would be made now.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::fs::regular;
use crate::fs::stamp;
use crate::model::inputs::{Hasher, Inputs};
use crate::model::settings::Settings;
use crate::process::find_program;
use crate::tree::layout::Layout;

/// A text in which all of it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings(String);

impl Surroundings {
    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// For tests.
    #[cfg(test)]
    pub(super) fn named(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Programs that a build of a module may run. Of each, its path, size and time count, not what it says of its
/// version: a package that is rebuilt has the same version.
const TOOLS: [&str; 20] = [
    "gcc", "cc", "clang", "ld", "ld.lld", "as", "ar", "nm", "objcopy", "objdump", "readelf", "strip",
    "pahole", "make", "bash", "sh", "awk", "sed", "perl", "python3",
];

/// What headers bring beside headers: modpost, objtool, Makefiles.
const OF_HEADERS: [&str; 3] = ["scripts", "tools", "Makefile"];

/// Variables that say who calls and where from. All others may reach a Makefile, and count.
const OF_CALLERS: [&str; 29] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "MAIL",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "HOSTNAME",
    "TMPDIR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LS_COLORS",
    "LINES",
    "COLUMNS",
    "NO_COLOR",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "parallel_jobs",
];

/// Beginnings of such names.
const BEGINNINGS: [&str; 16] = [
    "LC_",
    "LESS",
    "SSH_",
    "SUDO_",
    "XDG_",
    "DBUS_",
    "TMUX",
    "DPKG_",
    "DEB_",
    "DEBIAN_",
    "APT_",
    "UCF_",
    "SYSTEMD_",
    "DKMS_HOOK_",
    "KERNEL_INSTALL_",
    "RPM_",
];

/// What surrounds a build from these inputs, with these headers. `None` where it cannot be read.
pub fn surroundings(
    layout: &Layout,
    settings: &Settings,
    headers: &Path,
    inputs: &Inputs,
) -> Option<Surroundings> {
    let mut hash = Hasher::new();
    // "gcc-14 14.2.0", "ccache gcc-14 …".
    let compilers = inputs.compiler.split(' ').chain(inputs.rustc.as_deref().unwrap_or_default().split(' '));
    for name in TOOLS.into_iter().chain(compilers) {
        hash.part(name);
        if let Some(path) = find_program(name) {
            // `/bin` is `/usr/bin` where it is a link, whatever comes first in the PATH of who calls.
            let dir = path.parent().and_then(|dir| std::fs::canonicalize(dir).ok());
            let place =
                dir.map_or_else(|| path.clone(), |dir| dir.join(path.file_name().unwrap_or_default()));
            hash.part(place.as_os_str().as_bytes());
            let meta = std::fs::metadata(&path).ok()?;
            hash.part(format!("{} {} {}", meta.len(), meta.mtime(), meta.mtime_nsec()));
        }
    }
    for name in OF_HEADERS {
        hash.part(content(&headers.join(name))?);
    }
    for (name, value) in variables(std::env::vars_os()) {
        hash.part(name.as_bytes());
        hash.part(value.as_bytes());
    }
    let file = settings.build_environment.as_deref().map(|file| layout.root.path(file));
    hash.part(file.and_then(|file| regular::read(&file).ok()).unwrap_or_default());
    for options in [&settings.compress_gzip_opts, &settings.compress_xz_opts, &settings.compress_zstd_opts] {
        hash.part(options.as_deref().unwrap_or("-"));
    }
    Some(Surroundings(hash.finish()))
}

/// A digest of a file or tree; empty where there is none. Each is read once per process.
fn content(path: &Path) -> Option<String> {
    static KNOWN: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Mutex::default);
    let Ok(real) = std::fs::canonicalize(path) else { return Some(String::new()) };
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(digest) = known.get(&real) {
        return Some(digest.clone());
    }
    let digest = stamp::content_tree(&real).inspect_err(|error| log::info!("{error}")).ok()?;
    known.insert(real, digest.clone());
    Some(digest)
}

/// Those that count, in the order of their names.
fn variables(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let counts = |name: &OsString| {
        let name = name.to_string_lossy();
        !OF_CALLERS.contains(&&*name) && !BEGINNINGS.iter().any(|begin| name.starts_with(begin))
    };
    let mut counting: Vec<_> = all.filter(|(name, _)| counts(name)).collect();
    counting.sort();
    counting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_count_unless_they_say_who_calls() {
        let all = [
            "HOME",
            "KCFLAGS",
            "LC_ALL",
            "CONFIG_FOO",
            "SSH_TTY",
            "DEB_MAINT_PARAMS",
            "PATH",
            "KERNEL_INSTALL_LAYOUT",
        ];
        let counting = variables(all.into_iter().map(|name| (name.into(), "x".into())));
        let names: Vec<_> = counting.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["CONFIG_FOO", "KCFLAGS"]);
    }
}
