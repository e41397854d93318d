//! What is due once for all that changes: the index, and the initramfs.

use std::collections::BTreeSet;

use dkms_hook::model::record::InitramfsDue;
use dkms_hook::plan::InitramfsDuty;

use super::{Act, Duty, Expected, Spec};
use crate::machine::{M, Name, Thing};
use crate::observe::release;

impl Spec<'_> {
    /// depmod and initramfs, once for all that changes.
    pub(super) fn endings(&self, out: &mut Expected) {
        let k = self.k;
        let kernel = self.kernel();
        if self.machine.is_unseen(Thing::Kernel(k)) {
            return;
        }
        // What is due for a kernel that may be there stays due.
        let in_doubt = self.in_doubt();
        let swept = out.acts.contains(&Act::Sweep(k));
        let indexed: BTreeSet<M> = out
            .acts
            .iter()
            .filter_map(|act| match act {
                Act::Install(m, at, _) | Act::Uninstall(m, at) if *at == k => Some(*m),
                _ => None,
            })
            .collect();
        let mut names: BTreeSet<Name> = indexed.iter().map(|m| m.0).collect();
        names.extend(out.acts.iter().filter_map(|act| match act {
            Act::Resign(m, at, true) if *at == k => Some(m.0),
            _ => None,
        }));
        let comes = out.acts.iter().any(|act| matches!(act, Act::Install(_, at, _) if *at == k));
        let ours: BTreeSet<M> = self.machine.modules.keys().copied().filter(|m| self.installed(*m)).collect();
        let stays = ours.iter().any(|m| !out.acts.contains(&Act::Uninstall(*m, k)));
        let deserted = kernel.note.no_boot_entry && kernel.indexed.is_none() && !comes && !stays;
        let left = kernel.note.depmod_left.zip(kernel.indexed).is_some_and(|(left, made)| made > left);
        let settled = if deserted {
            kernel.note.depmod_due || !indexed.is_empty()
        } else {
            kernel.note.depmod_due && indexed.is_empty() && left
        };
        let settled = settled && !in_doubt;
        if settled {
            out.settled.insert((k, Duty::Depmod));
        }
        let follows = self.options.depmod_follows.contains(&release(k));
        let stale_index =
            !indexed.is_empty() || kernel.note.depmod_due || kernel.indexed.is_none() && !ours.is_empty();
        // Without kernel/ there is nothing to index, but for what a person takes out.
        let indexes = kernel.image || self.asked && kernel.indexed.is_some() && !indexed.is_empty();
        if self.options.depmod && indexes && !follows && !swept && !settled && stale_index {
            out.acts.insert(Act::Depmod(k, !kernel.note.depmod_due && kernel.indexed.is_some()));
        }

        let later = self.options.initramfs == InitramfsDuty::Later
            || self.options.initramfs_follows.contains(&release(k));
        if later || follows || swept {
            return;
        }
        let unseen = kernel.image && self.machine.is_unseen(Thing::Boot(k));
        // What DKMS installed after the initramfs was made.
        let left: BTreeSet<Name> = out
            .acts
            .iter()
            .filter_map(|act| match act {
                Act::Adopt(m, at) if *at == k && self.installed(*m) => Some(m.0),
                _ => None,
            })
            .filter(|name| {
                // One that cannot be looked at may be as old as can be.
                unseen || kernel.initramfs.is_some_and(|made| made <= self.machine.active[&(*name, k)].since)
            })
            .collect();
        let due = kernel.note.initramfs.as_ref();
        // Whatever a generator that did not end well left there, or deleted, one is made.
        let half = due.is_some_and(|due| due.since == InitramfsDue::UNFINISHED);
        let old = due.filter(|due| half || kernel.initramfs.is_some_and(|made| made <= due.since));
        let boots = kernel.image && (half || kernel.initramfs.is_some()) && !kernel.note.no_boot_entry;
        let changes = !names.is_empty();
        let always = self.options.kernel_event && changes || old.is_some_and(|due| due.always);
        let left_off: BTreeSet<Name> = old.iter().flat_map(|due| due.modules.clone()).collect();
        names.extend(left.iter().chain(&left_off));
        // A module that is not in it and does not belong into it is nothing to an initramfs.
        let mut early = names.clone();
        early.retain(|name| self.machine.early.contains(name));
        let due_now = boots && (old.is_some() || changes || !left.is_empty());
        if due_now && always {
            out.acts.insert(Act::Initramfs(k, true, old.is_some(), names));
        } else if due_now && !early.is_empty() {
            let certain = early.iter().any(|name| left_off.contains(name));
            out.acts.insert(Act::Initramfs(k, false, certain, early));
        } else if unseen && !kernel.note.no_boot_entry {
            // What is due stays due.
        } else if (changes || due.is_some() || !left.is_empty()) && !in_doubt {
            out.settled.insert((k, Duty::Initramfs));
        }
    }
}
