//! opendag
fn main() {}
