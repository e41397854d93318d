//! The help text.

/// The version line: maintainer scripts and installers of modules compare it, so it names the DKMS
/// whose behaviour this is.
pub const VERSION: &str = "dkms-3.4.3";

/// Printed after an error about the arguments: the whole help would push the error off the screen.
pub(super) const TO_HELP: &str = "\
Usage: dkms ACTION [OPTION]... [MODULE/VERSION | DIRECTORY | ARCHIVE]
`dkms --help` lists the actions and options; dkms(8) has the details.";

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: dkms ACTION [OPTION]... [MODULE/VERSION | DIRECTORY | PATH/dkms.conf |
                                ARCHIVE]

Actions for one module version:
  add          register a module source in /usr/src, or copy DIRECTORY or
               ARCHIVE there
  build        build it (adds it first)
  install      install it into the kernel's module tree (builds it first)
  uninstall    remove it from the kernel's module tree
  unbuild      delete its build (uninstalls it first)
  remove       unbuild it; unregister it when no build is left
  mktarball    make an archive of its source and its builds
  ldtarball    register the source and the builds in ARCHIVE

Actions for everything:
  status       list what is added, built and installed
  autoinstall  install every module with AUTOINSTALL for a kernel
  match        install for -k what is installed for --templatekernel
  generate_mok make the key that signs modules, if there is none
  kernel_postinst, kernel_prerm, kernel_preinst
               called by package managers for a kernel (need -k)

Options:
  -m MODULE[/VERSION], -v VERSION      the module, if not given as a word
  -k KERNEL[/ARCH], -a ARCH            the kernel and architecture; repeatable
  --all                                every kernel it is built for
  --force                              do it again, or despite an error
  --force-version-override             install over any existing version
  -j NUMBER                            parallel jobs; 0 means no limit
  -c FILE                              use this dkms.conf
  --directive NAME=VALUE               set a directive of dkms.conf
  --config FILE, --kernelsourcedir DIR configuration and headers of the kernel
  --templatekernel KERNEL              for match
  --archive FILE                       archive to make or to load
  --source-only, --binaries-only       contents of the archive for mktarball
  --dkmstree DIR, --sourcetree DIR, --installtree DIR
                                       use these instead of /var/lib/dkms,
                                       /usr/src and /lib/modules
  --symlink-modules                    install links instead of copies
  --no-depmod, --modprobe-on-install, --rpm_safe_upgrade
  -q, --quiet     --verbose     --debug     -h, --help     -V, --version

dkms(8) has the details.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::dkms::args::Action;

    #[test]
    fn the_help_fits_a_terminal_and_names_what_works() {
        for line in USAGE.lines().chain(TO_HELP.lines()) {
            assert!(line.len() <= 80, "{line}");
        }
        for (word, _) in Action::ALL {
            assert!(USAGE.contains(word), "{word}");
        }
    }
}
