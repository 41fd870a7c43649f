use super::*;

fn pair(suite: Suite, messages: u64) -> [Cipher; 2] {
    [(); 2].map(|()| Cipher {
        messages,
        ..Cipher::new(suite, [7; 32].into()).unwrap()
    })
}

fn sealed(cipher: &mut Cipher, text: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0; text.len() + TAG_BYTES];
    let (message, tag) = sealed.split_at_mut(text.len());
    cipher.seal_to(text, message, tag).unwrap();
    sealed
}

#[test]
fn both_ways_of_sealing_and_of_opening_are_the_same() {
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        let [mut a, mut b] = pair(suite, 0);
        let text = b"what is said";
        let mut first = sealed(&mut a, text);
        let mut here = text.to_vec();
        let mut tag = [0; TAG_BYTES];
        b.seal(&mut here, &mut tag).unwrap();
        assert_eq!(first, [&here[..], &tag].concat());
        assert_ne!(sealed(&mut a, text), first, "no number is used twice");

        let [mut a, mut b] = pair(suite, 0);
        let mut opened = vec![0; text.len()];
        a.open_to(&here, &tag, &mut opened).unwrap();
        assert_eq!(opened, text);
        b.open(&mut first).unwrap();
        assert_eq!(first[..text.len()], *text);
    }
}

#[test]
fn aes_goes_on_with_the_next_key() {
    let last = MESSAGES_OF_A_KEY - 1;
    let [mut a, mut b] = pair(Suite::Aes256Gcm, last);
    let first_secret = a.secret.clone();
    for number in last..last + 3 {
        let mut message = sealed(&mut a, b"text");
        b.open(&mut message).unwrap();
        assert_eq!(*a.secret == *first_secret, number == last);
    }
    // One that kept the old key understands nothing of it.
    let mut message = sealed(&mut a, b"text");
    let [mut old, _] = pair(Suite::Aes256Gcm, a.messages - 1);
    assert!(old.open(&mut message).is_err());
}

#[test]
fn chacha_keeps_its_key_as_libp2p_does() {
    let [mut a, mut b] = pair(Suite::ChaCha20Poly1305, MESSAGES_OF_A_KEY);
    let secret = a.secret.clone();
    let mut message = sealed(&mut a, b"text");
    b.open(&mut message).unwrap();
    assert_eq!(*a.secret, *secret);
}

#[test]
fn the_last_number_is_never_passed() {
    let [mut a, _] = pair(Suite::Aes256Gcm, u64::MAX);
    assert!(a.seal(&mut [0; 4], &mut [0; TAG_BYTES]).is_err());
}
