//! The guest that the options describe.

use std::path::{Path, PathBuf};

use arrayvec::ArrayVec;
use guest_abi::config::{
    ConsoleStyle, DartModel, DeviceRoute, Granule, GuestConfig, MAX_DEVICES, MAX_VCPUS,
    MEMORY_UNIT, RunConfig,
};

use crate::build::bundle::{self, GuestFiles};
use crate::build::{BareMetal, Product, check_kernel, initramfs, kernel, kernel_needs};
use crate::cli::{BuiltIn, DartName, GranuleName, GuestOptions};
use crate::disk::random_hex;
use crate::failure::{Failure, OrSay, Outcome};
use crate::packages::Need;
use crate::size;
use crate::workspace::Workspace;

/// Less is not worth trying: a small Linux with its ramdisk wants about half of it.
const LEAST_MEMORY: u64 = 128 << 20;
/// Far from where any machine has its RAM, so that no guest address is a physical one by chance.
const RAM_BASE: u64 = 0x8_0000_0000;
/// The disk's stream of the guest's DART.
const DISK_STREAM: u8 = 1;

/// What nobody can foresee.
pub(crate) struct Secrets {
    /// Marks Oche's line for programs.
    pub(crate) token: String,
    /// Follows the disk in the guest's checksum.
    pub(crate) nonce: String,
}

impl Secrets {
    /// New ones.
    pub(crate) fn draw() -> Outcome<Self> {
        Ok(Secrets {
            token: random_hex(16)?,
            nonce: random_hex(16)?,
        })
    }
}

/// A guest whose files are there.
pub(crate) struct Guest {
    name: &'static str,
    kernel: PathBuf,
    ramdisk: Option<PathBuf>,
    built_in_userspace: bool,
    payload: bool,
}

/// Whether the guest's userspace is the one that checks its disk.
pub(crate) fn has_built_in_userspace(options: &GuestOptions) -> bool {
    options.guest == BuiltIn::Linux && options.initrd.is_none()
}

/// Refuses what can be refused before anything is built.
pub(crate) fn check(options: &GuestOptions) -> Outcome<()> {
    if options.mem < LEAST_MEMORY {
        return Err(Failure::new(format!(
            "{} is too little memory for a guest: give --mem at least {}",
            size::show(options.mem),
            size::show(LEAST_MEMORY)
        )));
    }
    if !options.mem.is_multiple_of(MEMORY_UNIT) || options.mem > 1 << 40 {
        return Err(Failure::new(format!(
            "a guest's memory is a multiple of {} and at most 1024 GiB, not {} bytes: change --mem",
            size::show(MEMORY_UNIT),
            options.mem
        )));
    }
    if !(1..=MAX_VCPUS).contains(&u64::from(options.smp)) {
        return Err(Failure::new(format!(
            "a guest has 1 to {MAX_VCPUS} virtual CPUs, not {}: change --smp",
            options.smp
        )));
    }
    if options.device.len() >= MAX_DEVICES {
        return Err(Failure::new(format!(
            "a guest has at most {MAX_DEVICES} devices, its disk among them: leave out some --device"
        )));
    }
    if options.guest == BuiltIn::Payload && (options.kernel.is_some() || options.initrd.is_some()) {
        return Err(Failure::new(
            "--guest payload is a guest of its own: leave out --kernel and --initrd",
        ));
    }
    if let Some(kernel) = &options.kernel
        && let Some(warning) = check_kernel(kernel)?
    {
        eprintln!("oche: the kernel {} {warning}", kernel.display());
    }
    if let Some(ramdisk) = own_ramdisk(options) {
        std::fs::File::open(ramdisk).or_say(format_args!(
            "cannot read the ramdisk {}",
            ramdisk.display()
        ))?;
    }
    Ok(())
}

/// The disk, and what the options name.
fn devices(options: &GuestOptions) -> ArrayVec<DeviceRoute, MAX_DEVICES> {
    let disk = DeviceRoute {
        function: options.disk_behind.disk(),
        stream: DISK_STREAM,
    };
    let all = [disk].into_iter().chain(options.device.iter().copied());
    // `check` has refused more.
    all.take(MAX_DEVICES).collect()
}

