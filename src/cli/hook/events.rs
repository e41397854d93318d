//! What package managers' hook files call.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;

use clap::Subcommand;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::adapters::{apt, debian, dnf5, in_line, kernel_install, pacman, rpm};
use crate::apply::tell;
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::progress::Report;

/// A call of a hook file. Only what is asked before a transaction ends with another status than 0, so their words are
/// not left to the parser of arguments: what they are called with may grow.
#[derive(Debug, Subcommand)]
pub(super) enum Event {
    /// What Debian's hook files call
    #[command(hide = true)]
    Deb {
        /// HOOK [RELEASE [IMAGE]]
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
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
    /// What dnf5's plugin `actions` calls, in its mode `json`
    #[command(hide = true)]
    Dnf5 {
        /// None so far
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    /// What the hooks of pacman call; reads targets from standard input
    #[command(hide = true)]
    Pacman {
        /// incoming|leaving|install|remove|initramfs
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
}

/// The commands that package managers call, by their words.
const CALLED_BY_HOOKS: [&str; 6] = ["deb", "dnf5", "incoming", "kernel-install", "pacman", "rpm"];

/// True for a call of a package manager's hook, whatever else is wrong with its words.
pub(super) fn is_a_hooks_call(words: &[OsString]) -> bool {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let word = word.to_string_lossy();
        match word.as_ref() {
            // Their value is no command.
            "--root" | "--rebuild" | "--kernel" | "-k" => drop(words.next()),
            word if word.starts_with('-') => {}
            word => return CALLED_BY_HOOKS.contains(&word),
        }
    }
    false
}

impl Event {
    /// True when there is nothing to do whatever is on disk.
    pub(super) fn is_none_of_ours(&self) -> bool {
        match self {
            Self::KernelInstall { .. } => kernel_install::is_none_of_ours(),
            // The transaction can still fail; what goes is seen when it has gone.
            Self::Rpm { words } => first(words) == "leaving",
            _ => false,
        }
    }

    /// The lines that a package manager gives to the hook. They are read whatever becomes of the call:
    /// one that writes to nobody takes that for a failure, or ends.
    pub(super) fn input(&self) -> Vec<String> {
        match self {
            Self::Rpm { .. } | Self::Pacman { .. } => targets(),
            Self::Deb { words } if first(words) == "incoming" => targets(),
            Self::Deb { .. } | Self::KernelInstall { .. } | Self::Dnf5 { .. } => Vec::new(),
        }
    }

    /// Does what the event asks for, with what [`Self::input`] gave. The exit status is 3 where a transaction must not
    /// go on, and otherwise 0.
    pub(super) fn carry_out(&self, machine: &Machine, input: &[String], report: &dyn Report) -> Result<u8> {
        match self {
            Self::Dnf5 { .. } => {
                let mut replies = std::io::stdin().lock();
                let decision = dnf5::announce(machine, &mut replies, &mut std::io::stdout(), &Beside)?;
                Ok(decision.exit_status())
            }
            Self::Deb { words } if first(words) == "incoming" => {
                Ok(apt::incoming(machine, input, report)?.exit_status())
            }
            Self::Pacman { words } if first(words) == "incoming" => {
                Ok(pacman::incoming(machine, input, report).exit_status())
            }
            Self::Pacman { words } if first(words) == "leaving" => {
                Ok(pacman::leaving(machine, input, report).exit_status())
            }
            _ => self.bring_in_line(machine, input, report).map(|()| 0),
        }
    }

    fn bring_in_line(&self, machine: &Machine, input: &[String], report: &dyn Report) -> Result<()> {
        match self {
            Self::Deb { words } => deb(machine, words, report),
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
                "in" => rpm::files_came(machine, input, report),
                "out" => rpm::files_went(machine, report),
                other => Err(unknown("rpm", other)),
            },
            Self::Dnf5 { .. } => Ok(()),
            Self::Pacman { words } => match first(words).as_str() {
                "install" => pacman::installed(machine, input, report),
                "remove" => pacman::removed(machine, input, report),
                "initramfs" => pacman::initramfs(machine, report),
                other => Err(unknown("pacman", other)),
            },
        }
    }
}

/// For a person, where standard output belongs to somebody else.
struct Beside;

impl Report for Beside {
    fn line(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    fn warning(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "Warning: {text}");
    }
    fn begin(&self, _: &str) {}
    fn end(&self, _: i32) {}
}

fn text(word: &OsString) -> String {
    word.to_string_lossy().into_owned()
}

fn first(words: &[OsString]) -> String {
    words.first().map(text).unwrap_or_default()
}

fn unknown(command: &str, word: &str) -> Error {
    Error::new(Kind::Misuse(1), format!("{command} does not know {word:?}"))
}

/// How long nobody may write to standard input before the list there counts as complete, in milliseconds: whoever holds
/// it open may not be the package manager.
const SILENCE: u16 = 60_000;

/// The lines of standard input. A person who tries the command out has none to give.
fn targets() -> Vec<String> {
    let mut bytes = Vec::new();
    let stdin = std::io::stdin();
    let mut part = vec![0; 1 << 16];
    while !stdin.is_terminal() {
        let mut files = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut files, PollTimeout::from(SILENCE)) {
            Err(Errno::EINTR) => continue,
            Ok(0) => {
                log::warn!("standard input does not end; going on with what came so far");
                break;
            }
            _ => {}
        }
        // The lines read before an error still count.
        match nix::unistd::read(&stdin, &mut part) {
            Ok(count @ 1..) => bytes.extend(&part[..count]),
            Err(Errno::EINTR) => {}
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

fn deb(machine: &Machine, words: &[OsString], report: &dyn Report) -> Result<()> {
    let kernel = || {
        let release = words
            .get(1)
            .ok_or_else(|| Error::new(Kind::Misuse(1), "the hook was called without a kernel release"))?;
        in_line::release(&text(release))
    };
    let event = match first(words).as_str() {
        "kernel-postinst" => debian::Event::KernelPostinst,
        "kernel-prerm" => debian::Event::KernelPrerm,
        "kernel-postrm" => debian::Event::KernelPostrm,
        "header-postinst" => debian::Event::HeaderPostinst,
        "trigger" | "configure" => return debian::trigger(machine, report),
        // What is built stays usable, by DKMS too; there is nothing to undo.
        "unconfigure" => return Ok(()),
        "summary" => return tell::print_unreported(&machine.layout, machine.patience(), report),
        other => return Err(unknown("deb", other)),
    };
    let params = debian::maintainer_params(std::env::var("DEB_MAINT_PARAMS").ok().as_deref());
    debian::kernel_event(machine, event, &kernel()?, &params, report)
}
