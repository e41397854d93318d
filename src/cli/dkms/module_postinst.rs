//! What the postinst of a *-dkms package calls: register the source that it brought, and install the
//! module for the kernels at hand.
//!
//! DKMS's `common.postinst` removes every build first, builds anew, and fails when a build fails, which
//! leaves the package half-configured. Here an existing registration stays and each cell is asked to be
//! installed: what was made from the same inputs is not made again, and a module that does not compile is
//! told, remembered by the engine, and stops nothing (unless the administrator wants it, see `Settings::strict`).

use std::fs;
use std::path::Path;

use super::archive;
use super::args::Invocation;
use super::autoinstall::DISABLED;
use super::session::Session;
use crate::cli::engine::{Engine, Target};
use crate::cli::screen::Screen;
use crate::kernel;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Arch, KernelRelease, ModuleId};
use crate::model::request::{Goal, Request};
use crate::plan::Note;
use crate::process::interrupt;
use crate::tree::{notes, registry};

/// Exit status of a call without the names that it needs.
const MISUSE: u8 = 1;

/// `NAME VERSION [TARBALL_ROOT] [ARCH] [UPGRADE]`; returns the exit status of the command. `UPGRADE` is the
/// version that was configured before, if any.
pub fn module_postinst(engine: &mut dyn Engine, args: &[String], screen: &mut Screen<'_>) -> u8 {
    let strict = *engine.settings().strict;
    postinst(engine, args, screen, strict)
}

fn postinst(engine: &mut dyn Engine, args: &[String], screen: &mut Screen<'_>, strict: bool) -> u8 {
    let arg = |i: usize| args.get(i).map(String::as_str).filter(|text| !text.is_empty());
    let asked = Invocation {
        module: arg(0).map(str::to_owned),
        version: arg(1).map(str::to_owned),
        arches: arg(3).map(str::to_owned).into_iter().collect(),
        ..Invocation::default()
    };
    if asked.module.is_none() || asked.version.is_none() {
        let error = Error::new(Kind::Misuse(1), "module-postinst needs the name and the version of a module");
        screen.error(&error.hint("module-postinst NAME VERSION [TARBALL_ROOT] [ARCH] [UPGRADE]"));
        return MISUSE;
    }
    let mut session = Session { engine, asked: &asked, screen };
    let code = match configure(&mut session, arg(2), arg(4).is_some()) {
        Ok(code) => code,
        Err(error) => {
            session.screen.error(&error);
            error.kind.exit_status()
        }
    };
    // A call that makes no sense is a defect of the package; everything else is no reason to stop apt.
    if strict || code == MISUSE { code } else { 0 }
}

fn configure(session: &mut Session<'_, '_>, tarballs: Option<&str>, upgrade: bool) -> Result<u8> {
    let id = session.module()?;
    if session.engine.layout().etc().join("no-autoinstall").exists() {
        session.screen.line(DISABLED);
        return Ok(0);
    }
    register(session, &id, tarballs)?;
    let kernels = kernels(session, &id, upgrade);
    let targets = kernels.into_iter().map(|kernel| target(session, kernel)).collect::<Result<Vec<_>>>()?;
    let source = session.engine.layout().source_link(&id);
    let conf = session.engine.conf(&source, Some(&id), targets.first(), &session.asked.options)?;
    if !conf.autoinstall {
        session.screen.line(format_args!("{id} does not ask to be installed automatically (AUTOINSTALL)."));
        return Ok(0);
    }
    let set_aside = tell_waiting(session, &targets);
    let Some(last) = targets.last() else {
        let why = match set_aside {
            true => "each kernel with headers was removed (see above). It is built when one comes back",
            false => {
                "no kernel with headers is installed. It is built when the headers of a kernel are installed \
                      (on Debian linux-headers-…)"
            }
        };
        session.screen.warning(format_args!("{id} is registered but not built: {why}."));
        return Ok(0);
    };
    let names: Vec<&str> = targets.iter().map(|target| target.kernel.as_str()).collect();
    session.screen.line(match names.split_last() {
        Some((last, before @ [_, ..])) => format!("Building for {} and {last}", before.join(", ")),
        _ => format!("Building for {}", last.kernel),
    });
    install(session, &id, &targets)
}

/// Registers the source unless it is already, from the package's archive if it brings one. A broken or
/// binaries-only entry of the same name is registered anew.
fn register(session: &mut Session<'_, '_>, id: &ModuleId, tarballs: Option<&str>) -> Result<()> {
    let target = session.some_target()?;
    let layout = session.engine.layout();
    if let Some(dir) = tarballs {
        let tarball = Path::new(dir).join(format!("{}-{}.dkms.tar.gz", id.name, id.version));
        let tarball = layout.root.path(tarball);
        if tarball.is_file() {
            let loaded = archive::refresh(session, &tarball, target.as_ref(), id);
            // The one status that DKMS's script has of its own.
            return loaded.map_err(|error| error.of_kind(Kind::ArchiveMissing));
        }
    }
    if registry::is_added(layout, id) {
        return Ok(());
    }
    super::source::add_by_name(session, id, target.as_ref())
}

