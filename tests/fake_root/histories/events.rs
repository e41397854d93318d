//! What happens, beside us and through us.

use std::fs;
use std::os::unix::fs::symlink;
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
    /// A hook is called while something cannot be looked at.
    Veiled(Veil, Hook),
}

/// Something that cannot be looked at for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Veil {
    /// An empty file system is mounted over the kernels.
    Empty,
    /// What holds the kernels is not mounted.
    Unmounted,
    /// The directory of all kernels, of one, or of a module cannot be read.
    Kernels,
    Kernel(K),
    Module(usize),
    /// What was written down of a build, or of a kernel, is damaged.
    Record(M, K),
    Note(K),
}

impl Veil {
    /// What it lies over.
    fn place(self) -> String {
        match self {
            Self::Empty | Self::Kernels => "/usr/lib/modules".to_owned(),
            Self::Unmounted => "/usr/lib".to_owned(),
            Self::Kernel(k) => format!("/usr/lib/modules/{}", KERNELS[k]),
            Self::Module(name) => format!("/var/lib/dkms/{}", NAMES[name]),
            Self::Record(m, k) => format!("/var/lib/dkms/{}/{}/{ARCH}/.dkms-hook.json", m.id(), KERNELS[k]),
            Self::Note(k) => format!("/var/lib/dkms/.dkms-hook/kernels/{}.json", KERNELS[k]),
        }
    }

    /// Calls a hook behind it. Nothing that it hides is lost.
    fn over(self, root: &FakeRoot, hook: Hook, state: &State) {
        let (path, aside) = (root.path(self.place()), root.path("/aside"));
        if fs::rename(&path, &aside).is_err() {
            return hook.call(root);
        }
        match self {
            Self::Empty => fs::create_dir(&path).unwrap(),
            Self::Unmounted => {}
            // A link to itself cannot be followed even by root.
            Self::Kernels | Self::Kernel(_) | Self::Module(_) => symlink(&path, &path).unwrap(),
            Self::Record(..) | Self::Note(_) => fs::write(&path, "{").unwrap(),
        }
        let before = builds(root);
        hook.call(root);
        let after = builds(root);
        let hidden = |build: &&String| match self {
            Self::Kernel(k) => build.contains(KERNELS[k]),
            Self::Record(m, k) => build.contains(&format!("{}/{}", m.id(), KERNELS[k])),
            Self::Note(_) | Self::Module(_) => false,
            // Of a kernel whose package went, the package manager's word is enough.
            Self::Empty | Self::Unmounted | Self::Kernels => {
                !matches!(hook, Hook::Postrm(k) if !state.image[k] && build.contains(KERNELS[k]))
            }
        };
        let lost: Vec<&String> =
            before.iter().filter(hidden).filter(|build| !after.contains(build)).collect();
        assert!(lost.is_empty(), "{self:?}, {hook:?}: {lost:?} is lost");
        let damaged = root.path(format!("{}.damaged", self.place()));
        if self == Self::Empty {
            fs::remove_dir_all(&path).unwrap();
        } else if matches!(self, Self::Note(_)) && !fs::read(&path).is_ok_and(|text| text == b"{") {
            // What was due counted as due, and the damaged file was kept.
            if fs::remove_file(damaged).is_ok() {
                return fs::remove_file(&aside).unwrap();
            }
        } else if self != Self::Unmounted {
            fs::remove_file(&path).unwrap();
        }
        fs::rename(&aside, &path).unwrap();
    }
}

/// Every build in the module tree.
fn builds(root: &FakeRoot) -> Vec<String> {
    let walk =
        walkdir::WalkDir::new(root.path("/var/lib/dkms")).min_depth(5).max_depth(5).into_iter().flatten();
    let modules = walk.filter(|entry| entry.file_name() == "module" && entry.file_type().is_dir());
    modules.map(|entry| entry.path().display().to_string()).collect()
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
            Self::Veiled(veil, hook) if hook.is_called(state) => veil.over(root, hook, state),
            Self::Hook(_)
            | Self::Veiled(..)
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
            match self.below(7) {
                // Lost.
                0 | 1 => {}
                2 => out.push(Event::Killed(hook, self.below(400) as u64)),
                3 => out.extend([Event::Hook(hook), Event::Hook(hook)]),
                4 => out.push(Event::Veiled(self.veil(), hook)),
                _ => out.push(Event::Hook(hook)),
            }
        }
        out
    }

    fn veil(&mut self) -> Veil {
        let (m, k) = (self.m(), self.below(KERNELS.len()));
        match self.below(8) {
            0 | 1 => Veil::Empty,
            2 => Veil::Unmounted,
            3 => Veil::Kernels,
            4 => Veil::Kernel(k),
            5 => Veil::Module(m.0),
            6 => Veil::Record(m, k),
            _ => Veil::Note(k),
        }
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
