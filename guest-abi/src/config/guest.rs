//! `guests/<name>/config`: one guest.

use core::fmt;

use arrayvec::ArrayVec;

use super::text::{entries, is_name, missing, number};
use super::{ConfigError, Problem};

/// The longest name of a guest or of a guard, in bytes.
pub const MAX_NAME: usize = 32;
/// The most virtual CPUs of a guest.
pub const MAX_VCPUS: u64 = 8;
/// The most devices of a guest.
pub const MAX_DEVICES: usize = 16;
/// The longest kernel command line, in bytes: what arm64 Linux takes (`COMMAND_LINE_SIZE` 2048)
/// less the byte that ends it.
pub const MAX_ARGUMENTS: usize = 2047;
/// The unit of guest memory and of its base, in bytes.
pub const MEMORY_UNIT: u64 = 2 << 20;
/// The number of streams of the DART models there are.
pub const STREAMS: u64 = 16;

const NAME: &str = "a name of at most 32 lower-case letters, digits and hyphens";
const MEMORY: &str = "a number of bytes, a multiple of 2 MiB and not 0";
const BASE: &str = "an address, a multiple of 2 MiB, from which the memory does not pass 2^48";
const VCPUS: &str = "a number from 1 to 8";
const ARGUMENTS: &str = "at most 2047 printable ASCII characters";
const DART: &str = "`t8103`";
const GRANULE: &str = "`16K` or `4K`";
const DEVICE: &str = "of the form `00:01.0 stream 1`, with a stream from 0 to 15";
const TWICE: &str = "a function that has no entry yet";

/// Which DART a guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DartModel {
    /// That of the M1 (`apple,t8103-dart`).
    T8103,
}

impl DartModel {
    /// The model of that name.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        match word {
            "t8103" => Some(DartModel::T8103),
            _ => None,
        }
    }

    /// The model's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DartModel::T8103 => "t8103",
        }
    }
}

/// A translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granule {
    /// 4 KiB.
    Size4K,
    /// 16 KiB.
    Size16K,
}

impl Granule {
    /// The granule written so.
    #[must_use]
    pub fn from_name(word: &str) -> Option<Self> {
        match word {
            "4K" => Some(Granule::Size4K),
            "16K" => Some(Granule::Size16K),
            _ => None,
        }
    }

    /// How the granule is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Granule::Size4K => "4K",
            Granule::Size16K => "16K",
        }
    }
}

/// A PCI function of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciFunction {
    /// The bus, as Oche numbers them: from the root bus 0 on, each bridge's before the next one's.
    pub bus: u8,
    /// The device (slot), 0 to 31.
    pub device: u8,
    /// The function, 0 to 7.
    pub function: u8,
}

impl PciFunction {
    /// The requester id.
    #[must_use]
    pub fn requester(self) -> u16 {
        (u16::from(self.bus) << 8) | (u16::from(self.device) << 3) | u16::from(self.function)
    }

    /// The function written as `00:01.0`: bus and device in two hexadecimal digits each.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let (bus, rest) = word.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        if function.len() != 1 {
            return None;
        }
        let [bus, device] = [bus, device].map(two_digits);
        let (bus, device) = bus.zip(device)?;
        let function: u8 = function.parse().ok()?;
        (device < 32 && function < 8).then_some(PciFunction {
            bus,
            device,
            function,
        })
    }
}

impl fmt::Display for PciFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.bus, self.device, self.function)
    }
}

/// Two hexadecimal digits; `from_str_radix` alone would take `+1`.
fn two_digits(word: &str) -> Option<u8> {
    let digits = word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u8::from_str_radix(word, 16).ok())?
}

/// A device of a guest: which function, and on which stream of the guest's DART it appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRoute {
    /// The function of the machine.
    pub function: PciFunction,
    /// The stream, 0 to 15.
    pub stream: u8,
}

impl DeviceRoute {
    /// Reads a route as a configuration has it: `00:01.0 stream 1`.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let function = PciFunction::parse(words.next()?)?;
        if words.next()? != "stream" {
            return None;
        }
        let stream = number(words.next()?)?;
        if stream >= STREAMS || words.next().is_some() {
            return None;
        }
        Some(DeviceRoute {
            function,
            stream: u8::try_from(stream).ok()?,
        })
    }
}

impl fmt::Display for DeviceRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stream {}", self.function, self.stream)
    }
}

/// One guest (`guests/<name>/config`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestConfig<'a> {
    /// Its name, the same as that of its folder in the bundle.
    pub name: &'a str,
    /// Its memory in bytes, a multiple of [`MEMORY_UNIT`].
    pub memory: u64,
    /// Where its memory starts in its own physical address space.
    pub ram_base: u64,
    /// Its virtual CPUs, 1 to [`MAX_VCPUS`].
    pub vcpus: u8,
    /// Its kernel's command line; may be empty.
    pub arguments: &'a str,
    /// The DART it sees.
    pub dart: DartModel,
    /// The granule of its stage 2.
    pub stage2_granule: Granule,
    /// Its devices.
    pub devices: ArrayVec<DeviceRoute, MAX_DEVICES>,
}

