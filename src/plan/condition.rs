//! What a step depends on beside the steps that it needs: known only when its turn comes.

use std::fmt;

use crate::model::rival::Rival;

/// Whether a step is carried out when its turn comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    /// Whatever happens.
    #[default]
    Always,
    /// If none of these modules, which the kernel has already or by then, is newer than the one of the build, or the
    /// same. A module for which one is, is left out; when that is all of them, the step fails.
    NotOlder {
        /// They.
        than: Vec<Rival>,
    },
    /// If this run has changed files of the kernel's modules: of these; of any when none is named. Without it,
    /// all that would have changed them failed.
    Changed {
        /// Names of the modules, without `.ko`.
        modules: Vec<String>,
    },
    /// If the initramfs holds one of these modules, or the settings of its generator name one. Only in a plan
    /// that was made without a look into it.
    InInitramfs {
        /// Their names, without `.ko`.
        modules: Vec<String>,
    },
    /// If the link is there, and leads nowhere or to a module that the kernel would refuse.
    LinkMisfit,
}

impl Condition {
    /// For a step that any change of a kernel's modules needs.
    pub(super) fn any_change() -> Self {
        Self::Changed { modules: Vec::new() }
    }

    /// True when there is nothing to wait for.
    pub fn is_always(&self) -> bool {
        *self == Self::Always
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::NotOlder { than } => {
                f.write_str("if it is newer than ")?;
                for (index, Rival { module, path, labels, of, .. }) in than.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    if let Some(of) = of {
                        write!(f, "{comma}{module} of {}", of.module)?;
                        continue;
                    }
                    match labels.version.as_str() {
                        "" => write!(f, "{comma}{}", path.display())?,
                        version => write!(f, "{comma}{} (version {version})", path.display())?,
                    }
                }
                Ok(())
            }
            Self::Changed { modules } if modules.is_empty() => {
                f.write_str("if a module of the kernel has changed by then")
            }
            Self::Changed { modules } => write!(f, "if {} has changed by then", modules.join(" or ")),
            Self::LinkMisfit => f.write_str("if it is there and does not fit"),
            Self::InInitramfs { modules } => write!(f, "if it holds {}", modules.join(" or ")),
        }
    }
}
