//! Whether a kernel would take a module file, whoever built it.
//!
//! What the kernel compares when it loads a module (kernel/module/version.c): the words of the vermagic, its release
//! only where the module has no CRCs; the CRC of each imported symbol, or that the symbol is there at all. Of kernels
//! without CRCs, the types that the module names are compared with those of the kernel (its BTF), as far as both have
//! any.

use std::path::{Path, PathBuf};

use super::ground::Hindrance;
use super::headers::release_of;
use crate::btf;
use crate::conf::model::own_config;
use crate::elf::{self, Imports};
use crate::kernel::{self, KernelConfig, Symvers, contradiction};
use crate::machine::Machine;
use crate::model::fit::Misfit;
use crate::model::ids::{Cell, KernelRelease};
use crate::report::fits::{FileAnswer, Outcome};
use crate::tree::registry;

/// A kernel that a module is held against.
#[derive(Debug, Clone)]
pub struct Against {
    /// Its release.
    pub kernel: KernelRelease,
    /// Its headers.
    pub headers: PathBuf,
}

impl Against {
    /// What a person names: a release that is installed, or a directory of headers (an absolute path).
    ///
    /// # Errors
    /// When it is neither.
    pub fn named(machine: &Machine, name: &str, path: &Path) -> Result<Self, Hindrance> {
        if path.is_dir() {
            return Ok(Self { kernel: release_of(path)?, headers: path.to_path_buf() });
        }
        let kernel = KernelRelease::new(name).map_err(|error| Hindrance::Other(error.to_string()))?;
        if !kernel::headers_present(&machine.layout, &kernel) {
            let package = machine.distribution.headers_package(kernel.as_str(), None);
            let text = format!(
                "there are no headers of kernel {kernel} here; install {package}, or name a directory"
            );
            return Err(Hindrance::Other(text));
        }
        let headers = machine.layout.headers(&kernel);
        Ok(Self { kernel, headers })
    }
}

/// Compares a module file with a kernel.
///
/// # Errors
/// When the file is no module, or the kernel's configuration cannot be read.
pub fn fits_file(machine: &Machine, file: &Path, against: &Against) -> Result<FileAnswer, Hindrance> {
    let imports = elf::imports(file).map_err(|error| Hindrance::Other(error.to_string()))?;
    let Against { kernel, headers } = against;
    let config_file = own_config(headers);
    let config = KernelConfig::of(&config_file, headers)
        .map_err(|error| Hindrance::Other(format!("{} cannot be read: {error}", config_file.display())))?;
    let versions = config.is_set("CONFIG_MODVERSIONS");
    let mut why = Vec::new();
    let mut unknown = None;
    if let Some(text) = other_release(&imports, kernel, versions) {
        why.push(text);
    }
    why.extend(contradiction(&imports.vermagic, &config, headers).map(|misfit| misfit.to_string()));
    if versions && imports.versions.is_none() && !imports.undefined.is_empty() {
        let module = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        why.push(Misfit::Unversioned { module }.to_string());
    } else {
        match symbols(machine, against) {
            Ok(symbols) => {
                why.extend(Misfit::of_symbols(symbols.changes(&imports)).map(|misfit| misfit.to_string()));
            }
            Err(text) => unknown = Some(text),
        }
    }
    if !versions {
        match types(machine, file, against) {
            Ok(misfit) => why.extend(misfit.map(|misfit| misfit.to_string())),
            Err(text) => unknown = unknown.or(Some(text)),
        }
    }
    let outcome = match (&unknown, why.is_empty()) {
        (_, false) => Outcome::Fails,
        (Some(_), true) => Outcome::Untried,
        (None, true) => Outcome::Fits,
    };
    why.extend(unknown.filter(|_| outcome == Outcome::Untried));
    let symbols = imports.undefined.len();
    Ok(FileAnswer { file: file.to_path_buf(), kernel: kernel.clone(), outcome, why, symbols })
}

/// The release counts only where no CRC says more.
fn other_release(imports: &Imports, kernel: &KernelRelease, versions: bool) -> Option<String> {
    let built_for = imports.vermagic.split_whitespace().next()?;
    let crcs = versions && imports.versions.is_some();
    (built_for != kernel.as_str() && !crcs).then(|| format!("it was built for kernel {built_for}"))
}

/// What the kernel exports, and our modules that are installed for it: those stand before modules of the kernel.
fn symbols(machine: &Machine, against: &Against) -> Result<Symvers, String> {
    let layout = &machine.layout;
    let mut symbols = Symvers::default();
    for (module, _) in registry::registered(layout) {
        let cell = Cell { module, kernel: against.kernel.clone(), arch: machine.arch.clone() };
        if registry::is_installed(layout, &cell)
            && let Ok(own) = Symvers::read(&layout.built_modules(&cell).join("Module.symvers"))
        {
            symbols.extend(own);
        }
    }
    let file = against.headers.join("Module.symvers");
    let of_kernel =
        Symvers::read(&file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    symbols.extend(of_kernel);
    Ok(symbols)
}

/// What the module names of the kernel's types and the kernel has otherwise.
fn types(machine: &Machine, file: &Path, against: &Against) -> Result<Option<Misfit>, String> {
    let names = btf::based_on(file).map_err(|error| error.to_string())?;
    let names =
        names.ok_or("the kernel has no symbol versions, and the module does not say which types it uses")?;
    let types = kernel::kernel_types(&against.headers, &machine.layout.kernel(&against.kernel));
    let types = types.map_err(|error| {
        format!("the kernel has no symbol versions, and its types cannot be read: {error}")
    })?;
    let changed = btf::refused(&names, &types).map_err(|error| error.to_string())?;
    Ok(Misfit::of_uses(changed))
}
