//! PSCI for guests (Arm DEN 0022): what a call asks, and what it does to the vCPUs. The world is changed by the caller.

use arrayvec::ArrayVec;

/// The most vCPUs one guest may have: the cores of an M1.
pub const MAX_VCPUS: usize = 8;

const SUCCESS: i64 = 0;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;
const ON_PENDING: i64 = -5;
const INVALID_ADDRESS: i64 = -9;

const SMCCC_VERSION: u32 = 0x8000_0000;
const SMCCC_ARCH_FEATURES: u32 = 0x8000_0001;
const PSCI_VERSION: u32 = 0x8400_0000;
const CPU_OFF: u32 = 0x8400_0002;
const CPU_ON_32: u32 = 0x8400_0003;
const CPU_ON_64: u32 = 0xc400_0003;
const AFFINITY_INFO_32: u32 = 0x8400_0004;
const AFFINITY_INFO_64: u32 = 0xc400_0004;
const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
const SYSTEM_OFF: u32 = 0x8400_0008;
const SYSTEM_RESET: u32 = 0x8400_0009;
const PSCI_FEATURES: u32 = 0x8400_000a;

/// Functions that `PSCI_FEATURES` reports. SMCCC's own are asked for through `SMCCC_VERSION`, which is one.
const OFFERED: &[u32] = &[
    PSCI_VERSION,
    CPU_OFF,
    CPU_ON_32,
    CPU_ON_64,
    AFFINITY_INFO_32,
    AFFINITY_INFO_64,
    MIGRATE_INFO_TYPE,
    SYSTEM_OFF,
    SYSTEM_RESET,
    PSCI_FEATURES,
    SMCCC_VERSION,
];

/// One vCPU's power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Off,
    /// `CPU_ON` was accepted; the core has not entered the guest yet.
    Pending,
    On,
}

/// What the caller has to do after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Action {
    /// Put this into `x0` and go on.
    Return(i64),
    /// Start vCPU `vcpu` at `entry` with `context` in `x0`; then tell [`Cores::started`] or [`Cores::failed`].
    Start {
        /// Index of the vCPU.
        vcpu: usize,
        /// Guest address of its first instruction.
        entry: u64,
        /// Its `x0`.
        context: u64,
    },
    /// The calling vCPU stops and does not return.
    Stop,
    /// The guest has switched itself off.
    PowerOff,
    /// The guest wants to begin anew.
    Reset,
}

/// The vCPUs of one guest, by index, with their affinity.
#[derive(Debug)]
pub struct Cores {
    cores: ArrayVec<(u64, Power), MAX_VCPUS>,
}

const fn low_half(x: u64) -> u32 {
    (x & 0xffff_ffff) as u32
}

/// The affinity fields of an MPIDR.
pub const AFFINITY: u64 = 0xff_00ff_ffff;

impl Cores {
    /// vCPUs with these MPIDRs; the first is running. More than [`MAX_VCPUS`] are left out.
    pub fn new(mpidrs: impl IntoIterator<Item = u64>) -> Self {
        let mut cores: ArrayVec<_, MAX_VCPUS> = mpidrs
            .into_iter()
            .take(MAX_VCPUS)
            .map(|mpidr| (mpidr & AFFINITY, Power::Off))
            .collect();
        if let Some(first) = cores.first_mut() {
            first.1 = Power::On;
        }
        Self { cores }
    }

    /// vCPU `vcpu` is about to enter the guest.
    pub fn started(&mut self, vcpu: usize) {
        self.set(vcpu, Power::On);
    }

    /// The platform could not start the core; a later `CPU_ON` may try again.
    pub fn failed(&mut self, vcpu: usize) {
        self.set(vcpu, Power::Off);
    }

    /// How many vCPUs are on or about to be.
    pub fn running(&self) -> usize {
        self.cores
            .iter()
            .filter(|(_, power)| *power != Power::Off)
            .count()
    }

    fn set(&mut self, vcpu: usize, power: Power) {
        if let Some(core) = self.cores.get_mut(vcpu) {
            core.1 = power;
        }
    }

    /// One call by vCPU `caller` with `x0` to `x3`. `is_ram` says whether a guest address may hold code.
    pub fn call(&mut self, caller: usize, x: [u64; 4], is_ram: impl FnOnce(u64) -> bool) -> Action {
        let function = low_half(x[0]);
        // The 32-bit calls look at the low halves only (DEN 0028, 3.1).
        let argument = |n: usize| {
            if function & (1 << 30) != 0 {
                x[n]
            } else {
                x[n] & 0xffff_ffff
            }
        };
        match function {
            SMCCC_VERSION => Action::Return(0x1_0001),
            // Which ID is asked for is a 32-bit value; nothing beyond the two calls themselves is offered.
            SMCCC_ARCH_FEATURES => Action::Return(match low_half(argument(1)) {
                SMCCC_VERSION | SMCCC_ARCH_FEATURES => SUCCESS,
                _ => NOT_SUPPORTED,
            }),
            PSCI_VERSION => Action::Return(0x1_0001),
            PSCI_FEATURES => {
                let known = OFFERED.contains(&low_half(argument(1)));
                Action::Return(if known { SUCCESS } else { NOT_SUPPORTED })
            }
            // 2: no trusted OS, nothing to migrate.
            MIGRATE_INFO_TYPE => Action::Return(2),
            CPU_ON_32 | CPU_ON_64 => self.cpu_on(argument(1), argument(2), argument(3), is_ram),
            CPU_OFF => {
                self.set(caller, Power::Off);
                Action::Stop
            }
            AFFINITY_INFO_32 | AFFINITY_INFO_64 => {
                Action::Return(self.affinity_info(argument(1), argument(2)))
            }
            SYSTEM_OFF => Action::PowerOff,
            SYSTEM_RESET => Action::Reset,
            _ => Action::Return(NOT_SUPPORTED),
        }
    }

