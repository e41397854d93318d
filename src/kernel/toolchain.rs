//! Which compiler builds modules for a kernel, by what the kernel's own files say.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use object::{Object, ObjectSection};

use super::kernel_config::KernelConfig;
use crate::conf::model::Context;
use crate::fs::regular;
use crate::process::{Process, QUERY_LIMIT, find_program, not_found};

static VERSIONS: LazyLock<Mutex<HashMap<PathBuf, String>>> = LazyLock::new(Mutex::default);

/// The tools that build for one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The compiler command that the build will use.
    pub cc: String,
    /// Where that command is; `None` when it is not installed.
    pub path: Option<PathBuf>,
    /// What it says its version is ("14.2.0"); empty when it cannot be run.
    pub version: String,
    /// The compiler that the kernel was built with, by name.
    pub named: Option<String>,
    /// Whether the kernel was linked by lld, and lld is installed.
    pub lld: bool,
    /// Whether `LLVM=1` has to be given to make.
    pub llvm: bool,
    /// Whether DKMS's rules give a value for `CC`; without one, make takes its own default.
    exported: bool,
    /// Whether `KERNEL_CC` is exported too.
    kernel_cc: bool,
}

/// The compiler for a kernel, with its version. Starts the compiler once per process and path.
pub fn identity(context: &Context) -> Toolchain {
    let mut toolchain = select(context);
    if let Some(path) = &toolchain.path {
        toolchain.version = version(path, toolchain.cc.contains("clang"));
    }
    toolchain
}

/// Whether a kernel takes modules in Rust.
pub fn supports_rust(context: &Context) -> bool {
    configuration(context).is_ok_and(|config| config.is_set("CONFIG_RUST"))
}

fn configuration(context: &Context) -> std::io::Result<Arc<KernelConfig>> {
    KernelConfig::of(&context.kernel_config, &context.kernel_source_dir)
}

/// The Rust compiler for modules with Rust in them, as `rustc 1.85.0`, without a version when it is not
/// installed.
///
/// A kernel's Makefile takes `rustc` from the path (`RUSTC`); it has to be of the version that built the
/// kernel, as Rust has no stable interface between versions.
pub fn rustc() -> String {
    let said = find_program("rustc").map(|path| said(&path, &["--version"])).unwrap_or_default();
    // "rustc 1.85.0 (4d91de4e4 2025-02-17)"
    let version = said.split_whitespace().nth(1).map(|version| format!(" {version}"));
    format!("rustc{}", version.unwrap_or_default())
}

/// Chooses the tools without asking for a version.
pub fn select(context: &Context) -> Toolchain {
    let config = configuration(context).unwrap_or_default();
    let clang = config.is_set("CONFIG_CC_IS_CLANG");
    let mut named = config
        .get("CONFIG_CC_VERSION_TEXT")
        .and_then(|text| text.split_whitespace().next())
        .map(str::to_owned);
    if clang {
        // The text is "Debian clang version 19.1.7" or so: its first word is no command.
        named = Some("clang".to_owned());
    }
    let mut toolchain = Toolchain {
        cc: "gcc".to_owned(),
        path: None,
        version: String::new(),
        lld: config.is_set("CONFIG_LD_IS_LLD") && find_program("ld.lld").is_some(),
        llvm: needs_llvm(&context.kernel_source_dir, clang),
        named,
        exported: false,
        kernel_cc: false,
    };
    if let Some(name) = &toolchain.named
        && let Some(path) = find_program(name)
    {
        toolchain.cc.clone_from(name);
        toolchain.path = Some(path);
        (toolchain.exported, toolchain.kernel_cc) = (true, true);
    } else if clang {
        "clang".clone_into(&mut toolchain.cc);
    } else if let Some(cc) = kernel_variables_cc(&context.kernel_source_dir) {
        // Debian's headers insist on this one: there is no falling back to another.
        toolchain.path = cc.split_whitespace().next().and_then(find_program);
        toolchain.cc = cc;
        toolchain.exported = true;
    } else {
        // A kernel's Makefile takes `gcc`, whatever it was built with.
        toolchain.path = find_program("gcc");
        if toolchain.path.is_none() && toolchain.named.is_some() {
            toolchain.cc = toolchain.named.clone().unwrap_or_default();
        }
    }
    toolchain
}

impl Toolchain {
    /// The variables that builds and scripts see; `CC` is removed when there is none.
    pub fn environment(&self) -> Vec<(OsString, Option<OsString>)> {
        let mut vars = vec![("CC".into(), self.exported.then(|| self.cc.clone().into()))];
        if self.kernel_cc {
            vars.push(("KERNEL_CC".into(), Some(self.cc.clone().into())));
        }
        if self.lld {
            vars.push(("LD".into(), Some("ld.lld".into())));
            vars.push(("KERNEL_LD".into(), Some("ld.lld".into())));
        }
        if self.llvm {
            // DKMS appends it to the command, which misses all but the last of several commands.
            vars.push(("LLVM".into(), Some("1".into())));
        }
        vars
    }

