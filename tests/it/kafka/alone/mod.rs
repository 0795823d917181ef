//! Tests that want the machine to themselves: they tell how long something takes, or aim at a moment of a few milliseconds.

mod kills;
mod latency;
mod poison_time;
mod restart_time;
