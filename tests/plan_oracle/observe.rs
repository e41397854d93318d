//! What the program would see of a machine.

use std::collections::BTreeMap;

use dkms_hook::model::blind::{Blind, Cause};
use dkms_hook::model::error::Error;
use dkms_hook::model::fit::{Compared, Fit, Misfit, Rebuild};
use dkms_hook::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use dkms_hook::model::inputs::{Headers, Inputs};
use dkms_hook::model::record::{
    Facts, FailureNote, InitramfsDue, InstalledFile, Kept, KernelNote, Overrides, Provenance, Record, Verdict,
};
use dkms_hook::model::rival::{Labels, Rival};
use dkms_hook::model::system;
use dkms_hook::model::system::{Adopting, CellView, Contents, Installing};
use dkms_hook::model::system::{InstallTree, Now, Signature, Source, System, TreePlace};

use crate::machine::{
    Build, Conf, GONE, K, KERNELS, M, Machine, Made, NAMES, Name, Registered, Thing, Tree, VERSIONS,
    has_symbol_versions, same_symbols,
};

pub fn arch() -> Arch {
    Arch::new("x86_64").unwrap()
}

pub fn release(k: K) -> KernelRelease {
    KernelRelease::new(KERNELS[usize::from(k)]).unwrap()
}

pub fn id(m: M) -> ModuleId {
    ModuleId::new(NAMES[usize::from(m.0)], VERSIONS[usize::from(m.1)]).unwrap()
}

/// The kernel of a release.
pub fn k_of(release: &KernelRelease) -> K {
    KERNELS.iter().position(|r| *r == release.as_str()).unwrap() as K
}

/// The module version of an id.
pub fn m_of(id: &ModuleId) -> M {
    let name = NAMES.iter().position(|n| *n == id.name.as_str()).unwrap();
    M(name as u8, VERSIONS.iter().position(|v| *v == id.version.as_str()).unwrap() as u8)
}

pub fn headers_package(k: K) -> String {
    format!("linux-headers-{}", KERNELS[usize::from(k)])
}

fn headers(revision: u8) -> Headers {
    Headers { version: Some(format!("#{} SMP", revision / 2)), content: format!("headers {revision}") }
}

/// What the program would write down of something made from this.
pub fn inputs(machine: &Machine, made: &Made) -> Inputs {
    let depends = made
        .deps
        .iter()
        .map(|(name, print)| (NAMES[usize::from(*name)].to_owned(), machine.fingerprints[print].clone()));
    Inputs {
        source: format!("source {}", made.source),
        conf: format!("{:?} {:?}", made.m, made.conf),
        overrides: format!("patches {}", made.patches),
        headers: headers(made.headers),
        compiler: match made.compiler {
            GONE => "gcc-14".to_owned(),
            version => format!("gcc-14 14.{version}"),
        },
        rustc: None,
        compression: ["xz", "zst"][usize::from(made.compression)].to_owned(),
        signing: made.key.map(|key| format!("key {key}")),
        depends: depends.collect(),
    }
}

fn facts(conf: &Conf, k: K) -> Facts {
    Facts {
        modules: Vec::new(),
        by_shell: false,
        unsteady: Vec::new(),
        autoinstall: !conf.manual,
        depends: conf.needs.iter().map(|n| NAMES[usize::from(*n)].to_owned()).collect(),
        depends_rebuild: conf.rebuilds,
        exclusion: conf.refuses(k).then(|| "its BUILD_EXCLUSIVE_KERNEL does not match".to_owned()),
    }
}

/// The whole machine, as a run sees it that is about these kernels (all when `None`).
pub fn observe(machine: &Machine, named: Option<&[K]>) -> System {
    let machine = &*machine.as_seen();
    let mut system = System {
        arch: Some(arch()),
        autoinstall_disabled: machine.no_autoinstall,
        rebuild: if machine.abi { Rebuild::Abi } else { Rebuild::Inputs },
        only_newest: machine.only_newest,
        modules: machine.modules.iter().map(|(m, known)| (id(*m), source(machine, *m, known))).collect(),
        install_tree: install_tree(machine),
        ..System::default()
    };
    let all: Vec<K> = (0..KERNELS.len() as K).collect();
    let contents =
        Contents { held: Some(machine.early.iter().map(|n| name_of(*n)).collect()), ..Contents::default() };
    for k in named.unwrap_or(&all).iter().copied().filter(|k| machine.knows(*k)) {
        system.kernels.insert(release(k), kernel(machine, k));
        system.contents.insert(release(k), contents.clone());
        for m in machine.modules.keys() {
            system
                .cells
                .insert(Cell { module: id(*m), kernel: release(k), arch: arch() }, view(machine, *m, k));
            let cell = Cell { module: id(*m), kernel: release(k), arch: arch() };
            system.installs.insert(cell.clone(), installing(machine, *m, k));
            if let Some(active) = machine.active.get(&(m.0, k)).filter(|active| active.m == *m) {
                let found = Adopting { modules: vec![name_of(m.0)], newest: Some(active.since) };
                system.adoptions.insert(cell.clone(), found);
            }
            if let Some(build) = machine.builds.get(&(*m, k)) {
                system.signatures.insert(cell, signature(machine, build, k));
            }
        }
    }
    system
}

