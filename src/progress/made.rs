//! How many files a build has made so far, from what its commands print.

/// Counts the lines of a build's output that name an object file or module which was made.
///
/// These are kbuild's short lines (`  CC [M]  a.o`, `  LD [M]  a.ko`; the tag may be missing or another) and those of
/// other build systems that look so (automake's silent rules), and the counted lines of ninja and CMake
/// (`[3/12] …`, `[ 12%] Building …`). Of a build that prints its commands nothing is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    files: usize,
    /// The beginning of a line whose end has not come yet.
    rest: Vec<u8>,
}

/// No line of interest is longer; what follows is dropped.
const LONGEST: usize = 4096;

impl Made {
    /// How many files were named so far.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Takes what came next, which may end within a line.
    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.split_last() {
                Some((b'\n', end)) => {
                    self.keep(end);
                    self.files += usize::from(names_a_file(&self.rest));
                    self.rest.clear();
                }
                _ => self.keep(piece),
            }
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = LONGEST.saturating_sub(self.rest.len());
        self.rest.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }
}

fn names_a_file(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let line = line.trim_end();
    if let Some(rest) = line.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(count, what)| is_counted(count, what));
    }
    // Two blanks and no more: what is indented otherwise belongs to a message.
    let Some(rest) =
        line.strip_prefix("  ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    else {
        return false;
    };
    let mut words = rest.split_ascii_whitespace();
    let tool = words.next().unwrap_or_default();
    let is_tool = tool.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'+');
    let mut words = words.skip_while(|word| word.starts_with('[') && word.ends_with(']'));
    is_tool && words.next().is_some_and(is_object) && words.next().is_none()
}

fn is_object(path: &str) -> bool {
    [".o", ".ko", ".lo", ".a"].iter().any(|suffix| path.ends_with(suffix))
}

/// `3/12` in front of anything, `12%` in front of "Building".
fn is_counted(count: &str, what: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.trim();
    match (count.strip_suffix('%'), count.split_once('/')) {
        (Some(percent), _) => number(percent) && what.trim_start().starts_with("Building"),
        (None, Some((done, of))) => number(done) && number(of),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_build_systems_are_counted_and_messages_are_not() {
        let counted = [
            "  CC [M]  /var/lib/dkms/zfs/2.3.9/build/module/avl/avl.o",
            "  LD [M]  zfs.ko",
            "  AS [M]  icp/asm-x86_64/aes/aeskey.o",
            "  RUSTC [M] rust_hello.o",
            "  CC      init.o",
            "  AR      built-in.a",
            "  CXX      libtool.lo",
            "[ 12%] Building C object x.c.o",
            "[3/12] Compiling a",
        ];
        let others = [
            "",
            "make -C /usr/src/linux-headers-6.1 M=/x modules",
            "  MODPOST Module.symvers",
            "  BTF [M] zfs.ko.btf",
            "  CLEAN   /var/lib/dkms/x/1/build",
            "  CC is gcc a.o",
            "    CC [M]  a.o",
            "  Building a.o",
            "[ 12%] Linking C shared module x.so",
            "[M] a.o",
            "[1/] a",
            "a.c:3:1: note: in a.o",
        ];
        for line in counted {
            assert!(names_a_file(line.as_bytes()), "{line}");
        }
        for line in others {
            assert!(!names_a_file(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn it_does_not_matter_where_the_pieces_end() {
        let text = "  CC [M]  a.o\nnoise \u{fffd}\n  LD [M]  a.ko\r\n  CC [M]  b.o".as_bytes();
        for size in 1..text.len() {
            let mut made = Made::default();
            text.chunks(size).for_each(|piece| made.feed(piece));
            assert_eq!(made.files(), 2, "the last line has no end; in pieces of {size}");
            made.feed(b"\n");
            assert_eq!(made.files(), 3);
        }
        let mut made = Made::default();
        made.feed(&[b' '; 3 * LONGEST]);
        assert_eq!(made.rest.len(), LONGEST);
    }
}
