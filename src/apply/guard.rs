//! Sees to it that no kernel without essential modules is started unknowingly, and takes that back.

use std::path::Path;

use crate::boot::{Loader, grub, keep, systemd_boot};
use crate::fs::root::Root;
use crate::fs::{atomic, regular, sync};
use crate::kernel;
use crate::model::error::{Error, Kind, Result};
use crate::model::guard::{Active, Danger, Guard, Remembered, Undo};
use crate::model::ids::KernelRelease;
use crate::model::settings::Limit;
use crate::model::version::natural;
use crate::observe::Observer;
use crate::plan::danger;
use crate::process::{Output, Process, find_program};
use crate::progress::{Aside, Report};
use crate::tree::state;

/// Looks which kernels have the essential modules now, and does what follows.
///
/// # Errors
/// When something could not be written, or the menu of the boot loader could not be made. What is left is written down:
/// the next run tries again.
pub fn run(observer: &Observer<'_>, report: &dyn Report) -> Result<()> {
    let Some(guard) = observer.guard_now() else { return Ok(()) };
    let found = danger(&guard);
    let asked = guard.kernels.iter().filter_map(|(kernel, look)| Some((kernel.clone(), look.asked.clone()?)));
    let asked: std::collections::BTreeMap<_, _> = asked.collect();
    let save = |active: Option<Active>| {
        state::save_boot_guard(observer.layout, &Remembered { asked: asked.clone(), active })
    };
    let before = guard.before.active.clone();
    let doing = Doing { root: &observer.layout.root, limit: *observer.settings.limits.initramfs, report };
    match (found, before) {
        (None, None) => {
            // What is ours, of a guard that nobody remembers.
            doing.undo(None)?;
            save(None)
        }
        (None, Some(before)) => {
            // A run that is killed in here has something left to undo.
            doing.undo(before.undo)?;
            save(None)?;
            let newest = &before.verdict.newest;
            report
                .line(&format!("boot guard: over; {newest} lacks no essential module any more, or is gone"));
            Ok(())
        }
        (Some(danger), Some(before)) if before.verdict == danger && !before.unfinished => save(Some(before)),
        (Some(danger), before) => {
            let undo = before.and_then(|before| before.undo);
            let begun = Active { verdict: danger.clone(), said: Vec::new(), unfinished: true, undo };
            save(Some(begun.clone()))?;
            let (active, error) = doing.guard(begun, &guard);
            save(Some(active.clone()))?;
            let said: String = active.said.iter().map(|line| format!("\n  {line}")).collect();
            report.warning(&format!("{danger}{said}"));
            error.map_or(Ok(()), Err)
        }
    }
}

/// With what something is done.
struct Doing<'a> {
    root: &'a Root,
    limit: Limit,
    report: &'a dyn Report,
}

