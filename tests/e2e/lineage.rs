//! Where datasets come from, and what is made of them.

use anyhow::{Result, ensure};
use opendag_tests::{
    Tree, World,
    world::{Node, text},
};
use serde_json::Value;

use crate::common::{ensure_says, world};

/// Publishes a small dataset and returns its manifest's id.
fn publish(
    world: &World,
    node: &Node,
    (name, license): (&str, &str),
    from: &[&str],
) -> Result<String> {
    let seed = u64::try_from(name.len())?;
    let folder = Tree::new(500 + seed)
        .file(name, 10)
        .write(&world.path(name))?;
    let folder = folder.display().to_string();
    let mut line = vec!["publish", &folder, "--name", name, "--license", license];
    for from in from {
        line.extend(["--derived-from", from]);
    }
    text(&node.run(line)?.ok()?.event("published")?, "manifest")
}

fn edges(lineage: &Value) -> Vec<(String, String, String)> {
    let edges = lineage["edges"].as_array().into_iter().flatten();
    let field = |edge: &Value, name: &str| edge[name].as_str().unwrap_or_default().to_owned();
    edges
        .map(|edge| {
            (
                field(edge, "version"),
                field(edge, "made_from"),
                field(edge, "license"),
            )
        })
        .collect()
}

/// The same as a graph and as a tree.
fn ensure_drawn(node: &Node, source: &str) -> Result<()> {
    let plain = |line: &[&str]| -> Result<String> {
        let output = node.command(line.iter().copied()).output()?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let dot = plain(&["lineage", source, "--format", "dot"])?;
    ensure!(
        dot.starts_with("digraph") && dot.matches(" -> ").count() == 4,
        "{dot}"
    );
    let tree = plain(&["lineage", source])?;
    ensure!(
        tree.contains("Used for") && tree.matches("(see above)").count() == 1,
        "{tree}"
    );
    ensure!(tree.contains("! licence: CC-BY-SA-4.0 asks"), "{tree}");
    Ok(())
}

#[test]
fn lineage_is_followed_up_through_the_network_and_down_by_the_index() -> Result<()> {
    let world = world()?;
    let origin = world.node("origin");
    let source = publish(&world, &origin, ("source", "CC-BY-4.0"), &[])?;
    let left = publish(&world, &origin, ("left", "CC-BY-SA-4.0"), &[&source])?;
    let right = publish(
        &world,
        &origin,
        ("right-side", "LicenseRef-mine"),
        &[&source],
    )?;
    let daemon = origin.daemon::<&str>([])?;
    let peer = ["--peer", daemon.address()?];

    // A diamond, whose top only another node knows; a version that nobody has.
    let maker = world.node("maker");
    let gone =
        opendag_protocol::ManifestId::from_hash(opendag_protocol::Hash::of(b"gone")).to_string();
    let made = publish(&world, &maker, ("mixture", "MIT"), &[&left, &right, &gone])?;
    let line = ["lineage", "mixture", peer[0], peer[1], "--timeout", "5s"];
    let lineage = maker.run(line)?.ok()?.event("lineage")?;
    ensure!(
        lineage["root"] == made.as_str() && lineage["cut"] == false,
        "{lineage}"
    );
    let found = edges(&lineage);
    let expected = [
        (&made, &left, "contradicts"),
        (&made, &right, "unknown"),
        (&made, &gone, "unknown"),
        (&left, &source, "fits"),
        (&right, &source, "fits"),
    ];
    ensure!(found.len() == expected.len(), "{lineage}");
    for (version, from, fit) in expected {
        let edge = (version.clone(), from.clone(), fit.to_owned());
        ensure!(found.contains(&edge), "{edge:?} is missing in {lineage}");
    }
    let versions = lineage["versions"].as_array().cloned().unwrap_or_default();
    ensure!(
        versions.len() == 5,
        "a diamond's top stands there once: {lineage}"
    );
    let missing = versions.iter().find(|version| version["known"] == false);
    ensure!(
        missing.is_some_and(|missing| missing["manifest"] == gone.as_str()),
        "{lineage}"
    );

    // What was learned stays, and is followed without the network, also after the index was lost.
    daemon.stop()?;
    maker.run(["reindex"])?.ok()?;
    let down = maker.run(["lineage", &source])?.ok()?.event("lineage")?;
    let found = edges(&down);
    for (version, from) in [
        (&left, &source),
        (&right, &source),
        (&made, &left),
        (&made, &right),
    ] {
        ensure!(
            found
                .iter()
                .any(|edge| edge.0 == *version && edge.1 == *from),
            "{version} from {from} is missing in {down}"
        );
    }
    let near = maker
        .run(["lineage", &source, "--depth", "1"])?
        .ok()?
        .event("lineage")?;
    ensure!(near["cut"] == true && edges(&near).len() == 2, "{near}");

    ensure_drawn(&maker, &source)
}

#[test]
fn a_licence_that_contradicts_its_parents_is_pointed_out() -> Result<()> {
    let world = world()?;
    let node = world.node("publisher");
    let parent = publish(&world, &node, ("parent", "CC-BY-NC-4.0"), &[])?;
    let folder = Tree::new(510).file("x", 10).write(&world.path("child"))?;
    let folder = folder.display().to_string();
    let line = [
        "publish",
        &folder,
        "--name",
        "child",
        "--derived-from",
        &parent,
        "--license",
    ];
    let warned = node.run(line.iter().chain(&["MIT"]))?.ok()?;
    ensure_says(&warned, &["commercial", &parent, "not legal advice"])?;
    let shown = node.run(["show", "child"])?.ok()?.event("versions")?;
    ensure!(
        shown["versions"][0]["license_hints"][0]["fit"] == "contradicts",
        "{shown}"
    );

    let quiet = node.run(line.iter().chain(&["CC-BY-NC-SA-4.0"]))?.ok()?;
    ensure!(!quiet.stderr.contains("legal"), "{}", quiet.stderr);
    let shown = node.run(["show", "child"])?.ok()?.event("versions")?;
    ensure!(
        shown["versions"][0]["license_hints"] == serde_json::json!([]),
        "{shown}"
    );
    Ok(())
}
