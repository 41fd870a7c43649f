use proptest::prelude::*;

use super::*;

/// All encodings of the eight points of small order that decompress, canonical or not.
/// Source: "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko), table 1.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn hex<const N: usize>(text: &str) -> [u8; N] {
    data_encoding::HEXLOWER
        .decode(text.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

#[test]
fn rfc_8032_test_2() {
    let key = SecretKey::from_bytes(&hex(
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    ));
    assert_eq!(
        key.public().as_bytes(),
        &hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    );
    let signature = key.sign(b"\x72");
    let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                    085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    assert_eq!(signature.as_bytes(), &hex(expected));
    assert_eq!(key.public().verify_strict(b"\x72", &signature), Ok(()));
}

#[test]
fn small_order_keys_are_refused() {
    for text in SMALL_ORDER {
        assert_eq!(
            PublicKey::from_bytes(hex(text)),
            Err(KeyError::SmallOrder),
            "{text}"
        );
    }
}

#[test]
fn other_encodings_of_a_point_are_refused() {
    // y = p + 3, which is 3 in canonical form.
    let three = hex("0300000000000000000000000000000000000000000000000000000000000000");
    let again = hex("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    assert!(PublicKey::from_bytes(three).is_ok());
    assert_eq!(PublicKey::from_bytes(again), Err(KeyError::NotAPoint));
}

#[test]
fn a_signature_of_small_order_or_with_a_large_scalar_is_refused() {
    let key = SecretKey::generate([7; 32]);
    let good = key.sign(b"m");
    let mut small = [0; 64];
    small[0] = 1;
    assert!(
        key.public()
            .verify_strict(b"m", &Signature::from_bytes(small))
            .is_err()
    );
    // s + L, the order of the group: the same scalar, not reduced.
    let order = hex::<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut large = *good.as_bytes();
    let mut carry = 0_u16;
    for (digit, add) in large[32..].iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(add) + carry;
        carry = sum >> 8;
        *digit = sum.to_le_bytes()[0];
    }
    assert!(
        key.public()
            .verify_strict(b"m", &Signature::from_bytes(large))
            .is_err()
    );
}

#[test]
fn text_has_one_form() {
    let key = SecretKey::generate([1; 32]).public();
    let text = key.to_string();
    assert_eq!(text.len(), 60);
    assert_eq!(text.parse(), Ok(key));
    let digits = text.strip_prefix(TEXT_PREFIX).unwrap();
    for other in [
        text.to_uppercase(),
        format!("{TEXT_PREFIX}{}", digits.to_uppercase()),
        digits.to_owned(),
        format!("{text}="),
        format!("{text} "),
        format!("{text}a"),
        String::new(),
    ] {
        assert_eq!(
            other.parse::<PublicKey>(),
            Err(KeyError::NotAKey),
            "{other}"
        );
    }
    // 52 digits carry 260 bits: the last four must be zero.
    let body = &text[..text.len() - 1];
    for digit in "bcdefghijklmnoprstuvwxyz234567".chars() {
        let other = format!("{body}{digit}");
        assert_eq!(
            other.parse::<PublicKey>(),
            Err(KeyError::NotAKey),
            "{other}"
        );
    }
}

#[test]
fn the_secret_is_not_printed() {
    let key = SecretKey::generate([0x5a; 32]);
    let shown = format!("{key:?}");
    assert!(shown.contains("ed25519:"));
    assert!(!shown.contains("5a5a") && !shown.contains("90, 90"));
    assert_eq!(*key.to_bytes(), [0x5a; 32]);
}

#[test]
fn serde_is_bytes_in_cbor_and_text_in_json() {
    let key = SecretKey::generate([3; 32]).public();
    let bytes = crate::cbor::to_vec(&key).unwrap();
    assert_eq!(bytes.len(), 34);
    assert_eq!(
        crate::cbor::from_slice_canonical::<PublicKey>(&bytes).unwrap(),
        key
    );
    let json = serde_json::to_string(&key).unwrap();
    assert_eq!(serde_json::from_str::<PublicKey>(&json).unwrap(), key);
    let weak = crate::cbor::to_vec(serde_bytes::Bytes::new(&[0; 32])).unwrap();
    assert!(crate::cbor::from_slice_canonical::<PublicKey>(&weak).is_err());
}

proptest! {
    #[test]
    fn only_the_signer_over_the_same_message_verifies(
        seed: [u8; 32], other: [u8; 32], message: Vec<u8>, bit in 0_usize..512,
    ) {
        prop_assume!(seed != other);
        let key = SecretKey::generate(seed);
        let signature = key.sign(&message);
        prop_assert_eq!(key.public().verify_strict(&message, &signature), Ok(()));
        prop_assert!(SecretKey::generate(other).public().verify_strict(&message, &signature).is_err());
        let mut bytes = *signature.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(key.public().verify_strict(&message, &Signature::from_bytes(bytes)).is_err());
        let longer = [message.as_slice(), b"x"].concat();
        prop_assert!(key.public().verify_strict(&longer, &signature).is_err());
    }

    #[test]
    fn accepted_keys_round_trip(bytes: [u8; 32]) {
        if let Ok(key) = PublicKey::from_bytes(bytes) {
            prop_assert_eq!(key.to_string().parse(), Ok(key));
            prop_assert_eq!(key.as_bytes(), &bytes);
        }
    }
}
