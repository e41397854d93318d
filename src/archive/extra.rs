//! Members of an archive that say something about the next one: names too long for its header.

use std::io::Read;

use tar::{EntryType, Header};

use super::UnpackError;

/// The longest name and the largest set of extended attributes of a member, in bytes. Linux has no
/// longer path (PATH_MAX, limits.h).
const LONGEST: u64 = 64 << 10;

/// The content of a member that describes the next one.
fn short_text(member: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
    let mut text = Vec::new();
    let read = member.take(LONGEST + 1).read_to_end(&mut text);
    read.map_err(|error| UnpackError::Damaged(error.to_string()))?;
    if text.len() as u64 > LONGEST {
        return Err(UnpackError::Damaged("a name in it is too long".into()));
    }
    Ok(text)
}

/// What members of their own say about the next one; GNU tar's names before those of pax(1).
#[derive(Default)]
pub(super) struct Extra {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax_name: Option<Vec<u8>>,
    pax_link: Option<Vec<u8>>,
    /// A size that does not fit into the header of the member.
    pub(super) size: Option<u64>,
    /// When it was changed, in seconds since 1970: a header of pax(1) has no time before.
    pub(super) time: Option<i64>,
    /// It is stored without its holes.
    pub(super) sparse: bool,
}

impl Extra {
    /// Reads the member when it is one of these; false when it is one of its own.
    pub(super) fn takes(&mut self, header: &Header, member: &mut impl Read) -> Result<bool, UnpackError> {
        match header.entry_type() {
            EntryType::GNULongName => self.name = Some(short_text(member)?),
            EntryType::GNULongLink => self.link = Some(short_text(member)?),
            EntryType::XHeader => self.attributes(&short_text(member)?)?,
            // Comments, such as the commit that git-archive(1) notes.
            EntryType::XGlobalHeader => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Name and link target of the member that follows; the target is empty where it has none.
    pub(super) fn names(self, header: &Header) -> (Vec<u8>, Vec<u8>) {
        let mut name = self.name.or(self.pax_name).unwrap_or_else(|| header.path_bytes().into_owned());
        let link = self.link.or(self.pax_link).or_else(|| header.link_name_bytes().map(|l| l.into_owned()));
        let mut link = link.unwrap_or_default();
        for text in [&mut name, &mut link] {
            // Names in long form end with a NUL.
            if text.last() == Some(&0) {
                text.pop();
            }
        }
        (name, link)
    }

    fn attributes(&mut self, text: &[u8]) -> Result<(), UnpackError> {
        for attribute in tar::PaxExtensions::new(text) {
            let attribute = attribute.map_err(|error| UnpackError::Damaged(error.to_string()))?;
            let value = attribute.value_bytes();
            match attribute.key_bytes() {
                b"path" => self.pax_name = Some(value.to_vec()),
                b"linkpath" => self.pax_link = Some(value.to_vec()),
                b"size" => self.size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
                b"mtime" => self.time = std::str::from_utf8(value).ok().and_then(seconds),
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The seconds of a time with or without a fraction.
fn seconds(text: &str) -> Option<i64> {
    text.split('.').next()?.parse().ok()
}
