//! What package managers' hook files call.

use std::ffi::OsString;
use std::io::{IsTerminal, Read};

use clap::{Subcommand, ValueEnum};

use crate::adapters::{debian, in_line, kernel_install, pacman, rpm};
use crate::error::{Error, Result, exit};
use crate::machine::Machine;
use crate::report::{Console, summary};

/// A call of a hook file. None of them ends with another status than 0, so their words are not left to
/// the parser of arguments: what they are called with may grow.
#[derive(Debug, Subcommand)]
pub(super) enum Event {
    /// What Debian's hook files call
    #[command(hide = true)]
    Deb {
        /// Which hook
        event: DebEvent,
        /// The kernel release
        release: Option<String>,
        /// The kernel image
        image: Option<String>,
    },
    /// What the plugin of kernel-install calls
    #[command(hide = true)]
    KernelInstall {
        /// add|remove RELEASE ENTRY_DIR [IMAGE [INITRD…]]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// What the file triggers of the rpm call; reads paths from standard input
    #[command(hide = true)]
    Rpm {
        /// in|leaving|out
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// What the hooks of pacman call; reads targets from standard input
    #[command(hide = true)]
    Pacman {
        /// incoming|install|remove|initramfs
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DebEvent {
    KernelPostinst,
    KernelPrerm,
    KernelPostrm,
    HeaderPostinst,
    Trigger,
    Configure,
    Unconfigure,
    Summary,
}

impl Event {
    /// True when there is nothing to do whatever is on disk.
    pub(super) fn is_none_of_ours(&self) -> bool {
        match self {
            Self::KernelInstall { .. } => kernel_install::is_none_of_ours(),
            Self::Rpm { words } if first(words) == "leaving" => {
                // The transaction can still fail; what goes is seen when it has gone. rpm wants its list
                // read all the same.
                targets();
                true
            }
            _ => false,
        }
    }

    /// Does what the event asks for.
    pub(super) fn carry_out(&self, machine: &Machine, report: &Console) -> Result<()> {
        match self {
            Self::Deb { event, release, .. } => deb(machine, *event, release.as_deref(), report),
            Self::KernelInstall { words } => {
                let verb = match first(words).as_str() {
                    "add" => kernel_install::Verb::Add,
                    "remove" => kernel_install::Verb::Remove,
                    // kernel-install(8): plugins ignore verbs that they do not know.
                    _ => return Ok(()),
                };
                let kernel = in_line::release(&words.get(1).map(text).unwrap_or_default())?;
                let around = kernel_install::Surroundings::here();
                kernel_install::event(machine, verb, &kernel, &around, report)
            }
            Self::Rpm { words } => match first(words).as_str() {
                "in" => rpm::files_came(machine, &targets(), report),
                "out" => rpm::files_went(machine, report),
                other => Err(unknown("rpm", other)),
            },
            Self::Pacman { words } => match first(words).as_str() {
                "install" => pacman::installed(machine, &targets(), report),
                "remove" => pacman::removed(machine, &targets(), report),
                "incoming" => {
                    pacman::incoming(machine, &targets(), report);
                    Ok(())
                }
                "initramfs" => {
                    targets();
                    pacman::initramfs(machine, report)
                }
                other => Err(unknown("pacman", other)),
            },
        }
    }
}

fn text(word: &OsString) -> String {
    word.to_string_lossy().into_owned()
}

fn first(words: &[OsString]) -> String {
    words.first().map(text).unwrap_or_default()
}

fn unknown(command: &str, word: &str) -> Error {
    Error::new(exit::USAGE, format!("{command} does not know {word:?}"))
}

/// The lines of standard input. A person who tries the command out has none to give.
fn targets() -> Vec<String> {
    let mut bytes = Vec::new();
    let mut stdin = std::io::stdin();
    if !stdin.is_terminal() {
        // What was read before an error is as good as it was.
        let _ = stdin.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

fn deb(machine: &Machine, event: DebEvent, release: Option<&str>, report: &Console) -> Result<()> {
    let kernel = || {
        let text =
            release.ok_or_else(|| Error::new(exit::USAGE, "the hook was called without a kernel release"))?;
        in_line::release(text)
    };
    let event = match event {
        DebEvent::KernelPostinst => debian::Event::KernelPostinst,
        DebEvent::KernelPrerm => debian::Event::KernelPrerm,
        DebEvent::KernelPostrm => debian::Event::KernelPostrm,
        DebEvent::HeaderPostinst => debian::Event::HeaderPostinst,
        DebEvent::Trigger | DebEvent::Configure => return debian::trigger(machine, report),
        // What is built stays usable, by DKMS too; there is nothing to undo.
        DebEvent::Unconfigure => return Ok(()),
        DebEvent::Summary => return summary::print_unreported(&machine.layout, report),
    };
    let params = debian::maintainer_params(std::env::var("DEB_MAINT_PARAMS").ok().as_deref());
    debian::kernel_event(machine, event, &kernel()?, &params, report)
}
