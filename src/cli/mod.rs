//! What a person types, and what the maintainer scripts of module packages call.

mod boot_check;
pub mod dkms;
pub mod engine;
mod essential;
mod fits;
pub mod hook;
mod incoming;
mod kernels;
mod root;
pub mod screen;
mod secure_boot;
pub mod worker;

use std::ffi::OsString;
use std::path::Path;

use crate::display::{Display, Wish};
use crate::machine::Machine;
use screen::Screen;

/// Which program this is called as decides: `dkms`, or anything else for `dkms-hook`.
pub fn main(words: impl IntoIterator<Item = OsString>) -> u8 {
    crate::process::prepare();
    let words: Vec<OsString> = words.into_iter().collect();
    let name = words.first().map(Path::new).and_then(Path::file_name);
    if name == Some("dkms".as_ref()) { dkms_main(words.into_iter().skip(1)) } else { hook::main(words) }
}

fn dkms_main(words: impl IntoIterator<Item = OsString>) -> u8 {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut screen = Screen::new(&mut out, &mut err);
    // First, as words are told apart by the files that are there. There is no option for another root: DKMS has none.
    let root = root::enter(None);
    let invocation = match dkms::begin(words, &mut screen) {
        Ok(invocation) => invocation,
        Err(code) => return code,
    };
    let report = Display::new(Wish {
        quiet: invocation.quiet,
        verbose: invocation.settings.verbose,
        exact: true,
        person: worker::is_a_person,
    });
    let machine = match root.and_then(|root| Machine::open(root, &invocation.settings, &report)) {
        Ok(machine) => machine,
        Err(error) => {
            screen.error(&error);
            return error.kind.exit_status();
        }
    };
    let mut worker = worker::Worker::new(machine, report);
    dkms::run(&invocation, &mut worker, &mut screen)
}
