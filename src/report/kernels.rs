//! `dkms-hook kernels`: which installed kernels there are, and whether every registered module supports each.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::model::ids::{Cell, KernelRelease, ModuleName, Version};
use crate::model::system::{CellView, Kernel, Now, Source, System};
use crate::model::version;
use crate::plan::{Action, Note, Plan};

/// Columns of the text. What has no blanks in it may be longer.
const WIDTH: usize = 80;

/// The installed kernels, older before newer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernels {
    /// They.
    pub kernels: Vec<Row>,
}

/// One installed kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its release.
    pub release: KernelRelease,
    /// It runs.
    pub running: bool,
    /// The boot loader starts it, as far as that is known.
    pub default: bool,
    /// There is no newer one.
    pub newest: bool,
    /// It is about to go: its package or its boot entry was removed. Nothing is built for it.
    pub leaving: bool,
    /// Each module that it should have, by name.
    pub modules: Vec<Module>,
}

/// What one module is to a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: ModuleName,
    /// The version that this is about.
    pub version: Version,
    /// How it stands.
    pub state: State,
}

/// How a module stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Installed.
    Installed,
    /// Installed in the place of this newer version, which does not compile.
    OlderInstead(Version),
    /// The next run builds or installs it: nobody knows yet whether that succeeds.
    ToDo,
    /// The kernel has no headers; the package that brings them.
    Waiting(String),
    /// It says that it does not support the kernel: why.
    Excluded(String),
    /// Its build failed: how, and the log inside the root.
    Failed(String, Option<PathBuf>),
    /// It is missing for another reason.
    Missing(String),
}

impl State {
    /// True when the kernel has the module.
    pub fn is_there(&self) -> bool {
        matches!(self, Self::Installed | Self::OlderInstead(_))
    }
}

impl Row {
    /// True when the kernel has every module that it should have.
    pub fn has_everything(&self) -> bool {
        !self.leaving && self.modules.iter().all(|module| module.state.is_there())
    }
}

impl Kernels {
    /// What was observed. `plan` is what would be done to bring all kernels in line.
    pub fn of(
        system: &System,
        plan: &Plan,
        running: Option<&KernelRelease>,
        default: Option<&KernelRelease>,
    ) -> Self {
        let mut known: Vec<(&KernelRelease, &Kernel)> =
            system.kernels.iter().filter(|(_, kernel)| kernel.image).collect();
        known.sort_by(|(a, _), (b, _)| version::compare(a.as_str(), b.as_str()));
        let leaving = |kernel: &Kernel| kernel.note.removed || kernel.note.boot_entry_removed;
        let newest = known.iter().rfind(|(_, kernel)| !leaving(kernel)).map(|(release, _)| *release);
        let row = |(release, kernel): &(&KernelRelease, &Kernel)| Row {
            release: (*release).clone(),
            running: running == Some(*release),
            default: default == Some(*release),
            newest: newest == Some(*release),
            leaving: leaving(kernel),
            modules: modules(system, plan, release),
        };
        Self { kernels: known.iter().map(row).collect() }
    }

    /// The newest kernel that every module supports.
    pub fn supported(&self) -> Option<&KernelRelease> {
        self.kernels.iter().rfind(|row| row.has_everything()).map(|row| &row.release)
    }

    /// True when that is the newest kernel.
    pub fn is_newest_supported(&self) -> bool {
        self.kernels.iter().any(|row| row.newest && row.has_everything())
    }

    /// The text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for row in &self.kernels {
            let marks = [(row.running, "running"), (row.default, "default"), (row.newest, "newest")];
            let marks: Vec<&str> = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
            let lacking: Vec<&str> =
                row.modules.iter().filter(|m| !m.state.is_there()).map(|m| m.name.as_str()).collect();
            let verdict = match () {
                () if row.leaving => "is being removed; nothing is built for it".to_owned(),
                () if row.modules.is_empty() => "needs no module".to_owned(),
                () if lacking.is_empty() => "has every module".to_owned(),
                () => format!("lacks {}", lacking.join(" ")),
            };
            wrapped(&mut text, &format!("{}{marks}: {verdict}", row.release), 4);
            let there: Vec<String> = row
                .modules
                .iter()
                .filter(|m| m.state == State::Installed)
                .map(|m| format!("{}/{}", m.name, m.version))
                .collect();
            if !there.is_empty() {
                text.push_str("  ");
                wrapped(&mut text, &format!("installed: {}", there.join(" ")), 4);
            }
            for module in row.modules.iter().filter(|m| m.state != State::Installed && !row.leaving) {
                text.push_str("  ");
                let what = format!("{}/{}: {}", module.name, module.version, said(&module.state));
                wrapped(&mut text, &what, 4);
                if let State::Failed(_, Some(log)) = &module.state {
                    text.push_str(&format!("    log: {}\n", log.display()));
                }
            }
        }
        let end = match (self.supported(), self.kernels.is_empty()) {
            (_, true) => "No kernel is installed.".to_owned(),
            (Some(release), _) if self.is_newest_supported() => {
                format!("Every module supports the newest kernel, {release}.")
            }
            (Some(release), _) => format!("The newest kernel that every module supports is {release}."),
            (None, _) => "There is no kernel that every module supports.".to_owned(),
        };
        wrapped(&mut text, &end, 4);
        text
    }
}

