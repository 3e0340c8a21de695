//! Writing the bundle that Oche is given as its initial ramdisk.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use cpio::newc::{Builder, trailer};
use guest_abi::bundle::{GUESTS, GuestPart, RUN_CONFIG};
use guest_abi::config::{GuestConfig, RunConfig};

use crate::failure::{Failure, OrSay, Outcome};

const FILE: u32 = 0o100_644;

/// One guest, with what its members contain.
pub(crate) struct GuestFiles<'a> {
    pub(crate) config: GuestConfig<'a>,
    pub(crate) kernel: &'a Path,
    pub(crate) ramdisk: Option<&'a Path>,
}

/// Writes a bundle with one guest; its size in bytes.
pub(crate) fn write(path: &Path, run: &RunConfig<'_>, guest: &GuestFiles<'_>) -> Outcome<u64> {
    let refused = |problem| Failure::new(format!("cannot describe the guest: {problem}"));
    run.check().map_err(refused)?;
    guest.config.check().map_err(refused)?;
    let kernel = read(guest.kernel, "kernel")?;
    let ramdisk = guest
        .ramdisk
        .map(|path| read(path, "ramdisk"))
        .transpose()?;

    let member = |part: GuestPart| format!("{GUESTS}{}/{}", guest.config.name, part.file_name());
    let mut members = vec![
        (RUN_CONFIG.to_string(), run.to_string().into_bytes()),
        (
            member(GuestPart::Config),
            guest.config.to_string().into_bytes(),
        ),
        (member(GuestPart::Kernel), kernel),
    ];
    if let Some(ramdisk) = ramdisk {
        members.push((member(GuestPart::Ramdisk), ramdisk));
    }
    let archive = pack(&members).or_say("cannot pack the bundle")?;
    fs::write(path, &archive).or_say(format_args!("cannot write {}", path.display()))?;
    Ok(archive.len() as u64)
}

fn read(path: &Path, what: &str) -> Outcome<Vec<u8>> {
    fs::read(path).or_say(format_args!("cannot read the {what} {}", path.display()))
}

fn pack(members: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    for (inode, (name, data)) in (1..).zip(members) {
        // The format has 32 bits for it.
        let size = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut writer = Builder::new(name)
            .ino(inode)
            .mode(FILE)
            .write(&mut archive, size);
        writer.write_all(data)?;
        writer.finish()?;
    }
    trailer(&mut archive)?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use guest_abi::bundle::Bundle;

    use super::*;

    #[test]
    fn oche_reads_what_is_packed() {
        let members = [
            (RUN_CONFIG.to_string(), b"run".to_vec()),
            ("guests/a/config".to_string(), b"guest".to_vec()),
            ("guests/a/kernel".to_string(), vec![7; 1001]),
            ("guests/a/ramdisk".to_string(), vec![]),
        ];
        let archive = pack(&members).unwrap();
        let bundle = Bundle::open(&archive).unwrap();
        assert_eq!(bundle.run_config(), Ok("run"));
        let guest = bundle.guests().next().unwrap();
        assert_eq!((guest.name, guest.config), ("a", "guest"));
        assert_eq!(guest.kernel, [7; 1001]);
        assert_eq!(guest.ramdisk, Some(&b""[..]));
    }
}
