//! `uname -r` in a build answers with the kernel that is built for.
//!
//! Many a Makefile finds its kernel that way. With the answer of the running kernel it would build for
//! that one, and the result would be refused. So a program of that name comes first in the search path of
//! everything that a build runs: it asks the real one and puts the other release into what that says.

use std::path::Path;

use crate::model::ids::KernelRelease;

/// The program's text. A release has no character that means something to a shell.
pub(super) fn text(real: &Path, kernel: &KernelRelease) -> String {
    format!(
        "#!/bin/sh\n\
         # For builds: answers with the release of the target kernel.\n\
         said=$('{0}' \"$@\") || exit\n\
         running=$('{0}' -r)\n\
         case $said in\n\
         *\"$running\"*) said=${{said%%\"$running\"*}}{1}${{said#*\"$running\"}} ;;\n\
         esac\n\
         printf '%s\\n' \"$said\"\n",
        real.display(),
        kernel,
    )
}
