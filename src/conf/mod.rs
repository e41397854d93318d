//! dkms.conf and framework.conf: from files to values.
//!
//! Knows nothing of plans or builds. A dkms.conf is read for one kernel and architecture, because
//! its values may depend on both.

mod confinement;
mod directives;
mod ere;
pub mod evaluation;
mod exclusive;
pub mod framework;
mod interpret;
pub mod model;
pub mod own;
mod question;
mod shell;
mod validate;
mod values;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fs::root::Root;
use crate::model::ids::{Arch, KernelRelease, ModuleId};
use crate::model::settings::Limit;
use crate::tree::layout::Layout;
pub use confinement::only_look;
pub use directives::{DKMS_CONF, FRAMEWORK_CONF};
use evaluation::Question;
use model::{Conf, ConfError, Context};

/// How long bash may take where no setting says so: for the settings themselves, for one.
pub const USUAL_LIMIT: Limit = Limit::seconds("", 10);

/// How closely a dkms.conf is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// For add, build and install: modules must not share a name, and doubtful things give warnings.
    Build,
    /// For everything else: what was once added must also leave again.
    Other,
}

/// Reads a dkms.conf and the overrides for it, and says what they mean for one kernel.
///
/// `file` and `overrides` are paths as this process opens them; messages name them from inside
/// `root`. No process is started when all of them are declarative; [`Conf::reader`] tells.
///
/// # Errors
/// When a file cannot be read, bash cannot evaluate it, or the values are not acceptable.
pub fn load(
    root: &Root,
    file: &Path,
    overrides: &[PathBuf],
    ctx: &Context,
    strictness: Strictness,
) -> Result<Conf, ConfError> {
    let files: Vec<&Path> = std::iter::once(file).chain(overrides.iter().map(PathBuf::as_path)).collect();
    let files = evaluation::open(root, &files)?;
    let question =
        Question { exported: DKMS_CONF, given: variables(ctx), limit: ctx.limit, foreign: !ctx.unconfined };
    let mut answer = evaluation::evaluate(root, &question, &files)?;
    let mut warnings: Vec<String> =
        answer.complaints.iter().map(|line| format!("while it was read: {line}")).collect();
    for (name, value) in &ctx.directives {
        if DKMS_CONF.contains(&name.as_str()) {
            answer.values.entry(name.clone()).or_default().insert(0, value.clone());
        } else {
            warnings.push(format!("{name} is not a directive of dkms.conf; setting it has no effect"));
        }
    }
    interpret::conf(answer.values, answer.reader, warnings, ctx, strictness)
        .map_err(|problems| ConfError::Invalid { path: root.inside(file), problems })
}

/// PACKAGE_NAME and PACKAGE_VERSION of a file of which nothing else is known yet, not even the
/// kernel. Neither is checked.
///
/// # Errors
/// When the file cannot be read or bash cannot evaluate it.
pub fn peek(root: &Root, file: &Path) -> Result<(Option<String>, Option<String>), ConfError> {
    let files = evaluation::open(root, &[file])?;
    let given = CONTEXT.iter().map(|name| ((*name).to_owned(), None)).collect();
    let answer = evaluation::evaluate(
        root,
        &Question { exported: DKMS_CONF, given, limit: USUAL_LIMIT, foreign: true },
        &files,
    )?;
    let directives = values::Directives(&answer.values);
    Ok((directives.some("PACKAGE_NAME"), directives.some("PACKAGE_VERSION")))
}

/// The variables that a dkms.conf may use.
const CONTEXT: [&str; 10] = [
    "kernelver",
    "arch",
    "kernel_source_dir",
    "kernel_config",
    "dkms_tree",
    "source_tree",
    "install_tree",
    "module",
    "module_version",
    "parallel_jobs",
];

/// The context as a conf sees it: names with values, `None` where a variable is not set.
pub fn variables(ctx: &Context) -> Vec<(String, Option<Vec<u8>>)> {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let path = |path: &Path| Some(path.as_os_str().as_bytes().to_vec());
    let values = [
        ctx.kernel.as_ref().and_then(|kernel| text(kernel.as_str())),
        text(ctx.arch.as_str()),
        path(&ctx.kernel_source_dir).filter(|bytes| !bytes.is_empty()),
        path(&ctx.kernel_config).filter(|bytes| !bytes.is_empty()),
        path(&ctx.dkms_tree),
        path(&ctx.source_tree),
        path(&ctx.install_tree),
        ctx.module.as_ref().and_then(|id| text(id.name.as_str())),
        ctx.module.as_ref().and_then(|id| text(id.version.as_str())),
        // 0 is no number of jobs: then a conf that asks `${parallel_jobs+…}` leaves it to make.
        (ctx.parallel_jobs > 0).then(|| ctx.parallel_jobs.to_string().into_bytes()),
    ];
    CONTEXT.iter().map(|name| (*name).to_owned()).zip(values).collect()
}

