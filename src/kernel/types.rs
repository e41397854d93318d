//! The types of a kernel, and of a module that was just built for it.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::btf::{self, Btf, KernelTypes};
use crate::fs::regular;
use crate::model::inputs::Hasher;
use crate::process::{Process, QUERY_LIMIT, find_program};

/// Settings that change with each build of a kernel, and none of its code.
const NO_SETTINGS: [&str; 4] =
    ["CONFIG_BUILD_SALT", "CONFIG_CC_VERSION_TEXT", "CONFIG_RUSTC_VERSION_TEXT", "CONFIG_PAHOLE_VERSION"];

/// Device, inode, size, and time of the last change in nanoseconds.
type Stamp = (u64, u64, u64, i128);

/// Those that were read, by the `vmlinux` and the directory of the modules.
type Known = HashMap<(PathBuf, PathBuf), (Stamp, Arc<KernelTypes>)>;

static READ: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// The types of a kernel whose headers are in `headers` and whose own modules are below `modules` (`/lib/modules/K`).
/// Asked again for the same, gives the same answer without reading: it takes a tenth of a second.
///
/// # Errors
/// When the headers bring none, or they cannot be read.
pub fn kernel_types(headers: &Path, modules: &Path) -> io::Result<Arc<KernelTypes>> {
    let vmlinux = headers.join("vmlinux");
    let meta = std::fs::metadata(&vmlinux)?;
    let changed = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    let stamp = (meta.dev(), meta.ino(), meta.len(), changed);
    let key = (vmlinux, modules.to_path_buf());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, types)) = read.get(&key)
        && *known == stamp
    {
        return Ok(Arc::clone(types));
    }
    let types = Arc::new(KernelTypes::read(&key.0, modules.join("kernel"))?);
    read.insert(key, (stamp, Arc::clone(&types)));
    Ok(types)
}

/// Digest of a kernel's configuration, without what only says who built it and when.
///
/// # Errors
/// When the file cannot be read.
pub fn configuration(file: &Path) -> io::Result<String> {
    let text = String::from_utf8_lossy(&regular::read(file)?).into_owned();
    let setting = |line: &&str| {
        line.split_once('=')
            .is_some_and(|(name, _)| name.starts_with("CONFIG_") && !NO_SETTINGS.contains(&name))
    };
    let mut lines: Vec<&str> = text.lines().map(str::trim).filter(setting).collect();
    lines.sort_unstable();
    let mut hash = Hasher::new();
    lines.iter().for_each(|line| hash.part(line));
    Ok(hash.finish())
}

/// All types that a module knows, made of its debugging information by pahole; `None` where that cannot be. The
/// module itself is not touched.
///
/// What Kbuild puts into a module (`.BTF`) is not enough: it names what signatures name, and not what code uses.
pub fn types_of_build(module: &Path) -> Option<Btf> {
    let pahole = find_program("pahole")?;
    let out = tempfile::NamedTempFile::new().ok()?;
    let detached = format!("--btf_encode_detached={}", out.path().display());
    let features = "--btf_features=encode_force,var,float,enum64";
    let process = Process::new(pahole).args(["-J", "-F", "dwarf", features, &detached]).arg(module);
    let why = match process.limit(QUERY_LIMIT).capture() {
        Ok(got) if got.status == 0 => match btf::read(out.path()) {
            Ok(types) => return Some(types),
            Err(error) => error.to_string(),
        },
        Ok(got) => format!("it ended with {}: {}", got.status, String::from_utf8_lossy(&got.stderr).trim()),
        Err(error) => error.to_string(),
    };
    log::info!("pahole says nothing of {}: {why}", module.display());
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_built_a_kernel_and_when_is_no_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            let file = dir.path().join("auto.conf");
            std::fs::write(&file, text).unwrap();
            configuration(&file).unwrap()
        };
        let first =
            of("# Linux/x86 6.12.116 Kernel Configuration\nCONFIG_HZ=250\nCONFIG_BUILD_SALT=6.12.116\n");
        assert_eq!(first, of("# Linux/x86 6.12.117\nCONFIG_BUILD_SALT=6.12.117\nCONFIG_HZ=250\n"));
        assert_ne!(first, of("CONFIG_HZ=1000\n"));
        assert!(configuration(&dir.path().join("gone")).is_err());
    }
}
