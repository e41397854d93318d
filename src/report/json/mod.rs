//! JSON for programs, in types of its own: a variant or field that is renamed in the program keeps its public
//! name here. docs/json.md and the schemas beside it describe it; tests/fixtures has what was printed before.

mod action;
mod condition;
mod essential;
mod fits;
mod incoming;
mod kernels;
mod note;
mod parts;
mod plan;
mod reason;
mod secure_boot;
mod settings;
mod status;

pub use essential::essential;
pub use fits::{file_fits, fits, nothing_fits};
pub use incoming::incoming;
pub use kernels::kernels;
pub use plan::plan;
pub use secure_boot::secure_boot;
pub use settings::settings;
pub use status::status;

/// The number of the form of all JSON that this program prints. It rises when a name that was there is
/// taken away or means something else; names and variants may be added without that.
const FORMAT: u32 = 1;

/// A view as JSON. It has no map with keys that are no texts, which is all that can go wrong.
fn value(view: impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(view).unwrap_or_default()
}
