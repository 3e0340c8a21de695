//! What can be wrong with a device tree, in sentences.

use core::fmt;

use dtoolkit::error::FdtParseError;

/// Why the machine's device tree cannot be used. `Display` gives one sentence that names the node
/// or property and says what to do.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeError {
    /// The bytes are no flattened device tree at all.
    NotATree(FdtParseError),
    /// A node that Oche needs is not there.
    Missing {
        /// What is not there.
        what: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// A node is there, but one of its properties is not usable.
    Malformed {
        /// Which node.
        node: &'static str,
        /// Which property.
        property: &'static str,
        /// What the property must be.
        wanted: &'static str,
    },
    /// More of something than Oche keeps a list for.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The configuration asks for something that this machine cannot give.
    Unsuitable(&'static str),
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATree(error) => write!(
                f,
                "what was handed over in x0 is no usable device tree ({error}): \
                 boot Oche as a Linux kernel is booted"
            ),
            Self::Missing { what, hint } => {
                write!(f, "the device tree has no {what}: {hint}")
            }
            Self::Malformed {
                node,
                property,
                wanted,
            } => {
                write!(
                    f,
                    "in the device tree, {property} of {node} is not usable: it must be {wanted}"
                )
            }
            Self::TooMany { what, limit } => {
                write!(
                    f,
                    "the device tree has too many {what}: at most {limit} are supported"
                )
            }
            Self::Unsuitable(sentence) => f.write_str(sentence),
        }
    }
}

impl core::error::Error for TreeError {}

impl From<FdtParseError> for TreeError {
    fn from(error: FdtParseError) -> Self {
        Self::NotATree(error)
    }
}
