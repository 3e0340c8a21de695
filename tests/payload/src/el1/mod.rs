//! Everything that runs at EL1.

mod bench;
mod console;
mod cores;
mod cpu;
mod dart;
mod exceptions;
mod gic;
mod machine;
mod memory;
mod mmio;
mod mmu;
mod nvme;
mod pci;
mod psci;
mod start;
mod tests;
mod timers;

use core::panic::PanicInfo;

use self::bench::Bench;
use self::console::say;
use self::machine::Machine;

/// Where the first instructions hand over: with a stack, zeroed statics, the MMU off.
extern "C" fn main(tree: *const u8) -> ! {
    // SAFETY: x0 is the device tree's address (Linux booting.rst), which Oche wrote; nobody writes
    // to it while the payload runs.
    let machine = unsafe { Machine::read(tree) };
    let machine = match machine {
        Ok(machine) => machine,
        Err(why) => {
            // Without a device tree there is no console either, unless it got that far.
            say!("oche-payload: device tree: {why}");
            say!("oche-payload: done fail");
            psci::system_off()
        }
    };
    mmu::prepare(&machine);
    mmu::enable();
    let passed = tests::run(&mut Bench::new(machine));
    say!(
        "oche-payload: done {}",
        if passed { "pass" } else { "fail" }
    );
    psci::system_off()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("oche-payload: panic: {info}");
    say!("oche-payload: done fail");
    psci::system_off()
}
