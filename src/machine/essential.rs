//! Which modules are essential, as a person changes it.

use super::Machine;
use crate::apply::essential;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::ModuleName;
use crate::model::settings::{Names, Settings, Value};
use crate::settings::{self, Environment, Given};
use crate::tree::registry;

impl Machine {
    /// Makes modules essential, or takes that back, in a drop-in of our own. The settings of this machine follow.
    ///
    /// # Errors
    /// When one of them is not registered, or was not essential; when the drop-in cannot be written; when another
    /// file overrules it.
    pub fn set_essential(&mut self, confirmed: &[ModuleName], not: &[ModuleName]) -> Result<()> {
        let mut wanted = self.settings.essential.value.clone();
        for name in confirmed {
            if registry::versions(&self.layout, name).is_empty() {
                return Err(Error::new(Kind::NotRegistered, format!("no module {name} is registered here"))
                    .hint(format!(
                        "`dkms status` lists the modules that are; `essential` in {} may name others",
                        essential::FILE
                    )));
            }
            wanted.add(name.clone());
        }
        for name in not {
            if !wanted.remove(name) {
                return Err(Error::new(Kind::NotRegistered, format!("{name} is not essential"))
                    .hint("`dkms-hook essential` lists the modules that are"));
            }
        }
        if wanted == self.settings.essential.value {
            return Ok(());
        }
        let before = essential::read(&self.layout);
        let settled = self.write_essential(&wanted)?;
        if settled.value != wanted {
            essential::put_back(&self.layout, before.as_deref())?;
            let who = &settled.origin;
            return Err(Error::new(Kind::NotPermitted, format!("{who} overrules {}", essential::FILE))
                .hint("change `essential` in that file, or delete the line"));
        }
        self.settings.essential = settled;
        Ok(())
    }

    /// Writes the drop-in, or deletes it where nothing is essential without it; what counts afterwards.
    fn write_essential(&self, wanted: &Names) -> Result<Value<Names>> {
        if wanted.is_empty() {
            essential::delete(&self.layout)?;
            let left = self.read_essential();
            if left.value.is_empty() {
                return Ok(left);
            }
        }
        essential::write(&self.layout, wanted)?;
        Ok(self.read_essential())
    }

    fn read_essential(&self) -> Value<Names> {
        let (Settings { essential, .. }, problem) =
            settings::load(&self.layout, &Environment::here(), &Given::default());
        if let Some(error) = problem {
            log::warn!("{error}");
        }
        essential
    }
}
