//! The identity of a kernel's headers: what a build reads from them that changes with the kernel.

use std::path::Path;

use crate::fs::regular;
use crate::fs::{look, stamp};
use crate::model::error::Result;
use crate::model::inputs::{Hasher, Headers};

/// Files and directories, relative to the headers, whose content makes two headers the same:
/// symbol CRCs, generated constants and version texts, configuration, and what selects the
/// compiler. The rest of the headers comes from the same source package, whose every release
/// changes the generated version text (`UTS_VERSION`).
const PARTS: &[&str] = &[
    "Module.symvers",
    "include/generated",
    "include/config/auto.conf",
    ".config",
    ".kernelvariables",
    "Makefile",
];

/// Digest of what stat(2) says of headers, without reading them.
pub fn stat(dir: &Path) -> String {
    let mut hash = Hasher::new();
    for part in PARTS {
        let path = dir.join(part);
        stamp::stat(&mut hash, &path);
        stamp::stat_tree(&mut hash, &path);
    }
    hash.finish()
}

/// Reads headers.
///
/// # Errors
/// When a file of them is there and cannot be read.
pub fn identity(dir: &Path) -> Result<Headers> {
    let mut hash = Hasher::new();
    for part in PARTS {
        let path = dir.join(part);
        hash.part(part);
        match look::metadata(&path)? {
            Some(meta) if meta.is_dir() => hash.part(stamp::content_tree(&path)?),
            Some(_) => stamp::content(&mut hash, &path)?,
            None => {}
        }
    }
    Ok(Headers { version: uts_version(dir), content: hash.finish() })
}

/// The text of `#define UTS_VERSION "…"`.
fn uts_version(dir: &Path) -> Option<String> {
    ["include/generated/utsversion.h", "include/generated/compile.h"].iter().find_map(|file| {
        let text = regular::read_to_string(&dir.join(file)).ok()?;
        let line = text.lines().find(|l| l.contains("define") && l.contains("UTS_VERSION"))?;
        Some(line.split('"').nth(1)?.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_follows_what_a_build_reads() {
        let dir = tempfile::tempdir().unwrap();
        let generated = dir.path().join("include/generated");
        std::fs::create_dir_all(&generated).unwrap();
        std::fs::write(generated.join("utsversion.h"), "#define UTS_VERSION \"#1 SMP Debian 6.1-1\"\n")
            .unwrap();
        std::fs::write(dir.path().join("Module.symvers"), "0x1\ta\tvmlinux\tEXPORT_SYMBOL\n").unwrap();
        let first = identity(dir.path()).unwrap();
        assert_eq!(first.version.as_deref(), Some("#1 SMP Debian 6.1-1"));
        std::fs::write(dir.path().join("unrelated"), "x").unwrap();
        assert_eq!(identity(dir.path()).unwrap(), first);
        std::fs::write(dir.path().join("Module.symvers"), "0x2\ta\tvmlinux\tEXPORT_SYMBOL\n").unwrap();
        assert_ne!(identity(dir.path()).unwrap().content, first.content);
    }
}
