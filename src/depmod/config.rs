//! depmod.d(5): which of several files of one name counts, and which directories are left out.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::odd::{Odd, odd};
use crate::fs::look;

/// A word of a `search` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Search {
    /// A directory below that of the kernel.
    Below(Vec<u8>),
    /// Everything that no other word names: `built-in`.
    Rest,
}

/// What the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// In the order of the files: what stands first wins.
    pub(super) search: Vec<Search>,
    /// Files that win, without what follows the name of the module: directory and name. The last line counts first.
    pub(super) overrides: Vec<Vec<u8>>,
    /// Names of directories that are not looked into.
    pub(super) excluded: Vec<Vec<u8>>,
}

impl Config {
    /// Reads all files `*.conf` of these directories; of two of one name, that in the earlier directory counts.
    ///
    /// # Errors
    /// When a file cannot be read, or says what only depmod(8) understands.
    pub fn read(dirs: &[PathBuf], kernel: &str) -> Result<Self, Odd> {
        let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for dir in dirs {
            for entry in look::entries(dir)?.unwrap_or_default() {
                let name = entry.file_name();
                let bytes = name.as_encoded_bytes();
                if bytes.ends_with(b".conf") && !bytes.starts_with(b".") {
                    files.entry(name).or_insert_with(|| entry.path());
                }
            }
        }
        let mut config = Self::default();
        for path in files.values() {
            let text = look::read(path)?;
            let text = text.ok_or_else(|| odd("it is gone").of(path.display()))?;
            config.add(&text, kernel).map_err(|odd| odd.of(path.display()))?;
        }
        if config.search.is_empty() {
            config.search.push(Search::Below(b"updates".to_vec()));
        }
        Ok(config)
    }

    /// Adds the lines of one file.
    fn add(&mut self, text: &[u8], kernel: &str) -> Result<(), Odd> {
        // A backslash joins lines; who knows what it does elsewhere.
        if text.contains(&b'\\') || text.contains(&0) || !text.is_ascii() {
            return Err(odd("it has lines of several lines"));
        }
        for line in text.split(|&byte| byte == b'\n') {
            let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
            // A comment begins in the first column; elsewhere depmod says that it is wrong.
            let Some(command) = words.next().filter(|_| !line.starts_with(b"#")) else { continue };
            let words: Vec<&[u8]> = words.collect();
            match (command, words.as_slice()) {
                (b"search", words) => {
                    for word in words {
                        self.search.push(match *word {
                            b"built-in" => Search::Rest,
                            b"external" => return Err(odd("it has the word external")),
                            word => Search::Below(word.to_vec()),
                        });
                    }
                }
                (b"override", [name, kernels, dir]) => match *kernels {
                    b"*" => self.overrides.push([dir, &b"/"[..], name].concat()),
                    kernels if kernels == kernel.as_bytes() && plain(kernels) => {
                        self.overrides.push([dir, &b"/"[..], name].concat());
                    }
                    _ => return Err(odd("it has an expression that kernels are compared with")),
                },
                (b"exclude", words) => self.excluded.extend(words.iter().map(|word| word.to_vec())),
                (command, _) => {
                    let command = String::from_utf8_lossy(command);
                    return Err(odd(format!("it has a line that begins with {command}")));
                }
            }
        }
        Ok(())
    }
}

/// A regular expression that stands for itself only.
fn plain(expression: &[u8]) -> bool {
    expression.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Where depmod(8) looks for its configuration, the first one before the others.
pub const CONFIGURATION: [&str; 5] =
    ["etc/depmod.d", "run/depmod.d", "usr/local/lib/depmod.d", "usr/lib/depmod.d", "lib/depmod.d"];

/// The directories of the configuration below a root that are there, each once.
///
/// # Errors
/// When two of them could be read by one kmod and not by another.
pub fn directories(root: &Path) -> Result<Vec<PathBuf>, Odd> {
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in CONFIGURATION.map(|dir| root.join(dir)) {
        if look::is_dir(&dir)? && !found.iter().any(|known| crate::fs::same::same_place(known, &dir)) {
            found.push(dir);
        }
    }
    // Only newer ones read both, unless they are told to.
    let last = CONFIGURATION[3..].iter().filter(|dir| found.contains(&root.join(dir))).count();
    if last > 1 && root == Path::new("/") {
        Err(odd("/usr/lib/depmod.d and /lib/depmod.d differ"))
    } else {
        Ok(found)
    }
}
