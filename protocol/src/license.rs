//! Does the licence of what was made from a version agree with the licence of that version?
//!
//! A hint, not legal advice: it knows what families of licences ask in general, not what was done with
//! the data, and it says [`Fit::Unknown`] rather than guess. Source: the licences' own texts and
//! Creative Commons' list of compatible licences; the rules and their limits are in `specs/licenses.md`.

mod terms;

use std::fmt;

use spdx::{
    Expression, LicenseReq,
    expression::{ExprNode, Operator},
};

use self::terms::Terms;

/// How a derived licence stands to the licence that it derives from; better ones come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Nothing that is known speaks against it.
    Fits,
    /// This program does not know what one of the two asks.
    Unknown(Doubt),
    /// What is offered is more than what was given.
    Contradicts(Clash),
}

impl Fit {
    const fn rank(&self) -> u8 {
        match self {
            Self::Fits => 0,
            Self::Unknown(_) => 1,
            Self::Contradicts(_) => 2,
        }
    }

    fn better(self, other: Self) -> Self {
        if other.rank() < self.rank() {
            other
        } else {
            self
        }
    }

    fn worse(self, other: Self) -> Self {
        if other.rank() > self.rank() {
            other
        } else {
            self
        }
    }
}

/// Why nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The version names no licence: nobody may use it without asking.
    #[error("no licence is named")]
    Missing,
    /// Terms of somebody's own, or a licence that is in no table here.
    #[error("what {license} asks is not known to this program")]
    Terms {
        /// The licence.
        license: String,
    },
}

/// What a licence asks and another does not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The licence that asks.
    pub given: String,
    /// The licence that is offered.
    pub offered: String,
    /// What is asked.
    pub asks: Asks,
}

/// What a licence may ask of what is made from its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// That nothing made from it is published.
    NoDerivatives,
    /// That nobody uses it commercially.
    NonCommercial,
    /// That it stays under the same licence.
    ShareAlike,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            given,
            offered,
            asks,
        } = self;
        match asks {
            Asks::NoDerivatives => {
                write!(f, "{given} allows nobody to publish what is made from it")
            }
            Asks::NonCommercial => {
                write!(f, "{given} excludes commercial use, which {offered} allows")
            }
            Asks::ShareAlike => write!(
                f,
                "{given} asks that what is made from it keeps this licence, and {offered} is another"
            ),
        }
    }
}

/// May what is under `given` become part of what is offered under `offered`?
///
/// Of an `OR` in `given` the publisher chose what fits best; each side of an `OR` in `offered` is an
/// offer of its own. Of an `AND` in `given` all must be kept; an `AND` in `offered` keeps what one of its
/// parts keeps.
#[must_use]
pub fn fit(given: Option<&str>, offered: Option<&str>) -> Fit {
    let (Some(given), Some(offered)) = (given, offered) else {
        return Fit::Unknown(Doubt::Missing);
    };
    let given = match parse(given) {
        Ok(given) => given,
        Err(doubt) => return Fit::Unknown(doubt),
    };
    // What may become anything may become something unknown.
    if let Some(Fit::Fits) = fold(&given, &is_free, [Fit::worse, Fit::better]) {
        return Fit::Fits;
    }
    let offered = match parse(offered) {
        Ok(offered) => offered,
        Err(doubt) => return Fit::Unknown(doubt),
    };
    let kept = |given: &LicenseReq| {
        let keeps = |offered: &LicenseReq| keeps(given, offered);
        fold(&offered, &keeps, [Fit::better, Fit::worse]).unwrap_or(Fit::Unknown(Doubt::Missing))
    };
    fold(&given, &kept, [Fit::worse, Fit::better]).unwrap_or(Fit::Unknown(Doubt::Missing))
}

fn parse(license: &str) -> Result<Expression, Doubt> {
    Expression::parse(license).map_err(|_| Doubt::Terms {
        license: license.to_owned(),
    })
}

/// The value of an expression, whose nodes come in postfix order.
fn fold(
    expression: &Expression,
    leaf: &dyn Fn(&LicenseReq) -> Fit,
    [and, or]: [fn(Fit, Fit) -> Fit; 2],
) -> Option<Fit> {
    let mut stack = Vec::new();
    for node in expression.iter() {
        let value = match node {
            ExprNode::Req(req) => leaf(&req.req),
            ExprNode::Op(operator) => {
                let (right, left) = (stack.pop()?, stack.pop()?);
                match operator {
                    Operator::And => and(left, right),
                    Operator::Or => or(left, right),
                }
            }
        };
        stack.push(value);
    }
    stack.pop()
}

fn is_free(given: &LicenseReq) -> Fit {
    match Terms::of(given) {
        Some(terms) if terms.is_free() => Fit::Fits,
        Some(_) | None => Fit::Unknown(Doubt::Missing),
    }
}

/// Does one licence keep what another asks?
fn keeps(given: &LicenseReq, offered: &LicenseReq) -> Fit {
    let unknown = |license: &LicenseReq| {
        Fit::Unknown(Doubt::Terms {
            license: license.to_string(),
        })
    };
    let clash = |asks| {
        Fit::Contradicts(Clash {
            given: given.to_string(),
            offered: offered.to_string(),
            asks,
        })
    };
    let Some(asked) = Terms::of(given) else {
        return unknown(given);
    };
    if asked.is_free() {
        return Fit::Fits;
    }
    if !asked.derivatives {
        return clash(Asks::NoDerivatives);
    }
    let Some(kept) = Terms::of(offered) else {
        return unknown(offered);
    };
    if !asked.commercial && kept.commercial {
        return clash(Asks::NonCommercial);
    }
    match asked.share {
        terms::Share::Free => Fit::Fits,
        terms::Share::Alike | terms::Share::Files if terms::is_same_or_later(given, offered) => {
            Fit::Fits
        }
        terms::Share::Alike => clash(Asks::ShareAlike),
        terms::Share::Files => unknown(given),
    }
}

#[cfg(test)]
mod tests;