impl<'a> GuestConfig<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &'a str) -> Result<Self, ConfigError<'a>> {
        let (mut name, mut memory, mut ram_base, mut vcpus) = (None, None, None, None);
        let (mut arguments, mut dart, mut stage2_granule) = (None, None, None);
        let mut devices = ArrayVec::new();
        let mut base_entry = None;
        for entry in entries(text)? {
            let entry = entry?;
            match entry.key {
                "name" => {
                    let value = entry.read("name", NAME, |v| is_name(v, MAX_NAME).then_some(v))?;
                    entry.set(&mut name, value)?;
                }
                "memory" => {
                    let value = entry.read("memory", MEMORY, |v| number(v).filter(is_memory))?;
                    entry.set(&mut memory, value)?;
                }
                "ram-base" => {
                    let value = entry.read("ram-base", BASE, number)?;
                    entry.set(&mut ram_base, value)?;
                    base_entry = Some(entry);
                }
                "vcpus" => {
                    let value = entry.read("vcpus", VCPUS, |v| {
                        number(v)
                            .and_then(|n| u8::try_from(n).ok())
                            .filter(is_vcpus)
                    })?;
                    entry.set(&mut vcpus, value)?;
                }
                "arguments" => {
                    let value =
                        entry.read("arguments", ARGUMENTS, |v| is_arguments(v).then_some(v))?;
                    entry.set(&mut arguments, value)?;
                }
                "dart" => {
                    let value = entry.read("dart", DART, DartModel::from_name)?;
                    entry.set(&mut dart, value)?;
                }
                "stage2-granule" => {
                    let value = entry.read("stage2-granule", GRANULE, Granule::from_name)?;
                    entry.set(&mut stage2_granule, value)?;
                }
                "device" => {
                    let route = entry.read("device", DEVICE, DeviceRoute::parse)?;
                    if names_function(&devices, route.function) {
                        return entry.read("device", TWICE, |_| None);
                    }
                    devices.try_push(route).map_err(|_| {
                        entry.error(Problem::TooMany {
                            key: "device",
                            limit: MAX_DEVICES,
                        })
                    })?;
                }
                "version" => return Err(entry.error(Problem::Repeated(entry.key))),
                key => return Err(entry.error(Problem::UnknownKey(key))),
            }
        }
        let memory = memory.ok_or_else(|| missing(text, "memory"))?;
        let ram_base = ram_base.ok_or_else(|| missing(text, "ram-base"))?;
        // Whether the base is good depends on the size, which may come after it.
        if let Some(entry) = base_entry.filter(|_| !is_base(ram_base, memory)) {
            return entry.read("ram-base", BASE, |_| None);
        }
        Ok(GuestConfig {
            name: name.ok_or_else(|| missing(text, "name"))?,
            memory,
            ram_base,
            vcpus: vcpus.ok_or_else(|| missing(text, "vcpus"))?,
            arguments: arguments.ok_or_else(|| missing(text, "arguments"))?,
            dart: dart.ok_or_else(|| missing(text, "dart"))?,
            stage2_granule: stage2_granule.ok_or_else(|| missing(text, "stage2-granule"))?,
            devices,
        })
    }

    /// Whether the value would read back as it is: to be asked before it is written.
    ///
    /// # Errors
    /// The first field that the text could not carry. Numbers are not repeated in the problem's
    /// `value`, which has no room for them.
    pub fn check(&self) -> Result<(), Problem<'a>> {
        let bad = |key, value, wanted| Err(Problem::BadValue { key, value, wanted });
        if !is_name(self.name, MAX_NAME) {
            return bad("name", self.name, NAME);
        }
        if !is_memory(&self.memory) {
            return bad("memory", "the one given", MEMORY);
        }
        if !is_base(self.ram_base, self.memory) {
            return bad("ram-base", "the one given", BASE);
        }
        if !is_vcpus(&self.vcpus) {
            return bad("vcpus", "the number given", VCPUS);
        }
        if !is_arguments(self.arguments) || self.arguments.trim() != self.arguments {
            return bad("arguments", self.arguments, ARGUMENTS);
        }
        for (index, route) in self.devices.iter().enumerate() {
            let good = route.function.device < 32
                && route.function.function < 8
                && u64::from(route.stream) < STREAMS;
            if !good {
                return bad("device", "the one given", DEVICE);
            }
            let earlier = self.devices.get(..index).unwrap_or_default();
            if names_function(earlier, route.function) {
                return bad("device", "the one given", TWICE);
            }
        }
        Ok(())
    }
}

impl fmt::Display for GuestConfig<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version = {}", super::VERSION)?;
        writeln!(f, "name = {}", self.name)?;
        writeln!(f, "memory = {:#x}", self.memory)?;
        writeln!(f, "ram-base = {:#x}", self.ram_base)?;
        writeln!(f, "vcpus = {}", self.vcpus)?;
        writeln!(f, "arguments = {}", self.arguments)?;
        writeln!(f, "dart = {}", self.dart.name())?;
        writeln!(f, "stage2-granule = {}", self.stage2_granule.name())?;
        for device in &self.devices {
            writeln!(f, "device = {device}")?;
        }
        Ok(())
    }
}

fn is_memory(bytes: &u64) -> bool {
    *bytes != 0 && bytes.is_multiple_of(MEMORY_UNIT)
}

fn is_base(base: u64, memory: u64) -> bool {
    base.is_multiple_of(MEMORY_UNIT) && base.checked_add(memory).is_some_and(|end| end <= 1 << 48)
}

fn is_vcpus(count: &u8) -> bool {
    (1..=MAX_VCPUS).contains(&u64::from(*count))
}

fn is_arguments(line: &str) -> bool {
    line.len() <= MAX_ARGUMENTS && line.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn names_function(routes: &[DeviceRoute], function: PciFunction) -> bool {
    routes.iter().any(|route| route.function == function)
}
