//! The machine, as words for QEMU.

use std::path::Path;

use crate::cli::DiskBehind;

/// Where the RAM of QEMU's machine `virt` starts.
pub(crate) const RAM_BASE: u64 = 0x4000_0000;

const MIB: u64 = 1 << 20;
/// The machine's memory on top of the guest's: QEMU puts the bundle 128 MiB into the RAM, and
/// what lies below is too small for most guests; the rest is Oche's image, its tables and room
/// to align.
const OVERHEAD: u64 = 256 * MIB;

/// A machine to start.
pub(crate) struct Machine<'a> {
    pub(crate) cpu: &'a str,
    pub(crate) cpus: u8,
    /// The guest's memory in bytes.
    pub(crate) guest_memory: u64,
    pub(crate) image: &'a Path,
    pub(crate) bundle: &'a Path,
    /// The bundle's size in bytes.
    pub(crate) bundle_size: u64,
    pub(crate) its: bool,
    pub(crate) disk: &'a Path,
    pub(crate) disk_behind: DiskBehind,
    /// The socket behind which Oche's control line is.
    pub(crate) control: &'a Path,
    pub(crate) wait_for_debugger: bool,
    pub(crate) more: &'a [String],
}

impl Machine<'_> {
    /// The machine's memory in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.guest_memory
            .saturating_add(OVERHEAD)
            .saturating_add(self.bundle_size.next_multiple_of(32 * MIB))
    }

    /// QEMU's arguments.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        let mut add = |option: &str, value: String| {
            words.push(option.into());
            words.push(value);
        };
        add(
            "-M",
            match self.its {
                true => "virt,virtualization=on,gic-version=3,iommu=smmuv3".into(),
                false => "virt,virtualization=on,gic-version=3,iommu=smmuv3,its=off".into(),
            },
        );
        add("-cpu", self.cpu.into());
        add("-smp", self.cpus.to_string());
        add("-m", format!("{}M", self.memory() / MIB));
        add("-kernel", self.image.display().to_string());
        add("-initrd", self.bundle.display().to_string());
        // In QEMU's lists a comma is doubled.
        let disk = self.disk.display().to_string().replace(',', ",,");
        add("-drive", format!("file={disk},if=none,id=d0,format=raw"));
        let (above, place) = self.disk_behind.devices();
        for device in above {
            add("-device", (*device).into());
        }
        add("-device", format!("nvme,drive=d0,serial=oche,{place}"));
        let control = self.control.display().to_string().replace(',', ",,");
        add(
            "-chardev",
            format!("socket,id=oche-control,path={control},server=on,wait=off"),
        );
        // Far from the disk, whose interrupt pin is that of every fourth slot from 1 on.
        add(
            "-device",
            "pci-serial,chardev=oche-control,addr=0x1f".into(),
        );
        add("-nic", "none".into());
        add("-display", "none".into());
        add("-monitor", "none".into());
        add("-serial", "stdio".into());
        if self.wait_for_debugger {
            words.push("-s".into());
            words.push("-S".into());
        }
        words.extend_from_slice(self.more);
        words
    }
}

/// A word as a shell would have to be given it.
pub(crate) fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+:,./@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_room_for_oche_beside_the_guest() {
        let machine = Machine {
            cpu: "max",
            cpus: 2,
            guest_memory: 512 * MIB,
            image: Path::new("oche.Image"),
            bundle: Path::new("bundle.cpio"),
            bundle_size: 9 * MIB,
            its: true,
            disk: Path::new("a,b.img"),
            disk_behind: DiskBehind::None,
            control: Path::new("c,d"),
            wait_for_debugger: false,
            more: &[],
        };
        assert_eq!(machine.memory(), (512 + 256 + 32) * MIB);
        let words = machine.arguments().join(" ");
        assert!(words.contains("-m 800M") && words.contains("file=a,,b.img,"));
        assert!(words.contains("socket,id=oche-control,path=c,,d,server=on,wait=off"));
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quote("-M"), "-M");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote(""), "''");
    }
}
