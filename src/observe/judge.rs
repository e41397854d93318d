//! What a cell would be built from now, and how much of that need be looked at again.
//!
//! A dkms.conf that our own reader reads says the same while its files stay the same. One that needs bash may
//! ask the machine: whether a file is there, what a tool says, what `dkms status` lists. No stamp covers that.
//! So such a conf is asked again whenever a person types a command; by hooks when a package came or went, and
//! when its last answer kept a module from being there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Observer;
use super::stat::Once;
use crate::conf::Strictness;
use crate::conf::model::{Conf, Context, Reader};
use crate::fs::look;
use crate::fs::stamp;
use crate::kernel::{KernelFiles, signing_identity};
use crate::model::error::Result;
use crate::model::ids::Cell;
use crate::model::inputs::{Hasher, Inputs};
use crate::model::record::{Facts, Record, Verdict};
use crate::model::system::Now;

/// What is written down about a cell.
pub(super) struct Known<'a> {
    stamp: &'a str,
    facts: &'a Facts,
    inputs: Arc<Inputs>,
    /// Its last build failed.
    failed: bool,
}

impl<'a> Known<'a> {
    pub(super) fn of(record: Option<&'a Record>, verdict: Option<&'a Verdict>) -> Option<Self> {
        let failed = verdict.is_some_and(|verdict| verdict.failure.is_some());
        match (record, verdict) {
            (Some(r), _) => Some(Self { stamp: &r.stamp, facts: &r.facts, inputs: r.judged(), failed }),
            (None, Some(v)) => {
                Some(Self { stamp: &v.stamp, facts: &v.facts, inputs: Arc::new(v.inputs.clone()), failed })
            }
            (None, None) => None,
        }
    }
}

/// Between what stat(2) says of the inputs and what it says of the packages. The second part is there only
/// where bash evaluated the dkms.conf.
const PACKAGES: char = '+';

/// Longer than what a clock without parts of seconds may stand still.
const SECOND: Duration = Duration::from_millis(1050);

