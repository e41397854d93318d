//! The settings of the program, each with where its value came from.
//!
//! They are merged in one place (`crate::settings`) and only read afterwards.

mod bytes;
mod exceptions;
mod limit;
mod names;
mod preflight;
mod rows;

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;

pub use bytes::Bytes;
pub use exceptions::Exceptions;
pub use limit::{Limit, Limits, written};
pub use names::Names;
pub use preflight::Preflight;
pub use rows::Row;

use super::fit::Rebuild;
use super::ids::ModuleId;

/// Where a value came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    /// A file: framework.conf, one of its drop-ins.
    File {
        /// The file, as seen from inside the root.
        path: PathBuf,
        /// The line that set it, from 1; unknown where a program in the file did.
        line: Option<usize>,
    },
    /// A variable of the caller's environment.
    Environment(String),
    /// An option of the command line.
    CommandLine(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: Some(line) } => write!(f, "{}, line {line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(variable) => write!(f, "{variable} in the environment"),
            Self::CommandLine(option) => write!(f, "option {option}"),
        }
    }
}

/// A value with its origin. Read it through `*` or `.`: the origin is for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value<T> {
    /// What counts.
    pub value: T,
    /// Who said so.
    pub origin: Origin,
}

impl<T> Value<T> {
    /// A value that somebody set.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }

    /// A value that counts because nobody set another.
    pub fn default_of(value: T) -> Self {
        Self::new(value, Origin::Default)
    }

    /// The same origin with what `change` makes of the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Value<U> {
        Value { value: change(self.value), origin: self.origin }
    }
}

impl<T> Deref for Value<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// All settings. `None` means what dkms(8) says happens without the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `dkms_tree`, `--dkmstree`.
    pub dkms_tree: Value<PathBuf>,
    /// `source_tree`, `--sourcetree`.
    pub source_tree: Value<PathBuf>,
    /// `install_tree`, `--installtree`.
    pub install_tree: Value<PathBuf>,
    /// `tmp_location`: read for DKMS's sake, used for nothing.
    pub tmp_location: Value<Option<PathBuf>>,
    /// `verbose`, `--verbose`: show commands.
    pub verbose: Value<bool>,
    /// `symlink_modules`, `--symlink-modules`: install links instead of copies.
    pub symlink_modules: Value<bool>,
    /// `autoinstall_all_kernels`: module packages build for every kernel, not only the newest.
    pub autoinstall_all_kernels: Value<bool>,
    /// `always_depmod`, which DKMS does not know: depmod(8) makes every index, we none.
    pub always_depmod: Value<bool>,
    /// `modprobe_on_install`, `--modprobe-on-install`.
    pub modprobe_on_install: Value<bool>,
    /// `parallel_jobs`, `-j`: jobs for make; 0 for no limit, `None` for one per processor.
    pub parallel_jobs: Value<Option<usize>>,
    /// `compress_gzip_opts`, shell words.
    pub compress_gzip_opts: Value<Option<String>>,
    /// `compress_xz_opts`.
    pub compress_xz_opts: Value<Option<String>>,
    /// `compress_zstd_opts`.
    pub compress_zstd_opts: Value<Option<String>>,
    /// `build_environment` of the files: what each build sources first. See [`Settings::named`].
    pub build_environment: Value<Option<PathBuf>>,
    /// `post_transaction`: a shell command.
    pub post_transaction: Value<Option<String>>,
    /// `sign_file`.
    pub sign_file: Value<Option<String>>,
    /// `mok_signing_key`.
    pub mok_signing_key: Value<Option<String>>,
    /// `mok_certificate`.
    pub mok_certificate: Value<Option<String>>,
    /// `try_sign_modules`: `true`, `false` or anything else for "not in a chroot".
    pub try_sign_modules: Value<Option<String>>,
    /// `rebuild`, which DKMS does not know: what becomes of a build when only the headers changed.
    pub rebuild: Value<Rebuild>,
    /// `preflight`, which DKMS does not know: what an incoming kernel for which a module cannot be built meets.
    pub preflight: Value<Preflight>,
    /// `older_versions`, which DKMS does not know: whether an older version of a module is used for a kernel that the
    /// newest does not compile for.
    pub older_versions: Value<bool>,
    /// `build_cache`, which DKMS does not know: how much the cache of builds may take; none where it is off.
    pub build_cache: Value<Bytes>,
    /// `essential`, which DKMS does not know: module packages without which this machine should not start a kernel.
    pub essential: Value<Names>,
    /// `boot_guard`, which DKMS does not know: keep and start a kernel that has all essential modules.
    pub boot_guard: Value<bool>,
    /// `writable_sources`, which DKMS does not know: packages that root builds although others can write to their
    /// sources.
    pub writable_sources: Value<Exceptions>,
    /// `time_limit_*`, which DKMS does not know: how long things may take.
    pub limits: Limits,
    /// `unconfined`, which DKMS does not know: what is built with all of root's power, and why.
    pub unconfined: Value<Exceptions>,
    /// `build_processes`, which DKMS does not know: how many processes a build may have at once; 0 for no limit.
    pub build_processes: Value<Option<usize>>,
    /// `build_memory`, which DKMS does not know: the address space of each of its processes; 0 for no limit.
    pub build_memory: Value<Option<Bytes>>,
    /// `build_file_size`, which DKMS does not know: the largest file that a build may write; 0 for no limit.
    pub build_file_size: Value<Option<Bytes>>,
    /// `DKMS_HOOK_UNCONFINED` in the environment: the same as `unconfined`, for one call.
    pub unconfined_now: Value<Exceptions>,
    /// `NO_WEAK_MODULES` in the environment: let no other kernel share what is installed.
    pub no_weak_modules: Value<bool>,
    /// `ADDON_MODULES_DIR` in the environment, or in `/etc/sysconfig/module-init-tools`: where modules go
    /// below `/lib/modules/K`, whatever the distribution's rule is.
    pub addon_modules_dir: Value<Option<String>>,
    /// `DKMS_HOOK_STRICT` in the environment, or `/etc/dkms/dkms-hook-strict`: a failed build fails the
    /// module's package.
    pub strict: Value<bool>,
    /// `MODULES_SIGN_KEY` in the environment: Portage's signing key. Counts on Gentoo.
    pub modules_sign_key: Value<Option<String>>,
    /// `MODULES_SIGN_CERT` in the environment: its certificate.
    pub modules_sign_cert: Value<Option<String>>,
    /// Variables of the environment that DKMS would take for settings and that count for nothing here.
    pub ignored: Vec<&'static str>,
    /// What counts for modules that the call asks for by name, and for what has no build yet.
    pub named: Named,
    /// The files use `$kernelver`: what they say of signing is read again for each kernel.
    pub names_kernel: bool,
}

