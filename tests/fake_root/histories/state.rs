//! What there is beside us: kernels and sources, and the revision of each.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

/// Kernel releases. Symbols of the second have versions.
pub const KERNELS: [&str; 2] = ["6.12.1-toy", "6.13.0-toy"];
/// Modules; the second depends on the first.
pub const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];
/// Versions of each.
pub const VERSIONS: [&str; 2] = ["9", "10"];

/// The place of a kernel in [`KERNELS`].
pub type K = usize;

/// A module version: places in [`NAMES`] and [`VERSIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct M(pub usize, pub usize);

impl M {
    pub fn name(self) -> &'static str {
        NAMES[self.0]
    }

    pub fn version(self) -> &'static str {
        VERSIONS[self.1]
    }

    /// As a command line names it.
    pub fn id(self) -> String {
        format!("{}/{}", self.name(), self.version())
    }

    /// Its source, in a revision.
    pub fn source(self, revision: u8) -> ToyModule {
        let module = ToyModule::new(self.name(), self.version());
        let module = if self.0 == 1 { module.depends(NAMES[0]) } else { module };
        let name = self.name();
        let text = format!(
            "#include <linux/module.h>\n\nint {name}_answer(void)\n{{\n\treturn {revision};\n}}\n\n\
             MODULE_LICENSE(\"GPL\");\nMODULE_VERSION(\"{}\");\n",
            self.version()
        );
        module.file(&format!("{name}.c"), &text)
    }
}

/// A kernel with headers of a revision.
pub fn kernel(k: K, revision: u8) -> ToyKernel {
    let kernel = ToyKernel::new(KERNELS[k]).config(&format!("CONFIG_TOY_REVISION={revision}"));
    if k == 1 { kernel.symbol_versions() } else { kernel }
}

/// What a machine has.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub image: [bool; KERNELS.len()],
    /// Headers, by revision.
    pub headers: [Option<u8>; KERNELS.len()],
    /// Registered sources, by revision.
    pub sources: BTreeMap<M, u8>,
    /// Modules of which a source went without anybody being told: what is built of them stays.
    pub vanished: BTreeSet<usize>,
}

impl State {
    /// Puts all of it into an empty root.
    pub fn lay_out(&self, root: &FakeRoot) {
        for k in 0..KERNELS.len() {
            if self.image[k] {
                kernel(k, 0).install_image(root);
            }
            if let Some(revision) = self.headers[k] {
                kernel(k, revision).install_headers(root);
            }
        }
        for (m, revision) in &self.sources {
            m.source(*revision).register(root);
        }
    }

    /// True when nothing of a kernel is left.
    pub fn gone(&self, k: K) -> bool {
        !self.image[k] && self.headers[k].is_none()
    }
}
