//! Finding the redistributor of each core.

use arrayvec::ArrayVec;
use boot::machine::Machine;
use hv_core::arch::aarch64::mmio::Mmio;
use hv_core::layout::{GICR_FRAME, GICR_STRIDE};
use hv_core::psci::MAX_VCPUS;

use super::super::sentence::{Sentence, sentence};

/// The RD_base frame of each vCPU's core: the one whose `GICR_TYPER` has the core's affinity (IHI 0069, 12.11).
pub(super) fn redistributors(
    machine: &Machine,
    affinities: &[u64],
) -> Result<ArrayVec<Mmio, MAX_VCPUS>, Sentence> {
    const TYPER: u64 = 8;
    const LAST: u64 = 1 << 4;
    let stride = machine.gic.redistributor_stride.max(GICR_STRIDE);
    let mut all = ArrayVec::new();
    for affinity in affinities {
        // Aff3.Aff2.Aff1.Aff0, packed, as TYPER has it in its upper half.
        let wanted = (affinity & 0xff_ffff) | ((affinity >> 8) & 0xff00_0000);
        let mut found = None;
        'regions: for region in &machine.gic.redistributors {
            let most = (region.size() / stride).min(MAX_VCPUS as u64);
            for nth in 0..most {
                let Some(base) = region.start().checked_add(nth * stride) else {
                    break;
                };
                // SAFETY: a redistributor of the machine's GIC, mapped at boot. It is given to one vCPU's traps only.
                let frame = unsafe { Mmio::new(base, GICR_FRAME) };
                let typer = frame.read64(TYPER);
                if typer >> 32 == wanted {
                    found = Some(frame);
                    break 'regions;
                }
                if typer & LAST != 0 {
                    break;
                }
            }
        }
        all.push(found.ok_or_else(|| {
            sentence!("no GIC redistributor has the affinity {affinity:#x} of a core")
        })?);
    }
    Ok(all)
}