    fn cpu_on(
        &mut self,
        target: u64,
        entry: u64,
        context: u64,
        is_ram: impl FnOnce(u64) -> bool,
    ) -> Action {
        let Some(vcpu) = self.cores.iter().position(|(mpidr, _)| *mpidr == target) else {
            return Action::Return(INVALID_PARAMETERS);
        };
        match self.cores[vcpu].1 {
            Power::On => Action::Return(ALREADY_ON),
            Power::Pending => Action::Return(ON_PENDING),
            Power::Off if !entry.is_multiple_of(4) || !is_ram(entry) => {
                Action::Return(INVALID_ADDRESS)
            }
            Power::Off => {
                self.set(vcpu, Power::Pending);
                Action::Start {
                    vcpu,
                    entry,
                    context,
                }
            }
        }
    }

    fn affinity_info(&self, target: u64, level: u64) -> i64 {
        if level != 0 {
            return INVALID_PARAMETERS; // only level 0 has a meaning since PSCI 1.0
        }
        match self.cores.iter().find(|(mpidr, _)| *mpidr == target) {
            Some((_, Power::On)) => 0,
            Some((_, Power::Off)) => 1,
            Some((_, Power::Pending)) => 2,
            None => INVALID_PARAMETERS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Cores {
        Cores::new([0x8000_0000, 0x8000_0001])
    }

    fn call(cores: &mut Cores, x: [u64; 4]) -> Action {
        cores.call(0, x, |address| address >= 0x1000)
    }

    fn function(id: u32) -> u64 {
        u64::from(id)
    }

    #[test]
    fn linux_brings_a_second_cpu_up_and_takes_it_down() {
        let mut cores = two();
        let on = [function(CPU_ON_64), 1, 0x2000, 7];
        assert_eq!(
            call(&mut cores, on),
            Action::Start {
                vcpu: 1,
                entry: 0x2000,
                context: 7
            }
        );
        assert_eq!(call(&mut cores, on), Action::Return(ON_PENDING));
        assert_eq!(
            call(&mut cores, [function(AFFINITY_INFO_64), 1, 0, 0]),
            Action::Return(2)
        );
        cores.started(1);
        assert_eq!(call(&mut cores, on), Action::Return(ALREADY_ON));
        assert_eq!(cores.running(), 2);
        assert_eq!(
            cores.call(1, [function(CPU_OFF), 0, 0, 0], |_| true),
            Action::Stop
        );
        assert_eq!(
            call(&mut cores, [function(AFFINITY_INFO_64), 1, 0, 0]),
            Action::Return(1)
        );
        assert_eq!(cores.running(), 1);
    }

    #[test]
    fn a_cpu_that_is_not_there_or_an_entry_that_is_not_ram_is_refused() {
        let mut cores = two();
        let on = |target, entry| [function(CPU_ON_64), target, entry, 0];
        assert_eq!(
            call(&mut cores, on(9, 0x2000)),
            Action::Return(INVALID_PARAMETERS)
        );
        assert_eq!(
            call(&mut cores, on(1, 0x10)),
            Action::Return(INVALID_ADDRESS)
        );
        assert_eq!(
            call(&mut cores, on(1, 0x2002)),
            Action::Return(INVALID_ADDRESS)
        );
    }

    #[test]
    fn a_core_that_did_not_start_may_be_tried_again() {
        let mut cores = two();
        let on = [function(CPU_ON_64), 1, 0x2000, 0];
        assert!(matches!(call(&mut cores, on), Action::Start { .. }));
        cores.failed(1);
        assert!(matches!(call(&mut cores, on), Action::Start { .. }));
    }

    #[test]
    fn a_32_bit_call_looks_at_the_low_halves_only() {
        let mut cores = two();
        let on = [
            function(CPU_ON_32),
            0xffff_ffff_0000_0001,
            0xffff_ffff_0000_2000,
            1 << 40,
        ];
        assert_eq!(
            call(&mut cores, on),
            Action::Start {
                vcpu: 1,
                entry: 0x2000,
                context: 0
            }
        );
    }

    #[test]
    fn what_is_reported_is_what_is_offered() {
        let mut cores = two();
        assert_eq!(
            call(&mut cores, [function(PSCI_VERSION), 0, 0, 0]),
            Action::Return(0x1_0001)
        );
        for id in OFFERED {
            let asked = [function(PSCI_FEATURES), function(*id), 0, 0];
            assert_eq!(call(&mut cores, asked), Action::Return(SUCCESS));
        }
        let suspend = [function(PSCI_FEATURES), 0xc400_0001, 0, 0];
        assert_eq!(call(&mut cores, suspend), Action::Return(NOT_SUPPORTED));
        assert_eq!(
            call(&mut cores, [0xc600_0000, 0, 0, 0]),
            Action::Return(NOT_SUPPORTED)
        );
    }

    #[test]
    fn off_and_reset_are_passed_on() {
        let mut cores = two();
        assert_eq!(
            call(&mut cores, [function(SYSTEM_OFF), 0, 0, 0]),
            Action::PowerOff
        );
        assert_eq!(
            call(&mut cores, [function(SYSTEM_RESET), 0, 0, 0]),
            Action::Reset
        );
    }
}
