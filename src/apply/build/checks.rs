//! What must be there before a build is worth starting.

use std::path::{Path, PathBuf};

use super::steps::make_command;
use super::{Failure, Job};
use crate::apply::loose;
use crate::apply::sign::Signed;
use crate::kernel::toolchain::{self, Toolchain};
use crate::kernel::{Judge, KernelConfig, KernelFiles, Verdict, has_rust_crates};
use crate::model::error::Kind;
use crate::model::ids::{Cell, ModuleName};
use crate::model::version::natural;
use crate::observe::has_rust;
use crate::process::{find_program, not_found};
use crate::tree::registry;
use crate::tree::stub::is_stub;

/// The kernel's headers.
pub(super) fn headers(job: &Job<'_>) -> Result<(), Failure> {
    let include = job.context.kernel_source_dir.join("include");
    if include.exists() {
        return Ok(());
    }
    let kernel = &job.cell.kernel;
    let what = format!(
        "the headers of kernel {kernel} are not installed: there is no {}",
        job.layout.shown(&include).display()
    );
    let hint = if is_debian(job.distro) {
        format!("install them with `apt install linux-headers-{kernel}`")
    } else {
        format!(
            "install the package with the headers (or -devel files) of {kernel}, or name their directory by \
             --kernelsourcedir"
        )
    };
    Err(Failure::new(Kind::HeadersMissing, what).hint(hint))
}

/// The directory of the source, with its links followed.
pub(super) fn source(job: &Job<'_>) -> Result<PathBuf, Failure> {
    let link = job.layout.source_link(&job.cell.module);
    let shown = job.layout.shown(&link);
    let dir = job.layout.root.resolve(&shown).ok().filter(|dir| dir.is_dir()).ok_or_else(|| {
        let what = match std::fs::read_link(&link) {
            Ok(target) => format!(
                "the source of {} is gone: {} points to {}, which is not a directory",
                job.cell.module,
                shown.display(),
                target.display()
            ),
            Err(_) => format!("the source of {} is gone: there is no {}", job.cell.module, shown.display()),
        };
        let hint = format!(
            "reinstall the package with the source, or delete the entry: /var/lib/dkms/{}",
            job.cell.module
        );
        Failure::new(Kind::ModuleBroken, what).hint(hint)
    })?;
    let entries = std::fs::read_dir(&dir).map_err(|e| Failure::io(job, "read", &dir, &e))?;
    let visible = entries.flatten().filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    if visible.take(2).count() < 2 {
        let what = format!("{} has no module source", job.layout.shown(&dir).display());
        let failure = Failure::new(Kind::ConfInvalid, what);
        return Err(match is_stub(&dir) {
            true => failure.hint(
                "only binaries were loaded for it; load an archive with its source, or install its \
                 package",
            ),
            false => failure,
        });
    }
    loose::refuse(job.layout, job.settings, &job.cell.module, &dir, job.report).map_err(|error| {
        // The files are what they were when their owner changes: so it is tried again.
        Failure { hint: error.hint.clone(), ..Failure::new(error.kind, error.sentence()).trouble() }
    })?;
    Ok(dir)
}

/// The programs without which the build cannot end well.
pub(super) fn programs(job: &Job<'_>, toolchain: &Toolchain) -> Result<(), Failure> {
    if toolchain.path.is_none() {
        let command = toolchain.cc.split_whitespace().next().unwrap_or(&toolchain.cc);
        let what = format!(
            "kernel {} needs the compiler {}, and {}",
            job.cell.kernel,
            toolchain.cc,
            not_found(command)
        );
        return Err(Failure::new(Kind::ToolMissing, what).trouble().hint(install(job, &toolchain.package())));
    }
    if toolchain.version.is_empty() {
        let what = format!("the compiler {} cannot be run", toolchain.cc);
        let hint = format!("run `{} --version` to see why; reinstall its package", toolchain.cc);
        return Err(Failure::new(Kind::ToolMissing, what).trouble().hint(hint));
    }
    // The text changes exactly when it begins with a call of make.
    let runs_make = make_command(&job.conf.make, None, "k", false) != job.conf.make;
    let needed = [("bash", true), ("make", runs_make), ("patch", !job.conf.patches.is_empty())];
    for (program, needed) in needed {
        if needed && find_program(program).is_none() {
            let what = format!("the build needs {program}, and {}", not_found(program));
            return Err(Failure::new(Kind::ToolMissing, what).trouble().hint(install(job, program)));
        }
    }
    Ok(())
}

