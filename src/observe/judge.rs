//! What a cell would be built from now, and how much of that need be looked at again.
//!
//! A dkms.conf that our own reader reads says the same while its files stay the same. One that needs bash may
//! ask the machine: whether a file is there, what a tool says, what `dkms status` lists. No stamp covers that.
//! So such a conf is asked again whenever a person types a command; by hooks when a package came or went, and
//! when its last answer kept a module from being there.

use std::sync::Arc;

use super::Observer;
use super::stat::Once;
use crate::conf::Strictness;
use crate::conf::model::{Conf, Context, Reader};
use crate::fs::look;
use crate::fs::stamp;
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

impl Observer<'_> {
    /// What a cell would be built from now.
    pub(super) fn judge(&self, once: &Once, cell: &Cell, known: Option<&Known<'_>>) -> Result<Now> {
        let files = self.stamp(once, cell);
        if let Some(known) = known
            && known.stamp.split(PACKAGES).next() == Some(&files)
        {
            return self.judge_again(once, cell, known, files);
        }
        let context = self.context(cell);
        let conf = self.conf(cell, &context, Strictness::Other)?;
        let inputs = Arc::new(self.inputs(once, cell, &context, &conf)?);
        let facts = facts_of(&conf);
        let stamp = self.whole_stamp(once, files, &facts);
        Ok(Now::Judged { facts, inputs, stamp })
    }

    /// As [`Self::judge`] where no file changed: no source and no headers are read.
    fn judge_again(&self, once: &Once, cell: &Cell, known: &Known<'_>, files: String) -> Result<Now> {
        let mut inputs = Arc::clone(&known.inputs);
        let mut facts = known.facts.clone();
        let mut stamp = self.whole_stamp(once, files.clone(), &facts);
        if facts.by_shell && (self.anew || known.stamp != stamp || self.may_have_changed(known)) {
            let conf = self.conf(cell, &self.context(cell), Strictness::Other)?;
            let digest = self.conf_digest(&conf)?;
            if inputs.conf != digest {
                Arc::make_mut(&mut inputs).conf = digest;
            }
            facts = facts_of(&conf);
            stamp = self.whole_stamp(once, files, &facts);
        }
        let depends = self.dependencies(cell, &facts.depends);
        if inputs.depends != depends {
            Arc::make_mut(&mut inputs).depends = depends;
        }
        Ok(Now::Judged { facts, inputs, stamp })
    }

    /// True when the last answer is why a module is not there: any run is glad to hear another one.
    fn may_have_changed(&self, known: &Known<'_>) -> bool {
        let manual = !known.facts.autoinstall && !self.distribution.every_module;
        known.facts.exclusion.is_some() || manual || known.failed
    }

    /// The stamp that is kept with an answer.
    fn whole_stamp(&self, once: &Once, files: String, facts: &Facts) -> String {
        if facts.by_shell { format!("{files}{PACKAGES}{}", self.packages(once)) } else { files }
    }

    /// The inputs of one cell as they are now, with the conf and its context: what a build uses.
    ///
    /// # Errors
    /// When source, conf or headers cannot be read.
    pub fn fresh(&self, cell: &Cell) -> Result<(Conf, Context, Facts, Inputs, String)> {
        let once = Once::new([&cell.module], [&cell.kernel]);
        let files = self.stamp(&once, cell);
        let context = self.context(cell);
        let conf = self.conf(cell, &context, Strictness::Build)?;
        let inputs = self.inputs(&once, cell, &context, &conf)?;
        let facts = facts_of(&conf);
        let stamp = self.whole_stamp(&once, files, &facts);
        Ok((conf, context, facts, inputs, stamp))
    }

    /// One digest over the values of a dkms.conf, and over what is sourced before a build.
    pub(super) fn conf_digest(&self, conf: &Conf) -> Result<String> {
        let mut values = Hasher::new();
        for (name, elements) in &conf.values {
            for (index, value) in elements {
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
    }
}
