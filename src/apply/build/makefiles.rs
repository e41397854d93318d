//! Words in a source's makefiles that this kernel's build system takes otherwise than their author meant.
//!
//! Kbuild changes: a word goes, and what it said is left out without a sound; or a path is taken from another
//! directory. Where such a word is sure to do harm it is told before make runs. The others are told beside a
//! failure, which without them would look like the source's own.

use std::path::{Path, PathBuf};

use crate::fs::regular;
use crate::kernel::Kbuild;

/// Flags by names that older kernels know, and the names that all know. (Linux 6.12 has both in
/// scripts/Makefile.lib, 7.2 only the second.)
const FLAGS: [(&str, &str); 3] =
    [("EXTRA_CFLAGS", "ccflags-y"), ("EXTRA_AFLAGS", "asflags-y"), ("EXTRA_LDFLAGS", "ldflags-y")];

/// No source has more makefiles that are worth reading, nor larger ones.
const MOST_FILES: usize = 500;
const LARGEST: u64 = 1 << 20;

/// What there is to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Remarks {
    /// Before make runs. It may be why a build fails, too.
    pub warnings: Vec<String>,
    /// Only when it fails.
    pub suspicions: Vec<String>,
    /// Only when it fails for the lack of a file.
    pub paths: Vec<String>,
}

impl Remarks {
    /// What a failed build may come from, as a hint.
    pub fn hint(&self, lacks_a_file: bool) -> Option<String> {
        let paths = self.paths.iter().filter(|_| lacks_a_file);
        let all: Vec<&str> =
            self.warnings.iter().chain(&self.suspicions).chain(paths).map(String::as_str).collect();
        (!all.is_empty()).then(|| format!("this may be why: {}", all.join("; ")))
    }
}

/// Looks through the makefiles in a directory, and the command that runs make.
pub(super) fn remarks(dir: &Path, command: &str, kbuild: &Kbuild) -> Remarks {
    let mut texts: Vec<Text> = makefiles(dir);
    texts.push(Text { name: "MAKE in dkms.conf".to_owned(), lines: vec![Line::command(command)] });
    let mut found = Remarks::default();
    for (old, new) in FLAGS.iter().filter(|(old, _)| !kbuild.knows(old)) {
        // Where it is handed on to a name that is known, it does what it should.
        let handed_on = texts.iter().flat_map(|text| &text.lines).any(|line| line.hands_on(old));
        if let Some(text) = texts.iter().find(|text| text.sets(old, new)).filter(|_| !handed_on) {
            found.warnings.push(format!(
                "{} sets {old}, which this kernel's build system does not know: it builds without these flags. \
                 Write {new} in its place, which all kernels know",
                text.name
            ));
        }
    }
    let calls = |text: &&Text, word: &str| text.lines.iter().any(|line| line.passes(word));
    if !kbuild.works_in_the_module()
        && let Some(text) = texts.iter().find(|text| calls(text, "MO"))
    {
        found.warnings.push(format!(
            "{} calls make with MO=, which this kernel's build system does not know: it builds in the directory \
             of M=. Leave MO= out, and name that directory by BUILT_MODULE_LOCATION",
            text.name
        ));
    }
    let old_call = |line: &Line| line.passes("SUBDIRS") && !line.passes("M") && !line.passes("KBUILD_EXTMOD");
    if let Some(text) = texts.iter().find(|text| text.lines.iter().any(old_call)) {
        found.suspicions.push(format!(
            "{} calls make with SUBDIRS=, which Linux does not know since 5.3. Write M= in its place",
            text.name
        ));
    }
    let relative = |line: &Line| line.values("KBUILD_EXTRA_SYMBOLS").any(is_relative);
    if !kbuild.works_in_the_module()
        && let Some(text) = texts.iter().find(|text| text.lines.iter().any(relative))
    {
        found.paths.push(format!(
            "{} has a relative path in KBUILD_EXTRA_SYMBOLS, which for this kernel starts at its headers (since \
             Linux 6.13, at the module). Begin it with $(src)/, which is the module's directory for all kernels",
            text.name
        ));
    }
    if let Some(text) = texts.iter().find(|text| text.lines.iter().any(Line::has_flags_by_current_directory))
    {
        let here = if kbuild.works_in_the_module() { "the module's" } else { "the headers'" };
        found.paths.push(format!(
            "{} has $(CURDIR) in flags, which is {here} directory for this kernel (it was the headers' before Linux \
             6.13, and is the module's since). $(src) is the module's for all kernels, $(srctree) the kernel's",
            text.name
        ));
    }
    found
}

/// A makefile.
struct Text {
    /// As messages call it.
    name: String,
    lines: Vec<Line>,
}

impl Text {
    /// Whether it sets flags for Kbuild by their old name only.
    fn sets(&self, old: &str, new: &str) -> bool {
        // A makefile of tools, which may come with a module, has flags of its own.
        let of_kbuild =
            !self.name.ends_with("akefile") || self.lines.iter().any(|line| line.text.contains("obj-"));
        let set = |line: &Line| line.is_assigned(old) && of_kbuild || line.passes(old) && line.calls_kbuild();
        self.lines.iter().any(set) && !self.lines.iter().any(|line| line.is_assigned(new) || line.passes(new))
    }
}

