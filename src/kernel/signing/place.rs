//! A place where a pair of keys can be, and who makes one there.

use std::path::Path;

use super::KernelFiles;
use crate::fs::root::Root;

/// Who makes a pair that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Maker {
    /// We do, with openssl.
    Openssl,
    /// Ubuntu's tool, which asks to have it enrolled, too.
    Shim,
    /// It is the kernel's own: it belongs to the tree that the kernel was built in.
    Kernel,
}

impl Maker {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Openssl | Self::Kernel => "openssl",
            Self::Shim => "update-secureboot-policy",
        }
    }
}

/// Start of the URI of a key in a token (RFC 7512).
pub(super) const PKCS11: &str = "pkcs11:";

/// A pair and who makes it, for those who find one elsewhere.
pub(super) type Found = ((String, String), Maker);

/// The kernel's own key: a file with both halves, relative to the tree that it was built in.
pub(super) fn kernels_own(root: &Root, kernel: &KernelFiles<'_>, named: &str) -> Found {
    let path = match named {
        uri if uri.starts_with(PKCS11) => uri.to_owned(),
        path if Path::new(path).is_absolute() => path.to_owned(),
        path => root.inside(kernel.source).join(path).to_string_lossy().into_owned(),
    };
    ((path.clone(), path), Maker::Kernel)
}