fn said(state: &State) -> String {
    match state {
        State::Installed => "installed".to_owned(),
        State::OlderInstead(newest) => format!("installed instead of {newest}, which does not compile"),
        State::ToDo => "not built yet; `dkms-hook` does that".to_owned(),
        State::Waiting(package) => format!("waits for the headers: install {package}"),
        State::Excluded(why) => format!("does not support this kernel: {why}"),
        State::Failed(what, _) => format!("failed: {what}"),
        State::Missing(why) => why.clone(),
    }
}

/// Adds a sentence and the end of its line, in lines that fit; those after the first are set in.
fn wrapped(text: &mut String, sentence: &str, set_in: usize) {
    let mut column = text.len() - text.rfind('\n').map_or(0, |at| at + 1);
    for (at, word) in sentence.split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && column + 1 + length > WIDTH {
            text.push('\n');
            text.push_str(&" ".repeat(set_in));
            column = set_in;
        } else if at > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

/// What each module is to a kernel, but for those that a person installs by hand or not at all.
fn modules(system: &System, plan: &Plan, release: &KernelRelease) -> Vec<Module> {
    let names: BTreeSet<&ModuleName> = system.modules.keys().map(|id| &id.name).collect();
    names.into_iter().filter_map(|name| module(system, plan, release, name)).collect()
}

fn module(system: &System, plan: &Plan, release: &KernelRelease, name: &ModuleName) -> Option<Module> {
    let here = |cell: &Cell| cell.kernel == *release && cell.module.name == *name;
    let mut cells: Vec<(&Cell, &CellView)> =
        system.cells.iter().filter(|(c, _)| here(c) && Some(&c.arch) == system.arch.as_ref()).collect();
    cells.sort_by(|(a, _), (b, _)| version::compare(b.module.version.as_str(), a.module.version.as_str()));
    let step = |wanted: &dyn Fn(&Action) -> bool| {
        let mut actions = plan.steps.iter().map(|step| &step.action);
        actions.find(|action| action.cell().is_some_and(here) && wanted(action)).and_then(Action::cell)
    };
    let state = |version: &Version, state| Module { name: name.clone(), version: version.clone(), state };
    let notes = || plan.notes.iter().filter(|note| note.cell().is_some_and(here));
    let goes =
        |cell: &Cell| step(&|action| matches!(action, Action::Uninstall { cell: c } if c == cell)).is_some();
    if let Some((cell, _)) = cells.iter().find(|(cell, view)| view.installed && !goes(cell)) {
        let version = &cell.module.version;
        let instead = notes().find_map(|note| match note {
            Note::OlderInstead { cell, older, .. } if older == version => Some(cell.module.version.clone()),
            _ => None,
        });
        return Some(state(version, instead.map_or(State::Installed, State::OlderInstead)));
    }
    if let Some(cell) = step(&|action| matches!(action, Action::Install { .. })) {
        return Some(state(&cell.module.version, State::ToDo));
    }
    // The newest first, and of each what keeps it from being there.
    let told = |cell: &Cell| notes().filter(|note| note.cell() == Some(cell)).find_map(why);
    if let Some((cell, why)) = cells.iter().find_map(|(cell, _)| Some((cell, told(cell)?))) {
        return Some(state(&cell.module.version, why));
    }
    let known = system.kernels.get(release)?;
    let (cell, view) =
        cells.iter().find(|(cell, _)| system.modules.get(&cell.module) == Some(&Source::Added))?;
    let missing = |why: &str| State::Missing(why.to_owned());
    Some(state(
        &cell.module.version,
        match &view.now {
            _ if known.blind.is_some() => missing("the kernel cannot be looked at"),
            Now::NoHeaders if is_by_hand(system, cell) => return None,
            Now::NoHeaders => State::Waiting(known.headers_package.clone()),
            Now::Judged { facts, .. } if !facts.autoinstall && !system.every_module => return None,
            _ if system.autoinstall_disabled => {
                missing("nothing is installed by itself: /etc/dkms/no-autoinstall exists")
            }
            Now::Judged { .. } => missing("not installed"),
            Now::Unreadable(error) => missing(first_line(&error.sentence())),
        },
    ))
}

/// True when a module is not installed by itself, by what its conf says for another kernel.
fn is_by_hand(system: &System, cell: &Cell) -> bool {
    let mut views = system.cells.iter().filter(|(other, _)| other.module == cell.module);
    let by_hand = |view: &CellView| matches!(&view.now, Now::Judged { facts, .. } if !facts.autoinstall);
    !system.every_module && views.any(|(_, view)| by_hand(view))
}

/// Why a module is not there, as far as a note says it.
fn why(note: &Note) -> Option<State> {
    Some(match note {
        Note::Excluded { why, .. } => State::Excluded(why.clone()),
        Note::FailedBefore { failure, .. } => {
            State::Failed(first_line(&failure.what).to_owned(), failure.log.clone())
        }
        Note::MissingDepends { names, .. } => State::Missing(format!("it needs {}", names.join(", "))),
        Note::Refused { why, .. } => State::Missing(format!("it was not installed: {why}")),
        Note::Held { by, .. } => State::Missing(format!("the module of {} is used instead", by.module)),
        Note::Blind { .. } | Note::Unreadable { .. } => State::Missing(first_line(&note.text()).to_owned()),
        _ => return None,
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(release: &str, states: &[(&str, State)]) -> Row {
        let module = |(name, state): &(&str, State)| Module {
            name: ModuleName::new(*name).unwrap(),
            version: Version::new("2.3.9").unwrap(),
            state: state.clone(),
        };
        Row {
            release: KernelRelease::new(release).unwrap(),
            running: false,
            default: false,
            newest: false,
            leaving: false,
            modules: states.iter().map(module).collect(),
        }
    }

    #[test]
    fn the_newest_kernel_that_has_everything_is_named() {
        let older = || State::OlderInstead(Version::new("2.4.0").unwrap());
        let failed = || State::Failed("make failed".to_owned(), Some("/var/lib/dkms/zfs.log".into()));
        let mut kernels = Kernels {
            kernels: vec![
                row("6.1", &[("nvidia", State::Installed), ("zfs", State::Installed)]),
                row("6.9", &[("nvidia", State::Installed), ("zfs", older())]),
                row("6.12", &[("nvidia", State::ToDo), ("zfs", failed())]),
            ],
        };
        kernels.kernels[0].running = true;
        kernels.kernels[2].newest = true;
        assert_eq!(kernels.supported().unwrap().as_str(), "6.9");
        assert!(!kernels.is_newest_supported());
        assert_eq!(
            kernels.render(),
            "6.1 (running): has every module\n  installed: nvidia/2.3.9 zfs/2.3.9\n\
             6.9: has every module\n  installed: nvidia/2.3.9\n  \
             zfs/2.3.9: installed instead of 2.4.0, which does not compile\n\
             6.12 (newest): lacks nvidia zfs\n  nvidia/2.3.9: not built yet; `dkms-hook` does that\n  \
             zfs/2.3.9: failed: make failed\n    log: /var/lib/dkms/zfs.log\n\
             The newest kernel that every module supports is 6.9.\n"
        );
        kernels.kernels.truncate(2);
        (kernels.kernels[0].leaving, kernels.kernels[1].leaving) = (true, true);
        assert_eq!(kernels.supported(), None);
        kernels.kernels.clear();
        assert_eq!(kernels.render(), "No kernel is installed.\n");
    }

    #[test]
    fn no_line_is_longer_than_80_columns() {
        let names: Vec<String> = (0..40).map(|n| format!("module-{n}")).collect();
        let installed: Vec<(&str, State)> =
            names.iter().map(|name| (name.as_str(), State::Installed)).collect();
        let why =
            "the kernel's configuration has no CONFIG_THIS and no CONFIG_THAT, which it needs to be built";
        let mut long = row("6.12.107+deb13-amd64", &installed);
        long.modules[0].state = State::Excluded(why.to_owned());
        long.modules[1].state = State::Waiting("linux-headers-6.12.107+deb13-amd64".to_owned());
        (long.running, long.default, long.newest) = (true, true, true);
        let text = Kernels { kernels: vec![long] }.render();
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest.is_some_and(|longest| longest <= WIDTH), "{text}");
        assert!(text.lines().count() > 9, "{text}");
    }
}
