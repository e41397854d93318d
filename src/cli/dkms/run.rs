//! From an understood command line to an exit status.

use super::args::{Action, Invocation};
use super::session::Session;
use super::{add, archive, autoinstall, bring, ldtarball, matching, mktarball, remove, status};
use crate::cli::engine::{Engine, Need};
use crate::cli::screen::Screen;
use crate::model::error::{Error, Kind, Result};
use crate::model::request::Goal;

/// Carries the command out and returns its exit status. With `-q` nothing is written to `screen`.
///
/// With several kernels every one is worked on, and the status is that of the first that failed.
/// (DKMS returns the last one's, so that a failure is lost when another kernel follows.)
pub fn run(asked: &Invocation, engine: &mut dyn Engine, screen: &mut Screen<'_>) -> u8 {
    if asked.quiet {
        let (mut out, mut err) = (std::io::sink(), std::io::sink());
        return perform(Session { engine, asked, screen: &mut Screen::new(&mut out, &mut err) });
    }
    perform(Session { engine, asked, screen })
}

fn perform(mut session: Session<'_, '_>) -> u8 {
    match act(&mut session) {
        Ok(code) => code,
        Err(error) => {
            session.screen.error(&error);
            error.kind.exit_status()
        }
    }
}

fn act(session: &mut Session<'_, '_>) -> Result<u8> {
    let Some(action) = session.asked.action else {
        return Err(Error::new(Kind::Misuse(2), "no action was given"));
    };
    // Such a package brings its own scripts; what it is called with changes nothing.
    if let Action::Add | Action::Build | Action::Install = action
        && session.asked.module.is_none()
        && let Some(file) = archive::named(session).filter(|file| archive::is_package(file) && file.is_file())
    {
        return archive::install_package(session, &file);
    }
    match action {
        Action::Add => add::add(session),
        Action::Build => bring::bring(session, Goal::Built),
        Action::Install => bring::bring(session, Goal::Installed),
        Action::Uninstall => bring::bring(session, Goal::Uninstalled),
        Action::Unbuild => bring::bring(session, Goal::Unbuilt),
        Action::Remove => remove::remove(session),
        Action::Status => status::status(session),
        Action::Autoinstall | Action::KernelPostinst => autoinstall::autoinstall(session),
        Action::KernelPrerm => autoinstall::kernel_prerm(session),
        Action::KernelPreinst => kernel_preinst(session),
        Action::Match => matching::matching(session),
        Action::Mktarball => mktarball::mktarball(session),
        Action::Ldtarball => ldtarball::ldtarball(session),
        Action::GenerateMok => generate_mok(session),
    }
}

/// The two lines that DKMS prints, and a key pair if there is none.
fn generate_mok(session: &mut Session<'_, '_>) -> Result<u8> {
    let target = session.some_target()?;
    let pair = session.engine.key_pair(target.as_ref())?;
    for line in &pair.lines {
        session.screen.line(line);
    }
    if pair.made? {
        session.screen.line("There was no key; this one was created now.");
    }
    if let Some(next) = &pair.next {
        session.screen.line(format_args!(
            "Secure Boot is on, and the kernel does not know this key. Next: \
                                          {next}"
        ));
    }
    Ok(0)
}

/// DKMS deletes the modules of a kernel before its package is unpacked, so that they are rebuilt
/// afterwards, and loses them when the unpacking fails. Here a build knows what it was made from: the
/// step after the unpacking sees that the kernel is another one.
fn kernel_preinst(session: &mut Session<'_, '_>) -> Result<u8> {
    session.engine.permit(Need::Root)?;
    Ok(0)
}
