//! `dkms-hook fits`: whether modules can be built for a kernel, or a kernel would take a module. Changes nothing.

use std::path::PathBuf;

use clap::Args;

use crate::adapters::incoming;
use crate::cli::root;
use crate::cli::screen::{print, to_json};
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::model::request::Wanted;
use crate::preflight::{self, Against, Hindrance};
use crate::progress::{Memory, Report};
use crate::report::fits::{Answer, Outcome};
use crate::report::json;

/// The exit status where nothing could be tried.
const UNTRIED: u8 = 2;

/// Say whether modules can be built for a kernel that is not installed, without changing anything
///
/// With --headers or --kernel-package, builds the registered modules with the headers in a directory or in packages;
/// with a module file and a kernel, compares the file's vermagic and symbols with that kernel. The exit status is 0 when everything fits or excludes the
/// kernel, 1 when something does not, and 2 when that could not be tried.
#[derive(Debug, Args)]
pub(super) struct Fits {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Build with the headers in this directory
    #[arg(long, value_name = "DIR", conflicts_with = "file")]
    headers: Option<PathBuf>,
    /// Build for the kernels in these packages (.rpm, .deb, .pkg.tar.*), with the headers in them
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["file", "headers"])]
    kernel_package: Vec<PathBuf>,
    /// Only this module, also one that is not built by itself; may be given several times
    #[arg(long, value_name = "NAME[/VERSION]", conflicts_with = "file")]
    module: Vec<String>,
    /// A module file
    #[arg(value_name = "FILE.ko", requires = "kernel")]
    file: Option<PathBuf>,
    /// The kernel to compare it with: a release that is installed, or a directory of headers
    #[arg(value_name = "KERNEL")]
    kernel: Option<String>,
}

impl Fits {
    /// Tries, and tells.
    pub(super) fn run(&self, machine: &Machine, report: &dyn Report) -> Result<u8> {
        if let (Some(file), Some(kernel)) = (&self.file, &self.kernel) {
            return self.file(machine, file, kernel);
        }
        let wanted = self.module.iter().map(|name| Wanted::parse(name)).collect::<Result<Vec<_>, _>>()?;
        // Whoever reads JSON reads nothing else.
        let silent = Memory::default();
        let tasks: &dyn Report = if self.json { &silent } else { report };
        let answers = if let Some(headers) = &self.headers {
            absolute(headers)
                .map_err(Hindrance::Other)
                .and_then(|headers| preflight::fits_headers(machine, &headers, &wanted, tasks))
        } else if self.kernel_package.is_empty() {
            let text = "fits needs --headers DIR, --kernel-package FILE, or FILE.ko and KERNEL";
            return Err(Error::new(Kind::Misuse(UNTRIED), text).hint("`dkms-hook fits --help` explains each"));
        } else {
            let packages: Vec<PathBuf> =
                self.kernel_package.iter().map(|path| root::as_opened(path)).collect();
            let (transaction, packages) = incoming::transaction(&packages, report);
            preflight::fits_packages(machine, &transaction, &packages, &wanted, tasks)
        };
        self.tell(answers, &wanted)
    }

    fn tell(&self, answers: Result<Vec<Answer>, Hindrance>, wanted: &[Wanted]) -> Result<u8> {
        let answers = match answers {
            Ok(answers) => answers,
            Err(hindrance) => return self.nothing(&hindrance),
        };
        let missing =
            wanted.iter().find(|wanted| !answers.iter().any(|answer| wanted.includes(&answer.cell.module)));
        if let Some(wanted) = missing {
            let text =
                format!("no module {wanted} is registered here; `dkms status` lists the modules that are");
            return self.nothing(&Hindrance::Other(text));
        }
        if self.json {
            print(&to_json(&json::fits(&answers))?);
        } else {
            print(&answers.iter().map(Answer::text).collect::<String>());
        }
        Ok(Outcome::of(&answers).exit_status())
    }

    fn file(&self, machine: &Machine, file: &std::path::Path, kernel: &str) -> Result<u8> {
        let path = root::as_opened(std::path::Path::new(kernel));
        let against = absolute(&path).or_else(|_| Ok::<_, Hindrance>(path.clone()));
        let answer = against.and_then(|path| {
            let against = Against::named(machine, kernel, &path)?;
            preflight::fits_file(machine, &root::as_opened(file), &against)
        });
        match answer {
            Ok(answer) => {
                if self.json {
                    print(&to_json(&json::file_fits(&answer))?);
                } else {
                    print(&answer.text());
                }
                Ok(answer.outcome.exit_status())
            }
            Err(hindrance) => self.nothing(&hindrance),
        }
    }

    /// Nothing could be tried.
    fn nothing(&self, hindrance: &Hindrance) -> Result<u8> {
        if self.json {
            print(&to_json(&json::nothing_fits(&hindrance.to_string()))?);
            return Ok(UNTRIED);
        }
        Err(Error::new(Kind::Misuse(UNTRIED), format!("cannot try: {hindrance}")))
    }
}

/// A directory by its path from `/`, as this process sees it.
fn absolute(dir: &std::path::Path) -> std::result::Result<PathBuf, String> {
    let dir = root::as_opened(dir);
    dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))
}
