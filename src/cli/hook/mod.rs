//! The `dkms-hook` face: what package managers' hooks and administrators call.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::adapters::{dpkg, rpm};
use crate::apply::run::Flags;
use crate::cli::boot_check;
use crate::cli::dkms::module_postinst;
use crate::cli::essential;
use crate::cli::fits;
use crate::cli::incoming;
use crate::cli::kernels;
use crate::cli::root::enter;
use crate::cli::screen::{Screen, print, to_json};
use crate::cli::secure_boot::SecureBoot;
use crate::cli::worker::{self, Worker};
use crate::conf;
use crate::display::{Display, Wish};
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::model::fit::Rebuild;
use crate::model::ids::KernelRelease;
use crate::model::record::Overrides;
use crate::model::request::{Request, Wanted};
use crate::plan::{Note, Options, Plan};
use crate::progress::Report;
use crate::report::{json, overview, plan_text, settings_text, why};
use crate::settings::Given;
use crate::tree::held;

mod events;

/// Keeps out-of-tree kernel modules up to date with the kernels on disk.
///
/// Builds, installs or purges exactly the modules that need it, and changes nothing when all is well.
/// Without --kernel, for every kernel on disk.
#[derive(Debug, Parser)]
#[command(name = "dkms-hook", version)]
struct Cli {
    /// Update this kernel only; may be given several times
    #[arg(short, long, value_name = "RELEASE")]
    kernel: Vec<String>,
    /// Print what would be done and why; change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print the plan as JSON; implies --dry-run
    #[arg(long)]
    json: bool,
    /// Also delete what was built for missing kernels when nothing proves that they are gone for good: no
    /// kernel is on disk at all, or the directory of the kernels is another one than at the last run
    #[arg(long)]
    purge_missing: bool,
    /// When only a kernel's headers changed: `inputs` rebuilds, `abi` keeps modules whose imported
    /// symbols are the same. Only for this run; the default is in framework.conf
    #[arg(long, value_name = "POLICY", global = true, value_parser = rebuild)]
    rebuild: Option<Rebuild>,
    /// Work on the system in this directory instead of this one
    #[arg(long, value_name = "DIR", global = true)]
    root: Option<PathBuf>,
    /// More output; -vv for debugging
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show kernels and modules, what failed, and what waits for headers
    ///
    /// The exit status is 1 when something failed.
    Status {
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign built and installed modules with the current key, without rebuilding them
    ///
    /// Modules already signed with it are left alone.
    Resign {
        /// Only for this kernel release; may be given several times
        #[arg(short, long, value_name = "RELEASE")]
        kernel: Vec<String>,
        /// Print what would be done; change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Only what was built here without a signature, as in an image
        #[arg(long)]
        unsigned: bool,
        /// Only these modules
        #[arg(value_name = "NAME[/VERSION]")]
        modules: Vec<String>,
    },
    /// Explain why a module is built, installed or left alone, for each kernel
    Why {
        /// The module: its name, or NAME/VERSION
        module: String,
        /// Only this kernel; may be given several times
        #[arg(short, long, value_name = "RELEASE")]
        kernel: Vec<String>,
    },
    BootCheck(boot_check::BootCheck),
    Essential(essential::Essential),
    Kernels(kernels::Kernels),
    Incoming(incoming::Incoming),
    Fits(fits::Fits),
    SecureBoot(SecureBoot),
    /// Let the next transaction go on that would be held for a module that cannot be built
    ///
    /// Counts for one transaction, and for a day.
    GoOn,
    /// Show every setting, its value and where that comes from
    Settings {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Event(events::Event),
    /// What the maintainer scripts of module packages call
    #[command(hide = true)]
    ModulePostinst {
        /// NAME VERSION [TARBALL_ROOT] [ARCH] [UPGRADE]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

impl Cli {
    /// True for what changes nothing.
    fn only_looks(&self) -> bool {
        match &self.command {
            None => self.dry_run || self.json,
            Some(Command::Resign { dry_run, .. }) => *dry_run,
            Some(
                Command::Status { .. }
                | Command::Why { .. }
                | Command::Settings { .. }
                | Command::BootCheck(_)
                | Command::Kernels(_)
                | Command::Incoming(_),
            ) => true,
            Some(Command::Essential(essential)) => essential.only_looks(),
            Some(Command::SecureBoot(asked)) => asked.only_looks(),
            // It builds, where nobody sees it.
            Some(Command::Fits(_) | Command::GoOn | Command::Event(_) | Command::ModulePostinst { .. }) => {
                false
            }
        }
    }

    fn display(&self) -> Display {
        let person: fn() -> bool = match self.command {
            // Hooks, and what packages' scripts call: what they print is kept in a log.
            Some(Command::Event(_) | Command::Incoming(_) | Command::ModulePostinst { .. }) => || false,
            _ => worker::is_a_person,
        };
        Display::new(Wish { quiet: false, verbose: self.verbose > 0, exact: false, person })
    }
}

/// Runs the command and returns its exit status.
pub fn main(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let harmless = !error.use_stderr() || events::is_a_hooks_call(&words);
            return if harmless { 0 } else { Kind::Misuse(2).exit_status() };
        }
    };
    let level = ["warn", "info", "debug"][usize::from(cli.verbose.min(2))];
    let env = env_logger::Env::default().filter_or("DKMS_HOOK_LOG", level);
    let report = cli.display();
    let messages = env_logger::Target::Pipe(report.for_messages());
    let _ = env_logger::Builder::from_env(env).format_timestamp(None).target(messages).try_init();
    match run(&cli, &report) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "dkms-hook: {error}");
            match cli.command {
                // A hook never takes the package manager down with it.
                Some(Command::Event(_) | Command::Incoming(_) | Command::BootCheck(_)) => 0,
                _ => error.kind.exit_status(),
            }
        }
    }
}

