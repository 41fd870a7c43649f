//! Holds a bad link open until its standard input ends, for tries by hand.
//!
//! `link RATE_MBIT DELAY_MS LOSS_PERCENT HOSTS [CONGESTION_CONTROL]` prints one line for each host:
//! its namespace and its address. Host 0 is behind the link.

use std::{
    env, io,
    io::{Read, Write},
    time::Duration,
};

use anyhow::{Context, Result};
use opendag_tests::link::{Link, Quality};

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| -> Result<f64> {
        let text = args
            .get(at)
            .context("link RATE_MBIT DELAY_MS LOSS_PERCENT HOSTS [CONGESTION_CONTROL]")?;
        Ok(text.parse::<f64>()?)
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the user typed it"
    )]
    let (mut quality, hosts) = {
        let delay = Duration::from_secs_f64(number(1)? / 1000.0);
        let mut quality = Quality::new((number(0)? * 1e6) as u64, delay);
        quality.lost_per_million = (number(2)? * 1e4) as u32;
        (quality, number(3)? as usize)
    };
    if let Some(seed) = env::var_os("SEED") {
        quality.seed = seed.to_string_lossy().parse()?;
    }
    let link = Link::new(&quality, hosts)?;
    if let Some(name) = args.get(4) {
        link.congestion_control(name)?;
    }
    let mut out = io::stdout();
    for host in 0..=hosts {
        writeln!(out, "{} {}", link.namespace(host), Link::address(host))?;
    }
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    writeln!(out, "up and down: {:?}", link.counts())?;
    Ok(())
}
