//! The `.modinfo` section: `name=value` texts that the kernel's build puts into every module.

use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

use super::Compression;
use super::signature::{has_signature, without_signature};
use crate::fs::regular;

/// What modinfo(8) would print of a module. A field that the module does not have is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// The kernel release and options that it was built for.
    pub vermagic: Option<String>,
    /// MODULE_VERSION, as written.
    pub version: Option<String>,
    /// The digest of the sources that modpost computed.
    pub srcversion: Option<String>,
    /// The module's own name, with `_` where the file may have `-`.
    pub name: Option<String>,
    /// Names of the modules that it needs.
    pub depends: Vec<String>,
    /// True when a signature is appended.
    pub signed: bool,
}

impl ModInfo {
    /// The kernel release that it was built for: the first word of the vermagic.
    pub fn kernel(&self) -> Option<&str> {
        self.vermagic.as_deref()?.split_whitespace().next()
    }
}

/// Why a file says nothing about itself.
#[derive(Debug, thiserror::Error)]
pub enum ModInfoError {
    /// It cannot be read, or not be unpacked.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It begins like one, and is damaged.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is not an ELF file that a kernel could load.
    #[error("{path} is not a kernel module: {why}")]
    NotAModule {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads `.ko`, `.ko.gz`, `.ko.xz` or `.ko.zst`; a file with another suffix is taken as
/// uncompressed.
///
/// # Errors
/// When the file cannot be read or unpacked, or is no ELF file with a `.modinfo` section.
pub fn modinfo(path: &Path) -> Result<ModInfo, ModInfoError> {
    let unreadable = |source| ModInfoError::Unreadable { path: path.to_path_buf(), source };
    let bytes = regular::read_module(path).map_err(unreadable)?;
    let bytes = Compression::of(path).unwrap_or(Compression::None).unpack(bytes).map_err(unreadable)?;
    let path = path.to_path_buf();
    modinfo_of_bytes(&bytes).map_err(|why| match bytes.starts_with(b"\x7fELF") {
        true => ModInfoError::Damaged { path, why },
        false => ModInfoError::NotAModule { path, why },
    })
}

/// Reads the uncompressed content of a module file.
///
/// # Errors
/// Says what is wrong with the content, in words that follow "it is not a module:".
pub fn modinfo_of_bytes(bytes: &[u8]) -> Result<ModInfo, String> {
    let elf = object::File::parse(without_signature(bytes)).map_err(|_| "not an ELF file".to_owned())?;
    let section = elf.section_by_name(".modinfo").ok_or("no .modinfo section")?;
    let data = section.data().map_err(|e| format!("its .modinfo section: {e}"))?;
    let mut info = ModInfo { signed: has_signature(bytes), ..ModInfo::default() };
    for text in data.split(|&b| b == 0) {
        let text = String::from_utf8_lossy(text);
        let Some((key, value)) = text.split_once('=') else { continue };
        // As modinfo(8) does with a repeated field, the first one counts.
        let field = match key {
            "vermagic" => &mut info.vermagic,
            "version" => &mut info.version,
            "srcversion" => &mut info.srcversion,
            "name" => &mut info.name,
            "depends" => {
                info.depends = value.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
                continue;
            }
            _ => continue,
        };
        field.get_or_insert_with(|| value.to_owned());
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_refused_with_the_reason() {
        assert_eq!(modinfo_of_bytes(b"#!/bin/sh\n").unwrap_err(), "not an ELF file");
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(modinfo_of_bytes(&own).unwrap_err(), "no .modinfo section");
        let error = modinfo(Path::new("/nonexistent/x.ko")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x.ko"), "{error}");
    }
}
