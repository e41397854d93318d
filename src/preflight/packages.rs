//! Whether modules can be built for the kernels in packages that are not installed.

use std::fs;
use std::path::{Path, PathBuf};

use super::ground::{Attempt, Ground, Hindrance};
use crate::kernel;
use crate::machine::Machine;
use crate::model::ids::KernelRelease;
use crate::model::request::Wanted;
use crate::packages::{Package, Transaction};
use crate::progress::Report;
use crate::report::fits::Answer;

/// What unpacked headers take at most, in times of the size of their packages: those of Debian take 11, and modern
/// compressors do not much better with texts.
const GROWTH: u64 = 16;

/// Bytes that builds may need beside that.
const ROOM: u64 = 256 << 20;

/// Builds registered modules for the kernels in packages, and modules that these bring.
///
/// # Errors
/// When nothing can be tried.
pub fn fits_packages(
    machine: &Machine,
    transaction: &Transaction,
    packages: &[PathBuf],
    modules: &[Wanted],
    report: &dyn Report,
) -> Result<Vec<Answer>, Hindrance> {
    let kernels: Vec<_> = transaction.releases().into_iter().collect();
    if kernels.is_empty() {
        return Err(Hindrance::Other("there is no kernel in these packages, and no headers".to_owned()));
    }
    let work = Work { machine, transaction, packages, modules, keeps: false };
    work.attempt(&kernels, report)
}

/// An attempt with packages.
pub(super) struct Work<'a> {
    pub machine: &'a Machine,
    pub transaction: &'a Transaction,
    pub packages: &'a [PathBuf],
    pub modules: &'a [Wanted],
    /// Good builds are kept for the time when the packages are installed.
    pub keeps: bool,
}

impl Work<'_> {
    /// Builds for these kernels. One without headers has one answer for each module.
    pub(super) fn attempt(
        &self,
        kernels: &[KernelRelease],
        report: &dyn Report,
    ) -> Result<Vec<Answer>, Hindrance> {
        let (kernels, without): (Vec<_>, Vec<_>) =
            kernels.iter().cloned().partition(|kernel| self.has_headers(kernel));
        if kernels.is_empty() {
            let names: Vec<&str> = without.iter().map(KernelRelease::as_str).collect();
            let text = format!("the headers of {} are neither in these packages nor here", names.join(", "));
            return Err(Hindrance::Other(text));
        }
        let ground = Ground::new(self.machine, report)?;
        self.unpack(&ground)?;
        let attempt = Attempt {
            kernels,
            modules: self.modules.to_vec(),
            sources: self
                .transaction
                .sources
                .iter()
                .map(|dir| self.machine.layout.source_tree.join(dir))
                .collect(),
            keeps: self.keeps,
        };
        ground.attempt(&attempt)
    }

    fn has_headers(&self, kernel: &KernelRelease) -> bool {
        self.transaction.headers.contains(kernel) || kernel::headers_present(&self.machine.layout, kernel)
    }

    /// Unpacks what builds need.
    fn unpack(&self, ground: &Ground<'_>) -> Result<(), Hindrance> {
        let into = ground.tree().map_err(|error| ground.failed(error))?;
        let needed: Vec<&PathBuf> = self.packages.iter().filter(|path| is_needed(path)).collect();
        let bytes: u64 =
            needed.iter().filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum();
        has_room(ground, bytes.saturating_mul(GROWTH).saturating_add(ROOM))?;
        for path in needed {
            Package::unpack(path, &is_wanted, &into)
                .map_err(|error| Hindrance::Other(format!("{}: {error}", path.display())))?;
        }
        Ok(())
    }
}

/// Whether builds need something of a package: by its list of files.
fn is_needed(path: &Path) -> bool {
    // One that cannot be looked into was told of.
    Package::read(path).is_ok_and(|package| !package.brings.is_empty() || package.brings.parts)
}

/// What builds need of a package: sources, headers, and the programs that these come with. A kernel's own modules are
/// a hundred times that.
fn is_wanted(path: &Path) -> bool {
    let inside = path.strip_prefix("usr").unwrap_or(path);
    if path.starts_with("usr/src") {
        return true;
    }
    if let Ok(rest) = inside.strip_prefix("lib/modules") {
        let mut parts = rest.components().skip(1).map(|part| part.as_os_str().to_string_lossy());
        return parts.next().is_some_and(|name| {
            matches!(&*name, "build" | "source" | "config")
                || name.starts_with("symvers")
                || name.starts_with("modules.")
        });
    }
    let mut parts = inside.components().map(|part| part.as_os_str().to_string_lossy());
    parts.next().as_deref() == Some("lib")
        && parts.next().is_some_and(|name| name.starts_with("linux-kbuild-"))
}

fn has_room(ground: &Ground<'_>, bytes: u64) -> Result<(), Hindrance> {
    match ground.free() {
        Some(free) if free < bytes => {
            let (free, wanted) = (free >> 20, bytes >> 20);
            Err(Hindrance::Other(format!("there are {free} MB free, and {wanted} MB may be needed")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_sources_and_their_programs_are_unpacked_and_no_modules() {
        for path in [
            "usr/src/hello-1.0/hello.c",
            "usr/src/linux-headers-6.1-common/include/linux/module.h",
            "usr/lib/linux-kbuild-6.1/scripts/mod/modpost",
            "lib/modules/6.1/build",
            "usr/lib/modules/6.1/build/include/generated/utsrelease.h",
            "usr/lib/modules/6.1/modules.builtin",
            "usr/lib/modules/6.1/symvers.xz",
        ] {
            assert!(is_wanted(Path::new(path)), "{path}");
        }
        for path in [
            "lib/modules/6.1/kernel/fs/ext4.ko",
            "usr/lib/modules/6.1/vmlinuz",
            "usr/lib/modules/6.1/System.map",
            "boot/vmlinuz-6.1",
            "usr/bin/gcc",
            "usr/lib/linux-tools/perf",
            "usr/share/doc/x",
        ] {
            assert!(!is_wanted(Path::new(path)), "{path}");
        }
    }
}