/// A line of it, with those that continue it, without its comment.
struct Line {
    text: String,
    /// A shell runs it.
    recipe: bool,
    /// It is MAKE of dkms.conf.
    command: bool,
}

impl Line {
    fn command(text: &str) -> Self {
        Self { text: text.to_owned(), recipe: true, command: true }
    }

    /// The variable that the line sets, and the value.
    fn assignment(&self) -> Option<(&str, &str)> {
        if self.recipe {
            return None;
        }
        let (name, value) = self.text.split_once('=')?;
        let name = name.trim_end_matches([':', '+', '?', '!']).trim();
        let name = name.trim_start_matches("export ").trim_start_matches("override ").trim();
        // With a blank in it, it is a call of a function or a rule.
        (!name.contains(char::is_whitespace)).then_some((name, value.trim()))
    }

    /// Whether the makefile sets a variable here, for subdirectories perhaps.
    fn is_assigned(&self, word: &str) -> bool {
        self.assignment().is_some_and(|(name, _)| name.strip_prefix("subdir-").unwrap_or(name) == word)
    }

    /// Whether a command of this line calls Kbuild, as that of dkms.conf does, by way of the source perhaps.
    fn calls_kbuild(&self) -> bool {
        self.command || ["M", "KBUILD_EXTMOD", "SUBDIRS"].iter().any(|word| self.passes(word))
    }

    /// Whether a command of this line has `WORD=…` among its words.
    fn passes(&self, word: &str) -> bool {
        self.recipe && self.values(word).next().is_some()
    }

    /// The words that a variable is set to here.
    fn values<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let assigned = self.assignment().filter(|(name, _)| *name == word).map(|(_, value)| value);
        let words = self.text.split_whitespace().filter(|_| self.recipe);
        let passed = words.filter_map(move |part| {
            let (name, value) = part.trim_start_matches(['"', '\'']).split_once('=')?;
            (name.trim_end_matches([':', '+']) == word).then(|| value.trim_matches(['"', '\'']))
        });
        assigned.into_iter().flat_map(str::split_whitespace).chain(passed)
    }

    /// Whether the value of a variable goes into that of another.
    fn hands_on(&self, word: &str) -> bool {
        let uses =
            |text: &str| text.contains(&format!("$({word})")) || text.contains(&format!("${{{word}}}"));
        match self.assignment() {
            Some((name, value)) => name != word && uses(value),
            None => self.recipe && uses(&self.text) && FLAGS.iter().any(|(_, new)| self.passes(new)),
        }
    }

    fn has_flags_by_current_directory(&self) -> bool {
        let flags =
            |name: &str| name.to_ascii_lowercase().contains("flags") || name == "KBUILD_EXTRA_SYMBOLS";
        let here = |value: &str| value.contains("$(CURDIR)") || value.contains("${CURDIR}");
        self.assignment().is_some_and(|(name, value)| flags(name) && here(value))
    }
}

/// Neither absolute nor begun by a variable, which may be.
fn is_relative(path: &str) -> bool {
    !path.is_empty() && !path.starts_with(['/', '$'])
}

/// The makefiles of a source, those at its top first.
fn makefiles(dir: &Path) -> Vec<Text> {
    let walk = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let files = walk.filter_entry(visible).flatten().filter(|entry| {
        entry.file_type().is_file()
            && is_makefile(&entry.file_name().to_string_lossy())
            && entry.metadata().is_ok_and(|meta| meta.len() <= LARGEST)
    });
    let mut paths: Vec<PathBuf> = files.take(MOST_FILES).map(walkdir::DirEntry::into_path).collect();
    paths.sort_by_key(|path| path.components().count());
    let text = |path: PathBuf| {
        let bytes = regular::read_itself(&path).ok()?;
        let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        Some(Text { name, lines: lines(&String::from_utf8_lossy(&bytes)) })
    };
    paths.into_iter().filter_map(text).collect()
}

fn is_makefile(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    matches!(first, "Makefile" | "makefile" | "GNUmakefile" | "Kbuild") || name.ends_with(".mk")
}

