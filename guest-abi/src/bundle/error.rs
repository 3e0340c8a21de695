//! What can be wrong with an archive.

use core::fmt;

/// An archive that was refused. Shown as one sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError<'a> {
    /// No newc header where one has to be. Byte offset in the archive.
    NotNewc(usize),
    /// The archive ends inside the member that starts at this byte offset, or before its end
    /// marker.
    Truncated(usize),
    /// A header with a field that is not a hexadecimal number, or a name that is not UTF-8 with
    /// a zero byte after it. Byte offset of the header.
    Malformed(usize),
    /// More members than [`super::MAX_MEMBERS`].
    TooManyMembers,
    /// A member that is neither a file nor a directory.
    NotAFile(&'a str),
    /// A member with a name that means nothing in a bundle.
    UnknownMember(&'a str),
    /// Two members of one name.
    Repeated(&'a str),
    /// No [`super::RUN_CONFIG`].
    NoRunConfig,
    /// A guest (its name) without a member that it needs (its file name).
    GuestWithout(&'a str, &'static str),
    /// A configuration that is not UTF-8.
    NotText(&'a str),
}

impl fmt::Display for BundleError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            BundleError::NotNewc(0) => f.write_str(
                "the initial ramdisk is not an Oche bundle: no newc cpio header at its start",
            ),
            BundleError::NotNewc(at) => write!(f, "the bundle has no cpio header at byte {at}"),
            BundleError::Truncated(at) => {
                write!(f, "the bundle is cut off in the member at byte {at}")
            }
            BundleError::Malformed(at) => {
                write!(f, "the bundle's cpio header at byte {at} is malformed")
            }
            BundleError::TooManyMembers => {
                write!(f, "the bundle has more than {} members", super::MAX_MEMBERS)
            }
            BundleError::NotAFile(name) => {
                write!(f, "`{}` in the bundle is not a file", name.escape_debug())
            }
            BundleError::UnknownMember(name) => {
                write!(f, "unknown member `{}` in the bundle", name.escape_debug())
            }
            BundleError::Repeated(name) => {
                write!(f, "`{}` is in the bundle twice", name.escape_debug())
            }
            BundleError::NoRunConfig => {
                write!(f, "the bundle has no member `{}`", super::RUN_CONFIG)
            }
            BundleError::GuestWithout(name, part) => {
                let name = name.escape_debug();
                write!(f, "guest `{name}` has no member `{part}` in the bundle")
            }
            BundleError::NotText(name) => {
                write!(f, "`{}` in the bundle is not UTF-8", name.escape_debug())
            }
        }
    }
}

impl core::error::Error for BundleError<'_> {}
