//! Whether modules can be built with the headers in some directory.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::ground::{Attempt, Ground, Hindrance};
use crate::fs::regular;
use crate::machine::Machine;
use crate::model::ids::KernelRelease;
use crate::model::request::Wanted;
use crate::progress::Report;
use crate::report::fits::Answer;

/// The files of headers that say for which kernel they are. The first is made by a build of the kernel; Debian does not
/// ship it.
const RELEASE: &str = "include/config/kernel.release";
const UTS_RELEASE: &str = "include/generated/utsrelease.h";

/// The release that headers are for.
///
/// # Errors
/// When no file of them says so.
pub fn release_of(headers: &Path) -> Result<KernelRelease, Hindrance> {
    let text = regular::read_to_string(&headers.join(RELEASE)).ok();
    let text = text.or_else(|| {
        let text = regular::read_to_string(&headers.join(UTS_RELEASE)).ok()?;
        let line = text.lines().find(|line| line.contains("define") && line.contains("UTS_RELEASE"))?;
        line.split('"').nth(1).map(str::to_owned)
    });
    let release = text.and_then(|text| KernelRelease::new(text.trim()).ok());
    release.ok_or_else(|| {
        Hindrance::Other(format!(
            "{} has no {UTS_RELEASE} that names a kernel: it is no directory of headers that modules can be built with",
            headers.display()
        ))
    })
}

/// Builds registered modules with the headers in this directory, an absolute path: these modules, or what a run would
/// build. Nothing on the machine changes.
///
/// # Errors
/// When nothing can be tried.
pub fn fits_headers(
    machine: &Machine,
    headers: &Path,
    modules: &[Wanted],
    report: &dyn Report,
) -> Result<Vec<Answer>, Hindrance> {
    let kernel = release_of(headers)?;
    let ground = Ground::new(machine, report)?;
    let failed = |error| ground.failed(error);
    let inside = machine.layout.root.inside(&machine.layout.kernel(&kernel));
    let real = machine.layout.root.resolve(&machine.layout.install_tree).map_err(failed)?;
    let real = machine.layout.root.inside(&real).join(inside.file_name().unwrap_or_default());
    let dir = ground.make(&real).map_err(failed)?;
    symlink(machine.layout.root.inside(headers), dir.join("build")).map_err(failed)?;
    let attempt = Attempt { kernels: vec![kernel], modules: modules.to_vec(), ..Attempt::default() };
    ground.attempt(&attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_say_for_which_kernel_they_are() {
        let dir = tempfile::tempdir().unwrap();
        assert!(release_of(dir.path()).unwrap_err().to_string().contains("utsrelease.h"));
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), text).unwrap();
        };
        write(UTS_RELEASE, "#define UTS_RELEASE \"6.12.9-amd64\"\n");
        assert_eq!(release_of(dir.path()).unwrap().as_str(), "6.12.9-amd64");
        write(RELEASE, "6.12.9-arch1-1\n");
        assert_eq!(release_of(dir.path()).unwrap().as_str(), "6.12.9-arch1-1");
    }
}