fn lines(text: &str) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::new();
    let mut continued = false;
    for line in text.lines() {
        let (part, goes_on) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match out.last_mut().filter(|_| continued) {
            Some(last) => {
                last.text.push(' ');
                last.text.push_str(part);
            }
            None => out.push(Line { text: part.to_owned(), recipe: line.starts_with('\t'), command: false }),
        }
        continued = goes_on;
    }
    for line in &mut out {
        if let Some(at) = line.text.find('#') {
            line.text.truncate(at);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Linux 6.12 knows, and what 7.2 knows.
    fn kbuilds() -> (Kbuild, Kbuild) {
        let of = |lib: &str, modpost: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("scripts")).unwrap();
            for (name, text) in [("build", ""), ("lib", lib), ("modpost", modpost)] {
                std::fs::write(dir.path().join(format!("scripts/Makefile.{name}")), text).unwrap();
            }
            Kbuild::of(dir.path()).unwrap()
        };
        let old = of("ccflags-y += $(EXTRA_CFLAGS)\nldflags-y += $(EXTRA_LDFLAGS)\n$(EXTRA_AFLAGS)\n", "");
        (old, of("_c_flags = $(ccflags-y)\n", "src := $(srcroot)\n"))
    }

    fn of(kbuild: &Kbuild, make: &str, files: &[(&str, &str)]) -> Remarks {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        remarks(dir.path(), make, kbuild)
    }

    #[test]
    fn flags_that_this_kernel_leaves_out() {
        let (old, new) = kbuilds();
        let told: [(&str, &str, &str); 6] = [
            ("make", "obj-m := m.o\nEXTRA_CFLAGS += -DWANT\n", "Makefile sets EXTRA_CFLAGS"),
            ("make", "obj-m := m.o\nexport EXTRA_LDFLAGS := -x\n", "Write ldflags-y"),
            ("make", "obj-m := m.o\nEXTRA_AFLAGS = \\\n\t-x\n", "Write asflags-y"),
            ("make", "obj-m := m.o\nEXTRA_CFLAGS := $(EXTRA_CFLAGS) -DX\n", "Write ccflags-y"),
            ("make", "all:\n\tmake -C $(K) M=$(PWD) EXTRA_CFLAGS=-DX\n", "Makefile sets EXTRA_CFLAGS"),
            ("make EXTRA_CFLAGS=-DX", "obj-m := m.o\n", "MAKE in dkms.conf sets EXTRA_CFLAGS"),
        ];
        for (make, text, expected) in told {
            let found = of(&new, make, &[("Makefile", text)]);
            assert!(found.warnings.len() == 1 && found.warnings[0].contains(expected), "{text}: {found:?}");
            assert_eq!(of(&old, make, &[("Makefile", text)]), Remarks::default(), "{text}");
        }
        for text in [
            "obj-m := m.o\nEXTRA_CFLAGS += -DX\nccflags-y += -DX\n",
            "obj-m := m.o\nEXTRA_CFLAGS += -DX\nsubdir-ccflags-y += -DX\n",
            "obj-m := m.o\nEXTRA_CFLAGS += -DX\nCFLAGS_m.o := $(EXTRA_CFLAGS)\n",
            "obj-m := m.o\n# EXTRA_CFLAGS += -DX\n",
            "obj-m := m.o\nMY_EXTRA_CFLAGS += -DX\n",
            "all:\n\tcc $(EXTRA_CFLAGS) tool.c\nEXTRA_CFLAGS = -O2\n",
            "all:\n\tmake -C tool EXTRA_CFLAGS=-O2\n",
            "all:\n\tmake -C $(K) M=$(PWD) ccflags-y=\"$(EXTRA_CFLAGS)\"\nobj-m := m.o\nEXTRA_CFLAGS = -O2\n",
        ] {
            assert_eq!(of(&new, "make", &[("Makefile", text)]), Remarks::default(), "{text}");
        }
        let part = of(
            &new,
            "make",
            &[("Makefile", "obj-m := m.o\ninclude a/b.mk\n"), ("a/b.mk", "EXTRA_CFLAGS = -x\n")],
        );
        assert!(part.warnings[0].starts_with("a/b.mk sets EXTRA_CFLAGS"), "{part:?}");
    }

    #[test]
    fn directories_that_are_others_here() {
        let (old, new) = kbuilds();
        let files =
            [("Makefile", "KBUILD_EXTRA_SYMBOLS := ../base/Module.symvers\nccflags-y += -I$(CURDIR)/inc\n")];
        let on_old = of(&old, "make", &files);
        assert!(on_old.paths.len() == 2 && on_old.paths[0].contains("starts at its headers"), "{on_old:?}");
        assert!(on_old.paths[1].contains("which is the headers' directory"), "{on_old:?}");
        assert_eq!(on_old.hint(false), None);
        assert!(on_old.hint(true).unwrap().starts_with("this may be why: Makefile has a relative path"));
        let on_new = of(&new, "make", &files);
        assert!(on_new.paths.len() == 1 && on_new.paths[0].contains("which is the module's"), "{on_new:?}");
        let right =
            [("Makefile", "KBUILD_EXTRA_SYMBOLS := $(src)/../base/Module.symvers\nPWD := $(CURDIR)\n")];
        assert_eq!(of(&old, "make M=$(CURDIR)", &right), Remarks::default());
    }

    #[test]
    fn words_of_calls() {
        let (old, new) = kbuilds();
        let call = "make -C /lib/modules/6.1/build M=/x MO=/y modules";
        assert!(of(&old, call, &[]).warnings[0].contains("calls make with MO="));
        assert_eq!(of(&new, call, &[]), Remarks::default());
        for kbuild in [&old, &new] {
            let found = of(kbuild, "make -C /lib/modules/6.1/build SUBDIRS=/x modules", &[]);
            assert!(
                found.warnings.is_empty() && found.hint(false).unwrap().contains("Write M= in its place")
            );
            // Both: the old one is for kernels that know no other.
            assert_eq!(of(kbuild, "make -C /x SUBDIRS=/x M=/x modules", &[]), Remarks::default());
        }
    }
}
