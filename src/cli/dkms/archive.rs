//! Archives and rpm packages as arguments: of `ldtarball`, `add`, `build` and `install`.

use std::path::{Path, PathBuf};

use super::autoinstall::autoinstall;
use super::session::Session;
use super::source::id_of;
use crate::apply::tarball::{Form, Loaded, Unpacked};
use crate::cli::engine::{Options, Target};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::ModuleId;
use crate::tree::registry;

/// The archive on the command line, as a word or with `--archive`.
pub(super) fn named(session: &Session<'_, '_>) -> Option<PathBuf> {
    let asked = session.asked;
    asked.archive.as_ref().map(|word| word.path.clone()).or_else(|| asked.archive_option.clone())
}

/// The archive that `add`, `build` or `install` is to load first. Where a module is named, too, that
/// one is meant.
pub(super) fn to_load(session: &mut Session<'_, '_>) -> Option<PathBuf> {
    let file = named(session)?;
    match &session.asked.module {
        None => Some(file),
        Some(module) => {
            session.screen.warning(format_args!("{} is ignored: {module} is named as well.", file.display()));
            None
        }
    }
}

/// Whether it is a package for rpm.
pub(super) fn is_package(file: &Path) -> bool {
    file.extension().is_some_and(|suffix| suffix == "rpm")
}

/// Has rpm install a package of modules, and then installs what it brought.
pub(super) fn install_package(session: &mut Session<'_, '_>, file: &Path) -> Result<u8> {
    session.engine.install_package(file)?;
    autoinstall(session)
}

/// Loads an archive and tells what came of it.
pub(super) fn load(session: &mut Session<'_, '_>, file: &Path, target: Option<&Target>) -> Result<ModuleId> {
    let shown = file.display().to_string();
    let (unpacked, id) = look_into(session, file, target)?;
    let options = &session.asked.options;
    if registry::is_added(session.engine.layout(), &id) && !options.force {
        // A source alone is added, and adding has a status of its own for that.
        let kind = match unpacked.form() {
            Form::Plain => Kind::AlreadyAdded,
            Form::WithSource | Form::BinariesOnly => Kind::BuildsAlreadyAdded,
        };
        return Err(Error::new(kind, format!("{id} is already added; nothing of {shown} was loaded"))
            .hint(format!("use --force to replace it, or run `dkms remove {id} --all` first")));
    }
    let loaded = session.engine.load(unpacked, &id, target, options)?;
    tell(session, &id, &shown, &loaded);
    Ok(id)
}

/// Makes sure that what the archive of a package holds is what is registered as `id`.
pub(super) fn refresh(
    session: &mut Session<'_, '_>,
    file: &Path,
    target: Option<&Target>,
    id: &ModuleId,
) -> Result<()> {
    let shown = file.display().to_string();
    let (unpacked, found) = look_into(session, file, target)?;
    if found != *id {
        return Err(Error::new(Kind::OtherModule, format!("{shown} holds {found}, not {id}"))
            .hint("the package is wrong; report it to its maintainer"));
    }
    let layout = session.engine.layout();
    if registry::is_added(layout, id) && unpacked.is_here(layout, id) {
        return Ok(());
    }
    let options = Options { force: true, ..session.asked.options.clone() };
    let loaded = session.engine.load(unpacked, id, target, &options)?;
    tell(session, id, &shown, &loaded);
    Ok(())
}

/// Unpacks an archive and reads its dkms.conf.
fn look_into(
    session: &mut Session<'_, '_>,
    file: &Path,
    target: Option<&Target>,
) -> Result<(Unpacked, ModuleId)> {
    let shown = file.display().to_string();
    if !file.is_file() {
        return Err(Error::new(Kind::ArchiveMissing, format!("{shown} does not exist, or is not a file")));
    }
    let unpacked = session.engine.unpack(file)?;
    let place = unpacked.place(session.engine.layout()).display().to_string();
    let conf = session.engine.conf(unpacked.conf_dir(), None, target, &session.asked.options);
    // What is wrong in there is wrong in the archive; where that was unpacked is of no use to anybody.
    let conf = conf.map_err(|mut error| {
        error.what = error.what.replace(&format!("{place}/"), &format!("{shown}: "));
        error
    })?;
    let id = id_of(&conf, &shown)?;
    Ok((unpacked, id))
}

fn tell(session: &mut Session<'_, '_>, id: &ModuleId, shown: &str, loaded: &Loaded) {
    let source = session.engine.layout().source_inside(id);
    let screen = &mut session.screen;
    screen.line(format_args!("Module {id} loaded from {shown}."));
    if loaded.replaced_source {
        screen.line(format_args!("The source in {} was replaced.", source.display()));
    }
    for cell in &loaded.cells {
        screen.line(format_args!("Loaded the build for kernel {} ({}).", cell.kernel, cell.arch));
    }
    for cell in &loaded.kept {
        screen.warning(format_args!(
            "the build for kernel {} ({}) is kept; --force replaces it",
            cell.kernel, cell.arch
        ));
    }
    if loaded.signed_by_others {
        screen.line(format_args!(
            "Its modules are not signed with the key of this machine; `dkms-hook resign {id}` does that."
        ));
    }
    if loaded.without_source {
        screen.line(format_args!(
            "It has no source: it can be installed for these kernels, but not built for others."
        ));
    }
}
