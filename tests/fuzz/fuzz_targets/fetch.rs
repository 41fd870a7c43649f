//! The fetch machine: whatever happens, its rules hold, and each request ends once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::fetching::{Driver, Run};

fuzz_target!(|run: Run| {
    Driver::after(&run);
});
