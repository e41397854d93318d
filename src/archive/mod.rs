//! Archives of module sources and builds: how they are compressed, how they are written, and how one
//! that a stranger made is unpacked without harm.
//!
//! The layout is DKMS's, so that an archive made by one program is loaded by the other:
//!
//! ```text
//! dkms_main_tree/KERNEL/ARCH/…   builds, as they lie in T/m/v
//! dkms_source_tree/…             the source, or, without it,
//! dkms_binaries_only/            PACKAGE_NAME, PACKAGE_VERSION and dkms.conf
//! ```
//!
//! Any other archive with a dkms.conf in it is a source as its author packed it.

mod extra;
mod format;
mod list;
mod read;
mod write;

pub use format::{Format, Memory, Packer, decompress_within, open};
pub use list::{Listed, list};
pub use read::{Described, UnpackError, Wanted, check_links, unpack, unpack_payload, unpack_wanted};
pub use write::{Member, Writer};

/// Directory of the builds; its presence tells an archive of DKMS's own form from others.
pub const MAIN_TREE: &str = "dkms_main_tree";

/// Directory of the source.
pub const SOURCE_TREE: &str = "dkms_source_tree";

/// Directory of what takes the place of a source that was left out.
pub const BINARIES_ONLY: &str = "dkms_binaries_only";
