//! The program: `dkms-hook`, or `dkms` when called by that name.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(dkms_hook::cli::main(std::env::args_os()))
}
