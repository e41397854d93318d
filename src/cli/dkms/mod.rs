//! The `dkms` face: a drop-in for DKMS 3.4, from words to requests to exit status.
//!
//! ```text
//! words ── parse ──► Invocation ── run ──► Request(s) ──► Engine ──► Outcome ──► lines, exit status
//! ```
//!
//! [`begin`] comes first, because the engine can only be made once `--dkmstree` and its siblings are
//! known; then [`run`].

mod add;
mod archive;
pub mod args;
mod autoinstall;
mod bring;
#[cfg(test)]
mod fake;
mod ldtarball;
mod matching;
mod mktarball;
pub mod module_postinst;
pub mod parse;
mod remove;
mod run;
mod session;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod usage;

use std::ffi::OsString;

pub use args::Invocation;
pub use module_postinst::module_postinst;
pub use run::run;
use usage::TO_HELP;
pub use usage::{USAGE, VERSION};

use crate::cli::screen::Screen;
use args::Remark;
use parse::{Disk, Parsed};

/// Understands the words after `dkms`, and deals with `--help`, `--version` and mistakes.
///
/// # Errors
/// The exit status, when there is nothing left to do.
pub fn begin(words: impl IntoIterator<Item = OsString>, screen: &mut Screen<'_>) -> Result<Invocation, u8> {
    match parse::parse(words, &Disk) {
        Ok(Parsed::Run(invocation)) => {
            tell(screen, &invocation.remarks);
            Ok(*invocation)
        }
        Ok(Parsed::Help { quiet }) => {
            if !quiet {
                screen.line(USAGE);
            }
            Err(0)
        }
        Ok(Parsed::Version { quiet }) => {
            if !quiet {
                screen.line(VERSION);
            }
            Err(0)
        }
        Err(misuse) => {
            tell(screen, &misuse.remarks);
            if !misuse.quiet {
                screen.error(&misuse.error);
                if misuse.usage {
                    screen.note(TO_HELP);
                }
            }
            Err(misuse.error.kind.exit_status())
        }
    }
}

fn tell(screen: &mut Screen<'_>, remarks: &[Remark]) {
    for remark in remarks {
        match remark {
            Remark::Deprecated(option) => screen.deprecated(option),
            Remark::Unused(word) => screen.warning(format_args!("I do not know how to handle {word}.")),
        }
    }
}
