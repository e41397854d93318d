//! Looking through an archive that nobody vouches for, without unpacking it.

use std::io::{self, Read};
use std::ops::ControlFlow;

use super::UnpackError;
use super::extra::Extra;

/// The most bytes that an archive may unpack to, the largest kernel packages being about 2 GiB.
pub(super) const LARGEST: u64 = 16 << 30;

/// The most members. A kernel's headers have about 30 000.
pub(super) const MOST_MEMBERS: usize = 2_000_000;

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name, without a leading `./` or `/`. What is not UTF-8 is replaced.
    pub name: String,
    /// Where it leads, if it is a symbolic link.
    pub link: Option<String>,
}

/// Looks at a member and says whether to go on.
pub type Each<'a> = dyn FnMut(&Listed, &mut dyn Read) -> Result<ControlFlow<()>, UnpackError> + 'a;

/// Calls `each` for every member with its content, until it says that it has seen enough.
///
/// # Errors
/// When this is no tar archive, or a damaged one, or larger than any package; and what `each` finds.
pub fn list(input: Box<dyn Read>, each: &mut Each<'_>) -> Result<(), UnpackError> {
    let damaged = |error: io::Error| UnpackError::Damaged(error.to_string());
    let mut archive = tar::Archive::new(Limited { input, left: LARGEST });
    let mut extra = Extra::default();
    for (index, member) in archive.entries().map_err(damaged)?.raw(true).enumerate() {
        if index == MOST_MEMBERS {
            return Err(UnpackError::Damaged("it has too many members".into()));
        }
        let mut member = match member {
            Ok(member) => member,
            Err(_) if index == 0 => return Err(UnpackError::NotAnArchive),
            Err(error) => return Err(damaged(error)),
        };
        let header = member.header().clone();
        if extra.takes(&header, &mut member)? {
            continue;
        }
        let (name, link) = std::mem::take(&mut extra).names(&header);
        let name = String::from_utf8_lossy(&name);
        let listed = Listed {
            name: name.trim_start_matches("./").trim_start_matches('/').to_owned(),
            link: header.entry_type().is_symlink().then(|| String::from_utf8_lossy(&link).into_owned()),
        };
        if each(&listed, &mut member)?.is_break() {
            return Ok(());
        }
    }
    Ok(())
}

/// Ends with an error where an archive goes on for ever.
pub(super) struct Limited {
    pub input: Box<dyn Read>,
    pub left: u64,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.input.read(buffer)?;
        self.left = self
            .left
            .checked_sub(got as u64)
            .ok_or_else(|| io::Error::other("it unpacks to more than 16 GiB"))?;
        Ok(got)
    }
}
