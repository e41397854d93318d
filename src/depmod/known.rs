//! What the module files of a kernel said when they were last read, kept in a file.
//!
//! The file is only there to save time: where it is missing, damaged or of another version, all is read anew. A
//! module counts as unchanged while size, times and inode of its file are the same.

use std::collections::HashMap;
use std::path::Path;

use super::facts::{Facts, Module, Span};
use super::search::{Candidate, Stamp};
use crate::fs::{atomic, look};

/// What the file begins with, unpacked: what it is, and the version of its format.
const HEAD: &[u8; 16] = b"dkms-hook said 1";

/// The most bytes that it unpacks to; a real one has some millions.
const LARGEST: usize = 256 << 20;

/// How hard it is compressed: a kernel of 4,000 modules takes 6 ms and 700 kB.
const LEVEL: i32 = 1;

/// Numbers of an entry: the lengths of five lists and of the path, and what stat(2) said in halves.
const ENTRY: usize = 4 * (5 + 1 + 8);

/// What is known of a kernel.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) facts: Facts,
    /// Each file with its stamp and the number of its module.
    pub(super) files: HashMap<Vec<u8>, (Stamp, u32)>,
}

impl Known {
    /// Reads it; nothing is known where that is not possible.
    pub(super) fn load(path: &Path) -> Self {
        let read = || {
            let packed = look::read(path).ok()??;
            let length = zstd::zstd_safe::get_frame_content_size(&packed).ok()??;
            let length = usize::try_from(length).ok().filter(|length| *length <= LARGEST)?;
            Self::of(&zstd::bulk::decompress(&packed, length).ok()?)
        };
        read().unwrap_or_else(|| {
            log::debug!("nothing is known of the modules at {}", path.display());
            Self::default()
        })
    }

    /// What a file says of this name and with this stamp.
    pub(super) fn module(&self, file: &Candidate) -> Option<u32> {
        self.files.get(&file.path).filter(|(stamp, _)| *stamp == file.stamp).map(|(_, module)| *module)
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let mut rest = Rest(bytes.strip_prefix(HEAD)?);
        let [names, symbols, numbers, texts, modules, paths] = {
            let mut counts = [0; 6];
            for count in &mut counts {
                *count = rest.number()? as usize;
            }
            counts
        };
        let mut facts = Facts { names: rest.take(names)?.to_vec(), ..Facts::default() };
        facts.ends = rest.numbers(symbols)?;
        facts.numbers = rest.numbers(numbers)?;
        facts.texts = rest.take(texts)?.to_vec();
        let mut entries = Rest(rest.take(modules.checked_mul(ENTRY)?)?);
        let mut paths = Rest(rest.take(paths)?);
        // Whatever follows relies on these.
        let sound = facts.ends.is_sorted()
            && facts.ends.last().map_or(0, |end| *end as usize) == names
            && facts.numbers.iter().all(|number| (*number as usize) < symbols)
            && facts.texts.last().is_none_or(|last| *last == 0)
            && rest.0.is_empty();
        let mut files = HashMap::with_capacity(modules);
        let (mut of_numbers, mut of_texts) = (0, 0);
        for module in 0..modules as u32 {
            let mut span = |from: &mut u32| {
                let start = *from;
                *from = from.checked_add(entries.number()?)?;
                Some(Span { start, end: *from })
            };
            let said = Module {
                exports: span(&mut of_numbers)?,
                imports: span(&mut of_numbers)?,
                aliases: span(&mut of_texts)?,
                softdeps: span(&mut of_texts)?,
                weakdeps: span(&mut of_texts)?,
            };
            facts.modules.push(said);
            let path = entries.number()? as usize;
            let stamp =
                Stamp::from_words([entries.word()?, entries.word()?, entries.word()?, entries.word()?]);
            files.insert(paths.take(path)?.to_vec(), (stamp, module));
        }
        let whole = of_numbers as usize == numbers && of_texts as usize == texts && paths.0.is_empty();
        (sound && whole).then_some(Self { facts, files })
    }
}

/// Writes what these files say: what is known next time. Failing that, it is read anew.
pub(super) fn save(path: &Path, facts: &Facts, files: &[(&Candidate, u32)]) {
    let written = || -> Result<(), String> {
        let packed = zstd::bulk::compress(&bytes(facts, files), LEVEL).map_err(|error| error.to_string())?;
        let dir = path.parent().unwrap_or(path);
        std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
        atomic::write_unsynced(path, &packed).map_err(|error| error.what)
    };
    if let Err(why) = written() {
        log::debug!("{} is not kept: {why}", path.display());
    }
}

