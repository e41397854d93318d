//! The `.modinfo` section: `name=value` texts that the kernel's build puts into every module.

use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

use super::Compression;

/// The marker that ends a signed module (include/linux/module_signature.h of the kernel).
const SIGNATURE_MAGIC: &[u8] = b"~Module signature appended~\n";

/// `struct module_signature` before the marker, in bytes; its last four are the length of the
/// signature, big-endian.
const SIGNATURE_HEADER: usize = 12;

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
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let bytes = Compression::of(path).unwrap_or(Compression::None).unpack(bytes).map_err(unreadable)?;
    modinfo_of_bytes(&bytes).map_err(|why| ModInfoError::NotAModule { path: path.to_path_buf(), why })
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

/// True when a signature is appended to (uncompressed) module bytes.
pub fn has_signature(bytes: &[u8]) -> bool {
    bytes.ends_with(SIGNATURE_MAGIC)
}

/// The module without an appended signature. Bytes whose trailer makes no sense are returned whole.
pub fn without_signature(bytes: &[u8]) -> &[u8] {
    let Some(rest) = bytes.strip_suffix(SIGNATURE_MAGIC) else { return bytes };
    let Some((rest, header)) = rest.split_last_chunk::<SIGNATURE_HEADER>() else { return bytes };
    let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
    match rest.len().checked_sub(length) {
        Some(end) => &rest[..end],
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The trailer that sign-file writes: id_type 2 (PKCS#7) and the length.
    fn signed(body: &[u8], signature: &[u8], length: u32) -> Vec<u8> {
        let mut out = [body, signature, &[0, 0, 2, 0, 0, 0, 0, 0]].concat();
        out.extend(length.to_be_bytes());
        out.extend(SIGNATURE_MAGIC);
        out
    }

    #[test]
    fn an_appended_signature_is_taken_off() {
        let file = signed(b"module", b"signature", 9);
        assert!(has_signature(&file));
        assert_eq!(without_signature(&file), b"module");
        assert_eq!(without_signature(b"module"), b"module");
    }

    #[test]
    fn a_trailer_longer_than_the_file_is_not_believed() {
        let file = signed(b"module", b"signature", 4_000_000_000);
        assert_eq!(without_signature(&file), &file[..]);
        assert_eq!(without_signature(SIGNATURE_MAGIC), SIGNATURE_MAGIC);
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        assert_eq!(modinfo_of_bytes(b"#!/bin/sh\n").unwrap_err(), "not an ELF file");
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(modinfo_of_bytes(&own).unwrap_err(), "no .modinfo section");
        let error = modinfo(Path::new("/nonexistent/x.ko")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x.ko"), "{error}");
    }
}
