//! What is wrong with the servers, or with the picture, is named; and `up` comes to a picture that is right.

mod doctor;
mod status;
mod up;
mod verify;

use std::time::Duration;

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(180);
