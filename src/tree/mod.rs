//! DKMS's tree: where everything in it is, what is registered there, what we remember there, and the
//! lock that one run at a time holds on it.

pub mod failures;
pub mod half_pair;
pub mod held;
pub mod installed;
pub mod layout;
pub mod left;
pub mod lock;
pub mod notes;
pub mod recover;
pub mod registry;
pub mod state;
pub mod stub;
pub mod turn;
mod waiting;