/// Every file that would override the dkms.conf of `module` for this kernel, or where none is known, if it
/// existed, in the order in which they apply (as this process opens them).
pub fn override_candidates(
    layout: &Layout,
    module: &ModuleId,
    kernel: Option<&KernelRelease>,
    arch: &Arch,
) -> Vec<PathBuf> {
    let ModuleId { name, version } = module;
    let mut files = vec![format!("{name}.conf"), format!("{name}-{version}.conf")];
    if let Some(kernel) = kernel {
        files.extend([
            format!("{name}-{version}-{kernel}.conf"),
            format!("{name}-{version}-{kernel}-{arch}.conf"),
            format!("{name}--{kernel}.conf"),
            format!("{name}--{kernel}-{arch}.conf"),
        ]);
    }
    files.into_iter().map(|file| layout.etc().join(file)).collect()
}

/// Those of [`override_candidates`] that exist.
pub fn override_files(
    layout: &Layout,
    module: &ModuleId,
    kernel: Option<&KernelRelease>,
    arch: &Arch,
) -> Vec<PathBuf> {
    let mut files = override_candidates(layout, module, kernel, arch);
    files.retain(|file| file.exists());
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_go_from_general_to_particular() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let module = ModuleId::new("zfs", "2.3").unwrap();
        let (kernel, arch) = (KernelRelease::new("6.12").unwrap(), Arch::new("x86_64").unwrap());
        let names = |files: Vec<PathBuf>| -> Vec<String> {
            files.iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        let candidates = [
            "zfs.conf",
            "zfs-2.3.conf",
            "zfs-2.3-6.12.conf",
            "zfs-2.3-6.12-x86_64.conf",
            "zfs--6.12.conf",
            "zfs--6.12-x86_64.conf",
        ];
        assert_eq!(names(override_candidates(&layout, &module, Some(&kernel), &arch)), candidates);
        assert!(override_files(&layout, &module, Some(&kernel), &arch).is_empty());

        std::fs::create_dir_all(layout.etc()).unwrap();
        std::fs::write(layout.etc().join("zfs--6.12.conf"), "STRIP=no").unwrap();
        std::fs::write(layout.etc().join("zfs.conf"), "STRIP=yes MAKE=\"make $kernelver\"").unwrap();
        let files = override_files(&layout, &module, Some(&kernel), &arch);
        assert_eq!(names(files.clone()), ["zfs.conf", "zfs--6.12.conf"]);

        let conf = dir.path().join("dkms.conf");
        std::fs::write(&conf, "PACKAGE_NAME=zfs PACKAGE_VERSION=2.3 DEST_MODULE_LOCATION=/extra").unwrap();
        let ctx = Context {
            kernel: Some(kernel.clone()),
            arch,
            kernel_source_dir: "/build".into(),
            kernel_config: "/build/.config".into(),
            dkms_tree: "/var/lib/dkms".into(),
            source_tree: "/usr/src".into(),
            install_tree: "/lib/modules".into(),
            module: Some(module.clone()),
            parallel_jobs: 0,
            directives: Vec::new(),
            limit: USUAL_LIMIT,
            unconfined: false,
        };
        let conf = load(&layout.root, &conf, &files, &ctx, Strictness::Build).unwrap();
        assert_eq!(conf.make, "make 6.12");
        assert!(!conf.records[0].strip);

        // Where no kernel is known: neither its files nor its conditions count.
        assert_eq!(names(override_candidates(&layout, &module, None, &ctx.arch)), candidates[..2]);
        let conf = dir.path().join("any.conf");
        let text = "PACKAGE_NAME=zfs PACKAGE_VERSION=2.3 DEST_MODULE_LOCATION=/extra\n\
                    BUILD_EXCLUSIVE_KERNEL=^9 MAKE=\"make ${kernelver-any} ${kernel_source_dir-any}\"\n";
        std::fs::write(&conf, text).unwrap();
        let ctx = Context { kernel: None, kernel_source_dir: PathBuf::new(), ..ctx };
        let conf = load(&layout.root, &conf, &[], &ctx, Strictness::Build).unwrap();
        assert_eq!((conf.make.as_str(), conf.exclusion()), ("make any any", None));
    }
}
