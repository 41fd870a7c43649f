//! The same program as `opendag`, under the short name `node`.

use std::process::ExitCode;

fn main() -> ExitCode {
    opendag_cli::main()
}
