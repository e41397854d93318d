//! Whether kmod(8) can read the modules that are written for it.

use crate::elf::Compression;
use crate::process::{Process, QUERY_LIMIT};

/// What to say where this machine's kmod reads no modules of a kind: modinfo(8) finds nothing in them, depmod(8)
/// leaves them out and modprobe(8) does not load them, all without a message. `None` where it reads them, and where
/// nobody can tell. (Debian's kmod 30 and 34.2 are built without zlib: `-ZLIB` in the second line of `kmod --version`.)
pub(super) fn why_not_read(kind: Compression) -> Option<String> {
    let (feature, setting) = match kind {
        Compression::None => return None,
        Compression::Gzip => ("-ZLIB", "CONFIG_MODULE_COMPRESS_GZIP"),
        Compression::Xz => ("-XZ", "CONFIG_MODULE_COMPRESS_XZ"),
        Compression::Zstd => ("-ZSTD", "CONFIG_MODULE_COMPRESS_ZSTD"),
    };
    let version = Process::new("kmod").arg("--version").limit(QUERY_LIMIT).capture().ok()?;
    String::from_utf8_lossy(&version.stdout).split_whitespace().any(|word| word == feature).then(|| {
        format!(
            "this kernel wants {} modules ({setting}), which kmod of this machine cannot read ({feature} in \
             `kmod --version`): depmod and modprobe pass over them. Install a kmod that can, or a kernel with \
             another compression",
            kind.suffix()
        )
    })
}
