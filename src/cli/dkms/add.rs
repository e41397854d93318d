//! `dkms add`, and the adding that `build` and `install` imply.

use super::archive;
use super::args::PathWord;
use super::session::{Session, broken, same_dir};
use crate::apply::rpm_upgrade;
use crate::cli::engine::{Need, Target, already_added};
use crate::conf::model::Conf;
use crate::model::error::{Error, Result, exit};
use crate::model::ids::ModuleId;
use crate::report::status::{Registration, registration};

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
            if registration(session.engine.layout(), &id) == Registration::Added {
                return Err(already_added(&id));
            }
            session.engine.add_source(&from, &id, target.as_ref(), &session.asked.options)?;
            id
        }
        None => {
            let id = session.module()?;
            note_rpm(session, &id)?;
            if registration(session.engine.layout(), &id) == Registration::Added {
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
        if registration(layout, &id) == Registration::Added {
            // The registered source itself, by whichever of its names, needs no copying.
            let known = [layout.source(&id), layout.source_link(&id), layout.build_dir(&id)];
            if known.iter().any(|dir| same_dir(dir, &from)) {
                return Ok(id);
            }
            return Err(already_added(&id));
        }
        session.engine.add_source(&from, &id, target, &session.asked.options)?;
        return Ok(id);
    }
    let id = session.module()?;
    match registration(session.engine.layout(), &id) {
        Registration::Added => {}
        Registration::Broken => return Err(broken(session.engine, &id)),
        Registration::Absent | Registration::NoSource => {
            if let Err(error) = add_by_name(session, &id, target) {
                let now = registration(session.engine.layout(), &id);
                // Another run that wants the same was faster.
                if error != already_added(&id) || now != Registration::Added {
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
        return Err(Error::new(exit::NO_CONF_AT_PATH, format!("{shown} has no dkms.conf")));
    };
    let conf = session.engine.conf(&from, None, target, &session.asked.options)?;
    let id = id_of(&conf, &from.display().to_string())?;
    Ok((from, id))
}

/// The module version that a dkms.conf names. `shown` says where it is.
pub(super) fn id_of(conf: &Conf, shown: &str) -> Result<ModuleId> {
    let bad = |why: String| {
        Error::new(exit::MAKE, format!("the dkms.conf of {shown} names no usable module: {why}"))
            .hint("correct PACKAGE_NAME and PACKAGE_VERSION in it")
    };
    let id = ModuleId::new(conf.package_name.as_str(), conf.package_version.as_str())
        .map_err(|error| bad(error.to_string()))?;
    // Names that have a meaning of their own in the module tree.
    let (name, version) = (id.name.as_str(), id.version.as_str());
    if name.starts_with('.') || version.starts_with('.') || version == "original_module" {
        return Err(bad(format!("{id} would be mistaken for something else")));
    }
    Ok(id)
}

/// Registers `S/m-v`.
pub(super) fn add_by_name(
    session: &mut Session<'_, '_>,
    id: &ModuleId,
    target: Option<&Target>,
) -> Result<()> {
    let layout = session.engine.layout();
    let inside = layout.source_inside(id);
    // A link that leads out of the root leads nowhere in there.
    let Some(source) = layout.root.resolve(&inside).ok().filter(|source| source.is_dir()) else {
        let shown = inside.display();
        return Err(Error::new(exit::NOT_FOUND, format!("cannot add {id}: there is no directory {shown}"))
            .hint(
                "install the package that has the source, or give the path of a directory with a dkms.conf",
            ));
    };
    session.engine.add_source(&source, id, target, &session.asked.options)
}