/// The Rust compiler, and what it builds against, where there is something for it to do.
pub(super) fn rust(job: &Job<'_>, source: &Path) -> Result<(), Failure> {
    if !toolchain::supports_rust(job.context) || !has_rust(source) {
        return Ok(());
    }
    let headers = &job.context.kernel_source_dir;
    if !has_rust_crates(headers) {
        let what = format!(
            "the module contains Rust, and the headers of kernel {} have nothing to build it with: there is no {}",
            job.cell.kernel,
            job.layout.shown(&headers.join("rust")).display()
        );
        // Not trouble with the compiler: while these headers are here, another try ends the same way.
        return Err(Failure::new(Kind::Make, what).hint(
            "no compiler helps: ask the kernel's distributor for headers with that directory, or build with the \
             kernel's own build tree (--kernelsourcedir)",
        ));
    }
    if toolchain::rustc().contains(' ') {
        return Ok(());
    }
    let config =
        KernelConfig::of(&job.context.kernel_config, &job.context.kernel_source_dir).unwrap_or_default();
    let built_with = config.get("CONFIG_RUSTC_VERSION_TEXT").unwrap_or("an unknown rustc");
    let what = format!(
        "the module contains Rust, and {} (kernel {} was built with {built_with})",
        not_found("rustc"),
        job.cell.kernel
    );
    Err(Failure::new(Kind::ToolMissing, what).trouble().hint(install(job, "rustc")))
}

/// BUILD_DEPENDS: each must be installed for this kernel. Returns them with the versions that a
/// later run compares with (the newest that is built, as DKMS has it).
pub(super) fn dependencies(job: &Job<'_>) -> Result<Vec<(String, String)>, Failure> {
    let mut missing = Vec::new();
    let mut found = Vec::new();
    for name in job.conf.build_depends.iter().flat_map(|text| text.split_whitespace()) {
        let Ok(id) = ModuleName::new(name) else {
            missing.push(name);
            continue;
        };
        let cells = cells_of(job, &id);
        if !cells.iter().any(|cell| registry::is_installed(job.layout, cell)) {
            missing.push(name);
        }
        if let Some(version) = newest_built(job, cells) {
            found.push((name.to_owned(), version));
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let missing = missing.join(" ");
    if job.force {
        job.report.warning(&format!("building without these, which are not installed: {missing}"));
        return Ok(found);
    }
    let what =
        format!("{} needs these to be installed for {} first: {missing}", job.cell.module, job.cell.kernel);
    Err(Failure::new(Kind::DependsMissing, what).hint("install them, or use --force to build without them"))
}

/// Where the versions of a module meet the kernel that is built for.
fn cells_of(job: &Job<'_>, name: &ModuleName) -> Vec<Cell> {
    let versions = registry::versions(job.layout, name).into_iter();
    versions.map(|module| Cell { module, ..job.cell.clone() }).collect()
}

fn newest_built(job: &Job<'_>, cells: Vec<Cell>) -> Option<String> {
    let built = cells.into_iter().filter(|cell| registry::is_built(job.layout, cell));
    built.map(|cell| cell.module.version.to_string()).max_by(|a, b| natural::compare(a, b))
}

fn is_debian(distro: &str) -> bool {
    distro.starts_with("debian") || distro.starts_with("ubuntu")
}

fn install(job: &Job<'_>, package: &str) -> String {
    if is_debian(job.distro) {
        format!("install it with `apt install {package}`")
    } else {
        format!("install {package}")
    }
}

/// A module that is not signed is no failure, unless the kernel makes it one: what to say then.
pub(super) fn refusal(job: &Job<'_>, signed: &Signed) -> Option<String> {
    let (Signed::Not(why) | Signed::Failed(why)) = signed else { return None };
    let (kernel, module) = (&job.cell.kernel, &job.cell.module);
    let files = KernelFiles::of(kernel, job.context);
    match Judge::of(job.layout).kernel(&files, &[]).unsigned() {
        Verdict::Loads => None,
        Verdict::Refused(refusal) => Some(format!(
            "kernel {kernel} WILL NOT LOAD the modules of {module}: not signed: {why}; {}",
            refusal.of_a_kernel()
        )),
        // Above all an image that is made in a chroot: it is started elsewhere.
        Verdict::CannotTell(_) => Some(format!(
            "the modules of {module} for kernel {kernel} are not signed: {why}. A machine with Secure Boot refuses \
             them until they are: `dkms-hook resign` signs them there, and dkms.service does at its first start"
        )),
    }
}
