//! Which registered modules this machine seems to depend on: to be proposed as essential.

mod drivers;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::conf::{self, Strictness};
use crate::kernel;
use crate::model::essential::Proposal;
use crate::model::ids::{KernelRelease, ModuleId};
use crate::model::system::Contents;
use crate::model::version::natural;
use crate::observe::Observer;
use crate::tree::registry;

impl Observer<'_> {
    /// The registered modules that the machine needs for its file systems, for its network or to show a picture.
    /// Drivers that no registered module builds are the kernel's own business.
    pub fn proposals(&self) -> Vec<Proposal> {
        let needed = drivers::needed(&self.layout.root);
        let modules = if needed.is_empty() { Vec::new() } else { registry::registered(self.layout) };
        let kernel = self.newest_with_headers();
        let mut proposals = BTreeSet::new();
        for (id, _) in modules {
            let built = self.modules_of(&id, kernel.as_ref());
            for (driver, because) in &needed {
                if built.contains(&Contents::normal(driver)) {
                    let (module, driver) = (id.name.clone(), driver.clone());
                    proposals.insert(Proposal { module, driver, because: because.clone() });
                }
            }
        }
        proposals.into_iter().collect()
    }

    fn newest_with_headers(&self) -> Option<KernelRelease> {
        let with_headers = kernel::releases(self.layout, [])
            .into_iter()
            .filter(|release| kernel::headers_present(self.layout, release));
        with_headers.max_by(|a, b| natural::compare(a.as_str(), b.as_str()))
    }

    /// The names of the modules that a version builds, as its dkms.conf has them; its own where that cannot be read.
    pub(super) fn modules_of(&self, id: &ModuleId, kernel: Option<&KernelRelease>) -> BTreeSet<String> {
        let context = self.context_for(Some(id), kernel, self.arch);
        let overrides = conf::override_files(self.layout, id, kernel, self.arch);
        let file = self.source_dir(id).join("dkms.conf");
        let files: Vec<PathBuf> = std::iter::once(&file).chain(&overrides).cloned().collect();
        let conf = self.endless.ask(self.layout, &files, (context.limit, self.anew), || {
            conf::load(&self.layout.root, &file, &overrides, &context, Strictness::Other)
        });
        match conf {
            Ok(conf) => conf.records.iter().map(|record| Contents::normal(&record.dest_name)).collect(),
            Err(error) => {
                log::info!("{error}");
                BTreeSet::from([Contents::normal(id.name.as_str())])
            }
        }
    }
}