impl Observer<'_> {
    /// What a cell would be built from now.
    pub(super) fn judge(&self, once: &Once<'_>, cell: &Cell, known: Option<&Known<'_>>) -> Result<Now> {
        let files = self.stamp(once, cell);
        if let Some(known) = known
            && known.stamp.split(PACKAGES).next() == Some(&files)
        {
            return self.judge_again(once, cell, known, files);
        }
        let context = self.context(cell);
        let conf = self.conf(cell, &context, Strictness::Other)?;
        let mut facts = facts_of(&conf);
        if let (true, Some(known)) = (facts.by_shell, known) {
            facts.unsteady.clone_from(&known.facts.unsteady);
        }
        let inputs = Arc::new(self.inputs(once, cell, &context, &conf, &facts)?);
        let stamp = self.whole_stamp(once, files, &facts);
        Ok(Now::Judged { facts, inputs, stamp })
    }

    /// As [`Self::judge`] where no file changed: no source and no headers are read.
    fn judge_again(&self, once: &Once<'_>, cell: &Cell, known: &Known<'_>, files: String) -> Result<Now> {
        let mut inputs = Arc::clone(&known.inputs);
        let mut facts = known.facts.clone();
        let mut stamp = self.whole_stamp(once, files.clone(), &facts);
        if facts.by_shell && (self.asks_anew(cell) || known.stamp != stamp || self.may_have_changed(known)) {
            let conf = self.conf(cell, &self.context(cell), Strictness::Other)?;
            facts = Facts { unsteady: facts.unsteady, ..facts_of(&conf) };
            let digest = self.conf_digest(&conf, &facts)?;
            if inputs.conf != digest {
                Arc::make_mut(&mut inputs).conf = digest;
            }
            stamp = self.whole_stamp(once, files, &facts);
        }
        let depends = self.dependencies(cell, &facts.depends);
        if inputs.depends != depends {
            Arc::make_mut(&mut inputs).depends = depends;
        }
        Ok(Now::Judged { facts, inputs, stamp })
    }

    /// A command that names a module asks that one's dkms.conf, and not those of all others.
    fn asks_anew(&self, cell: &Cell) -> bool {
        self.anew && self.asked.is_none_or(|asked| asked.module.name == cell.module.name)
    }

    /// True when the last answer is why a module is not there: any run is glad to hear another one.
    fn may_have_changed(&self, known: &Known<'_>) -> bool {
        let manual = !known.facts.autoinstall && !self.distribution.every_module;
        known.facts.exclusion.is_some() || manual || known.failed
    }

    /// The stamp that is kept with an answer.
    fn whole_stamp(&self, once: &Once<'_>, files: String, facts: &Facts) -> String {
        if facts.by_shell { format!("{files}{PACKAGES}{}", self.packages(once)) } else { files }
    }

    /// The inputs of one cell as they are now, with the conf and its context: what a build uses. `known` is what they
    /// were judged to be before; where no file changed since, source and headers are not read again.
    ///
    /// # Errors
    /// When source, conf or headers cannot be read.
    pub fn fresh(&self, cell: &Cell, known: Option<&Now>) -> Result<(Conf, Context, Facts, Inputs, String)> {
        let once = Once::new([&cell.module], [&cell.kernel]);
        let files = self.stamp(&once, cell);
        let context = self.context(cell);
        let conf = self.conf(cell, &context, Strictness::Build)?;
        let mut facts = facts_of(&conf);
        if facts.by_shell {
            facts.unsteady = self.differing(&conf, &self.conf(cell, &context, Strictness::Other)?);
        }
        let inputs = match known {
            Some(Now::Judged { inputs, stamp, .. }) if !facts.by_shell && *stamp == files => {
                let files = KernelFiles::of(&cell.kernel, &context);
                Inputs {
                    depends: self.dependencies(cell, &conf.build_depends),
                    conf: self.conf_digest(&conf, &facts)?,
                    // A record says how it was signed, not how it was to be.
                    signing: signing_identity(self.layout, self.settings, &files, &self.distribution.id),
                    ..(**inputs).clone()
                }
            }
            _ => self.inputs(&once, cell, &context, &conf, &facts)?,
        };
        let stamp = self.whole_stamp(&once, files, &facts);
        Ok((conf, context, facts, inputs, stamp))
    }

    /// Whether the inputs of a cell are certainly those that [`Self::fresh`] found with this stamp: without reading
    /// them, so it may be false although they are.
    pub fn is_as_before(&self, cell: &Cell, facts: &Facts, inputs: &Inputs, stamp: &str) -> bool {
        let once = Once::new([&cell.module], [&cell.kernel]);
        !facts.by_shell
            && self.stamp(&once, cell) == stamp
            && self.dependencies(cell, &facts.depends) == inputs.depends
    }

    /// Adds to the facts of a dkms.conf the directives that have another value at each reading. `conf` is what
    /// it said at `read`; a clock is asked again when its second is over.
    ///
    /// # Errors
    /// When it cannot be read any more.
    pub fn find_unsteady(&self, cell: &Cell, conf: &Conf, read: Instant, facts: &mut Facts) -> Result<()> {
        if !facts.by_shell {
            return Ok(());
        }
        std::thread::sleep((read + SECOND).saturating_duration_since(Instant::now()));
        let again = self.conf(cell, &self.context(cell), Strictness::Other)?;
        let known = std::mem::take(&mut facts.unsteady);
        let changed: Vec<String> = self.differing(conf, &again);
        if changed.iter().all(|name| known.contains(name)) {
            facts.unsteady = known;
            return Ok(());
        }
        // Somebody may have changed what it asks, once.
        std::thread::sleep(SECOND);
        let third = self.conf(cell, &self.context(cell), Strictness::Other)?;
        let moving = self.differing(&again, &third);
        let found: BTreeSet<String> =
            known.into_iter().chain(changed.into_iter().filter(|name| moving.contains(name))).collect();
        facts.unsteady = found.into_iter().collect();
        Ok(())
    }

    /// The directives that two readings of a dkms.conf give other values.
    fn differing(&self, one: &Conf, other: &Conf) -> Vec<String> {
        let (one, other) = (self.directives(one), self.directives(other));
        let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
        names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
    }

    /// One digest over the values of a dkms.conf, and over what is sourced before a build.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn conf_digest(&self, conf: &Conf, facts: &Facts) -> Result<String> {
        let mut values = Hasher::new();
        for (name, elements) in &conf.values {
            for (index, value) in elements {
                if !facts.unsteady.is_empty() && facts.unsteady.contains(&format!("{name}[{index}]")) {
                    continue;
                }
                values.part(name);
                values.part(index.to_le_bytes());
                values.part(self.without_jobs(value));
            }
        }
        if let Some(file) = self.build_environment() {
            let file = self.layout.root.path(file);
            if look::exists(&file)? {
                stamp::content(&mut values, &file)?;
            }
        }
        Ok(values.finish())
    }
}

pub(super) fn facts_of(conf: &Conf) -> Facts {
    Facts {
        autoinstall: conf.autoinstall,
        depends: conf.build_depends.clone(),
        depends_rebuild: conf.build_depends_rebuild,
        exclusion: conf.exclusion().map(str::to_owned),
        modules: conf.wanted().map(|record| record.dest_name.clone()).collect(),
        by_shell: conf.reader != Reader::Own,
        unsteady: Vec::new(),
    }
}
