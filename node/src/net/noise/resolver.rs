//! The primitives of the handshake, as libp2p's Noise chooses them.

use snow::{
    params::{CipherChoice, DHChoice, HashChoice},
    resolvers::{CryptoResolver, RingResolver},
    types::{Cipher, Dh, Hash, Random},
};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};
use zeroize::Zeroizing;

/// A secret key of Curve25519.
pub(super) type Secret = [u8; 32];

/// The public key of `secret`.
pub(super) fn public(secret: &Secret) -> [u8; 32] {
    x25519(*secret, X25519_BASEPOINT_BYTES)
}

/// Where Noise takes its primitives from.
pub(super) struct Resolver;

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(System))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<X25519>::default() as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// Random bytes of the system.
struct System;

impl Random for System {
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), snow::Error> {
        getrandom::fill(bytes).map_err(|_| snow::Error::Rng)
    }
}

/// A key pair of Curve25519.
#[derive(Default)]
struct X25519 {
    secret: Zeroizing<Secret>,
    public: [u8; 32],
}

impl X25519 {
    fn of(secret: Zeroizing<Secret>) -> Self {
        Self {
            public: public(&secret),
            secret,
        }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, secret: &[u8]) {
        // Another length cannot come: Noise asks for `priv_len` first.
        let mut copy = Zeroizing::new(Secret::default());
        for (to, from) in copy.iter_mut().zip(secret) {
            *to = *from;
        }
        *self = Self::of(copy);
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        let mut secret = Zeroizing::new(Secret::default());
        random.try_fill_bytes(&mut *secret)?;
        *self = Self::of(secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.secret
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let public = public.first_chunk::<32>().ok_or(snow::Error::Dh)?;
        let out = out.first_chunk_mut::<32>().ok_or(snow::Error::Dh)?;
        *out = x25519(*self.secret, *public);
        Ok(())
    }
}
