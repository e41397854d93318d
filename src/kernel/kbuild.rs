//! What the build system in a kernel's headers knows, by its files: words come and go between versions of
//! Linux, and distributions leave parts of it out.

use std::path::Path;

use crate::fs::look;

/// Files of Kbuild that set the flags of compilers and call modpost.
const FILES: [&str; 3] = ["Makefile.build", "Makefile.lib", "Makefile.modpost"];

/// The rules for building modules in a kernel's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kbuild(String);

impl Kbuild {
    /// Reads those of headers; `None` when one of the files cannot be read: then nobody can tell.
    pub fn of(headers: &Path) -> Option<Self> {
        let read = |name: &&str| look::read(&headers.join("scripts").join(name)).ok().flatten();
        let texts: Option<Vec<_>> = FILES.iter().map(read).collect();
        Some(Self(String::from_utf8_lossy(&texts?.concat()).into_owned()))
    }

    /// Whether a variable means something to it.
    pub fn knows(&self, word: &str) -> bool {
        self.0.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').any(|known| known == word)
    }

    /// Whether make works in the directory of the module (since Linux 6.13, with MO=, for which `srcroot` came), and
    /// not in that of the headers.
    pub fn works_in_the_module(&self) -> bool {
        self.knows("srcroot")
    }
}

/// Whether headers have what modules in Rust are built against: the compiled crates of the kernel. Debian's,
/// up to Linux 7.2, have not, whatever their configuration says of Rust, and no compiler makes up for that.
pub fn has_rust_crates(headers: &Path) -> bool {
    look::is_dir(&headers.join("rust")) != Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_and_files_all_there() {
        let dir = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(dir.path().join("scripts").join(name), text).unwrap();
        std::fs::create_dir(dir.path().join("scripts")).unwrap();
        write("Makefile.build", "# src := $(obj)\n");
        write("Makefile.lib", "ccflags-y += $(EXTRA_CFLAGS)\n");
        assert_eq!(Kbuild::of(dir.path()), None);
        write("Makefile.modpost", "");
        let old = Kbuild::of(dir.path()).unwrap();
        assert!(old.knows("EXTRA_CFLAGS") && old.knows("ccflags-y"));
        assert!(!old.knows("EXTRA") && !old.knows("CFLAGS") && !old.works_in_the_module());
        write("Makefile.modpost", "src := $(srcroot)\n");
        assert!(Kbuild::of(dir.path()).unwrap().works_in_the_module());
    }
}
