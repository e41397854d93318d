//! The program: `dkms-hook`, or `dkms` when called by that name.

fn main() {}
