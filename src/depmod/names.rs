//! Names of modules and of files.

/// A module of the index: a file, and the name that it goes by.
#[derive(Debug, Clone)]
pub(super) struct Named<'a> {
    /// Below the kernel's directory, or absolute.
    pub(super) path: &'a [u8],
    /// The file's name up to its first dot, with `_` for `-`.
    pub(super) name: Vec<u8>,
    /// Which of the modules of [`super::facts::Facts`] it is.
    pub(super) module: u32,
}

impl<'a> Named<'a> {
    pub(super) fn of(path: &'a [u8], module: u32) -> Self {
        Self { path, name: name(path), module }
    }

    /// The path by which modules.order would name it: without what compression adds.
    pub(super) fn in_order(&self) -> &'a [u8] {
        let stem = file(self.path).split(|&byte| byte == b'.').next().unwrap_or_default().len();
        let end = self.path.len() - file(self.path).len() + stem + b".ko".len();
        self.path.get(..end).unwrap_or(self.path)
    }
}

/// The last part of a path.
pub(super) fn file(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

/// The name of a module by its file: up to the first dot, with `_` for `-`.
pub(super) fn name(path: &[u8]) -> Vec<u8> {
    let stem = file(path).split(|&byte| byte == b'.').next().unwrap_or_default();
    stem.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }).collect()
}

/// Adds an alias as the index file has it: `-` becomes `_` except in brackets. Nothing, and false, where brackets do
/// not match: the file has no such alias.
pub(super) fn normalize(alias: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.extend_from_slice(alias);
    let mut bracket = false;
    let mut sound = true;
    for byte in &mut out[start..] {
        match *byte {
            b']' => {
                sound &= bracket;
                bracket = false;
            }
            b'[' => bracket = true,
            b'-' if !bracket => *byte = b'_',
            _ => {}
        }
    }
    if bracket || !sound {
        out.truncate(start);
    }
    sound && !bracket
}
