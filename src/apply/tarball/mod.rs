//! Archives of DKMS's kind: making one from the tree, and bringing one into it.
//!
//! An archive is unpacked inside the module tree under a name that nobody reads, looked at there, and
//! put in place by renaming, all under the lock. A module version that was not registered appears in
//! one step with every build of the archive; a run that is killed leaves nothing of it but perhaps its
//! source, which alone means nothing.

mod load;
mod pack;
mod source;
mod unpack;

pub use load::{Loaded, load};
pub use pack::{Pack, Part, pack};
pub use unpack::{Build, Form, Unpacked, unpack};
