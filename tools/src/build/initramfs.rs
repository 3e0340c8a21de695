//! The built-in guest's initial ramdisk: busybox and one script.

use std::fs;
use std::path::PathBuf;

use cpio::newc::{Builder, trailer};

use super::busybox::busybox;
use crate::failure::{OrSay, Outcome};
use crate::workspace::{Workspace, key};

/// Counted up when this recipe changes.
const RECIPE: &[u8] = b"1";

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// The ramdisk. The lock has to be held.
pub(crate) fn initramfs(workspace: &Workspace) -> Outcome<PathBuf> {
    let script = workspace.root().join("tests/guest/init");
    let what = format!("cannot read {}", script.display());
    let init = fs::read(&script).or_say(what)?;
    let busybox = busybox(workspace)?;
    let busybox = fs::read(&busybox).or_say(format_args!("cannot read {}", busybox.display()))?;
    let key = key(&[RECIPE, &init, &busybox]);
    let folder = workspace.entry("initramfs", &key, |folder| {
        let archive = pack(&init, &busybox).or_say("cannot pack the guest's ramdisk")?;
        fs::write(folder.join("initramfs.cpio"), archive).or_say("cannot write the guest's ramdisk")
    })?;
    Ok(folder.join("initramfs.cpio"))
}

fn pack(init: &[u8], busybox: &[u8]) -> std::io::Result<Vec<u8>> {
    let entries: [(&str, u32, &[u8]); 5] = [
        ("bin", DIRECTORY, b""),
        ("bin/busybox", PROGRAM, busybox),
        ("bin/sh", PROGRAM, b""),
        ("dev", DIRECTORY, b""),
        ("init", PROGRAM, init),
    ];
    let mut archive = Vec::new();
    let mut inode = 0;
    for (name, mode, data) in entries {
        inode += 1;
        // The script's interpreter is busybox by another name.
        let (mode, data) = match name {
            "bin/sh" => (0o120_777, &b"busybox"[..]),
            _ => (mode, data),
        };
        append(&mut archive, Builder::new(name).ino(inode).mode(mode), data)?;
    }
    // The kernel opens it for init before anything is mounted.
    let console = Builder::new("dev/console")
        .ino(inode + 1)
        .mode(CHARACTER_DEVICE);
    append(&mut archive, console.rdev_major(5).rdev_minor(1), b"")?;
    trailer(&mut archive)?;
    Ok(archive)
}

fn append(archive: &mut Vec<u8>, entry: Builder, data: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let size = u32::try_from(data.len()).map_err(std::io::Error::other)?;
    let mut writer = entry.write(archive, size);
    writer.write_all(data)?;
    writer.finish()?;
    Ok(())
}