/// What the caller's environment says about builds. It stays with a build, so that a hook, which runs
/// in another environment, does not undo it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// `build_environment`: a file to source before the build instead of that of the files.
    pub build_environment: Value<Option<PathBuf>>,
    /// Each variable that begins with `DKMS_DIRECTIVE`, in the order of their names: a directive of
    /// dkms.conf and its value.
    pub directives: Vec<Value<(String, String)>>,
}

impl Settings {
    /// Why a module version is built with all of root's power, and whether its machine says so or only this call. The
    /// name `*` stands for every package. `None`: it is not.
    pub fn unconfined_because(&self, id: &ModuleId) -> Option<(&str, &Origin, bool)> {
        let names = [id.to_string(), id.name.to_string(), "*".to_owned()];
        [(&self.unconfined_now, false), (&self.unconfined, true)].into_iter().find_map(|(setting, always)| {
            let reason = names.iter().find_map(|name| setting.reason(name))?;
            Some((reason, &setting.origin, always))
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        let tree = |path: &str| Value::default_of(PathBuf::from(path));
        Self {
            dkms_tree: tree("/var/lib/dkms"),
            source_tree: tree("/usr/src"),
            install_tree: tree("/lib/modules"),
            tmp_location: Value::default(),
            verbose: Value::default(),
            symlink_modules: Value::default(),
            autoinstall_all_kernels: Value::default(),
            always_depmod: Value::default(),
            modprobe_on_install: Value::default(),
            parallel_jobs: Value::default(),
            compress_gzip_opts: Value::default(),
            compress_xz_opts: Value::default(),
            compress_zstd_opts: Value::default(),
            build_environment: Value::default(),
            post_transaction: Value::default(),
            sign_file: Value::default(),
            mok_signing_key: Value::default(),
            mok_certificate: Value::default(),
            try_sign_modules: Value::default(),
            rebuild: Value::default(),
            preflight: Value::default(),
            older_versions: Value::default_of(true),
            build_cache: Value::default(),
            essential: Value::default(),
            boot_guard: Value::default_of(true),
            writable_sources: Value::default(),
            limits: Limits::default(),
            unconfined: Value::default(),
            build_processes: Value::default(),
            build_memory: Value::default(),
            build_file_size: Value::default(),
            unconfined_now: Value::default(),
            no_weak_modules: Value::default(),
            addon_modules_dir: Value::default(),
            strict: Value::default(),
            modules_sign_key: Value::default(),
            modules_sign_cert: Value::default(),
            ignored: Vec::new(),
            named: Named::default(),
            names_kernel: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_says_why_a_package_is_not_confined() {
        let said = |text| Value::default_of(Exceptions::parse(text).unwrap());
        let mut settings = Settings { unconfined: said("zfs: a; zfs/2: b; *: c"), ..Settings::default() };
        let reason = |settings: &Settings, name: &str, version: &str| {
            let id = ModuleId::new(name, version).unwrap();
            settings.unconfined_because(&id).map(|(why, _, always)| (why.to_owned(), always))
        };
        for (name, version, why) in [("zfs", "1", "a"), ("zfs", "2", "b"), ("other", "1", "c")] {
            assert_eq!(reason(&settings, name, version), Some((why.to_owned(), true)));
        }
        settings.unconfined_now = said("zfs: now");
        assert_eq!(reason(&settings, "zfs", "2"), Some(("now".to_owned(), false)));
        assert_eq!(reason(&Settings::default(), "zfs", "1"), None);
    }
}
