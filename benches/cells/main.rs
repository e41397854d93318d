//! The two halves of a run with nothing to do, in this process: observing a tree on disk, and
//! planning on what was observed; and how planning grows with the number of cells.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dkms_hook::fs::directories::Memory;
use dkms_hook::fs::root::Root;
use dkms_hook::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use dkms_hook::model::inputs::{Headers, Inputs};
use dkms_hook::model::record::Overrides;
use dkms_hook::model::record::{Facts, Record};
use dkms_hook::model::request::Request;
use dkms_hook::model::settings::Settings;
use dkms_hook::model::system::{CellView, Kernel, Now, Source, System};
use dkms_hook::observe::Observer;
use dkms_hook::observe::distribution::Distribution;
use dkms_hook::plan::{self, Options};
use dkms_hook::tree::layout::Layout;

#[path = "../support/timing.rs"]
mod timing;
#[path = "../support/tree.rs"]
mod tree;

use nix::sys::resource::UsageWho;
use timing::{cpu, median, text};
use tree::{release, x86_64};

fn main() {
    observing();
    planning();
}

/// Processor time of one `work`, which is done for about a second, at least three times. Not by the
/// clock: other processes would be measured, too.
fn repeat(mut work: impl FnMut()) -> Duration {
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < 3 || begun.elapsed() < Duration::from_secs(1) && times.len() < 1000 {
        let before = cpu(UsageWho::RUSAGE_SELF);
        work();
        times.push(cpu(UsageWho::RUSAGE_SELF) - before);
    }
    median(times)
}

fn everything() -> Request {
    Request::Reconcile { kernels: None, retry: false }
}

fn observing() {
    println!(
        "\nObserving, in this process (processor time): modules × kernels, all installed and up to date"
    );
    println!("{:>10} {:>12} {:>12} {:>12}", "cells", "observe", "per cell", "plan");
    for (modules, kernels, files) in [(1, 1, 30), (10, 2, 30), (40, 4, 30), (100, 20, 30), (10, 2, 1000)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let layout = Layout::new(Root::at(dir.path()));
        let (settings, overrides) = (Settings::default(), Overrides::default());
        let memory = Memory::default();
        let (distribution, arch) = (Distribution::from_id("debian"), Arch::new("x86_64").expect("a name"));
        let observer = Observer {
            layout: &layout,
            settings: &settings,
            distribution: &distribution,
            arch: &arch,
            overrides: &overrides,
            asked: None,
            anew: false,
            memory: &memory,
            endless: &dkms_hook::observe::endless::Endless::default(),
        };
        tree::Tree { modules, kernels, files, own: 0 }.make(&layout);
        let system = observer.observe(None);
        let plan = plan::plan(&system, &everything(), &Options::default());
        assert!(plan.is_empty(), "there should be nothing to do: {:?}", plan.steps.first());
        let seen = repeat(|| drop(black_box(observer.observe(None))));
        let planned = repeat(|| drop(black_box(plan::plan(&system, &everything(), &Options::default()))));
        let cells = u32::try_from(modules * kernels).expect("few");
        let size = if files == 30 { String::new() } else { format!("   ({files} files in each source)") };
        println!(
            "{:>10} {:>12} {:>12} {:>12}{size}",
            format!("{modules} × {kernels}"),
            text(seen),
            text(seen / cells),
            text(planned)
        );
    }
}

fn planning() {
    println!("\nPlanning alone (processor time): cells that exist only in memory");
    println!(
        "{:>14} {:>9} {:>14} {:>10} {:>9} {:>14} {:>10} {:>9}",
        "", "cells", "nothing to do", "per cell", "to 25000", "build all", "per cell", "to 25000"
    );
    let sizes = [(10, 2), (100, 10), (100, 100), (250, 100), (500, 100), (1000, 30), (1000, 50), (1000, 100)];
    // What a cell costs where there are 25000, more than caches hold: a curve that is linear stays at 1 after that.
    let mut at_25000 = None;
    for (modules, kernels) in sizes {
        let cells = u32::try_from(modules * kernels).expect("not that many");
        let [fresh, stale] = [false, true].map(|stale| {
            let system = synthetic(modules, kernels, stale);
            repeat(|| drop(black_box(plan::plan(&system, &everything(), &Options::default()))))
        });
        let per_cell = [fresh, stale].map(|all| all.as_secs_f64() / f64::from(cells));
        if cells == 25_000 {
            at_25000 = Some(per_cell);
        }
        let ratio = |which: usize| match at_25000 {
            Some(base) => format!("{:.2}", per_cell[which] / base[which]),
            None => String::new(),
        };
        println!(
            "{:>14} {cells:>9} {:>14} {:>7.0} ns {:>9} {:>14} {:>7.0} ns {:>9}",
            format!("{modules} × {kernels}"),
            text(fresh),
            per_cell[0] * 1e9,
            ratio(0),
            text(stale),
            per_cell[1] * 1e9,
            ratio(1)
        );
    }
}

/// Every module version with every kernel: installed and fresh, or all to be built again. A tenth
/// depends on another module.
fn synthetic(modules: usize, kernels: usize, stale: bool) -> System {
    let inputs = |source: &str| Inputs {
        source: source.to_owned(),
        conf: "0123456789abcdef0123456789abcdef".to_owned(),
        overrides: String::new(),
        headers: Headers { version: Some("#1 SMP".to_owned()), content: "h".repeat(32) },
        compiler: "gcc-14 14.2.0".to_owned(),
        rustc: None,
        compression: "xz".to_owned(),
        signing: None,
        depends: Default::default(),
    };
    // Names are shared among cells, as by the observer.
    let arch = x86_64();
    let releases: Vec<KernelRelease> = (0..kernels).map(release).collect();
    let mut system = System { arch: Some(arch.clone()), ..System::default() };
    for kernel in &releases {
        let found = Kernel { image: true, headers: true, ..Kernel::default() };
        system.kernels.insert(kernel.clone(), found);
    }
    for m in 0..modules {
        let id = ModuleId::new(format!("module{m}"), "1.0").expect("a name");
        system.modules.insert(id.clone(), Source::Added);
        let depends = if m % 10 == 9 { vec![format!("module{}", m - 1)] } else { Vec::new() };
        let facts = Facts { autoinstall: true, depends, ..Facts::default() };
        for kernel in &releases {
            let old = Arc::new(inputs("old"));
            let record = Record {
                inputs: Arc::clone(&old),
                provenance: dkms_hook::model::record::Provenance::BuiltHere,
                kept: None,
                stamp: String::new(),
                facts: facts.clone(),
                installed: Vec::new(),
                refused: None,
                without_image: false,
                overrides: dkms_hook::model::record::Overrides::default(),
                effort: None,
            };
            let view = CellView {
                built: true,
                installed: true,
                intact: true,
                record: Some(record),
                verdict: None,
                unread_verdict: None,
                blind: None,
                now: Now::Judged {
                    facts: facts.clone(),
                    // The observer takes what did not change as it stands in the record.
                    inputs: if stale { inputs("new").into() } else { old },
                    stamp: String::new(),
                },
                vermagic_matches: false,
                fit: None,
                directive: None,
                cached: false,
                provenance: None,
                autoinstall: false,
            };
            system
                .cells
                .insert(Cell { module: id.clone(), kernel: kernel.clone(), arch: arch.clone() }, view);
        }
    }
    system
}
