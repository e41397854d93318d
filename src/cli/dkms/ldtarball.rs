//! `dkms ldtarball`: registers what an archive holds.

use super::archive;
use super::session::Session;
use crate::cli::engine::Need;
use crate::model::error::{Error, Kind, Result};

/// Builds in it are built afterwards, nothing is installed.
pub(super) fn ldtarball(session: &mut Session<'_, '_>) -> Result<u8> {
    let Some(file) = archive::named(session) else {
        let word = session.asked.module.as_deref();
        let directory = session.asked.source.as_ref().map(|word| word.path.display().to_string());
        let what = match (word, directory) {
            (Some(word), _) => format!("there is no archive {word}"),
            (None, Some(directory)) => format!("{directory} is a directory, not an archive"),
            (None, None) => "ldtarball needs an archive".to_owned(),
        };
        return Err(
            Error::new(Kind::ArchiveMissing, what).hint("give the path of an archive made by mktarball")
        );
    };
    if archive::is_package(&file) && file.is_file() {
        return archive::install_package(session, &file);
    }
    session.engine.permit(if session.asked.options.force { Need::Root } else { Need::Tree })?;
    let target = session.some_target()?;
    archive::load(session, &file, target.as_ref())?;
    Ok(0)
}
