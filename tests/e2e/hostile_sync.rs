//! Peers that lie by `sync/1`: without end, without sense, without measure.

use anyhow::{Result, ensure};
use opendag_protocol::{
    cbor,
    key::SecretKey,
    record::{Record, SignedRecord},
};
use opendag_tests::{
    MIB,
    catalogue::{Heard, now},
    hostile::{Teller, Telling},
};
use serde::Serialize;

use crate::town::{AGREE_MAX, Town, counter, newest, wait_until};

/// Datasets of strangers: more than there is room for.
const STRANGERS: u32 = 3000;
/// What a victim with little room may know.
const LITTLE_ROOM: u64 = 2 * MIB;

#[test]
fn p6_sync_liars_of_all_kinds_keep_nobody_from_agreeing() -> Result<()> {
    let mut town = Town::new(401)?;
    let network = town.world.network().to_owned();
    let kinds = [
        Telling::Silent,
        Telling::Endless,
        Telling::Absurd,
        Telling::Flood,
    ];
    // Of each as many as there are places for comparisons, and some more.
    let mut tellers = Vec::new();
    for number in 0..24_u8 {
        let telling = kinds[usize::from(number) % kinds.len()];
        let teller = Teller::start(&network, 100 + number, Vec::new(), telling)?;
        teller.join(town.address()?)?;
        tellers.push(teller);
    }
    wait_until(AGREE_MAX, "the liars are asked", || {
        Ok(tellers
            .iter()
            .filter(|teller| teller.compared() > 0)
            .count()
            >= 8)
    })?;
    // Whoever comes late has what the others know, although liars hold all places that they can get.
    let late = town
        .world
        .node("late")
        .daemon(["--bootstrap", town.address()?])?;
    wait_until(AGREE_MAX, "a late joiner knows the dataset", || {
        Ok(newest(late.node(), &town.dataset)?.is_some())
    })?;
    // And what the late one brings, the victim learns.
    let heard = Heard::new(1, 60)?;
    let records = heard.records().map(|record| record.bytes().to_vec());
    let honest = Teller::start(&network, 99, records.to_vec(), Telling::Offers)?;
    honest.join(town.address()?)?;
    wait_until(AGREE_MAX, "the victim learns from an honest peer", || {
        Ok(counter(&town.victim, "known_datasets")? >= 2)
    })?;
    town.goes_on()?;
    town.ensure_bounded()
}

#[test]
fn p6_liars_that_begin_comparisons_are_borne_within_limits() -> Result<()> {
    let mut town = Town::new(402)?;
    let network = town.world.network().to_owned();
    for (seed, telling) in [
        (50, Telling::Endless),
        (51, Telling::Absurd),
        (52, Telling::Flood),
    ] {
        let teller = Teller::start(&network, seed, Vec::new(), Telling::Offers)?;
        let victim = teller.join(town.address()?)?;
        // It ends because the victim ends it.
        teller.compare(victim, telling)?;
    }
    town.goes_on()?;
    town.ensure_bounded()
}

#[test]
fn p6_a_flood_of_strangers_datasets_pushes_out_neither_own_nor_pinned_ones() -> Result<()> {
    let mut town = Town::with(403, &format!("catalogue_limit = \"{LITTLE_ROOM}B\"\n"))?;
    // One of its own, and one of another that lies here.
    let folder = opendag_tests::Tree::new(404).file("own", 100);
    let folder = folder.write(&town.world.path("own"))?;
    let own = town.victim.node().publish(&folder, "own")?;
    let own = opendag_tests::world::text(&own, "dataset")?;
    let copy = town.world.path("copy");
    let node = town.victim.node();
    node.fetch(&town.dataset, &copy, &[])?.ok()?;
    let strangers = (0..STRANGERS).map(|number| Heard::new(number, 60));
    let strangers = strangers.collect::<Result<Vec<_>, _>>()?;
    let records = strangers.iter().flat_map(Heard::records);
    let records: Vec<_> = records.map(|record| record.bytes().to_vec()).collect();
    let bytes: usize = records.iter().map(Vec::len).sum();
    ensure!(
        u64::try_from(bytes)? > LITTLE_ROOM * 3 / 2,
        "a flood of {bytes} bytes is none"
    );
    let count = u64::try_from(records.len())?;
    let flooder = Teller::start(town.world.network(), 60, records, Telling::Offers)?;
    flooder.join(town.address()?)?;
    wait_until(AGREE_MAX, "the victim takes the flood in", || {
        Ok(flooder.given() >= count * 9 / 10)
    })?;
    for dataset in [&own, &town.dataset] {
        ensure!(
            newest(town.victim.node(), dataset)?.is_some(),
            "{dataset} is forgotten"
        );
    }
    wait_until(AGREE_MAX, "what is known keeps to its limit", || {
        Ok(counter(&town.victim, "catalogue_bytes")? <= LITTLE_ROOM)
    })?;
    let known = counter(&town.victim, "known_datasets")?;
    println!("{known} datasets of {} are known", STRANGERS + 2);
    ensure!(known < u64::from(STRANGERS), "{known} datasets are known");
    town.goes_on()?;
    town.ensure_bounded()
}

/// A statement of a type that this program does not know.
fn unheard_of(seed: u8, author: bool) -> Result<SignedRecord> {
    #[derive(Serialize)]
    struct Praise {
        #[serde(rename = "type")]
        kind: &'static str,
        version: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        author: Option<opendag_protocol::key::PublicKey>,
        issued_at: u64,
        words: &'static str,
    }
    let key = SecretKey::generate([seed; 32]);
    let payload = cbor::to_vec(&Praise {
        kind: "praise",
        version: 1,
        author: author.then(|| key.public()),
        issued_at: now().as_secs() - 60,
        words: "words that nobody shows",
    })?;
    Ok(SignedRecord::sign(&Record::decode(&payload)?, &[&key])?)
}

#[test]
fn records_of_unknown_type_are_kept_and_passed_on_and_not_shown() -> Result<()> {
    let town = Town::new(405)?;
    let (kept, not) = (unheard_of(1, true)?, unheard_of(2, false)?);
    let records = vec![kept.bytes().to_vec(), not.bytes().to_vec()];
    let teller = Teller::start(town.world.network(), 61, records, Telling::Offers)?;
    teller.join(town.address()?)?;
    teller.wait_until_given(2)?;
    // To somebody who never met who said it.
    let late = town.world.node("late");
    let daemon = late.daemon(["--bootstrap", town.address()?])?;
    wait_until(AGREE_MAX, "the late one is current", || {
        Ok(newest(daemon.node(), &town.dataset)?.is_some())
    })?;
    for command in [vec!["ls"], vec!["show", town.dataset.as_str()]] {
        let said = daemon.node().run(command)?.ok()?;
        ensure!(
            said.lines.iter().all(|line| !line.contains("words that")),
            "{said:?}"
        );
    }
    let asker = Teller::start(town.world.network(), 62, Vec::new(), Telling::Silent)?;
    let at_late = asker.join(daemon.address()?)?;
    wait_until(AGREE_MAX, "the statement is passed on", || {
        Ok(asker.ask_for(at_late, kept.id())?.as_deref() == Some(kept.bytes()))
    })?;
    // Of what nobody can say what it is, nothing is kept.
    let at_victim = asker.join(town.address()?)?;
    ensure!(asker.ask_for(at_victim, kept.id())?.is_some());
    ensure!(asker.ask_for(at_victim, not.id())?.is_none());
    ensure!(asker.ask_for(at_late, not.id())?.is_none());
    Ok(())
}
