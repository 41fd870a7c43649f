//! S7: heads that are almost right.

use anyhow::{Context, Result, ensure};
use opendag_protocol::{ManifestId, Timestamp, cbor, key::SecretKey, record::SignedRecord};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use super::Author;

/// What stands before a payload that is signed.
const DOMAIN: &[u8] = b"opendag/record/1\0";
/// What stands before another thing that keys of publishers sign.
const OTHER_DOMAIN: &[u8] = b"opendag/receipt/1\0";
/// The neutral element of the curve: with itself and zero as signature it "signs" anything where small orders are not
/// looked for.
const SMALL_ORDER: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 1;
    point
};

#[derive(Serialize, Deserialize)]
struct Envelope {
    payload: ByteBuf,
    signatures: Vec<Signed>,
}

#[derive(Serialize, Deserialize)]
struct Signed {
    key: ByteArray<32>,
    signature: ByteArray<64>,
}

/// A head that must be refused.
#[derive(Clone, Debug)]
pub struct Forgery {
    /// What is wrong with it.
    pub name: &'static str,
    /// The envelope.
    pub bytes: Vec<u8>,
    /// Does its sender know that it is wrong? Else the owner signed it, and whoever passes it on may not see it.
    pub blamed: bool,
}

/// The payload of an envelope.
fn payload(envelope: &[u8]) -> Result<Vec<u8>> {
    let envelope: Envelope = cbor::from_slice_canonical(envelope)?;
    Ok(envelope.payload.into_vec())
}

fn seal(payload: &[u8], signatures: &[([u8; 32], [u8; 64])]) -> Result<Vec<u8>> {
    let signatures = signatures.iter().map(|(key, signature)| Signed {
        key: ByteArray::new(*key),
        signature: ByteArray::new(*signature),
    });
    Ok(cbor::to_vec(&Envelope {
        payload: ByteBuf::from(payload.to_vec()),
        signatures: signatures.collect(),
    })?)
}

fn signed(payload: &[u8], domain: &[u8], key: &SecretKey) -> Result<Vec<u8>> {
    let signature = key.sign(&[domain, payload].concat());
    seal(
        payload,
        &[(*key.public().as_bytes(), *signature.as_bytes())],
    )
}

/// The payload with another number behind this key.
fn with_number(payload: &[u8], key: &str, number: u64) -> Result<Vec<u8>> {
    let mut name = vec![0x60 + u8::try_from(key.len())?];
    name.extend(key.as_bytes());
    let at = payload
        .windows(name.len())
        .position(|window| window == name)
        .context("the key")?;
    let (before, after) = payload.split_at(at + name.len());
    let length = match after.first().context("a number")? {
        0..=0x17 => 1,
        0x18 => 2,
        0x19 => 3,
        0x1a => 5,
        _ => 9,
    };
    let mut number = number.to_be_bytes().to_vec();
    number.insert(0, 0x1b);
    Ok([before, &number, after.get(length..).unwrap_or_default()].concat())
}