fn run(cli: &Cli, report: &Display) -> Result<u8> {
    if cli.command.is_some() && cli.purge_missing {
        return Err(Error::new(Kind::Misuse(2), "--purge-missing goes with no command"));
    }
    if cli.command.is_some() && (cli.dry_run || cli.json || !cli.kernel.is_empty()) {
        let text = "put these options after the command: --kernel, --dry-run, --json";
        return Err(Error::new(Kind::Misuse(2), text).hint(
            "for example `dkms-hook status --json`; `dkms-hook COMMAND --help` lists what a command \
                   accepts",
        ));
    }
    let mut input = Vec::new();
    if let Some(Command::Event(event)) = &cli.command {
        input = event.input();
        if event.is_none_of_ours() {
            return Ok(0);
        }
    }
    let given = Given { rebuild: cli.rebuild, ..Given::default() };
    let mut machine = Machine::open(enter(cli.root.as_deref())?, &given, report)?;
    let event = matches!(cli.command, Some(Command::Event(_)));
    if cli.only_looks() {
        conf::only_look();
    }
    machine.anew = !event && !dpkg::in_maintainer_script() && !rpm::in_scriptlet();
    match &cli.command {
        None => bring_in_line(cli, &machine, report),
        Some(Command::Status { json }) => status(&machine, *json),
        Some(Command::Resign { kernel, dry_run, unsigned, modules }) => {
            let modules = modules.iter().map(|m| Wanted::parse(m)).collect::<Result<_, _>>()?;
            let request = Request::Resign { kernels: kernels(kernel)?, modules, unsigned: *unsigned };
            carry_out(&machine, &request, &Options::default(), *dry_run, report)
        }
        Some(Command::BootCheck(check)) => check.run(&machine),
        Some(Command::Essential(essential)) => essential.run(&mut machine),
        Some(Command::Kernels(kernels)) => kernels.run(&machine),
        Some(Command::Incoming(incoming)) => incoming.run(&machine, report),
        Some(Command::Fits(fits)) => fits.run(&machine, report),
        Some(Command::SecureBoot(asked)) => asked.run(&machine, report),
        Some(Command::GoOn) => go_on(&machine, report),
        Some(Command::Settings { json }) => settings(&machine, *json),
        Some(Command::Why { module, kernel }) => why(&machine, &Wanted::parse(module)?, kernel),
        Some(Command::Event(event)) => event.carry_out(&machine, &input, report),
        Some(Command::ModulePostinst { args }) => {
            let mut worker = Worker::new(machine, cli.display());
            let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
            Ok(module_postinst(&mut worker, args, &mut Screen::new(&mut out, &mut err)))
        }
    }
}

fn everything() -> Request {
    Request::Reconcile { kernels: None, retry: false }
}

fn status(machine: &Machine, json: bool) -> Result<u8> {
    let (system, plan) = machine.glance(&everything(), &Options::default(), &Overrides::default());
    let signing = machine.signing(&system);
    let (mut text, mut failed) = overview::render(&system, &plan, &signing);
    let held = held::held(&machine.layout).map(|held| held.text);
    failed |= held.is_some();
    if let Some(held) = &held {
        text.push_str(&format!("held: {}\n", held.replace('\n', "\n  ")));
    }
    if json {
        print(&to_json(&json::status(&system, &plan, &signing, held.as_deref(), failed))?);
    } else {
        print(&text);
    }
    Ok(u8::from(failed))
}