/// The name of a module, and of its one file.
pub fn name_of(name: Name) -> String {
    NAMES[usize::from(name)].to_owned()
}

/// A module of the kernel's own has version 2, all of ours version 1.
fn installing(machine: &Machine, m: M, k: K) -> Installing {
    let labels = |version: &str| Labels { version: version.to_owned(), ..Labels::default() };
    let rival = Rival {
        of: None,
        unread: None,
        module: name_of(m.0),
        path: "/lib/modules/its/kernel/own.ko".into(),
        labels: labels("2"),
    };
    Installing {
        rivals: machine.keeps_its_own(m.0, k).then_some(rival).into_iter().collect(),
        built: machine.builds.get(&(m, k)).map(|_| (name_of(m.0), Some(labels("1")))).into_iter().collect(),
        ..Installing::default()
    }
}

/// Something that could not be looked at.
fn blind(path: &str) -> Blind {
    Blind::new(path, Cause::Os(5))
}

fn install_tree(machine: &Machine) -> InstallTree {
    let place =
        |path: &str| TreePlace { path: path.into(), mounted: "/".into(), kind: "ext4".to_owned(), id: None };
    match machine.tree() {
        Tree::Sound => InstallTree::Sound,
        Tree::Empty(same) => InstallTree::NoKernel { dir: "/lib/modules".into(), same },
        Tree::Other => InstallTree::Other { was: place("/lib/modules"), is: place("/lib/modulez") },
        Tree::Unreadable => InstallTree::Blind(blind("/lib/modules")),
    }
}

fn source(machine: &Machine, m: M, known: &Registered) -> Source {
    if machine.is_unseen(Thing::Source(m)) {
        return Source::Blind(blind("/usr/src"));
    }
    if known.present { Source::Added } else { Source::Dangling("/usr/src/gone".into()) }
}

fn kernel(machine: &Machine, k: K) -> system::Kernel {
    let known = &machine.kernels[usize::from(k)];
    let due = known.note.initramfs.as_ref().map(|due| InitramfsDue {
        since: due.since,
        always: due.always,
        modules: due.modules.iter().map(|n| NAMES[usize::from(*n)].to_owned()).collect(),
    });
    system::Kernel {
        linked: false,
        image: known.image,
        headers: known.headers.is_some(),
        indexed: known.indexed.is_some(),
        indexed_at: known.indexed,
        unversioned: false,
        headers_package: headers_package(k),
        note: KernelNote {
            waiting: known.note.waiting.clone(),
            removed: known.note.removed,
            boot_entry_removed: known.note.no_boot_entry,
            depmod_due: known.note.depmod_due,
            depmod_left_at: known.note.depmod_left,
            initramfs_due: due,
        },
        unread_note: machine.is_unseen(Thing::Note(k)).then(|| blind("/var/lib/dkms/.dkms-hook/kernels")),
        blind: machine.is_unseen(Thing::Kernel(k)).then(|| blind("/lib/modules")),
        residue: machine.residue(k),
        initramfs: known.initramfs,
        unseen_initramfs: (known.image && machine.is_unseen(Thing::Boot(k))).then(|| blind("/boot")),
    }
}

