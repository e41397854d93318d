//! Plain data that every room names. Imports nothing but itself; reads and writes no file.

pub mod blind;
pub mod directive;
pub mod error;
pub mod essential;
pub mod fit;
pub mod guard;
pub mod ids;
pub mod indexed;
pub mod inputs;
pub mod inside;
pub mod own_writes;
pub mod record;
pub mod request;
pub mod rival;
pub mod settings;
pub mod status;
pub mod system;
pub mod uses;
pub mod version;
