//! The settings of the program, merged once: defaults, framework.conf and its drop-ins, the caller's
//! environment, the command line.
//!
//! Everything else reads [`Settings`] and asks none of these again. What wins is decided setting by setting
//! in [`merge`], as DKMS has it: mostly the command line, then the files, then the environment.

mod environment;
mod other_files;

use std::borrow::Cow;
use std::path::PathBuf;

pub use environment::Environment;

use other_files::OtherFiles;

use crate::conf::framework::{Framework, Said, load_framework};
use crate::conf::model::ConfError;
use crate::model::fit::Rebuild;
use crate::model::ids::KernelRelease;
use crate::model::settings::{
    Bytes, Exceptions, Limit, Limits, Named, Names, Origin, Preflight, Settings, Value,
};
use crate::tree::layout::Layout;

/// Settings that DKMS takes from the environment when no file has them, because it does not clear
/// them. A hook would not see them: files are the place for them.
const IGNORED: [&str; 4] = ["sign_file", "mok_signing_key", "mok_certificate", "try_sign_modules"];

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// `--dkmstree`.
    pub dkms_tree: Option<PathBuf>,
    /// `--sourcetree`.
    pub source_tree: Option<PathBuf>,
    /// `--installtree`.
    pub install_tree: Option<PathBuf>,
    /// `--verbose`.
    pub verbose: bool,
    /// `--symlink-modules`.
    pub symlink_modules: bool,
    /// `--modprobe-on-install`.
    pub modprobe_on_install: bool,
    /// `-j`; 0 for no limit.
    pub jobs: Option<usize>,
    /// `--rebuild`.
    pub rebuild: Option<Rebuild>,
}

/// The settings for a root, and why its files could not be read, if they could not: then they count as
/// empty. `layout` has the root and the default trees.
pub fn load(layout: &Layout, environment: &Environment, given: &Given) -> (Settings, Option<ConfError>) {
    let (files, problem) = match load_framework(layout, None) {
        Ok(files) => (files, None),
        Err(error) => (Framework::default(), Some(error)),
    };
    (merge(&files, &OtherFiles::read(layout), environment, given), problem)
}

/// The settings for one kernel: framework.conf may choose keys by `$kernelver`. Only files that name it
/// are read again.
///
/// # Errors
/// When a file cannot be read or bash cannot evaluate it.
pub fn for_kernel<'a>(
    layout: &Layout,
    settings: &'a Settings,
    kernel: &KernelRelease,
) -> Result<Cow<'a, Settings>, ConfError> {
    if !settings.names_kernel {
        return Ok(Cow::Borrowed(settings));
    }
    let files = Files(&load_framework(layout, Some(kernel))?);
    Ok(Cow::Owned(Settings {
        sign_file: files.text("sign_file"),
        mok_signing_key: files.text("mok_signing_key"),
        mok_certificate: files.text("mok_certificate"),
        try_sign_modules: files.text("try_sign_modules"),
        ..settings.clone()
    }))
}