impl Doing<'_> {
    /// Keeps a kernel and has it started, where there is one.
    fn guard(&self, mut active: Active, guard: &Guard) -> (Active, Option<Error>) {
        let danger = active.verdict.clone();
        let Some(keep) = &danger.keep else {
            let undone = self.undo(active.undo);
            active.undo = active.undo.filter(|_| undone.is_err());
            active.unfinished = undone.is_err();
            active.said = vec![format!(
                "do not restart this machine before that is mended: `dkms-hook status` says what failed for {}",
                danger.newest
            )];
            return (active, undone.err());
        };
        let why = format!("{} lacks {}", danger.newest, danger.names());
        let kept = self.keep_packages(keep, &why, guard);
        let started = self.start(keep, &why, active.undo);
        let mut error = None;
        for done in [
            kept,
            started.map(|(said, undo)| {
                active.undo = undo;
                Some(said)
            }),
        ] {
            match done {
                Ok(said) => active.said.extend(said),
                Err(failed) => {
                    active.said.push(failed.to_string());
                    error = error.or(Some(failed));
                }
            }
        }
        active.unfinished = error.is_some();
        active.said.extend(self.about_restarts(&danger, keep));
        (active, error)
    }

    /// Sees to it that no package manager removes the kernel, or says what one will do.
    fn keep_packages(&self, kernel: &KernelRelease, why: &str, guard: &Guard) -> Result<Option<String>> {
        let Some(text) = keep::apt(self.root, kernel, why) else {
            self.remove(keep::APT)?;
            let mut kernels: Vec<KernelRelease> = guard.kernels.keys().cloned().collect();
            kernels.sort_by(|one, other| natural::compare(one.as_str(), other.as_str()));
            return Ok(keep::advice(self.root, kernel, &kernels, kernel::running(self.root).as_ref()));
        };
        self.write(keep::APT, text.as_bytes())?;
        Ok(Some(format!("apt keeps {kernel}: {}", keep::APT)))
    }

    /// Has a kernel started by itself, or says why not; and what is to be undone once that is over.
    fn start(&self, kernel: &KernelRelease, why: &str, undo: Option<Undo>) -> Result<(String, Option<Undo>)> {
        match Loader::of(self.root) {
            Some(Loader::Grub) => match grub::text(self.root, kernel, why, self.limit) {
                Err(told) => {
                    self.undo_loader(undo)?;
                    Ok((told, None))
                }
                Ok(text) => {
                    self.write(grub::FILE, text.as_bytes())?;
                    let said = match self.make_menu()? {
                        true if grub::starts(self.root, kernel) => {
                            format!("GRUB starts {kernel}: {}", grub::FILE)
                        }
                        true => {
                            let text =
                                format!("update-grub did not make {kernel} the first entry of its menu");
                            return Err(Error::new(Kind::BootGuard, text).hint(format!(
                                "look at {} and /etc/grub.d; the next run tries again",
                                grub::FILE
                            )));
                        }
                        false => format!("run update-grub in {}: {}", self.root.dir().display(), grub::FILE),
                    };
                    Ok((said, Some(Undo::Grub)))
                }
            },
            Some(Loader::GrubWithEntries) => Ok((grub::advice_for_entries(self.root, kernel), None)),
            Some(Loader::SystemdBoot) => {
                let Some(conf) = systemd_boot::conf(self.root) else {
                    let text =
                        format!("the partition of systemd-boot is not mounted: make {kernel} the default");
                    return Ok((text, None));
                };
                let before = self.read(&conf)?;
                match systemd_boot::with_default(self.root, &before, kernel, why) {
                    Err(told) => {
                        self.undo_loader(undo)?;
                        Ok((told, None))
                    }
                    Ok(text) => {
                        self.put(&conf, text.as_bytes())?;
                        let conf = self.root.inside(&conf);
                        Ok((
                            format!("systemd-boot starts {kernel}: {}", conf.display()),
                            Some(Undo::SystemdBoot),
                        ))
                    }
                }
            }
            None => Ok((
                format!("no boot loader was found that could be told: make sure that {kernel} is started"),
                None,
            )),
        }
    }

    /// Takes back all of it.
    fn undo(&self, loader: Option<Undo>) -> Result<()> {
        let kept = self.remove(keep::APT).map(drop);
        self.undo_loader(loader).and(kept)
    }

    /// Whatever is ours, be it that a run was killed before it could write that down. A menu that was made with our file is
    /// made again although the file is gone: the last run may have come so far.
    fn undo_loader(&self, undo: Option<Undo>) -> Result<()> {
        if (self.remove(grub::FILE)? || undo == Some(Undo::Grub)) && !self.make_menu()? {
            let root = self.root.dir().display();
            self.report.warning(&format!("run update-grub in {root}: {} is gone", grub::FILE));
        }
        let Some(conf) = systemd_boot::conf(self.root) else { return Ok(()) };
        let before = self.read(&conf)?;
        let after = systemd_boot::without(&before);
        match after {
            _ if after == before => Ok(()),
            _ if after.is_empty() => atomic::delete(&conf).map(drop),
            _ => self.put(&conf, after.as_bytes()),
        }
    }

    /// Makes GRUB's menu again; false where nobody can do that from here.
    fn make_menu(&self) -> Result<bool> {
        if !self.root.is_slash() {
            return Ok(false);
        }
        let failed = |text: String| {
            Err(Error::new(Kind::BootGuard, text).hint("see the messages above; the next run tries again"))
        };
        if find_program("update-grub").is_none() {
            return failed("update-grub, which makes GRUB's menu, is not installed".to_owned());
        }
        let aside = Aside::begin(self.report);
        let ended = Process::new("update-grub").dir("/").within(self.limit).run(Output::Inherit);
        drop(aside);
        match ended {
            Ok(0) => Ok(true),
            Ok(status) => failed(format!("making GRUB's menu: update-grub ended with status {status}")),
            Err(error) => failed(format!("making GRUB's menu: {error}")),
        }
    }

    /// Others ask for a restart, by the newest kernel, and know nothing of this.
    fn about_restarts(&self, danger: &Danger, keep: &KernelRelease) -> Option<String> {
        let asks = ["/run/reboot-required", "/usr/sbin/needrestart"];
        asks.iter().any(|path| self.root.path(path).exists()).then(|| {
            format!("a restart that is asked for because of {} starts {keep} until then", danger.newest)
        })
    }

    fn read(&self, path: &Path) -> Result<String> {
        match regular::read_up_to(path, 1 << 20) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(Error::io("read", path, &error)),
        }
    }

    fn write(&self, inside: &str, bytes: &[u8]) -> Result<()> {
        self.put(&self.root.path(inside), bytes)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if regular::read(path).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let dir = path.parent().unwrap_or(Path::new("/"));
        sync::create_dir_all(dir).map_err(|error| Error::io("create", dir, &error))?;
        atomic::write_durably(path, bytes)
    }

    fn remove(&self, inside: &str) -> Result<bool> {
        atomic::delete(&self.root.path(inside))
    }
}