/// Gives the word to go on.
fn go_on(machine: &Machine, report: &Display) -> Result<u8> {
    if machine.layout.root.is_slash() && !nix::unistd::geteuid().is_root() {
        return Err(Error::new(Kind::NotPermitted, "only root may let a transaction go on")
            .hint("run it again with sudo"));
    }
    held::let_go_on(&machine.layout)?;
    report.line("The next transaction that would be held for a module goes on, if it begins within a day.");
    Ok(0)
}

fn settings(machine: &Machine, json: bool) -> Result<u8> {
    if json {
        print(&to_json(&json::settings(&machine.settings))?);
    } else {
        print(&settings_text::render(&machine.settings));
    }
    Ok(0)
}

fn rebuild(text: &str) -> Result<Rebuild, String> {
    Rebuild::parse(text).ok_or_else(|| "use `inputs` or `abi`".to_owned())
}

/// The kernels that were named; `None` for all.
fn kernels(names: &[String]) -> Result<Option<Vec<KernelRelease>>> {
    let kernels = names.iter().map(|k| KernelRelease::new(k.as_str())).collect::<Result<Vec<_>, _>>()?;
    Ok((!kernels.is_empty()).then_some(kernels))
}

fn bring_in_line(cli: &Cli, machine: &Machine, report: &Display) -> Result<u8> {
    let request = Request::Reconcile { kernels: kernels(&cli.kernel)?, retry: false };
    let options = Options { kernel_event: true, purge_missing: cli.purge_missing, ..Options::default() };
    if cli.json {
        let (system, plan) = machine.plan(&request, &options, &Overrides::default());
        print(&to_json(&json::plan(&system, &plan))?);
        return Ok(code_of_plan(&plan));
    }
    carry_out(machine, &request, &options, cli.dry_run, report)
}

fn code_of_plan(plan: &Plan) -> u8 {
    let unknown = plan.notes.iter().any(|n| matches!(n, Note::UnknownKernel { .. }));
    match unknown {
        true => Kind::UnknownKernel.exit_status(),
        false if plan.notes.iter().any(Note::is_blind) => Kind::Unseen.exit_status(),
        false => 0,
    }
}

/// Does what is asked and tells about it, or tells what would be done.
fn carry_out(
    machine: &Machine,
    request: &Request,
    options: &Options,
    dry_run: bool,
    report: &Display,
) -> Result<u8> {
    let person = !dpkg::in_maintainer_script();
    let overrides = Overrides::default();
    if dry_run {
        let (_, plan) = machine.plan(request, options, &overrides);
        print(&plan_text::render(&plan));
        return Ok(code_of_plan(&plan));
    }
    if machine.layout.root.is_slash() && !nix::unistd::geteuid().is_root() {
        return Err(Error::new(Kind::NotPermitted, "only root may change modules")
            .hint("run it again with sudo, or with --dry-run to see what it would do"));
    }
    let flags = Flags { interactive: person, ..Flags::default() };
    let ran = machine.run(request, options, &overrides, &flags, report)?;
    for (_, error) in ran.errors() {
        report.warning(&error.to_string());
    }
    for note in &ran.plan.notes {
        if note.is_failure() {
            report.warning(&note.text());
        } else {
            report.line(&note.text());
        }
    }
    if ran.plan.is_empty() {
        report.line("nothing to do");
    }
    ran.stop().map_or(Ok(ran.code()), Err)
}

fn why(machine: &Machine, module: &Wanted, named: &[String]) -> Result<u8> {
    let kernels = kernels(named)?;
    let request = Request::Reconcile { kernels: kernels.clone(), retry: false };
    let (system, plan) = machine.plan(&request, &Options::default(), &Overrides::default());
    let unknown = kernels.into_iter().flatten().find(|kernel| !system.kernels.contains_key(kernel));
    if let Some(error) = unknown.and_then(|kernel| Note::UnknownKernel { kernel }.error()) {
        return Err(error);
    }
    let text = why::render(&system, &plan, module).ok_or_else(|| {
        Error::new(Kind::NotRegistered, format!("no module {module} is registered here"))
            .hint("`dkms status` lists the modules that are")
    })?;
    print(&text);
    Ok(code_of_plan(&plan))
}