    /// The distribution package that has the compiler, as Debian and its derivatives name it:
    /// `x86_64-linux-gnu-gcc-14` is in `gcc-14`.
    pub fn package(&self) -> String {
        let command = self.cc.split_whitespace().next().unwrap_or("gcc");
        let command = command.rsplit('/').next().unwrap_or(command);
        match command.split_once("-gcc") {
            Some((triplet, version)) if triplet.starts_with(std::env::consts::ARCH) => {
                format!("gcc{version}")
            }
            Some((triplet, version)) => format!("gcc{version}-{}", triplet.replace('_', "-")),
            None => command.to_owned(),
        }
    }

    /// What to tell the person when another compiler than the kernel's builds.
    pub fn mismatch(&self) -> Option<String> {
        let named = self.named.as_deref()?;
        let fallback = self.path.is_some() && self.cc == "gcc" && named != "gcc";
        fallback.then(|| {
            format!("the kernel was built with {named}; {}; building with gcc instead", not_found(named))
        })
    }
}

/// The value that Debian's `.kernelvariables` gives to `CC`. It is a makefile with conditions, so
/// make evaluates it.
fn kernel_variables_cc(headers: &Path) -> Option<String> {
    let file = headers.join(".kernelvariables");
    if !file.is_file() {
        return None;
    }
    let text = "ifneq ($(origin CC),default)\n$(info $(CC))\nendif\nnone: ;\n";
    let dir = tempfile::tempdir().ok()?;
    let makefile = dir.path().join("Makefile");
    regular::write(&makefile, text.as_bytes()).ok()?;
    // One after the other: `include` would take a path with a blank in it for two.
    let make = Process::new("make").arg("-s").arg("-f").arg(&file).arg("-f").arg(&makefile);
    let got = make.arg("none").limit(QUERY_LIMIT).capture().ok()?;
    let cc = String::from_utf8_lossy(&got.stdout).trim().to_owned();
    (got.status == 0 && !cc.is_empty()).then_some(cc)
}

/// A vmlinux beside the headers names its compilers in `.comment`; without one, the configuration
/// decides.
fn needs_llvm(headers: &Path, clang: bool) -> bool {
    let Ok(file) = regular::open(&headers.join("vmlinux")) else { return clang };
    let cache = object::ReadCache::new(file);
    let Ok(elf) = object::File::parse(&cache) else { return clang };
    let comment = elf.section_by_name(".comment").and_then(|s| s.data().ok().map(<[u8]>::to_vec));
    comment.is_some_and(|text| String::from_utf8_lossy(&text).contains("clang"))
}

fn version(path: &Path, clang: bool) -> String {
    // gcc prints 14 for the second option alone, and clang does not know the first.
    said(path, if clang { &["-dumpversion"] } else { &["-dumpfullversion", "-dumpversion"] })
}

/// What a compiler prints; empty when it cannot be run. Each is started once per process.
fn said(path: &Path, options: &[&str]) -> String {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut versions = VERSIONS.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(known) = versions.get(&real) {
        return known.clone();
    }
    let got = Process::new(path).args(options).limit(QUERY_LIMIT).capture();
    let text = match got {
        Ok(got) if got.status == 0 => String::from_utf8_lossy(&got.stdout).trim().to_owned(),
        _ => String::new(),
    };
    versions.insert(real, text.clone());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(cc: &str) -> Toolchain {
        Toolchain {
            cc: cc.to_owned(),
            path: None,
            version: String::new(),
            named: Some(cc.to_owned()),
            lld: false,
            llvm: false,
            exported: true,
            kernel_cc: true,
        }
    }

    #[test]
    fn packages_are_named_as_debian_names_them() {
        let own = format!("{}-linux-gnu-gcc-14", std::env::consts::ARCH);
        assert_eq!(named(&own).package(), "gcc-14");
        assert_eq!(named("gcc-13").package(), "gcc-13");
        assert_eq!(named("gcc").package(), "gcc");
        assert_eq!(named("/usr/bin/clang").package(), "clang");
        assert_eq!(named("mips64el-linux-gnuabi64-gcc-14").package(), "gcc-14-mips64el-linux-gnuabi64");
    }

    #[test]
    fn kernel_variables_are_evaluated_by_make() {
        let dir = tempfile::Builder::new().prefix("a $name with blanks ").tempdir().unwrap();
        assert_eq!(kernel_variables_cc(dir.path()), None);
        let file = dir.path().join(".kernelvariables");
        std::fs::write(&file, "override ARCH = x86\n").unwrap();
        assert_eq!(kernel_variables_cc(dir.path()), None, "make's own default is not a choice");
        std::fs::write(&file, "_N = 14\nCC = $(if $(OTHER),cc,gcc-$(_N))\n").unwrap();
        assert_eq!(kernel_variables_cc(dir.path()).as_deref(), Some("gcc-14"));
    }
}
