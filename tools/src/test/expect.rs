//! Comparisons of numbers in a summary: `pages_pinned = 0`, `exits.dart > 10`,
//! `frames_free_at_end = frames_free_at_start`.

use serde::Deserialize;
use serde_json::Value;

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Comparison {
    left: String,
    relation: Relation,
    right: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl TryFrom<String> for Comparison {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let [left, relation, right] = words[..] else {
            return Err(format!("`{text}` is not of the form `field = value`"));
        };
        let relation = match relation {
            "=" => Relation::Equal,
            "!=" => Relation::NotEqual,
            "<" => Relation::Less,
            "<=" => Relation::LessOrEqual,
            ">" => Relation::Greater,
            ">=" => Relation::GreaterOrEqual,
            other => return Err(format!("`{other}` in `{text}` is not a relation")),
        };
        Ok(Comparison {
            left: left.into(),
            relation,
            right: right.into(),
        })
    }
}

impl Comparison {
    /// Why the comparison does not hold in this summary, if it does not.
    pub(crate) fn problem(&self, summary: &Value) -> Option<String> {
        let Some(left) = field(summary, &self.left) else {
            return Some(format!("the summary has no field `{}`", self.left));
        };
        let right = match field(summary, &self.right) {
            Some(value) => value.clone(),
            // Not a field: a value.
            None => serde_json::from_str(&self.right).unwrap_or(Value::String(self.right.clone())),
        };
        match self.holds(left, &right) {
            Some(true) => None,
            Some(false) => Some(format!("{self}: {} is {left}", self.left)),
            None => Some(format!("{self}: {left} and {right} have no order")),
        }
    }

    fn holds(&self, left: &Value, right: &Value) -> Option<bool> {
        match self.relation {
            Relation::Equal => return Some(left == right),
            Relation::NotEqual => return Some(left != right),
            _ => {}
        }
        let (left, right) = (left.as_u64()?, right.as_u64()?);
        Some(match self.relation {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::Less => left < right,
            Relation::LessOrEqual => left <= right,
            Relation::Greater => left > right,
            Relation::GreaterOrEqual => left >= right,
        })
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let relation = match self.relation {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Less => "<",
            Relation::LessOrEqual => "<=",
            Relation::Greater => ">",
            Relation::GreaterOrEqual => ">=",
        };
        write!(f, "{} {relation} {}", self.left, self.right)
    }
}

/// A field by its path, with dots between its parts.
fn field<'a>(summary: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(summary, |value, part| value.get(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem(text: &str) -> Option<String> {
        let summary = json!({
            "outcome": "powered-off", "faults": 0, "exits": {"dart": 7}, "start": 5, "end": 5,
            "guards_out": false, "userspace_us": null,
        });
        Comparison::try_from(text.to_string())
            .unwrap()
            .problem(&summary)
    }

    #[test]
    fn comparisons_hold_or_say_what_they_found() {
        for good in [
            "faults = 0",
            "faults != 1",
            "exits.dart > 6",
            "exits.dart >= 7",
            "exits.dart < 8",
            "exits.dart <= 7",
            "end = start",
            "outcome = powered-off",
            "guards_out = false",
            "userspace_us = null",
        ] {
            assert_eq!(problem(good), None);
        }
        assert_eq!(problem("faults > 0").unwrap(), "faults > 0: faults is 0");
        assert_eq!(
            problem("fault = 0").unwrap(),
            "the summary has no field `fault`"
        );
        assert!(problem("userspace_us > 0").unwrap().contains("no order"));
    }

    #[test]
    fn what_is_no_comparison_is_refused() {
        assert!(Comparison::try_from("faults".to_string()).is_err());
        assert!(Comparison::try_from("faults == 0".to_string()).is_err());
    }
}
