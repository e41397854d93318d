//! Whether the newest kernel can be started without harm, and what follows where it cannot.

use std::collections::BTreeSet;

use super::planner::Planner;
use super::{Action, InitramfsDuty, Note, Reason};
use crate::model::guard::{Danger, Guard};
use crate::model::ids::ModuleName;
use crate::model::version::natural;

/// What is wrong with the newest kernel; nothing where it has every essential module.
///
/// "Newest" is by the order of versions that GRUB's menu and systemd-boot have. The kernel to keep is the newest of
/// those that lack nothing.
pub fn danger(guard: &Guard) -> Option<Danger> {
    if guard.off {
        return None;
    }
    let mut kernels: Vec<_> = guard.kernels.iter().collect();
    kernels.sort_by(|(one, _), (other, _)| natural::compare(other.as_str(), one.as_str()));
    let (newest, look) = kernels.first()?;
    if look.missing.is_empty() {
        return None;
    }
    let keep = kernels.iter().find(|(_, look)| look.missing.is_empty()).map(|(kernel, _)| (*kernel).clone());
    Some(Danger { newest: (*newest).clone(), missing: look.missing.clone(), keep })
}

impl Guard {
    /// Why what was done last is not right any more; `None` where it is.
    fn due(&self) -> Option<Reason> {
        let found = danger(self);
        let active = self.before.active.as_ref();
        if active.map(|active| &active.verdict) != found.as_ref()
            || active.is_some_and(|active| active.unfinished)
        {
            return Some(match found {
                Some(danger) => Reason::EssentialMissing { danger },
                None => Reason::EssentialThere,
            });
        }
        // What was read again is to be written down, so that the next run need not read it.
        let looks = self.kernels.iter().filter_map(|(kernel, look)| Some((kernel, look.asked.as_ref()?)));
        let new = !looks.eq(self.before.asked.iter());
        new.then_some(Reason::EssentialLooked)
    }
}

impl Planner<'_> {
    /// At the end of all else, where everything else ends: in the middle of a transaction modules are missing that are
    /// about to come.
    pub(super) fn guard(&mut self) {
        let Some(guard) = &self.system.guard else { return };
        if self.options.initramfs == InitramfsDuty::Later {
            return;
        }
        let reason = guard.due().or_else(|| self.changes_essential().then_some(Reason::EssentialChanges));
        match (reason, &guard.before.active) {
            (Some(reason), _) => drop(self.step(Action::Guard, reason, Vec::new())),
            (None, Some(active)) => self.note(Note::Guarded { danger: active.verdict.clone() }),
            (None, None) => {}
        }
    }

    /// Whether a step may change which kernels have the essential modules.
    fn changes_essential(&self) -> bool {
        let essential: BTreeSet<&ModuleName> = self.system.essential.iter().collect();
        self.plan.steps.iter().any(|step| match &step.action {
            Action::Build { cell, .. } | Action::Install { cell, .. } | Action::Uninstall { cell } => {
                essential.contains(&cell.module.name)
            }
            Action::Unlink { cell, .. } => essential.contains(&cell.module.name),
            Action::Sweep { .. } => !essential.is_empty(),
            // Where the kernel's own modules were looked up, they are in this index.
            Action::Depmod { kernel } => {
                let looks = self.system.guard.as_ref().and_then(|guard| guard.kernels.get(kernel));
                looks.is_some_and(|look| look.asked.is_some())
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::guard::{Active, Asked, Look, Remembered};
    use crate::model::ids::KernelRelease;

    fn guard(kernels: &[(&str, &[&str])]) -> Guard {
        let look = |missing: &[&str]| Look {
            missing: missing.iter().map(|name| ModuleName::new(*name).unwrap()).collect(),
            asked: None,
        };
        let kernels =
            kernels.iter().map(|(name, missing)| (KernelRelease::new(*name).unwrap(), look(missing)));
        Guard { kernels: kernels.collect(), ..Guard::default() }
    }

    fn of(kernels: &[(&str, &[&str])]) -> Option<(String, String, Option<String>)> {
        let found = danger(&guard(kernels))?;
        Some((found.newest.to_string(), found.names(), found.keep.map(String::from)))
    }

    #[test]
    fn only_the_newest_kernel_is_a_danger_and_the_newest_whole_one_is_kept() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("6.9", &["zfs"]), ("6.12", &[])]), None);
        let some = |newest: &str, names: &str, keep: Option<&str>| {
            Some((newest.to_owned(), names.to_owned(), keep.map(str::to_owned)))
        };
        let kernels: [(&str, &[&str]); 4] =
            [("6.9", &[]), ("6.10", &[]), ("6.12.9", &["nvidia"]), ("6.12.10", &["nvidia", "zfs"])];
        assert_eq!(of(&kernels), some("6.12.10", "nvidia and zfs", Some("6.10")));
        assert_eq!(of(&[("6.9", &["zfs"])]), some("6.9", "zfs", None));
        let off = Guard { off: true, ..guard(&kernels) };
        assert_eq!(danger(&off), None);
    }

    #[test]
    fn what_is_done_and_written_down_is_not_due_again() {
        let mut guard = guard(&[("6.9", &[]), ("6.12", &["zfs"])]);
        let danger = danger(&guard).unwrap();
        assert_eq!(guard.due(), Some(Reason::EssentialMissing { danger: danger.clone() }));
        let mut active = Active { verdict: danger, said: Vec::new(), unfinished: true, undo: None };
        guard.before = Remembered { active: Some(active.clone()), ..Remembered::default() };
        assert!(guard.due().is_some(), "it is not finished");
        active.unfinished = false;
        guard.before.active = Some(active);
        assert_eq!(guard.due(), None);
        let asked = Asked { modules: vec!["zfs".into()], indexed: Some(1), missing: vec!["zfs".into()] };
        let newest = KernelRelease::new("6.12").unwrap();
        guard.kernels.get_mut(&newest).unwrap().asked = Some(asked.clone());
        assert_eq!(guard.due(), Some(Reason::EssentialLooked));
        guard.before.asked.insert(newest.clone(), asked);
        assert_eq!(guard.due(), None);
        guard.kernels.get_mut(&newest).unwrap().missing.clear();
        assert_eq!(guard.due(), Some(Reason::EssentialThere));
    }
}
