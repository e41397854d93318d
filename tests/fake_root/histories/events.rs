//! What happens, beside us and through us.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use super::state::{K, KERNELS, M, NAMES, State, VERSIONS, kernel};
use crate::support::program::Face;
use crate::support::toy_kernel::{ARCH, FakeRoot};

/// Something that happens. Where it cannot, nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Image(K, bool),
    Headers(K, Option<u8>),
    /// Somebody deletes `/lib/modules/K`.
    Wipe(K),
    /// Somebody deletes what is installed for a kernel.
    WipeUpdates(K),
    /// A module package comes, or its source changes in place.
    Source(M, u8),
    /// A module package is removed, and says so.
    Removed(M),
    /// Somebody deletes a source.
    Vanished(M),
    /// Somebody deletes a build.
    Unbuilt(M, K),
    /// What was written down is lost: of one build, or all.
    Forgotten(Option<(M, K)>),
    /// DKMS builds it, and installs it perhaps.
    Foreign(M, K, bool),
    /// A person: `build`, `install`, `uninstall`, `unbuild`.
    Asked(&'static str, M, K),
    /// A hook is called.
    Hook(Hook),
    /// It is killed after so many milliseconds.
    Killed(Hook, u64),
}

/// The calls that package managers make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    All,
    Kernel(K),
    Postinst(K),
    HeaderPostinst(K),
    Postrm(K),
    Trigger,
}

impl Event {
    /// Lets it happen.
    pub fn happen(self, root: &FakeRoot, state: &mut State) {
        let delete = |path: String| drop(fs::remove_dir_all(root.path(path)));
        match self {
            Self::Image(k, true) if !state.image[k] => {
                kernel(k, 0).install_image(root);
                state.image[k] = true;
            }
            Self::Image(k, false) if state.image[k] => {
                kernel(k, 0).remove_image(root);
                state.image[k] = false;
            }
            Self::Headers(k, Some(revision)) => {
                kernel(k, revision).install_headers(root);
                state.headers[k] = Some(revision);
            }
            Self::Headers(k, None) if state.headers[k].is_some() => {
                kernel(k, 0).remove_headers(root);
                state.headers[k] = None;
            }
            Self::Wipe(k) => {
                delete(format!("/usr/lib/modules/{}", KERNELS[k]));
                for name in ["vmlinuz", "config"] {
                    let _ = fs::remove_file(root.path(format!("/boot/{name}-{}", KERNELS[k])));
                }
                delete(format!("/usr/src/linux-headers-{}", KERNELS[k]));
                (state.image[k], state.headers[k]) = (false, None);
            }
            Self::WipeUpdates(k) => delete(format!("/usr/lib/modules/{}/updates", KERNELS[k])),
            Self::Source(m, revision) => {
                if state.sources.insert(m, revision).is_none() {
                    m.source(revision).register(root);
                } else {
                    m.source(revision).write_source(root);
                }
            }
            Self::Removed(m) if state.sources.remove(&m).is_some() => {
                root.dkms(&["remove", &m.id(), "--all"]).expect(0);
                delete(format!("/usr/src/{}-{}", m.name(), m.version()));
            }
            Self::Vanished(m) if state.sources.remove(&m).is_some() => {
                delete(format!("/usr/src/{}-{}", m.name(), m.version()));
                state.vanished.insert(m.0);
            }
            Self::Unbuilt(m, k) => delete(format!("/var/lib/dkms/{}/{}", m.id(), KERNELS[k])),
            Self::Forgotten(None) => delete("/var/lib/dkms/.dkms-hook".to_owned()),
            Self::Forgotten(Some((m, k))) => forget(root, m, k),
            Self::Foreign(m, k, install) if state.sources.contains_key(&m) => {
                let verb = if install { "install" } else { "build" };
                root.dkms(&[verb, &m.id(), "-k", KERNELS[k]]);
                forget(root, m, k);
            }
            Self::Asked(verb, m, k) => drop(root.dkms(&[verb, &m.id(), "-k", KERNELS[k]])),
            Self::Hook(hook) if hook.is_called(state) => hook.call(root),
            Self::Killed(hook, after) if hook.is_called(state) => hook.kill(root, after),
            Self::Hook(_)
            | Self::Killed(..)
            | Self::Image(..)
            | Self::Headers(..)
            | Self::Removed(_)
            | Self::Vanished(_)
            | Self::Foreign(..) => {}
        }
    }
}