/// What wins, for every setting.
fn merge(framework: &Framework, others: &OtherFiles, environment: &Environment, given: &Given) -> Settings {
    let files = Files(framework);
    let default = Settings::default();
    let tree = |option, given: &Option<PathBuf>, name, default: Value<PathBuf>| {
        strongest([on_command_line(option, given.clone()), files.path(name)]).unwrap_or(default)
    };
    let switch = |option, given: bool, name| {
        strongest([on_command_line(option, given.then_some(true)), files.switch(name)]).unwrap_or_default()
    };
    Settings {
        dkms_tree: tree("--dkmstree", &given.dkms_tree, "dkms_tree", default.dkms_tree),
        source_tree: tree("--sourcetree", &given.source_tree, "source_tree", default.source_tree),
        install_tree: tree("--installtree", &given.install_tree, "install_tree", default.install_tree),
        tmp_location: optional(files.path("tmp_location")),
        verbose: switch("--verbose", given.verbose, "verbose"),
        symlink_modules: switch("--symlink-modules", given.symlink_modules, "symlink_modules"),
        autoinstall_all_kernels: files.switch("autoinstall_all_kernels").unwrap_or_default(),
        always_depmod: files.switch("always_depmod").unwrap_or_default(),
        modprobe_on_install: strongest([
            on_command_line("--modprobe-on-install", given.modprobe_on_install.then_some(true)),
            files.switch("modprobe_on_install"),
            variable(environment, "modprobe_on_install", |_| Some(true)),
        ])
        .unwrap_or_default(),
        parallel_jobs: optional(strongest([
            on_command_line("-j", given.jobs),
            files.number("parallel_jobs"),
            variable(environment, "parallel_jobs", |text| text.trim().parse().ok()),
        ])),
        compress_gzip_opts: files.text_or_empty("compress_gzip_opts"),
        compress_xz_opts: files.text_or_empty("compress_xz_opts"),
        compress_zstd_opts: files.text_or_empty("compress_zstd_opts"),
        build_environment: optional(files.path("build_environment")),
        post_transaction: optional(strongest([
            files.some("post_transaction"),
            variable(environment, "post_transaction", |text| Some(text.to_owned())),
        ])),
        sign_file: files.text("sign_file"),
        mok_signing_key: files.text("mok_signing_key"),
        mok_certificate: files.text("mok_certificate"),
        try_sign_modules: files.text("try_sign_modules"),
        rebuild: strongest([on_command_line("--rebuild", given.rebuild), files.rebuild()])
            .unwrap_or_default(),
        preflight: files.preflight().unwrap_or_default(),
        older_versions: files.yes_or_no("older_versions").unwrap_or(default.older_versions),
        build_cache: files.build_cache().unwrap_or_default(),
        essential: files.names("essential").unwrap_or_default(),
        boot_guard: files.yes_or_no("boot_guard").unwrap_or(default.boot_guard),
        limits: Limits::from(|name| files.limit(name)),
        writable_sources: files.exceptions("writable_sources").unwrap_or_default(),
        unconfined: files.exceptions("unconfined").unwrap_or_default(),
        build_processes: optional(files.number("build_processes")),
        build_memory: optional(files.bytes("build_memory")),
        build_file_size: optional(files.bytes("build_file_size")),
        unconfined_now: variable(environment, "DKMS_HOOK_UNCONFINED", Exceptions::parse).unwrap_or_default(),
        no_weak_modules: variable(environment, "NO_WEAK_MODULES", |text| Some(!text.starts_with(['n', 'N'])))
            .unwrap_or_default(),
        addon_modules_dir: optional(strongest([
            variable(environment, "ADDON_MODULES_DIR", |text| Some(text.to_owned())),
            others.addon_modules_dir.as_ref().map(|said| Value::new(said.text.clone(), origin(said))),
        ])),
        strict: strongest([
            variable(environment, "DKMS_HOOK_STRICT", |text| Some(text != "0")),
            others.strict.as_ref().map(|said| Value::new(true, origin(said))),
        ])
        .unwrap_or_default(),
        modules_sign_key: optional(variable(environment, "MODULES_SIGN_KEY", |text| Some(text.to_owned()))),
        modules_sign_cert: optional(variable(environment, "MODULES_SIGN_CERT", |text| Some(text.to_owned()))),
        ignored: IGNORED.iter().copied().filter(|name| environment.has(name)).collect(),
        named: named(environment),
        names_kernel: framework.names_kernel,
    }
}

fn named(environment: &Environment) -> Named {
    let directive = |(name, value): (&str, &str)| {
        let (directive, value) = value.split_once('=')?;
        let origin = Origin::Environment(name.to_owned());
        Some(Value::new((directive.to_owned(), value.to_owned()), origin))
    };
    Named {
        build_environment: optional(variable(environment, "build_environment", |text| Some(text.into()))),
        directives: environment.beginning("DKMS_DIRECTIVE").filter_map(directive).collect(),
    }
}

/// The first that is there.
fn strongest<T, const N: usize>(candidates: [Option<Value<T>>; N]) -> Option<Value<T>> {
    candidates.into_iter().flatten().next()
}

