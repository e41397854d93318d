//! framework.conf: the settings of the whole program.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::directives::FRAMEWORK_CONF;
use super::evaluation::{self, Question};
use super::model::{ConfError, Framework};
use super::values::Directives;
use crate::model::fit::Rebuild;
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

/// The files, in the order in which they apply: `/etc/dkms/framework.conf`, then
/// `/etc/dkms/framework.conf.d/*.conf` by name. Only those that exist.
pub fn framework_files(layout: &Layout) -> Vec<PathBuf> {
    let etc = layout.etc();
    let mut parts: Vec<PathBuf> = std::fs::read_dir(etc.join("framework.conf.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "conf"))
        .filter(|path| path.file_name().is_some_and(|name| !name.as_bytes().starts_with(b".")))
        .collect();
    parts.sort();
    let mut files = vec![etc.join("framework.conf")];
    files.append(&mut parts);
    files.retain(|file| file.exists());
    files
}

/// Reads them. `kernel`, where it is known, is `$kernelver` in the files.
///
/// A tree that is the one of `layout` already counts as not set. Where the command line names a tree,
/// the caller lets that win.
///
/// # Errors
/// When a file cannot be read or bash cannot evaluate it.
pub fn load_framework(layout: &Layout, kernel: Option<&KernelRelease>) -> Result<Framework, ConfError> {
    let files = framework_files(layout);
    if files.is_empty() {
        return Ok(Framework::default());
    }
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let sources = evaluation::open(&layout.root, &paths)?;
    let path = |path: &Path| Some(path.as_os_str().as_bytes().to_vec());
    let given = vec![
        ("dkms_tree".to_owned(), path(&layout.dkms_tree)),
        ("source_tree".to_owned(), path(&layout.source_tree)),
        ("install_tree".to_owned(), path(&layout.install_tree)),
        ("kernelver".to_owned(), kernel.map(|k| k.as_str().as_bytes().to_vec())),
    ];
    let answer = evaluation::evaluate(&layout.root, &Question { exported: FRAMEWORK_CONF, given }, &sources)?;
    for line in &answer.complaints {
        log::warn!("framework.conf: {line}");
    }
    let names_kernel = sources.iter().any(|source| names_kernel(&source.text));
    Ok(Framework { names_kernel, ..framework(Directives(&answer.values), layout) })
}

/// True when `kernelver` stands anywhere but in a line of comment.
fn names_kernel(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.lines().any(|line| line.contains("kernelver") && !line.trim_start().starts_with('#'))
}

fn framework(settings: Directives<'_>, layout: &Layout) -> Framework {
    let on = |name| !settings.plain(name).is_empty();
    let path = |name| settings.some(name).map(PathBuf::from);
    let tree = |name, default: &Path| path(name).filter(|value| value != default);
    // Options of a compressor may be switched off by setting them to nothing.
    let set = |name| settings.is_set(name).then(|| settings.plain(name).to_owned());
    let parallel_jobs = settings.some("parallel_jobs").and_then(|text| {
        let number = text.trim().parse();
        if number.is_err() {
            log::warn!("framework.conf: parallel_jobs is `{text}`, which is not a number");
        }
        number.ok()
    });
    let rebuild = settings.some("rebuild").map(|text| {
        Rebuild::parse(&text).unwrap_or_else(|| {
            log::warn!("framework.conf: rebuild is `{text}`, which is neither inputs nor abi");
            Rebuild::default()
        })
    });
    Framework {
        dkms_tree: tree("dkms_tree", &layout.dkms_tree),
        source_tree: tree("source_tree", &layout.source_tree),
        install_tree: tree("install_tree", &layout.install_tree),
        tmp_location: path("tmp_location"),
        verbose: on("verbose"),
        symlink_modules: on("symlink_modules"),
        autoinstall_all_kernels: on("autoinstall_all_kernels"),
        modprobe_on_install: on("modprobe_on_install"),
        parallel_jobs,
        compress_gzip_opts: set("compress_gzip_opts"),
        compress_xz_opts: set("compress_xz_opts"),
        compress_zstd_opts: set("compress_zstd_opts"),
        build_environment: path("build_environment"),
        post_transaction: settings.some("post_transaction"),
        sign_file: settings.some("sign_file"),
        mok_signing_key: settings.some("mok_signing_key"),
        mok_certificate: settings.some("mok_certificate"),
        try_sign_modules: settings.some("try_sign_modules"),
        rebuild: rebuild.unwrap_or_default(),
        names_kernel: false,
    }
}

#[cfg(test)]
mod tests;
