//! The index of a kernel's modules: the files that depmod(8) writes, byte for byte, without reading what did not
//! change.
//!
//! An index cannot be brought up to date from itself: a module that comes can change the order of dependencies of
//! modules that it has nothing to do with, and nothing says who else exports a symbol. So what each module file
//! says is kept ([`facts`]), and all files are computed anew from that ([`index`]). Whatever is not exactly as it
//! was when this was compared with depmod(8) is [`Odd`], and is left to depmod itself.

mod builtin;
mod config;
mod dependencies;
mod devname;
mod facts;
mod hash;
mod index;
mod kmod;
mod known;
mod module;
mod names;
mod odd;
mod order;
mod read;
mod search;
mod sections;
mod trie;
mod update;
mod write;

pub use config::{CONFIGURATION, Config, directories};
pub use kmod::Kmod;
pub use odd::Odd;
pub use update::{Effort, Place, compute};
pub use write::write;
