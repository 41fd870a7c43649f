//! The fetch machine: from wherever inputs lead, one honest peer brings it to its end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_fuzz::fetching::{Driver, Run};

fuzz_target!(|run: Run| {
    Driver::after(&run).finish_with_one_honest_peer();
});
