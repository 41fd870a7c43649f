//! The command line under its own name.

use std::process::ExitCode;

fn main() -> ExitCode {
    opendag_cli::main()
}