fn view(machine: &Machine, m: M, k: K) -> CellView {
    let known = &machine.modules[&m];
    let build = machine.builds.get(&(m, k));
    let now = if machine.kernels[usize::from(k)].headers.is_none() {
        Now::NoHeaders
    } else {
        match machine.now(m, k) {
            None => Now::Unreadable(Error::new(dkms_hook::model::error::Kind::ConfInvalid, "line 3")),
            Some(made) => {
                let inputs = inputs(machine, &made).into();
                Now::Judged { facts: facts(&known.conf, k), inputs, stamp: String::new() }
            }
        }
    };
    let written = build.and_then(|b| b.written.as_ref().map(|w| (b, w)));
    let record = written.map(|(build, written)| Record {
        inputs: inputs(machine, &build.made).into(),
        provenance: Provenance::BuiltHere,
        kept: written.kept.map(|revision| Kept { headers: headers(revision), compared: compared(k) }),
        stamp: String::new(),
        facts: facts(&build.made.conf, k),
        installed: if written.files {
            vec![InstalledFile::planned("/lib/modules/x.ko".into(), &format!("{}.ko", name_of(m.0)))]
        } else {
            Vec::new()
        },
        refused: written.refused.then(|| "the kernel has a newer one".to_owned()),
        without_image: written.without_image,
        overrides: Overrides::default(),
        effort: None,
    });
    let foreign = build.filter(|b| b.written.is_none());
    let installed = machine.installed(m.0, k) == Some(m);
    CellView {
        directive: None,
        cached: is_cached(m, k),
        built: build.is_some(),
        installed,
        intact: machine.intact(m, k),
        record,
        verdict: machine.verdicts.get(&(m, k)).map(|verdict| Verdict {
            inputs: inputs(machine, &verdict.made),
            stamp: String::new(),
            facts: facts(&verdict.made.conf, k),
            failure: Some(failure(verdict.provisional)),
        }),
        unread_verdict: machine.is_unseen(Thing::Verdict(m, k)).then(|| blind("/var/lib/dkms/.dkms-hook")),
        blind: machine.is_unseen(Thing::Build(m, k)).then(|| blind("/var/lib/dkms")),
        provenance: build.map(|b| match (&b.written, b.loaded) {
            (Some(_), _) => Provenance::BuiltHere,
            (None, true) => Provenance::Archive,
            (None, false) => Provenance::Dkms,
        }),
        autoinstall: foreign.is_some_and(|b| b.loaded)
            && now == Now::NoHeaders
            && known.present
            && !known.conf.broken
            && !known.conf.manual,
        vermagic_matches: foreign.is_some_and(|b| b.fits_kernel),
        fit: fit(machine, m, k, installed),
        now,
    }
}

fn fits(k: K) -> Fit {
    Fit::Fits(compared(k))
}

fn compared(k: K) -> Compared {
    Compared { symbols: 5, types: (!has_symbol_versions(k)).then_some(40) }
}

/// How a build stands to the headers, where that is looked at.
fn fit(machine: &Machine, m: M, k: K, installed: bool) -> Option<Fit> {
    let build = machine.builds.get(&(m, k))?;
    let now = machine.now(m, k)?;
    // Where symbols have no versions, what is written down at a build takes their place.
    let symbols = || match has_symbol_versions(k) || build.uses && build.written.is_some() {
        false => Fit::Unknown,
        true if same_symbols(build.made.headers, now.headers) => fits(k),
        true if has_symbol_versions(k) => {
            Fit::Not(Misfit::Vermagic { word: "SMP".to_owned(), missing: true })
        }
        true => Fit::Not(Misfit::Configuration),
    };
    match &build.written {
        None if !build.fits_kernel => None,
        None if build.outdated && !build.loaded => {
            Some(Fit::Not(Misfit::SourceIsNewer { file: "a.c".into() }))
        }
        None => Some(symbols()),
        Some(written) if written.kept == Some(now.headers) => Some(fits(k)),
        Some(_) if !installed => None,
        Some(_) => crate::spec::only_headers_differ(&now, &build.made).then(symbols),
    }
}

/// Something signs here: not without a key, nor without the tool that comes with the headers.
pub fn can_sign(machine: &Machine, k: K) -> bool {
    machine.key.is_some() && machine.kernels[usize::from(k)].headers.is_some()
}

fn signature(machine: &Machine, build: &Build, k: K) -> Signature {
    match machine.key {
        Some(key) if can_sign(machine, k) && build.bears == Some(key) => {
            Signature::Ours { certificate: format!("key {key}") }
        }
        Some(_) if can_sign(machine, k) => Signature::Other,
        _ => Signature::Impossible("nothing signs here".to_owned()),
    }
}

/// A failure, of the build or of the toolchain.
fn failure(provisional: bool) -> FailureNote {
    FailureNote {
        kind: dkms_hook::model::error::Kind::Make,
        what: "make failed".to_owned(),
        first_errors: Vec::new(),
        log: None,
        hint: None,
        when: 0,
        provisional,
        by_source: !provisional,
        reported: false,
    }
}

/// Fingerprints are made by the program; ours are only for looking them up.
pub fn learn(machine: &mut Machine, made: &Made) {
    let print = made.print();
    if !machine.fingerprints.contains_key(&print) {
        let fingerprint = inputs(machine, made).fingerprint();
        machine.fingerprints.insert(print, fingerprint);
    }
}

/// For each kernel, everything of a machine that its modules could tell: to compare trees.
pub fn installed(machine: &Machine) -> BTreeMap<(u8, K), &Made> {
    let at = |(name, k): &(u8, K)| {
        let m = machine.installed(*name, *k)?;
        Some(((*name, *k), &machine.builds[&(m, *k)].made))
    };
    machine.active.keys().filter_map(at).collect()
}

/// Whether the cache has what would be built for a cell: no matter of the machine's state, so any half of them.
pub fn is_cached(m: M, k: K) -> bool {
    !(usize::from(m.0) + usize::from(m.1) + usize::from(k)).is_multiple_of(2)
}