fn bytes(facts: &Facts, files: &[(&Candidate, u32)]) -> Vec<u8> {
    // Only symbols that are still used, numbered anew.
    let mut renumbered = vec![u32::MAX; facts.symbols()];
    let (mut names, mut ends) = (Vec::new(), Vec::new());
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    let (mut entries, mut paths) = (Vec::with_capacity(files.len() * ENTRY), Vec::new());
    for (file, module) in files {
        let said = facts.modules[*module as usize];
        for span in [said.exports, said.imports] {
            for &number in facts.numbers(span) {
                let new = &mut renumbered[number as usize];
                if *new == u32::MAX {
                    *new = (ends.len() / 4) as u32;
                    names.extend_from_slice(facts.symbol(number));
                    ends.extend((names.len() as u32).to_le_bytes());
                }
                numbers.extend(new.to_le_bytes());
            }
            entries.extend(span.length().to_le_bytes());
        }
        for span in [said.aliases, said.softdeps, said.weakdeps] {
            texts.extend_from_slice(&facts.texts[span.range()]);
            entries.extend(span.length().to_le_bytes());
        }
        entries.extend((file.path.len() as u32).to_le_bytes());
        entries.extend(file.stamp.words().into_iter().flat_map(u64::to_le_bytes));
        paths.extend_from_slice(&file.path);
    }
    let mut out = HEAD.to_vec();
    let counts = [names.len(), ends.len() / 4, numbers.len() / 4, texts.len(), files.len(), paths.len()];
    out.extend(counts.into_iter().flat_map(|count| (count as u32).to_le_bytes()));
    for part in [&names, &ends, &numbers, &texts, &entries, &paths] {
        out.extend_from_slice(part);
    }
    out
}

/// What is still to be taken apart.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn word(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    fn numbers(&mut self, count: usize) -> Option<Vec<u32>> {
        let bytes = self.take(count.checked_mul(4)?)?;
        let (chunks, _) = bytes.as_chunks();
        Some(chunks.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::depmod::facts::Adding;
    use crate::depmod::module::{Said, Texts};

    fn said(exports: &[&str], imports: &[&str], aliases: &[&str]) -> Said {
        let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes()).collect::<Texts>();
        Said { exports: texts(exports), imports: texts(imports), aliases: texts(aliases), ..Said::default() }
    }

    fn candidate(path: &str, inode: u64) -> Candidate {
        let stamp = Stamp { size: 7, modified: -1, changed: i64::MAX, inode };
        Candidate { path: path.as_bytes().to_vec(), stamp }
    }

    /// Facts of three modules, of which the second one's file is gone.
    fn sample() -> Vec<u8> {
        let mut facts = Facts::default();
        let mut adding = Adding::to(&mut facts);
        let first = adding.add(&said(&["one"], &["two", "three"], &["alias a", ""]));
        adding.add(&said(&["gone"], &["gone_too"], &["of gone"]));
        let third = adding.add(&said(&["three"], &[], &[]));
        let (a, b) = (candidate("a.ko", 1), candidate("b.ko", 2));
        bytes(&facts, &[(&a, first), (&b, third)])
    }

    #[test]
    fn what_is_written_is_read_again_without_what_is_gone() {
        let known = Known::of(&sample()).unwrap();
        let module = |file: &Candidate| known.facts.modules[known.module(file).unwrap() as usize];
        let names =
            |span| known.facts.numbers(span).iter().map(|n| known.facts.symbol(*n)).collect::<Vec<_>>();
        let first = module(&candidate("a.ko", 1));
        assert_eq!(names(first.imports), [&b"two"[..], b"three"]);
        assert_eq!(known.facts.texts(first.aliases).collect::<Vec<_>>(), [&b"alias a"[..], b""]);
        assert_eq!(names(module(&candidate("b.ko", 2)).exports), [b"three"]);
        assert_eq!(known.module(&candidate("a.ko", 3)), None, "another inode");
        assert_eq!((known.facts.symbols(), known.files.len()), (3, 2));
    }

    proptest! {
        /// Whatever the bytes: nothing, or tables that hold together.
        #[test]
        fn damage_anywhere_is_nothing_known_or_tables_that_hold(
            changes in proptest::collection::vec((0..4096usize, any::<u8>()), 1..4),
            cut in 0..4096usize,
        ) {
            let mut bytes = sample();
            let whole = bytes.len();
            for (at, byte) in changes {
                bytes[at % whole] = byte;
            }
            bytes.truncate(whole - (cut % whole) * usize::from(cut % 3 == 0));
            if let Some(known) = Known::of(&bytes) {
                for module in &known.facts.modules {
                    for span in [module.exports, module.imports] {
                        known.facts.numbers(span).iter().for_each(|number| _ = known.facts.symbol(*number));
                    }
                    for span in [module.aliases, module.softdeps, module.weakdeps] {
                        known.facts.texts(span).for_each(drop);
                    }
                }
            }
        }
    }
}
