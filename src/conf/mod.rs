//! dkms.conf and framework.conf: from files to values.
//!
//! Knows nothing of plans or builds. A dkms.conf is read for one kernel and architecture, because
//! its values may depend on both.

pub mod model;
