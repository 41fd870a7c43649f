//! How the C library hands out memory: set once, before there are threads.

/// Heaps that threads share. By default there are eight for each core, and what was freed in one is of no use to the
/// others: half of the memory of a node with 50,000 files.
const HEAPS_MAX: i32 = 2;
/// Blocks up to this size come from the heap. By default buffers of transfers are mapped anew each time, and the
/// kernel clears every page of them.
const MAPPED_BYTES_MIN: i32 = 8 * 1024 * 1024;
/// Free memory at the end of a heap goes back to the system when it is more than this.
const KEPT_BYTES_MAX: i32 = 16 * 1024 * 1024;

/// Sets the limits above. Measurements: `specs/decisions/0009-the-path-of-a-byte.md`.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn set_limits() {
    for (option, value) in [
        (libc::M_ARENA_MAX, HEAPS_MAX),
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN),
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES_MAX),
    ] {
        // SAFETY: takes two numbers, and no other thread runs yet. If it refuses, the default stays.
        unsafe { libc::mallopt(option, value) };
    }
}

/// Other C libraries have no such limits.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn set_limits() {
    let _ = (HEAPS_MAX, MAPPED_BYTES_MIN, KEPT_BYTES_MAX);
}
