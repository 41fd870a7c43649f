//! The scheduler against simulated networks, and against arbitrary inputs.

mod arbitrary;
mod basics;
mod cost;
mod demand;
mod hostile;
mod limits;
mod shares;
mod sim;