/// All of them: heads by which a version of `author` would be the newest, if they were believed.
pub fn forgeries(author: &Author, sequence: u64, manifest: ManifestId) -> Result<Vec<Forgery>> {
    let stranger = SecretKey::generate([0xf0; 32]);
    let right = author.head(sequence, manifest, author.now)?;
    let payload = payload(&right)?;
    let owner = author.key();
    let mut all = Vec::new();
    let mut add = |name, blamed, bytes: Vec<u8>| {
        all.push(Forgery {
            name,
            bytes,
            blamed,
        });
    };

    let mut bad = right.clone();
    *bad.last_mut().context("a signature")? ^= 1;
    add("a signature that does not hold", true, bad);
    let other = author.head_signed_by(&stranger, sequence, manifest, author.now)?;
    add("signed by somebody else", true, other);
    let mut signature = [0; 64];
    signature[0] = 1;
    add(
        "a key of small order",
        true,
        seal(&payload, &[(SMALL_ORDER, signature)])?,
    );
    add(
        "signed for another domain",
        true,
        signed(&payload, OTHER_DOMAIN, owner)?,
    );
    add(
        "signed without a domain",
        true,
        signed(&payload, b"", owner)?,
    );
    let mut tampered = right.clone();
    let at = right
        .windows(8)
        .position(|window| window == b"manifest")
        .context("a manifest")?;
    *tampered.get_mut(at + 20).context("its id")? ^= 1;
    add("a field that was changed", true, tampered);
    // The length of the payload, in a form that is longer than need be.
    let at = right
        .windows(8)
        .position(|window| window == b"\x67payload")
        .context("a payload")?
        + 8;
    let (before, after) = right.split_at(at);
    let mut stretched = before.to_vec();
    match after {
        [0x58, length, rest @ ..] => {
            stretched.extend([0x59, 0, *length]);
            stretched.extend(rest);
        }
        [0x59, high, low, rest @ ..] => {
            stretched.extend([0x5a, 0, 0, *high, *low]);
            stretched.extend(rest);
        }
        _ => anyhow::bail!("a payload of another length"),
    }
    add("an encoding that is not canonical", true, stretched);
    add(
        "bytes behind its end",
        true,
        [right.as_slice(), &[0]].concat(),
    );
    let both = [owner, &stranger].map(|key| {
        let signature = key.sign(&[DOMAIN, &payload].concat());
        (*key.public().as_bytes(), *signature.as_bytes())
    });
    let mut both = both.to_vec();
    both.sort_unstable();
    add("signed by a stranger, too", true, seal(&payload, &both)?);
    let endless = with_number(&payload, "sequence", u64::MAX)?;
    add(
        "a sequence of 2^64-1",
        true,
        signed(&endless, DOMAIN, owner)?,
    );
    ensure!(SignedRecord::decode(&signed(&payload, DOMAIN, owner)?).is_ok());
    Ok(all)
}

/// S8: heads that the owner did sign, and that are no good now: of the far future, and far above all others.
pub fn absurdities(author: &Author, manifest: ManifestId, sequence: u64) -> Result<Vec<Forgery>> {
    let far = Timestamp::from_secs(author.now.as_secs() + 400 * 86_400);
    let jump = opendag_protocol::limits::SEQUENCE_MAX;
    Ok(vec![
        Forgery {
            name: "a time in the far future",
            bytes: author.head(sequence, manifest, far)?,
            blamed: false,
        },
        Forgery {
            name: "the highest sequence",
            bytes: author.head(jump, manifest, author.now)?,
            blamed: false,
        },
    ])
}

#[cfg(test)]
mod tests {
    use opendag_protocol::{admission, catalogue::DatasetState};

    use super::*;

    #[test]
    fn all_are_refused_and_the_right_one_is_not() -> Result<()> {
        let author = Author::new(7, "forged")?;
        let files = [("x".to_owned(), b"x".to_vec())].into();
        let version = author.version(0, None, &files)?;
        let mut state = DatasetState::new(&SignedRecord::decode(&version.records[0])?)?;
        let version = author.version(1, Some(version.manifest), &files)?;
        for forgery in forgeries(&author, 1, version.manifest)? {
            let verdict = admission::judge(&forgery.bytes, Some(&state), author.now);
            ensure!(
                matches!(verdict, admission::Verdict::Reject(_)),
                "{}: {verdict:?}",
                forgery.name
            );
        }
        let right = author.head(1, version.manifest, author.now)?;
        let verdict = admission::judge(&right, Some(&state), author.now);
        ensure!(
            matches!(verdict, admission::Verdict::Accept(_)),
            "{verdict:?}"
        );
        state.apply(&SignedRecord::decode(&right)?, author.now)?;
        for absurd in absurdities(&author, version.manifest, 2)? {
            let verdict = admission::judge(&absurd.bytes, Some(&state), author.now);
            ensure!(
                matches!(verdict, admission::Verdict::Ignore(_)),
                "{}: {verdict:?}",
                absurd.name
            );
        }
        Ok(())
    }
}