fn target(session: &Session<'_, '_>, kernel: KernelRelease) -> Result<Target> {
    let arch = match session.asked.arches.first() {
        Some(arch) => Arch::new(arch.as_str())?,
        None => session.engine.arch(&kernel)?,
    };
    Ok(Target { kernel, arch })
}

/// The kernels to install for, oldest first: those that the settings choose, and those for which this
/// module version is built already, so that no build is left behind its source. One that came built out
/// of an archive needs no headers; its kernels come last.
fn kernels(session: &Session<'_, '_>, id: &ModuleId, upgrade: bool) -> Vec<KernelRelease> {
    let layout = session.engine.layout();
    let ready = session.engine.kernels_with_headers();
    let bootable = |k: &KernelRelease| layout.kernel(k).join("kernel").is_dir();
    // Headers without a kernel wait for it; but where there are only headers (a place to test
    // packages) they are all there is to build for.
    let ready = match ready.iter().any(bootable) {
        true => ready.into_iter().filter(bootable).collect(),
        false => ready,
    };
    let all = *session.engine.settings().autoinstall_all_kernels;
    let running = session.engine.running_kernel();
    let built: Vec<KernelRelease> =
        registry::builds(layout, id).into_iter().map(|cell| cell.kernel).collect();
    let mut chosen = choose(&ready, all, upgrade, running.as_ref(), &built);
    for kernel in built.into_iter().filter(bootable) {
        if !chosen.contains(&kernel) {
            chosen.push(kernel);
        }
    }
    chosen
}

/// `running` is the kernel this process runs under, if it can be one of this root.
fn choose(
    ready: &[KernelRelease],
    all: bool,
    upgrade: bool,
    running: Option<&KernelRelease>,
    built: &[KernelRelease],
) -> Vec<KernelRelease> {
    let running_here = running.filter(|running| ready.contains(running));
    // In a chroot or image nobody knows which kernel will boot, so a new package serves them all.
    let everything = all || (running_here.is_none() && !upgrade);
    let chosen = |k: &&KernelRelease| {
        everything || Some(*k) == running_here || Some(*k) == ready.last() || built.contains(k)
    };
    ready.iter().filter(chosen).cloned().collect()
}

/// Names the kernels that are on disk and get nothing, each with the reason. True when one of them has
/// headers, and was removed.
fn tell_waiting(session: &mut Session<'_, '_>, targets: &[Target]) -> bool {
    let layout = session.engine.layout();
    let ready = session.engine.kernels_with_headers();
    let Ok(entries) = fs::read_dir(layout.root.path(&layout.install_tree)) else { return false };
    let mut waiting: Vec<KernelRelease> = entries
        .filter_map(|entry| KernelRelease::new(entry.ok()?.file_name().into_string().ok()?).ok())
        .filter(|k| layout.kernel(k).join("kernel").is_dir())
        .filter(|k| !ready.contains(k) && targets.iter().all(|target| target.kernel != *k))
        .collect();
    waiting.sort();
    let mut set_aside = false;
    let lines: Vec<String> = waiting
        .into_iter()
        .map(|kernel| {
            let note = notes::kernel_note(layout, &kernel);
            set_aside |=
                (note.removed || note.boot_entry_removed) && kernel::headers_present(layout, &kernel);
            if note.removed {
                return format!("{}.", Note::Removed { kernel }.text());
            }
            if note.boot_entry_removed {
                return format!("{}.", Note::NoBootEntry { kernel }.text());
            }
            format!(
                "Kernel {kernel} has no headers here; it gets the module when they are installed (on Debian \
             linux-headers-{kernel})."
            )
        })
        .collect();
    for line in lines {
        session.screen.line(line);
    }
    set_aside
}

