//! Small worlds to plan in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::refresh;
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::inputs::{Headers, Inputs};
use crate::model::record::{Facts, FailureNote, Overrides, Provenance, Record, Verdict};
use crate::model::request::{Goal, Request};
use crate::model::system::{CellView, Kernel, Now, Source, System};
use crate::plan::{Note, Options, Plan, plan};

/// A kernel release.
pub fn kernel(release: &str) -> KernelRelease {
    KernelRelease::new(release).unwrap()
}

/// A module version, written `name/version`.
pub fn module(id: &str) -> ModuleId {
    let (name, version) = id.split_once('/').unwrap();
    ModuleId::new(name, version).unwrap()
}

/// The architecture of every cell here.
pub fn arch() -> Arch {
    Arch::new("x86_64").unwrap()
}

/// A cell.
pub fn cell(id: &str, release: &str) -> Cell {
    Cell { module: module(id), kernel: kernel(release), arch: arch() }
}

/// Inputs of a build.
pub fn inputs(source: &str) -> Inputs {
    Inputs {
        source: source.to_owned(),
        conf: "conf".to_owned(),
        overrides: String::new(),
        headers: Headers { version: Some("1".to_owned()), content: "headers".to_owned() },
        compiler: "gcc-14 14.2.0".to_owned(),
        rustc: None,
        compression: "xz".to_owned(),
        signing: None,
        depends: BTreeMap::new(),
    }
}

/// A build made from these inputs.
pub fn record(inputs: Inputs, facts: Facts) -> Record {
    Record {
        inputs: inputs.into(),
        kept: None,
        provenance: Provenance::BuiltHere,
        stamp: "stamp".to_owned(),
        facts,
        installed: Vec::new(),
        refused: None,
        without_image: false,
        overrides: Overrides::default(),
        effort: None,
    }
}

/// A failure for these inputs.
pub fn failed(inputs: Inputs, facts: Facts, provisional: bool) -> Verdict {
    let failure = FailureNote {
        kind: crate::model::error::Kind::Make,
        what: "make failed".to_owned(),
        first_errors: Vec::new(),
        log: None,
        hint: None,
        when: 0,
        provisional,
        by_source: !provisional,
        reported: false,
    };
    Verdict { inputs, stamp: String::new(), facts, failure: Some(failure) }
}

/// A world under construction.
#[derive(Debug, Clone, Default)]
pub struct World(pub System);

impl World {
    /// Kernels with image, headers, and an initramfs made at time 100.
    pub fn new(kernels: &[&str]) -> Self {
        let mut system = System { arch: Some(arch()), ..System::default() };
        for release in kernels {
            let known = Kernel {
                image: true,
                indexed: true,
                headers: true,
                headers_package: format!("linux-headers-{release}"),
                initramfs: Some(100),
                ..Kernel::default()
            };
            system.kernels.insert(kernel(release), known);
        }
        Self(system)
    }

    /// Registers module versions with AUTOINSTALL, built nowhere.
    pub fn with(mut self, ids: &[&str]) -> Self {
        for id in ids {
            self.0.modules.insert(module(id), Source::Added);
            for release in self.0.kernels.keys() {
                let cell = Cell { module: module(id), kernel: release.clone(), arch: arch() };
                self.0.cells.insert(cell, absent());
            }
        }
        self
    }

    /// What is known of a kernel.
    pub fn kernel(&mut self, release: &str) -> &mut Kernel {
        self.0.kernels.get_mut(&kernel(release)).unwrap()
    }

    /// Takes a kernel's headers away.
    pub fn without_headers(mut self, release: &str) -> Self {
        self.kernel(release).headers = false;
        for (cell, view) in &mut self.0.cells {
            if cell.kernel.as_str() == release {
                view.now = Now::NoHeaders;
            }
        }
        self
    }

    /// What was found in a cell.
    pub fn view(&mut self, id: &str, release: &str) -> &mut CellView {
        self.0.cells.get_mut(&cell(id, release)).unwrap()
    }