fn forget(root: &FakeRoot, m: M, k: K) {
    let cell = format!("/var/lib/dkms/{}/{}/{ARCH}", m.id(), KERNELS[k]);
    for name in [".dkms-hook.json", ".dkms-hook-conf.json"] {
        let _ = fs::remove_file(root.path(format!("{cell}/{name}")));
    }
}

impl Hook {
    fn words(self) -> Vec<String> {
        let words: Vec<&str> = match self {
            Self::All => Vec::new(),
            Self::Kernel(k) => vec!["--kernel", KERNELS[k]],
            Self::Postinst(k) => vec!["deb", "kernel-postinst", KERNELS[k]],
            Self::HeaderPostinst(k) => vec!["deb", "header-postinst", KERNELS[k]],
            Self::Postrm(k) => vec!["deb", "kernel-postrm", KERNELS[k]],
            Self::Trigger => vec!["deb", "trigger"],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Where an image is there, no package says that it was removed; where it is not, none that it came.
    fn is_called(self, state: &State) -> bool {
        match self {
            Self::Postinst(k) => state.image[k],
            Self::Postrm(k) => !state.image[k],
            Self::All | Self::Kernel(_) | Self::HeaderPostinst(_) | Self::Trigger => true,
        }
    }

    fn command(self, root: &FakeRoot) -> std::process::Command {
        let mut command = root.program(Face::Hook);
        let params = if matches!(self, Self::Postrm(_)) { "remove" } else { "configure" };
        command.args(self.words()).env("DEB_MAINT_PARAMS", params).env("DPKG_MAINTSCRIPT_NAME", "postinst");
        command
    }

    /// A hook never fails a package manager's run.
    fn call(self, root: &FakeRoot) {
        let answer = crate::support::program::finish(&mut self.command(root));
        assert!(
            answer.code == 0 || matches!(self, Self::All | Self::Kernel(_)),
            "{self:?} ended with {}\n{}{}",
            answer.code,
            answer.out,
            answer.err
        );
    }

    fn kill(self, root: &FakeRoot, after: u64) {
        let mut command = self.command(root);
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
        std::thread::sleep(Duration::from_millis(after));
        run.kill().and_then(|()| run.wait()).expect("it is a child of this process");
    }
}

/// Random numbers: SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn m(&mut self) -> M {
        M(self.below(NAMES.len()), self.below(VERSIONS.len()))
    }

    fn revision(&mut self) -> u8 {
        self.below(2) as u8
    }

    /// A machine as most are, and what happens to it.
    pub fn history(&mut self) -> Vec<Event> {
        let mut out = vec![Event::Image(0, true), Event::Headers(0, Some(0))];
        if self.rarely(2) {
            out.extend([Event::Image(1, true), Event::Headers(1, Some(0))]);
        }
        out.extend([Event::Source(M(0, 0), 0), Event::Source(M(1, 0), 0)]);
        if !self.rarely(3) {
            out.push(Event::Hook(Hook::All));
        }
        for _ in 0..2 + self.below(6) {
            let (event, hook) = (self.event(), self.hook());
            out.push(event);
            match self.below(6) {
                // Lost.
                0 | 1 => {}
                2 => out.push(Event::Killed(hook, self.below(400) as u64)),
                3 => out.extend([Event::Hook(hook), Event::Hook(hook)]),
                _ => out.push(Event::Hook(hook)),
            }
        }
        out
    }

    fn hook(&mut self) -> Hook {
        let k = self.below(KERNELS.len());
        match self.below(8) {
            0 => Hook::Kernel(k),
            1 => Hook::Postinst(k),
            2 => Hook::HeaderPostinst(k),
            3 => Hook::Postrm(k),
            4 | 5 => Hook::Trigger,
            _ => Hook::All,
        }
    }

    fn event(&mut self) -> Event {
        let (m, k, yes) = (self.m(), self.below(KERNELS.len()), self.rarely(2));
        match self.below(20) {
            0..=2 => Event::Image(k, yes),
            3..=5 => Event::Headers(k, (!self.rarely(4)).then(|| self.revision())),
            6 => Event::Wipe(k),
            7 => Event::WipeUpdates(k),
            8..=11 => Event::Source(m, self.revision()),
            12 => Event::Removed(m),
            13 if self.rarely(2) => Event::Vanished(m),
            13 | 14 => Event::Unbuilt(m, k),
            15 => Event::Forgotten((!self.rarely(3)).then_some((m, k))),
            16 | 17 => Event::Foreign(m, k, yes),
            _ => Event::Asked(["build", "install", "uninstall", "unbuild"][self.below(4)], m, k),
        }
    }
}
