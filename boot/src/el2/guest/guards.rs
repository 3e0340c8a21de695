//! Guards that a test image takes out. In every other image this answers at compile time.

use dart_virt::Guards;

#[cfg(feature = "guards-out")]
use super::super::sabotage;
use super::super::sentence::{Sentence, sentence};

/// Guards that this run takes out: only a test image can.
pub(super) struct Taken {
    /// The DART's and the shadow's.
    pub(super) dart: Guards,
    /// Redistributors show their LPIs.
    pub(super) lpis: bool,
}

impl Taken {
    #[cfg(not(feature = "guards-out"))]
    /// The guards that `names` leaves standing.
    pub(super) fn out(names: &str) -> Result<Self, Sentence> {
        if names.is_empty() {
            return Ok(Self {
                dart: Guards::default(),
                lpis: false,
            });
        }
        Err(sentence!(
            "oche/config asks to take out guards ({names}), which this image cannot do: only a test build can"
        ))
    }

    #[cfg(feature = "guards-out")]
    /// The guards that `names` leaves standing.
    pub(super) fn out(names: &str) -> Result<Self, Sentence> {
        let mut out = Self {
            dart: Guards::default(),
            lpis: false,
        };
        for name in names.split(',').filter(|name| !name.is_empty()) {
            match (name, dart_virt::Guard::parse(name)) {
                ("lpi", _) => out.lpis = true,
                (_, Some(guard)) => out.dart = out.dart.without(guard),
                _ if sabotage::plan(name) => {}
                _ => return Err(sentence!("there is no guard `{name}`")),
            }
        }
        Ok(out)
    }
}