    /// What dkms.conf says in a cell.
    pub fn facts(&mut self, id: &str, release: &str) -> &mut Facts {
        match &mut self.view(id, release).now {
            Now::Judged { facts, .. } => facts,
            other => panic!("{other:?}"),
        }
    }

    /// The inputs of a cell as they are now.
    pub fn inputs(&mut self, id: &str, release: &str) -> &mut Inputs {
        match &mut self.view(id, release).now {
            Now::Judged { inputs, .. } => Arc::make_mut(inputs),
            other => panic!("{other:?}"),
        }
    }

    /// Makes a module version depend on another, for every kernel.
    pub fn depends(mut self, id: &str, on: &str) -> Self {
        let releases: Vec<String> = self.0.kernels.keys().map(ToString::to_string).collect();
        for release in releases {
            self.facts(id, &release).depends.push(on.to_owned());
        }
        self
    }

    /// A fresh build of ours.
    pub fn built(mut self, id: &str, release: &str) -> Self {
        refresh(&mut self.0);
        let (facts, now) = (self.facts(id, release).clone(), self.inputs(id, release).clone());
        let view = self.view(id, release);
        view.built = true;
        view.record = Some(record(now, facts));
        self
    }

    /// A fresh build of ours, installed.
    pub fn installed(mut self, id: &str, release: &str) -> Self {
        self = self.built(id, release);
        self.view(id, release).installed = true;
        refresh(&mut self.0);
        self
    }

    /// Makes a module version refuse a kernel.
    pub fn excluded(mut self, id: &str, release: &str) -> Self {
        self.facts(id, release).exclusion = Some("of reasons".to_owned());
        self
    }

    /// A build that failed with the inputs of now.
    pub fn failed(mut self, id: &str, release: &str, provisional: bool) -> Self {
        let (facts, now) = (self.facts(id, release).clone(), self.inputs(id, release).clone());
        self.view(id, release).verdict = Some(failed(now, facts, provisional));
        self
    }

    /// Brings everything in line.
    pub fn reconcile(&self) -> Plan {
        self.plan(&Request::Reconcile { kernels: None, retry: false })
    }

    /// Plans with the usual options.
    pub fn plan(&self, request: &Request) -> Plan {
        plan(&self.0, request, &Options::default())
    }

    /// Plans for one cell.
    pub fn bring(&self, id: &str, release: &str, to: Goal, force: bool) -> Plan {
        self.plan(&asked(id, release, to, force))
    }
}

/// A person asks for a state.
pub fn asked(id: &str, release: &str, to: Goal, force: bool) -> Request {
    Request::Bring { module: module(id), kernel: kernel(release), arch: arch(), to, force }
}

/// A cell without a build whose conf says AUTOINSTALL.
pub fn absent() -> CellView {
    let facts = Facts { autoinstall: true, ..Facts::default() };
    CellView {
        built: false,
        installed: false,
        intact: true,
        record: None,
        verdict: None,
        unread_verdict: None,
        blind: None,
        now: Now::Judged { facts, inputs: inputs("source").into(), stamp: "stamp".to_owned() },
        vermagic_matches: false,
        fit: None,
        directive: None,
        cached: false,
        provenance: None,
        autoinstall: false,
    }
}

/// The steps as a person reads them.
pub fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|s| s.action.to_string()).collect()
}

/// Why the first step with this text is taken.
pub fn reason(plan: &Plan, step: &str) -> String {
    let found = plan.steps.iter().find(|s| s.action.to_string() == step);
    found.unwrap_or_else(|| panic!("no {step:?} in {:?}", steps(plan))).reason.to_string()
}

/// The steps that a step needs, as a person reads them.
pub fn needs(plan: &Plan, step: &str) -> Vec<String> {
    let found = plan.steps.iter().find(|s| s.action.to_string() == step).unwrap();
    found.needs.iter().map(|n| plan.steps[*n].action.to_string()).collect()
}

/// What is said instead of done.
pub fn notes(plan: &Plan) -> Vec<String> {
    plan.notes.iter().map(Note::text).collect()
}
