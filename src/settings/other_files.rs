//! Settings that are in files of their own.

use crate::conf::USUAL_LIMIT;
use crate::conf::evaluation::{self, Question};
use crate::conf::framework::Said;
use crate::fs::root::Root;
use crate::tree::layout::Layout;

/// What these files say.
#[derive(Debug, Clone, Default)]
pub(super) struct OtherFiles {
    /// ADDON_MODULES_DIR of `/etc/sysconfig/module-init-tools`, a file of shell assignments.
    pub(super) addon_modules_dir: Option<Said>,
    /// `/etc/dkms/dkms-hook-strict`, whose content does not matter.
    pub(super) strict: Option<Said>,
}

impl OtherFiles {
    pub(super) fn read(layout: &Layout) -> Self {
        let strict = layout.etc().join("dkms-hook-strict");
        let strict = strict.exists().then(|| Said {
            text: "yes".to_owned(),
            file: layout.root.inside(&strict),
            line: None,
        });
        Self { addon_modules_dir: addon_modules_dir(&layout.root), strict }
    }
}

fn addon_modules_dir(root: &Root) -> Option<Said> {
    const NAME: &str = "ADDON_MODULES_DIR";
    let file = root.path("/etc/sysconfig/module-init-tools");
    if !file.is_file() {
        return None;
    }
    let question = Question { exported: &[NAME], given: Vec::new(), limit: USUAL_LIMIT, foreign: false };
    let read =
        evaluation::open(root, &[&file]).and_then(|files| evaluation::evaluate(root, &question, &files));
    match read {
        Ok(answer) => {
            let text = answer.values.get(NAME)?.get(&0)?.clone();
            let line = answer.places.get(NAME).and_then(|place| place.line);
            Some(Said { text, file: root.inside(&file), line }).filter(|said| !said.text.is_empty())
        }
        Err(error) => {
            log::warn!("{error}");
            None
        }
    }
}