/// What has to be installed to build the guest.
pub(crate) fn needs(workspace: &Workspace, options: &GuestOptions) -> Outcome<Vec<Need>> {
    match options.guest == BuiltIn::Linux && options.kernel.is_none() {
        true => kernel_needs(workspace, &[options.kernel_variant]),
        false => Ok(Vec::new()),
    }
}

/// The user's ramdisk; the word `none` stands for none at all.
fn own_ramdisk(options: &GuestOptions) -> Option<&Path> {
    options
        .initrd
        .as_deref()
        .filter(|path| path.as_os_str() != "none")
}

impl Guest {
    /// Builds or finds the guest's files. The lock has to be held.
    pub(crate) fn build(
        workspace: &Workspace,
        bare_metal: &BareMetal,
        options: &GuestOptions,
    ) -> Outcome<Self> {
        if options.guest == BuiltIn::Payload {
            return Ok(Guest {
                name: "payload",
                kernel: crate::build::build(workspace, bare_metal, Product::Payload)?.image,
                ramdisk: None,
                built_in_userspace: false,
                payload: true,
            });
        }
        let built_in_userspace = has_built_in_userspace(options);
        Ok(Guest {
            name: "linux",
            kernel: match &options.kernel {
                Some(own) => own.clone(),
                None => kernel(workspace, options.kernel_variant)?,
            },
            ramdisk: match built_in_userspace {
                true => Some(initramfs(workspace)?),
                false => own_ramdisk(options).map(Path::to_path_buf),
            },
            built_in_userspace,
            payload: false,
        })
    }

    /// Whether the guest tells the checksum of its disk.
    pub(crate) fn checks_disk(&self) -> bool {
        self.built_in_userspace
    }

    /// Whether the guest tells how its own checks went.
    pub(crate) fn says_result(&self) -> bool {
        self.built_in_userspace || self.payload
    }

    /// Writes the bundle; its size in bytes. `work` are words for the built-in userspace.
    pub(crate) fn write_bundle(
        &self,
        path: &Path,
        options: &GuestOptions,
        secrets: &Secrets,
        work: &[String],
    ) -> Outcome<u64> {
        let arguments = self.arguments(options, secrets, work);
        let run = RunConfig {
            token: &secrets.token,
            shadow: !options.no_shadow,
            reveal: options.reveal,
            console: match options.console {
                true => ConsoleStyle::Raw,
                false => ConsoleStyle::Tagged,
            },
            reboot: !options.no_reboot,
            interrupts: options.interrupts.map(Into::into),
            guards_out: options.guards_out.as_deref().unwrap_or(""),
        };
        let config = GuestConfig {
            name: self.name,
            memory: options.mem,
            ram_base: RAM_BASE,
            vcpus: options.smp,
            arguments: &arguments,
            dart: match options.dart {
                DartName::T8103 => DartModel::T8103,
            },
            stage2_granule: match options.stage2_granule {
                GranuleName::Size16K => Granule::Size16K,
                GranuleName::Size4K => Granule::Size4K,
            },
            devices: devices(options),
        };
        let files = GuestFiles {
            config,
            kernel: &self.kernel,
            ramdisk: self.ramdisk.as_deref(),
        };
        bundle::write(path, &run, &files)
    }

    /// The kernel's command line.
    fn arguments(&self, options: &GuestOptions, secrets: &Secrets, work: &[String]) -> String {
        let mut words = Vec::new();
        if !self.payload {
            words.push("console=ttyAMA0".to_string());
        }
        if self.built_in_userspace {
            // A panic ends the run at once instead of at the end of its time.
            words.push("panic=-1".to_string());
            words.push(format!("oche.nonce={}", secrets.nonce));
        }
        words.extend(work.iter().cloned());
        words.extend(options.append.iter().cloned());
        words.join(" ").trim().to_string()
    }
}
