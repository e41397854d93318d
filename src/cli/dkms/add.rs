//! `dkms add`, and the adding that `build` and `install` imply.

use super::archive;
use super::args::PathWord;
use super::session::{Session, broken, unseen};
use super::source::{add_by_name, id_of};
use crate::apply::rpm_upgrade;
use crate::cli::engine::{Need, Target, already_added};
use crate::fs::same::same_place;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::ModuleId;
use crate::model::system::Source;
use crate::tree::registry;

/// `dkms add m/v`, `dkms add DIRECTORY`, `dkms add PATH/dkms.conf`, `dkms add ARCHIVE`.
pub(super) fn add(session: &mut Session<'_, '_>) -> Result<u8> {
    session.engine.permit(Need::Tree)?;
    let target = session.some_target()?;
    if let Some(file) = archive::to_load(session) {
        session.engine.permit(Need::Root)?;
        archive::load(session, &file, target.as_ref())?;
        return Ok(0);
    }
    let id = match session.asked.source.clone() {
        Some(word) => {
            let (from, id) = look_at(session, &word, target.as_ref())?;
            note_rpm(session, &id)?;
            if registry::is_added(session.engine.layout(), &id) {
                return Err(already_added(&id));
            }
            session.engine.add_source(&from, &id, target.as_ref(), &session.asked.options)?;
            id
        }
        None => {
            let id = session.module()?;
            note_rpm(session, &id)?;
            if registry::is_added(session.engine.layout(), &id) {
                return Err(already_added(&id));
            }
            add_by_name(session, &id, target.as_ref())?;
            id
        }
    };
    session.screen.line(format_args!(
        "Module {id} added from {}.",
        session.engine.layout().source_inside(&id).display()
    ));
    Ok(0)
}

/// Also where it is added already: that is what a removal in the same transaction would undo.
fn note_rpm(session: &Session<'_, '_>, id: &ModuleId) -> Result<()> {
    match session.asked.options.rpm_safe_upgrade {
        true => rpm_upgrade::begin(session.engine.layout(), id),
        false => Ok(()),
    }
}

/// The module version that `build` or `install` is about, registered if it was not.
pub(super) fn ensure_added(session: &mut Session<'_, '_>, target: Option<&Target>) -> Result<ModuleId> {
    if let Some(file) = archive::to_load(session) {
        session.engine.permit(Need::Root)?;
        return archive::load(session, &file, target);
    }
    if let Some(word) = session.asked.source.clone() {
        let (from, id) = look_at(session, &word, target)?;
        let layout = session.engine.layout();
        if registry::is_added(layout, &id) {
            // The registered source itself, by whichever of its names, needs no copying.
            let known = [layout.source(&id), layout.source_link(&id), layout.build_dir(&id)];
            if known.iter().any(|dir| same_place(dir, &from)) {
                return Ok(id);
            }
            return Err(already_added(&id));
        }
        session.engine.add_source(&from, &id, target, &session.asked.options)?;
        return Ok(id);
    }
    let id = session.module()?;
    match registry::source(session.engine.layout(), &id) {
        Some(Source::Added) => {}
        Some(Source::Dangling(_)) => return Err(broken(session.engine, &id)),
        Some(Source::Blind(blind)) => return Err(unseen(&id, blind)),
        None | Some(Source::BinariesOnly) => {
            if let Err(error) = add_by_name(session, &id, target) {
                // Another run that wants the same was faster.
                if error.kind != Kind::AlreadyAdded || !registry::is_added(session.engine.layout(), &id) {
                    return Err(error);
                }
            }
        }
    }
    Ok(id)
}

/// Reads the conf of a path. Nothing is copied before it is known what it is: a refused `add` must
/// leave the source that is there alone.
fn look_at(
    session: &Session<'_, '_>,
    word: &PathWord,
    target: Option<&Target>,
) -> Result<(std::path::PathBuf, ModuleId)> {
    session.engine.permit(Need::Root)?;
    let shown = word.path.display();
    let from = word.path.canonicalize().ok().filter(|dir| dir.join("dkms.conf").is_file());
    let Some(from) = from else {
        return Err(Error::new(Kind::NoConfAtPath, format!("{shown} has no dkms.conf")));
    };
    let conf = session.engine.conf(&from, None, target, &session.asked.options)?;
    let id = id_of(&conf, &from.display().to_string())?;
    Ok((from, id))
}
