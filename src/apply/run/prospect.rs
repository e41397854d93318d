//! What a plan will take: how many steps can be worked on at once, and which of them take long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Executor;
use super::long::Long;
use super::schedule::{Manner, Node};
use crate::apply::build;
use crate::fs::temporary;
use crate::model::ids::{Cell, ModuleId};
use crate::model::own_writes::OwnWrites;
use crate::model::record::Effort;
use crate::plan::{Action, Plan};
use crate::process::can_see;
use crate::process::jobserver::Server;
use crate::tree::state;

/// Milliseconds that a source file is taken to cost where no earlier build says anything. Only the order of builds
/// depends on it.
const A_FILE: u64 = 400;

/// What is known before the first step.
pub(super) struct Prospect<'r> {
    plan: &'r Plan,
    /// How many steps take long.
    pub long: usize,
    /// At most one step takes long: what it says is heard at once.
    pub alone: bool,
    /// How many steps are worked on at once.
    pub at_once: usize,
    /// Who says when one more job may run.
    pub server: Server,
    /// Module versions of which several builds may be under way at the same time.
    pub side_by_side: BTreeSet<&'r ModuleId>,
    /// Those of which one is, with a number for each.
    turns: BTreeMap<&'r ModuleId, usize>,
    efforts: BTreeMap<usize, Effort>,
    costs: BTreeMap<usize, u64>,
}

impl<'r> Prospect<'r> {
    pub(super) fn of(executor: &'r Executor<'r>, plan: &'r Plan) -> Self {
        let layout = executor.observer.layout;
        let long: Vec<(usize, Long<'r>)> = long_steps(plan).collect();
        // A server is only made when there is work.
        let server = if long.is_empty() { Server::without(1) } else { executor.server().clone() };
        let could = if server.is_shared() { server.limit() } else { 1 };
        let at_once = could.min(long.len()).max(1);
        let mut prospect = Self {
            plan,
            long: long.len(),
            alone: at_once == 1,
            at_once,
            server,
            side_by_side: BTreeSet::new(),
            turns: BTreeMap::new(),
            efforts: BTreeMap::new(),
            costs: BTreeMap::new(),
        };
        for (step, long) in &long {
            if let Some(effort) = build::expected(layout, long.cell()) {
                prospect.efforts.insert(*step, effort);
            }
        }
        if at_once > 1 {
            prospect.weigh(executor, &long);
            prospect.share_out(executor);
        }
        prospect
    }

    /// What each of them will cost, as far as anybody can tell.
    fn weigh(&mut self, executor: &Executor<'_>, long: &[(usize, Long<'_>)]) {
        let mut sources: BTreeMap<&ModuleId, u64> = BTreeMap::new();
        for (step, long) in long {
            let cost = match (self.efforts.get(step), long) {
                (_, Long::Resign { .. }) => 1,
                (Some(effort), _) => u64::try_from(effort.took.as_millis()).unwrap_or(u64::MAX),
                (None, Long::Build { cell, .. }) => *sources
                    .entry(&cell.module)
                    .or_insert_with(|| A_FILE * source_files(&executor.observer.source_dir(&cell.module))),
            };
            self.costs.insert(*step, cost);
        }
    }

    /// Decides which module versions are built for several kernels at the same time.
    fn share_out(&mut self, executor: &Executor<'_>) {
        let mut cells: BTreeMap<&'r ModuleId, Vec<&'r Cell>> = BTreeMap::new();
        for step in &self.plan.steps {
            if let Action::Build { cell, .. } = &step.action {
                cells.entry(&cell.module).or_default().push(cell);
            }
        }
        cells.retain(|_, cells| cells.len() > 1);
        let mut possible = None;
        for (module, cells) in cells {
            let quiet = cells.iter().all(|cell| !writes_into_its_source(executor, cell));
            if quiet && *possible.get_or_insert_with(|| can_build_side_by_side(executor)) {
                self.side_by_side.insert(module);
            } else {
                self.turns.insert(module, self.turns.len());
            }
        }
    }

    /// The steps for the schedule; `waits` says which of them wait for which.
    pub(super) fn nodes(&self, waits: Vec<Vec<usize>>) -> Vec<Node> {
        let node = |(step, waits): (usize, Vec<usize>)| {
            let action = &self.plan.steps[step].action;
            let manner = match action {
                _ if Long::of(action).is_some() => Manner::Long,
                Action::Depmod { .. }
                | Action::Initramfs { .. }
                | Action::Modprobe { .. }
                | Action::Guard => Manner::Slow,
                _ => Manner::Quick,
            };
            let lane = match action {
                Action::Build { cell, .. } => self.turns.get(&cell.module).copied(),
                _ => None,
            };
            Node { waits, manner, lane, cost: self.costs.get(&step).copied().unwrap_or(0) }
        };
        waits.into_iter().enumerate().map(node).collect()
    }

    /// What earlier builds say about a step.
    pub(super) fn effort(&self, step: usize) -> Option<Effort> {
        self.efforts.get(&step).copied()
    }
}

fn long_steps(plan: &Plan) -> impl Iterator<Item = (usize, Long<'_>)> {
    plan.steps.iter().enumerate().filter_map(|(step, of)| Some((step, Long::of(&of.action)?)))
}

/// Whether the commands of a build may write into the source. Then another build at the same time could read what is
/// written there for this one, and would see somebody change the source. They may where they did before, where there
/// are scripts, where the command of make names the source, and where nobody can tell.
fn writes_into_its_source(executor: &Executor<'_>, cell: &Cell) -> bool {
    let layout = executor.observer.layout;
    let known = state::known(state::own_writes(layout, &cell.module));
    if known.is_some_and(|known| known != OwnWrites::default()) {
        return true;
    }
    let Ok(Some(conf)) = executor.conf(cell).1 else { return true };
    let (source, link) = (executor.observer.source_dir(&cell.module), layout.source_link(&cell.module));
    let names = [layout.shown(&source), layout.shown(&link), source, link];
    let named = names.iter().any(|path| conf.make.contains(&*path.to_string_lossy()));
    named || conf.scripts.pre_build.is_some() || conf.scripts.post_build.is_some()
}

/// Whether a child can see a directory in the place of another. One tries.
fn can_build_side_by_side(executor: &Executor<'_>) -> bool {
    let try_it = || {
        let state = executor.observer.layout.state();
        let dir = temporary::Dir::new(&state, ".tmp-")?;
        can_see(dir.path(), dir.path()).map_err(std::io::Error::other)
    };
    try_it().inspect_err(|error| log::info!("builds of one module version take turns: {error}")).is_ok()
}

fn source_files(dir: &Path) -> u64 {
    let compiled = |entry: &walkdir::DirEntry| {
        entry.path().extension().is_some_and(|ext| ["c", "S", "rs", "cc"].iter().any(|known| ext == *known))
    };
    let files = walkdir::WalkDir::new(dir).into_iter().flatten().filter(compiled).count();
    u64::try_from(files).unwrap_or(u64::MAX)
}
