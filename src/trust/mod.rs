//! What this machine trusts: the firmware's keys, certificates, and signatures made with them.

pub mod firmware;
pub mod pki;