fn optional<T>(value: Option<Value<T>>) -> Value<Option<T>> {
    value.map_or_else(|| Value::default_of(None), |value| value.map(Some))
}

fn on_command_line<T>(option: &'static str, given: Option<T>) -> Option<Value<T>> {
    given.map(|value| Value::new(value, Origin::CommandLine(option)))
}

fn variable<T>(
    environment: &Environment,
    name: &str,
    understand: impl FnOnce(&str) -> Option<T>,
) -> Option<Value<T>> {
    let value = understand(environment.get(name)?)?;
    Some(Value::new(value, Origin::Environment(name.to_owned())))
}

/// Understands the texts of framework.conf.
#[derive(Clone, Copy)]
struct Files<'a>(&'a Framework);

impl<'a> Files<'a> {
    /// A setting that has a text or, with `empty`, one that is set to nothing.
    fn said(self, name: &str, empty: bool) -> Option<&'a Said> {
        self.0.said.get(name).filter(|said| empty || !said.text.is_empty())
    }

    fn some(self, name: &str) -> Option<Value<String>> {
        self.said(name, false).map(|said| Value::new(said.text.clone(), origin(said)))
    }

    fn path(self, name: &str) -> Option<Value<PathBuf>> {
        self.some(name).map(|value| value.map(PathBuf::from))
    }

    fn text(self, name: &str) -> Value<Option<String>> {
        optional(self.some(name))
    }

    /// Options of a compressor may be switched off by setting them to nothing.
    fn text_or_empty(self, name: &str) -> Value<Option<String>> {
        optional(self.said(name, true).map(|said| Value::new(said.text.clone(), origin(said))))
    }

    /// Any text switches it on.
    fn switch(self, name: &str) -> Option<Value<bool>> {
        self.some(name).map(|value| value.map(|_| true))
    }

    fn number(self, name: &str) -> Option<Value<usize>> {
        self.understood(name, "which is not a number", |text| text.trim().parse().ok())
    }

    fn rebuild(self) -> Option<Value<Rebuild>> {
        self.understood("rebuild", "which is neither inputs nor abi", Rebuild::parse)
    }

    fn preflight(self) -> Option<Value<Preflight>> {
        self.understood("preflight", "which is none of off, warn and hold", Preflight::parse)
    }

    fn exceptions(self, name: &str) -> Option<Value<Exceptions>> {
        self.understood(name, "which is no list such as `NAME: REASON; NAME: REASON`", Exceptions::parse)
    }

    fn names(self, name: &str) -> Option<Value<Names>> {
        self.understood(name, "which is no list of module names such as `zfs nvidia`", Names::parse)
    }

    fn yes_or_no(self, name: &str) -> Option<Value<bool>> {
        self.understood(name, "which is neither yes nor no", |text| match text.trim() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        })
    }

    fn build_cache(self) -> Option<Value<Bytes>> {
        self.bytes("build_cache")
    }

    fn bytes(self, name: &str) -> Option<Value<Bytes>> {
        self.understood(name, "which is no size such as 500M or 2G, nor 0", Bytes::parse)
    }

    fn limit(self, name: &'static str) -> Option<Value<Limit>> {
        let otherwise = "which is no time such as 90s, 30m or 4h, nor 0";
        self.understood(name, otherwise, |text| Limit::parse(name, text))
    }

    /// A setting with few values; another one counts as none.
    fn understood<T>(
        self,
        name: &str,
        otherwise: &str,
        understand: impl FnOnce(&str) -> Option<T>,
    ) -> Option<Value<T>> {
        let said = self.said(name, false)?;
        let value = understand(&said.text);
        if value.is_none() {
            log::warn!("{}: {name} is `{}`, {otherwise}", origin(said), said.text);
        }
        value.map(|value| Value::new(value, origin(said)))
    }
}

fn origin(said: &Said) -> Origin {
    Origin::File { path: said.file.clone(), line: said.line }
}

#[cfg(test)]
mod tests;
