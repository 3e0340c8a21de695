//! The bundle: a newc cpio archive with the run's settings and its guests.
//!
//! | member | what |
//! |---|---|
//! | `oche/config` | settings of the run ([`RunConfig`](crate::config::RunConfig)) |
//! | `guests/<name>/config` | a guest ([`GuestConfig`](crate::config::GuestConfig)) |
//! | `guests/<name>/kernel` | its kernel, an arm64 `Image` |
//! | `guests/<name>/ramdisk` | its initial ramdisk; may be absent |
//!
//! The whole archive is checked when it is opened: a member that is not listed here, that comes
//! twice, or that is cut off refuses the archive.

mod error;
mod newc;

pub use error::BundleError;
use newc::Entries;

/// The name of the member with the run's settings.
pub const RUN_CONFIG: &str = "oche/config";
/// The folder of the guests, with the slash after it.
pub const GUESTS: &str = "guests/";
/// The most members of an archive, directories among them.
pub const MAX_MEMBERS: usize = 64;

/// A member of a guest's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestPart {
    /// Its configuration.
    Config,
    /// Its kernel.
    Kernel,
    /// Its initial ramdisk.
    Ramdisk,
}

impl GuestPart {
    /// The last part of the member's name.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            GuestPart::Config => "config",
            GuestPart::Kernel => "kernel",
            GuestPart::Ramdisk => "ramdisk",
        }
    }

    fn from_file_name(word: &str) -> Option<Self> {
        [GuestPart::Config, GuestPart::Kernel, GuestPart::Ramdisk]
            .into_iter()
            .find(|part| part.file_name() == word)
    }
}

/// One file of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its contents. Aligned to 4 bytes relative to the archive, no more.
    pub data: &'a [u8],
}

/// The members of one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guest<'a> {
    /// Its name, from the name of its folder.
    pub name: &'a str,
    /// The text of its configuration.
    pub config: &'a str,
    /// Its kernel.
    pub kernel: &'a [u8],
    /// Its initial ramdisk, if it has one.
    pub ramdisk: Option<&'a [u8]>,
}

/// An archive that was checked.
#[derive(Clone, Copy, Debug)]
pub struct Bundle<'a> {
    archive: &'a [u8],
}

impl<'a> Bundle<'a> {
    /// Checks the archive as a whole. What follows its end marker is padding and not looked at.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn open(archive: &'a [u8]) -> Result<Self, BundleError<'a>> {
        let bundle = Bundle { archive };
        let mut count = 0_usize;
        for entry in Entries::new(archive) {
            let entry = entry?;
            count = count.saturating_add(1);
            if count > MAX_MEMBERS {
                return Err(BundleError::TooManyMembers);
            }
            if entry.is_directory() {
                continue;
            }
            if !entry.is_file() {
                return Err(BundleError::NotAFile(entry.name));
            }
            if entry.name != RUN_CONFIG && split_guest(entry.name).is_none() {
                return Err(BundleError::UnknownMember(entry.name));
            }
            // The archive is checked up to this member, so this ends at it or before.
            let same = |member: &Member<'_>| member.name == entry.name;
            if bundle.members().take(count).filter(same).count() > 1 {
                return Err(BundleError::Repeated(entry.name));
            }
        }
        bundle.run_config()?;
        for guest in bundle.guest_names() {
            bundle.guest(guest)?;
        }
        Ok(bundle)
    }

    /// The files of the archive, in order.
    pub fn members(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        Entries::new(self.archive)
            .map_while(Result::ok)
            .filter(newc::Entry::is_file)
            .map(|entry| Member {
                name: entry.name,
                data: entry.data,
            })
    }

    /// The text of the run's settings.
    ///
    /// # Errors
    /// When there is none, or it is not UTF-8: not in an archive that was opened.
    pub fn run_config(&self) -> Result<&'a str, BundleError<'a>> {
        let member = self
            .members()
            .find(|member| member.name == RUN_CONFIG)
            .ok_or(BundleError::NoRunConfig)?;
        text(member)
    }

    /// The guests, in the order of their kernels in the archive.
    pub fn guests(&self) -> impl Iterator<Item = Guest<'a>> + use<'a> {
        let bundle = *self;
        // Opening has called `guest` for every name, so none is lost here.
        bundle
            .guest_names()
            .filter_map(move |name| bundle.guest(name).ok())
    }

    /// The names of the guests, one for each configuration or kernel without one.
    fn guest_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let bundle = *self;
        bundle.members().filter_map(move |member| {
            let (name, part) = split_guest(member.name)?;
            // The first member of each guest stands for it.
            let first = bundle
                .members()
                .filter_map(|other| split_guest(other.name))
                .find(|(other, _)| *other == name)?;
            (first.1 == part).then_some(name)
        })
    }

    fn guest(&self, name: &'a str) -> Result<Guest<'a>, BundleError<'a>> {
        let find = |part| {
            self.members()
                .find(|member| split_guest(member.name) == Some((name, part)))
        };
        let config = find(GuestPart::Config).ok_or(BundleError::GuestWithout(name, "config"))?;
        let kernel = find(GuestPart::Kernel).ok_or(BundleError::GuestWithout(name, "kernel"))?;
        Ok(Guest {
            name,
            config: text(config)?,
            kernel: kernel.data,
            ramdisk: find(GuestPart::Ramdisk).map(|member| member.data),
        })
    }
}

/// The guest and the part that a member's name stands for.
fn split_guest(name: &str) -> Option<(&str, GuestPart)> {
    let (guest, file) = name.strip_prefix(GUESTS)?.split_once('/')?;
    if guest.is_empty() {
        return None;
    }
    Some((guest, GuestPart::from_file_name(file)?))
}

fn text(member: Member<'_>) -> Result<&str, BundleError<'_>> {
    core::str::from_utf8(member.data).map_err(|_| BundleError::NotText(member.name))
}

#[cfg(test)]
mod tests;
