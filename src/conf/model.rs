//! What a dkms.conf says for one kernel, after every override and default is applied.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::error::{Error, Kind};
use crate::model::ids::{Arch, KernelRelease, ModuleId};
use crate::model::settings::Limit;
use crate::process::{more_time, took_longer};

/// The variables that a conf file may use (dkms(8), section DKMS.CONF).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// `$kernelver`; unset while a source is registered and no kernel is known. Then `kernel_source_dir`
    /// and `kernel_config` are empty, and count as unset, too.
    pub kernel: Option<KernelRelease>,
    /// `$arch`.
    pub arch: Arch,
    /// `$kernel_source_dir`: normally `/lib/modules/K/build`.
    pub kernel_source_dir: PathBuf,
    /// `$kernel_config`: `include/config/auto.conf` or `.config` of the headers, or `--config`.
    /// The file need not exist; BUILD_EXCLUSIVE_CONFIG is not checked then. Where it says nothing of an option,
    /// the headers' own counts ([`own_config`]).
    pub kernel_config: PathBuf,
    /// `$dkms_tree`, as the build sees it.
    pub dkms_tree: PathBuf,
    /// `$source_tree`, as the build sees it.
    pub source_tree: PathBuf,
    /// `$install_tree`, as the build sees it.
    pub install_tree: PathBuf,
    /// `$module` and `$module_version`; unset while a path is added whose name is not known yet.
    pub module: Option<ModuleId>,
    /// `$parallel_jobs`.
    pub parallel_jobs: usize,
    /// Forced values (`--directive NAME=value`), applied after all files.
    pub directives: Vec<(String, String)>,
    /// How long bash may take for it.
    pub limit: Limit,
    /// `unconfined` in framework.conf names the package: bash reads its conf with the rights of this process.
    pub unconfined: bool,
}

/// The configuration that headers bring, in the file that makes use of it first.
pub fn own_config(headers: &Path) -> PathBuf {
    let auto_conf = headers.join("include/config/auto.conf");
    if auto_conf.exists() { auto_conf } else { headers.join(".config") }
}

/// A dkms.conf as it applies to one kernel and architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// PACKAGE_NAME as written (not checked against the name it was registered under).
    pub package_name: String,
    /// PACKAGE_VERSION as written.
    pub package_version: String,
    /// The modules that it builds, in index order.
    pub records: Vec<Record>,
    /// The make command for this kernel, before `-j` and `KERNELRELEASE=` are put in.
    pub make: String,
    /// Patches for this kernel, in the order they are applied.
    pub patches: Vec<String>,
    /// Names of modules that must be built before this one.
    pub build_depends: Vec<String>,
    /// BUILD_DEPENDS_REBUILD.
    pub build_depends_rebuild: bool,
    /// AUTOINSTALL.
    pub autoinstall: bool,
    /// NO_WEAK_MODULES.
    pub no_weak_modules: bool,
    /// Scripts with their arguments, as written.
    pub scripts: Scripts,
    /// OBSOLETE_BY.
    pub obsolete_by: Option<String>,
    /// Deprecated or doubtful things to tell the person who builds.
    pub warnings: Vec<String>,
    /// How the file was read.
    pub reader: Reader,
    /// Every directive by name and index, after all overrides: the input of the fingerprint.
    pub values: BTreeMap<String, BTreeMap<usize, String>>,
}

/// One module (`.ko`) of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// BUILT_MODULE_NAME, without `.ko`.
    pub built_name: String,
    /// BUILT_MODULE_LOCATION: empty, or ending in `/`.
    pub built_location: String,
    /// DEST_MODULE_NAME, without `.ko`.
    pub dest_name: String,
    /// DEST_MODULE_LOCATION as written, e.g. `/updates`.
    pub dest_location: String,
    /// Whether debug information is removed.
    pub strip: bool,
    /// Why this record is left out for this kernel, in words that follow "because".
    pub excluded: Option<String>,
}

/// PRE_BUILD and its siblings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scripts {
    /// PRE_BUILD.
    pub pre_build: Option<String>,
    /// POST_BUILD.
    pub post_build: Option<String>,
    /// PRE_INSTALL.
    pub pre_install: Option<String>,
    /// POST_INSTALL.
    pub post_install: Option<String>,
    /// POST_REMOVE.
    pub post_remove: Option<String>,
    /// POST_ADD.
    pub post_add: Option<String>,
}

/// How a conf was evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reader {
    /// By our own reader; no process was started.
    Own,
    /// By bash, because of what stands in `line` of the first file that needs a shell.
    Shell {
        /// Line number, from 1.
        line: usize,
        /// What was found there.
        why: String,
    },
}

impl Conf {
    /// When every record is excluded for this kernel: why (the first record's reason).
    pub fn exclusion(&self) -> Option<&str> {
        if self.records.is_empty() || self.records.iter().any(|r| r.excluded.is_none()) {
            return None;
        }
        self.records.first().and_then(|r| r.excluded.as_deref())
    }

    /// The records that are built for this kernel.
    pub fn wanted(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|r| r.excluded.is_none())
    }
}

/// Why a conf gives no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read {path}: {why}")]
    Unreadable {
        /// The file, as seen from inside the root.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// The values are not acceptable.
    #[error("{path} is not a valid dkms.conf:\n  {}", .problems.join("\n  "))]
    Invalid {
        /// The file, as seen from inside the root.
        path: PathBuf,
        /// Every problem, one line each.
        problems: Vec<String>,
    },
    /// It needs a shell, and bash did not come to its end in time.
    #[error("bash {} while it evaluated {path}", took_longer(.limit))]
    TookTooLong {
        /// The file, as seen from inside the root.
        path: PathBuf,
        /// How long it was allowed to take.
        limit: Limit,
    },
    /// It needs a shell and bash did not run it to its end.
    #[error("bash could not evaluate {path}: {why}")]
    Shell {
        /// The file, as seen from inside the root.
        path: PathBuf,
        /// What bash said.
        why: String,
    },
}

impl From<ConfError> for Error {
    fn from(err: ConfError) -> Self {
        if let ConfError::TookTooLong { path, limit } = &err {
            let hint = format!(
                "correct {}, or, {}; hooks do not try again until it changes",
                path.display(),
                more_time(limit)
            );
            return Error::new(Kind::ConfInvalid, err.to_string()).hint(hint);
        }
        let (kind, hint) = match &err {
            ConfError::Unreadable { .. } => {
                (Kind::ConfMissing, "reinstall the module's source, or remove it with `dkms remove`")
            }
            ConfError::Invalid { .. } => {
                (Kind::ConfInvalid, "correct the lines named above; dkms(8) describes every directive")
            }
            ConfError::Shell { .. } | ConfError::TookTooLong { .. } => {
                (Kind::ConfInvalid, "try `bash -n` on the file; bash must be installed")
            }
        };
        Error::new(kind, err.to_string()).hint(hint)
    }
}
