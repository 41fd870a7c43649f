//! `testnet`: asks the library `opendag-testnet` and prints what it says.

use crate::{commands::TestnetCommand, error::CliError, output::Output, settings::Settings};

/// Runs a command below `testnet`.
pub(crate) async fn run(_: TestnetCommand, _: Settings, _: &Output) -> Result<(), CliError> {
    Ok(())
}
