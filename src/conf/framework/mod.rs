//! framework.conf and its drop-ins: what they say, and where they say it.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::USUAL_LIMIT;
use super::directives::FRAMEWORK_CONF;
use super::evaluation::{self, Question};
use super::model::ConfError;
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

/// The files, in the order in which they apply: `/etc/dkms/framework.conf`, then
/// `/etc/dkms/framework.conf.d/*.conf` by name. Only those that exist.
pub fn framework_files(layout: &Layout) -> Vec<PathBuf> {
    let etc = layout.etc();
    let mut parts: Vec<PathBuf> = std::fs::read_dir(etc.join("framework.conf.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "conf"))
        .filter(|path| path.file_name().is_some_and(|name| !name.as_bytes().starts_with(b".")))
        .collect();
    parts.sort();
    let mut files = vec![etc.join("framework.conf")];
    files.append(&mut parts);
    files.retain(|file| file.exists());
    files
}

/// What the files say, by the names of the settings. What they do not set is not in here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Framework {
    /// The text of each setting.
    pub said: BTreeMap<String, Said>,
    /// `kernelver` stands somewhere in the files: another kernel may have other values.
    pub names_kernel: bool,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its value, which may be empty.
    pub text: String,
    /// The file that set it last, as seen from inside the root.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
}

/// Reads them. The trees of `layout` and, where it is known, `kernel` (`$kernelver`) are variables that
/// the files may use.
///
/// # Errors
/// When a file cannot be read or bash cannot evaluate it.
pub fn load_framework(layout: &Layout, kernel: Option<&KernelRelease>) -> Result<Framework, ConfError> {
    let files = framework_files(layout);
    if files.is_empty() {
        return Ok(Framework::default());
    }
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let sources = evaluation::open(&layout.root, &paths)?;
    let path = |path: &Path| Some(path.as_os_str().as_bytes().to_vec());
    let given = vec![
        ("dkms_tree".to_owned(), path(&layout.dkms_tree)),
        ("source_tree".to_owned(), path(&layout.source_tree)),
        ("install_tree".to_owned(), path(&layout.install_tree)),
        ("kernelver".to_owned(), kernel.map(|k| k.as_str().as_bytes().to_vec())),
    ];
    let question = Question { exported: FRAMEWORK_CONF, given, limit: USUAL_LIMIT, foreign: false };
    let answer = evaluation::evaluate(&layout.root, &question, &sources)?;
    for line in &answer.complaints {
        log::warn!("framework.conf: {line}");
    }
    let mut said = BTreeMap::new();
    for (name, place) in answer.places {
        let text = answer.values.get(&name).and_then(|elements| elements.get(&0)).cloned();
        let file = layout.root.inside(&sources[place.file].path);
        said.insert(name, Said { text: text.unwrap_or_default(), file, line: place.line });
    }
    let names_kernel = sources.iter().any(|source| names_kernel(&source.text));
    Ok(Framework { said, names_kernel })
}

/// True when `kernelver` stands anywhere but in a line of comment.
fn names_kernel(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.lines().any(|line| line.contains("kernelver") && !line.trim_start().starts_with('#'))
}

#[cfg(test)]
mod tests;
