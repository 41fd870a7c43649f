//! Sizes and lengths of time as users write them.

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// A number of bytes: `500kB`, `20 MB`, `2GiB`. `None` if it is none, or 0.
#[must_use]
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number(text)?;
    let factor: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor).filter(|bytes| *bytes > 0)
}

/// A length of time in seconds: `90s`, `15m`, `12h`, `30d`, `2w`, `1y` (365 days). `None` if it is none, or 0.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let (number, unit) = number(text)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY,
        "w" => 7 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    };
    number.checked_mul(factor).filter(|seconds| *seconds > 0)
}

/// A number and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_as_users_write_them() {
        let sizes = [("1B", 1), ("500kB", 500_000), ("2 GiB", 2 << 30)];
        for (text, expected) in sizes {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "GB",
            "1",
            "0MB",
            "1.5GB",
            "-1GB",
            "99999999999TB",
            "1gb",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
        let times = [("90s", 90), ("30d", 30 * DAY), ("1 y", 365 * DAY)];
        for (text, expected) in times {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "d", "30", "0d", "1month", "99999999999999999999y"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