/// Every kernel gets its try; the status is that of the first that failed.
fn install(session: &mut Session<'_, '_>, id: &ModuleId, targets: &[Target]) -> Result<u8> {
    let mut code = 0;
    let mut failed = Vec::new();
    for target in targets {
        let outcome = session.carry_out(&Request::Bring {
            module: id.clone(),
            kernel: target.kernel.clone(),
            arch: target.arch.clone(),
            to: Goal::Installed,
            force: false,
        });
        if matches!(outcome.code, 0 | 77) {
            continue;
        }
        failed.push(target.kernel.to_string());
        if code == 0 {
            code = outcome.code;
        }
        if interrupt::requested().is_some() {
            break;
        }
    }
    if !failed.is_empty() {
        session.screen.note(format_args!(
            "\n{id} is not installed for: {}\nRetry with `dkms install {id} -k KERNEL` when the cause is \
             fixed; a newer version of its package may help.",
            failed.join(", ")
        ));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::dkms::fake::Fake;

    const OLD: &str = "6.1.0-1-amd64";
    const NEW: &str = "6.12.107+deb13-amd64";

    fn call(fake: &mut Fake, args: &[&str], strict: bool) -> (u8, String) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = postinst(fake, &args, &mut Screen::new(&mut out, &mut err), strict);
        out.extend(err);
        (code, String::from_utf8(out).unwrap())
    }

    fn machine() -> Fake {
        let mut fake = Fake::new();
        fake.source("m", "1");
        fake.kernel(OLD);
        fake.kernel(NEW);
        fake.settings.autoinstall_all_kernels.value = true;
        fake
    }

    fn kernels_of(fake: &Fake) -> Vec<String> {
        let of = |request: &Request| match request {
            Request::Bring { kernel, to: Goal::Installed, force: false, .. } => Some(kernel.to_string()),
            _ => None,
        };
        fake.requests.iter().filter_map(of).collect()
    }

    #[test]
    fn a_new_package_is_added_and_installed_for_every_kernel() {
        let mut fake = machine();
        let (code, text) = call(&mut fake, &["m", "1", "/usr/share/m-dkms", "", ""], false);
        assert_eq!((code, fake.added.len()), (0, 1), "{text}");
        assert_eq!(kernels_of(&fake), [OLD, NEW]);
        assert!(text.contains(&format!("Building for {OLD} and {NEW}")), "{text}");
        let (code, _) = call(&mut fake, &["m", "1", "", "", "1"], false);
        assert_eq!((code, fake.added.len()), (0, 1), "what is registered stays");
        assert!(!fake.requests.iter().any(|r| matches!(r, Request::Remove { .. })), "nothing is torn down");
    }

    #[test]
    fn a_failure_of_one_kernel_neither_stops_the_next_nor_apt() {
        let mut fake = machine();
        fake.fail(OLD, 10);
        let (code, text) = call(&mut fake, &["m", "1"], false);
        assert_eq!(code, 0, "{text}");
        assert_eq!(kernels_of(&fake), [OLD, NEW]);
        assert!(text.contains(&format!("m/1 is not installed for: {OLD}\n")), "{text}");
        assert_eq!(call(&mut fake, &["m", "1"], true).0, 10, "the administrator asked for it");
    }

    #[test]
    fn exclusion_is_no_failure_even_when_strict() {
        let mut fake = machine();
        fake.fail(OLD, 77);
        assert_eq!(call(&mut fake, &["m", "1"], true).0, 0);
    }

    #[test]
    fn nothing_is_built_without_headers_or_autoinstall_or_leave() {
        let mut fake = Fake::new();
        fake.source("m", "1");
        fake.kernel_without_headers(NEW);
        let (code, text) = call(&mut fake, &["m", "1"], true);
        assert_eq!((code, fake.requests.len(), fake.added.len()), (0, 0, 1));
        assert!(text.contains(&format!("linux-headers-{NEW}")), "{text}");

        let mut fake = machine();
        fake.autoinstall = false;
        assert_eq!(call(&mut fake, &["m", "1"], true).0, 0);
        assert_eq!((fake.requests.len(), fake.added.len()), (0, 1));

        let mut fake = machine();
        fake.write("etc/dkms/no-autoinstall", "");
        let (code, text) = call(&mut fake, &["m", "1"], true);
        assert_eq!((code, text.trim_end()), (0, DISABLED));
        assert_eq!((fake.requests.len(), fake.added.len()), (0, 0));
    }

    #[test]
    fn a_broken_package_is_told_and_stops_apt_only_when_strict() {
        let mut fake = machine();
        assert_eq!(call(&mut fake, &["m"], false).0, 1);
        let (code, text) = call(&mut fake, &["other", "1"], false);
        assert!(code == 0 && text.contains("/usr/src/other-1"), "{text}");
        assert_eq!(call(&mut fake, &["other", "1"], true).0, 2);
    }

    #[test]
    fn headers_alone_are_built_for_only_where_there_is_nothing_else() {
        let mut fake = machine();
        fake.headers_only("6.13.1");
        call(&mut fake, &["m", "1"], false);
        assert_eq!(kernels_of(&fake), [OLD, NEW]);
        let mut fake = Fake::new();
        fake.source("m", "1");
        fake.headers_only("6.13.1");
        call(&mut fake, &["m", "1"], false);
        assert_eq!(kernels_of(&fake), ["6.13.1"]);
    }

    #[test]
    fn kernels_are_chosen_by_setting_root_and_what_is_built() {
        let k = |names: &[&str]| -> Vec<KernelRelease> {
            names.iter().map(|name| KernelRelease::new(*name).unwrap()).collect()
        };
        let ready = k(&["1", "2", "3", "4"]);
        let running = k(&["2"]).remove(0);
        let away = k(&["9"]).remove(0);
        assert_eq!(choose(&ready, true, false, Some(&running), &[]), ready);
        assert_eq!(choose(&ready, false, false, Some(&running), &[]), k(&["2", "4"]));
        assert_eq!(choose(&ready, false, true, Some(&running), &k(&["1", "7"])), k(&["1", "2", "4"]));
        assert_eq!(choose(&ready, false, false, Some(&away), &[]), ready);
        assert_eq!(choose(&ready, false, true, None, &[]), k(&["4"]));
        assert_eq!(choose(&[], true, false, None, &[]), []);
    }
}
