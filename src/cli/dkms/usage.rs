//! The help text.

/// The version line: maintainer scripts and installers of modules compare it, so it names the DKMS
/// whose behaviour this is.
pub const VERSION: &str = "dkms-3.4.3";

/// What follows the complaint about words that mean nothing: the help itself would push it off the screen.
pub(super) const TO_HELP: &str = "\
Usage: dkms ACTION [OPTION]... [MODULE/VERSION | DIRECTORY | ARCHIVE]
`dkms --help` lists the actions and options; dkms(8) has the details.";

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: dkms ACTION [OPTION]... [MODULE/VERSION | DIRECTORY | PATH/dkms.conf |
                                ARCHIVE]

Actions for one module version:
  add          register a module source in /usr/src, or bring DIRECTORY or
               ARCHIVE there
  build        build it (adds it first)
  install      install it into the kernel's module tree (builds it first)
  uninstall    take it out of the kernel's module tree
  unbuild      delete its build (uninstalls it first)
  remove       unbuild it, and forget it when no build is left
  mktarball    make an archive of its source and its builds
  ldtarball    register the source and the builds in ARCHIVE

Actions for everything:
  status       list what is added, built and installed
  autoinstall  install every module with AUTOINSTALL for a kernel
  match        install for -k what is installed for --templatekernel
  generate_mok make the key that signs modules, if there is none
  kernel_postinst, kernel_prerm, kernel_preinst
               what package managers call around a kernel (need -k)

Options:
  -m MODULE[/VERSION], -v VERSION      the module, if not given as a word
  -k KERNEL[/ARCH], -a ARCH            the kernel and architecture; repeatable
  --all                                every kernel it is built for
  --force                              do it again, or in spite of a complaint
  --force-version-override             install whatever version is there already
  -j NUMBER                            parallel jobs; 0 means no limit
  -c FILE                              use this dkms.conf
  --directive NAME=VALUE               set a directive of dkms.conf
  --config FILE, --kernelsourcedir DIR configuration and headers of the kernel
  --templatekernel KERNEL              for match
  --archive FILE                       the archive to make or to load
  --source-only, --binaries-only       what mktarball puts into it
  --dkmstree DIR, --sourcetree DIR, --installtree DIR
                                       other places than /var/lib/dkms, /usr/src
                                       and /lib/modules
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
