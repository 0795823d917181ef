//! The setup commands on the real servers: what they plan, make, repair and take away.

mod cuts;
mod druid;
mod edits;
mod examples;
mod names;
mod superset;
mod titles;

use std::time::Duration;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(180);
